"""The daemon killed at random under compaction, and started again: never a lost row, never a deleted row back."""

import random
from pathlib import Path

import pytest
from tests.cassandra.checking import faults_in, sample_of
from tests.cassandra.journal import COLUMNS, KEY, Journal
from tests.cassandra.node import Configuration, running_node
from tests.cassandra.restore import Reader, RestorePoints, Table
from tests.cassandra.workload import Workload
from tests.daemon.harness import Bucket, running

pytestmark = [pytest.mark.cassandra, pytest.mark.timeout(600)]

LIVES = 6
SAMPLE = 10
COMPACTION = "{'class': 'SizeTieredCompactionStrategy', 'min_threshold': 2}"


@pytest.mark.parametrize("disks", [1, 2], ids=["one data directory", "two data directories"])
def test_a_daemon_that_is_killed_at_random_keeps_its_promise(
    disks: int, reader: Reader, bucket: Bucket, tmp_path: Path
) -> None:
    table = Table(f"killed_{disks}", "t", COLUMNS, KEY)
    pick = random.Random(disks)
    flags = ("-r", "-a", "-B", "--index-interval", "0", "--base-interval", "2")
    with running_node(tmp_path / "node", Configuration(disks=disks)) as node:
        table.create(node, f"gc_grace_seconds = 0 AND compaction = {COMPACTION}")
        points = RestorePoints(bucket, node.table_directories(table.keyspace, table.name))
        journal = Journal(node, table)
        workload = Workload(journal, seed=disks)
        workload.fill()
        for _ in range(LIVES):
            with running(bucket, *flags, *node.data, log=tmp_path / "daemon.log", await_watching=False) as daemon:
                for _ in range(pick.randint(1, 6)):
                    workload.batch()
                    flushed = journal.flush()
                    if pick.random() < 0.7:
                        points.has_one_after(flushed.before)
                workload.batch()
                daemon.kill()
            # While it is down.
            journal.flush()
        with running(bucket, *flags, *node.data, log=tmp_path / "daemon.log"):
            workload.batch()
            points.await_after(journal.flush().before)

        taken = points.complete()
        faults = faults_in(sample_of(taken, SAMPLE), journal, bucket, reader, tmp_path)

    assert not faults
    assert len(taken) > LIVES
    assert len({directory for point in taken for directory, files in point.directories.items() if files}) == disks
