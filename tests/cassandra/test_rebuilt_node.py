"""A node that lost its disk and is set up anew: its sstables return under the same names, with other rows in them."""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.cassandra.checking import faults_in
from tests.cassandra.journal import COLUMNS, KEY, Journal, now
from tests.cassandra.node import Node
from tests.cassandra.restore import Reader, RestorePoints, Table
from tests.daemon.harness import Bucket, running

from tablesnap.rules.index import Index, StoredFile
from tablesnap.rules.sstable import DATA

pytestmark = pytest.mark.cassandra

FLAGS = ("-r", "-a", "-B", "--index-interval", "0")


@pytest.mark.parametrize("daemon_is", ["there throughout", "down meanwhile"])
def test_both_lives_of_a_rebuilt_node_can_be_restored_and_no_restore_point_mixes_them(
    daemon_is: str, node: Node, reader: Reader, bucket: Bucket, tmp_path: Path
) -> None:
    same = f"ID = {uuid.uuid1()} AND gc_grace_seconds = 0"
    table, log = Table("rebuilt", "t", COLUMNS, KEY), tmp_path / "daemon.log"
    table.create(node, same)
    [directory] = node.table_directories(table.keyspace, table.name)
    points = RestorePoints(bucket, [directory])
    old = Journal(node, table)
    with ExitStack() as at_the_end:
        daemon = at_the_end.enter_context(running(bucket, *FLAGS, *node.data, log=log))
        for batch in range(3):
            _write(old, batch, life="old")
            points.await_after(old.flush().before)
        generations = {path.name for path in directory.glob(f"*{DATA}")}

        if daemon_is == "down meanwhile":
            daemon.stop()
        node.kill()
        node.wipe()
        wiped = now()
        node.start()
        table.create(node, same)
        new = Journal(node, table)
        _write(new, 3, life="new")
        first = new.flush()
        if daemon_is == "down meanwhile":
            at_the_end.enter_context(running(bucket, *FLAGS, *node.data, log=log))
        points.await_after(first.before)
        for batch in range(4, 6):
            _write(new, batch, life="new")
            points.await_after(new.flush().before)
        assert {path.name for path in directory.glob(f"*{DATA}")} == generations, "the run proves nothing"

    taken = points.complete()
    of_old = [point for point in taken if point.taken_at < wiped]
    of_new = [point for point in taken if point.taken_at >= wiped]
    assert len(of_old) >= 3
    assert len(of_new) >= 3
    assert not faults_in(of_old, old, bucket, reader, tmp_path)
    assert not faults_in(of_new, new, bucket, reader, tmp_path)
    # Those of every other table too, the system's own.
    for key, index in bucket.indexes().items():
        lives = {stored.mtime_ns >= wiped.timestamp() * 1e9 for stored in _data(index)}
        assert len(lives) < 2, f"{key} names sstables of both lives: {index}"


def _write(journal: Journal, batch: int, *, life: str) -> None:
    # The two lives have no row in common, so that none hides one of the other.
    first = 0 if life == "old" else 100
    for number in range(120):
        journal.insert(first + number % 4, number, f"{life} {batch}", f"{number}")
    journal.delete_row(first, 4 * batch)
    journal.delete_range(first + 1, 20 + batch, 40 + batch)


def _data(index: Index) -> Iterator[StoredFile]:
    for files in (index.files, *index.others.values()):
        yield from (stored for name, stored in files.items() if name.endswith(DATA))
