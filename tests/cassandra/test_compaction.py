"""Overwrites, deletes and times to live under each compaction strategy, on a store that compaction leaves behind.

Never a lost row, never a deleted row back. The same run, kept as plain listings, shows both.
"""

import random
import uuid
from pathlib import Path

import pytest
from tests.cassandra.agreeing import live_by_cassandra, live_by_tablesnap
from tests.cassandra.checking import faults_in, sample_of
from tests.cassandra.journal import COLUMNS, KEY, Journal
from tests.cassandra.naive import NaiveCopies, naive_copier
from tests.cassandra.node import Configuration, Node, running_node
from tests.cassandra.restore import Reader, RestorePoints, Table
from tests.cassandra.stingy import stingy
from tests.cassandra.workload import Workload
from tests.daemon.harness import running
from tests.endpoint import S3Server

pytestmark = [pytest.mark.cassandra, pytest.mark.timeout(600)]

FLUSHES = 30  # under each of four strategies
ENOUGH = 25  # restore points of them: a hundred in all
SAMPLE = 9
LISTINGS = 20
ALLOWED = 150  # per cent of what is flushed may be stored meanwhile
TOMBSTONES = {
    "tombstone_threshold": "0.05",
    "tombstone_compaction_interval": "1",
    "unchecked_tombstone_compaction": "true",
}
STRATEGIES: dict[str, dict[str, str]] = {
    "STCS": {"class": "SizeTieredCompactionStrategy", "min_threshold": "2", **TOMBSTONES},
    "LCS": {"class": "LeveledCompactionStrategy", "sstable_size_in_mb": "1", "fanout_size": "4", **TOMBSTONES},
    "TWCS": {
        "class": "TimeWindowCompactionStrategy",
        "compaction_window_unit": "MINUTES",
        "compaction_window_size": "1",
        "min_threshold": "2",
        "expired_sstable_check_frequency_seconds": "1",
        **TOMBSTONES,
    },
    "UCS": {
        "class": "UnifiedCompactionStrategy",
        "scaling_parameters": "T2",
        "target_sstable_size": "1MiB",
        "provide_overlapping_tombstones": "row",
    },
}


# Cassandra deletes the inputs of a compaction in the order of a hash: those with numbers mostly the oldest first, which
# happens to harm no plain listing. With UUIDs it is any order.
UUIDS = {"STCS", "UCS"}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_row_is_lost_and_none_comes_back_while_compaction_outruns_the_store(
    strategy: str, reader: Reader, s3_server: S3Server, tmp_path: Path
) -> None:
    settings = {"uuid_sstable_identifiers_enabled": strategy in UUIDS}
    with running_node(tmp_path / "node", Configuration(settings=settings)) as node:
        _outrun(strategy, node, reader, s3_server, tmp_path)


def _outrun(strategy: str, node: Node, reader: Reader, s3_server: S3Server, tmp_path: Path) -> None:
    table = Table(f"ks_{strategy.lower()}", "t", COLUMNS, KEY)
    table.create(node, f"gc_grace_seconds = 0 AND compaction = {STRATEGIES[strategy]}")
    [directory] = node.table_directories(table.keyspace, table.name)
    journal = Journal(node, table)
    workload = Workload(journal, seed=FLUSHES)
    name = f"backups-{uuid.uuid4().hex[:12]}"
    s3_server.make_bucket(name)
    with stingy(s3_server, name, table.keyspace) as (bucket, allowance):
        points = RestorePoints(bucket, [directory])
        # A base is always on its way, and never there before compaction has taken what it is made of.
        flags = ("-r", "-a", "-B", "--index-interval", "0", "--base-interval", "2")
        with (
            running(bucket, *flags, *node.data, log=tmp_path / "daemon.log") as daemon,
            naive_copier(directory, tmp_path / "copies") as naive,
        ):
            workload.fill()
            behind = 0
            for number in range(FLUSHES):
                known = set(directory.glob("*.db"))
                workload.batch()
                flushed = journal.flush()
                behind += allowance.is_behind
                allowance.grant(ALLOWED * _size(set(directory.glob("*.db")) - known) // 100)
                # Mostly there at once, and what is late now is counted below.
                points.has_one_after(flushed.before, limit=1.0)
                _compact_many_at_once(node, table, number)
            allowance.open()
            node.nodetool("disableautocompaction", table.keyspace, table.name)
            journal.await_rest()
            live = live_by_cassandra(node, table)
            agreed = live_by_tablesnap([directory]) == live

        taken = points.complete()
        faults = faults_in(sample_of(taken, SAMPLE), journal, bucket, reader, tmp_path)

    assert not faults
    assert agreed, f"sstableutil says that {live} is live"
    assert "was gone before" not in daemon.log
    assert len(taken) >= ENOUGH
    # How often depends on how quickly this machine compacts; that it was at all is what the run needs.
    assert behind > 0, f"the store was behind at {behind} of {FLUSHES} flushes only"
    wrong = _wrong(naive, journal, reader, tmp_path)
    assert wrong or strategy not in UUIDS, f"{len(naive.listings())} plain listings did as well: the run proves nothing"


def _compact_many_at_once(node: Node, table: Table, number: int) -> None:
    """Now and then let sstables gather, until their tombstones may go, and have all of them compacted together."""
    match number % 10:
        case 2:
            node.nodetool("disableautocompaction", table.keyspace, table.name)
        case 9:
            node.nodetool("compact", table.keyspace, table.name)
            node.nodetool("enableautocompaction", table.keyspace, table.name)


def _wrong(naive: NaiveCopies, journal: Journal, reader: Reader, scratch: Path) -> list[str]:
    """Return what is wrong with the rows of plain listings."""
    faults = []
    listings = naive.listings()
    for number, listing in enumerate(random.Random(0).sample(listings, min(LISTINGS, len(listings)))):
        # Cassandra takes nothing from a directory that is not called like a table's.
        target = scratch / f"listed-{number}" / journal.table.keyspace / journal.table.name
        if naive.restore(listing, target):
            faults.append(journal.complaint(listing.moment, reader.read(journal.table, [target])))
    return [fault for fault in faults if fault]


def _size(paths: set[Path]) -> int:
    total = 0
    for path in paths:
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue  # compacted away meanwhile
    return total
