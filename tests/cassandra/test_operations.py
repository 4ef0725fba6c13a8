"""What operators do to a table besides writing to it: each restore point holds the rows of its moment all the same."""

import os
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from tests.cassandra.journal import COLUMNS, KEY, Journal, Moment, now
from tests.cassandra.node import Configuration, Node, Ports, running_node
from tests.cassandra.restore import Reader, RestorePoint, RestorePoints, Rows, Table, read_back
from tests.daemon.harness import Bucket, running, wait_until

from tablesnap.rules import sstable

pytestmark = pytest.mark.cassandra

STOCK_LINE = ("-r", "-a", "-B")
PROMPT = (*STOCK_LINE, "--index-interval", "0")
EAGER = (*PROMPT, "--base-interval", "0")  # follow every replacement
ASLEEP = "gc_grace_seconds = 0 AND compaction = {'class': 'SizeTieredCompactionStrategy', 'enabled': false}"

OPERATIONS: dict[str, tuple[str, ...]] = {
    "upgradesstables": ("upgradesstables", "-a"),
    "scrub": ("scrub",),
    "garbagecollect": ("garbagecollect",),
    "compact": ("compact",),
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The Cassandra that is backed up, one for all: each test has tables of its own."""
    with running_node(tmp_path_factory.mktemp("operated")) as one:
        yield one


# First of all, as it needs two nodes, and the one of the others is there as soon as one test has used it.
def test_what_a_node_receives_whole_from_another_is_restored_without_a_toc(
    reader: Reader, bucket: Bucket, tmp_path: Path
) -> None:
    table, ports = Table("streamed", "t", COLUMNS, KEY), Ports()
    to_join = Configuration(ports=ports, address="127.0.0.2", settings={"auto_bootstrap": False})
    with running_node(tmp_path / "sender", Configuration(ports=ports)) as sender:
        table.create(sender, ASLEEP)
        sent = Journal(sender, table)
        for batch in range(2):
            _write(sent, batch)
            sent.flush()
        # It has none of the rows, as it joined later.
        with running_node(tmp_path / "receiver", to_join) as receiver:
            wait_until(lambda: sender.nodetool("status").count("\nUN ") == 2, "the node to have joined")
            replication = "{'class': 'SimpleStrategy', 'replication_factor': 2}"
            sender.execute(f"ALTER KEYSPACE {table.keyspace} WITH replication = {replication}")
            wait_until(lambda: _agree(sender), "the nodes to agree on the schema")
            [directory] = receiver.table_directories(table.keyspace, table.name)
            points = RestorePoints(bucket, [directory])
            received = Journal(receiver, table)
            with running(bucket, *PROMPT, *receiver.data, log=tmp_path / "daemon.log") as daemon:
                bring = partial(receiver.nodetool, "rebuild", "-ks", table.keyspace)
                points.await_after(received.adopt(sent, bring).before)
                _write(received, 2)
                points.await_after(received.flush().before)
            names = {path.name for path in directory.iterdir()}

    taken = points.complete()

    whole = {name for name in names if name.endswith(sstable.DATA) and name.replace("Data.db", "TOC.txt") not in names}
    assert whole, "nothing was streamed whole: the run proves nothing"
    assert whole <= taken[-1].index.files.keys()
    _read_exactly(taken, received, bucket, reader, tmp_path)
    assert "without a transaction" not in daemon.log


def test_a_truncate_takes_nothing_from_the_restore_points_before_it(
    node: Node, reader: Reader, bucket: Bucket, tmp_path: Path
) -> None:
    table = Table("truncated", "t", COLUMNS, KEY)
    table.create(node)
    journal = Journal(node, table)
    points = RestorePoints(bucket, node.table_directories(table.keyspace, table.name))
    with running(bucket, *PROMPT, *node.data, log=tmp_path / "daemon.log"):
        for batch in range(3):
            _write(journal, batch)
            points.await_after(journal.flush().before)
        truncated = journal.truncate()
        points.await_after(truncated.before)
        _write(journal, 7)
        points.await_after(journal.flush().before)

    taken = points.complete()

    rows = _read_exactly(taken, journal, bucket, reader, tmp_path)
    everything = journal.rows(journal.moments[3].state)
    before = [number for number, point in enumerate(taken) if point.taken_at < truncated.before]
    assert rows[before[-1]] == everything
    assert rows[before[-1] + 1] == {}
    assert not _sstables(taken[before[-1] + 1])
    assert rows[-1] == journal.rows(journal.moments[-1].state)
    assert rows[-1]


def test_a_table_dropped_and_made_again_is_two_tables_and_both_can_be_restored(
    node: Node, reader: Reader, bucket: Bucket, tmp_path: Path
) -> None:
    table = Table("dropped", "t", COLUMNS, KEY)
    table.create(node)
    first = Journal(node, table)
    old = node.table_directories(table.keyspace, table.name)
    points_of_old = RestorePoints(bucket, old)
    with running(bucket, *PROMPT, *node.data, log=tmp_path / "daemon.log"):
        for batch in range(2):
            _write(first, batch)
            points_of_old.await_after(first.flush().before)
        dropped = now()
        node.execute(f"DROP TABLE {table.full_name}")
        first.moments.append(Moment(dropped, now(), {}))
        points_of_old.await_after(dropped)
        table.create(node)
        second = Journal(node, table)
        new = node.table_directories(table.keyspace, table.name)
        points_of_new = RestorePoints(bucket, new)
        _write(second, 5)
        points_of_new.await_after(second.flush().before)

    taken_of_old, taken_of_new = points_of_old.complete(), points_of_new.complete()

    assert old != new
    rows = _read_exactly(taken_of_old, first, bucket, reader, tmp_path / "old")
    assert first.rows(first.moments[2].state) in rows
    assert rows[-1] == {}
    assert _read_exactly(taken_of_new, second, bucket, reader, tmp_path / "new")[-1]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_rewriting_every_sstable_changes_no_row(
    operation: str, node: Node, reader: Reader, bucket: Bucket, tmp_path: Path
) -> None:
    table = Table(f"rewritten_by_{operation}", "t", COLUMNS, KEY)
    table.create(node, ASLEEP)
    journal = Journal(node, table)
    [directory] = node.table_directories(table.keyspace, table.name)
    points = RestorePoints(bucket, [directory])
    with running(bucket, *EAGER, *node.data, log=tmp_path / "daemon.log") as daemon:
        for batch in range(3):
            _write(journal, batch)
            points.await_after(journal.flush().before)
        written = _sstables_in(directory)
        node.nodetool(*OPERATIONS[operation], table.keyspace, table.name)
        rewritten = _sstables_in(directory)
        daemon.wait_until(lambda: _sstables(points.complete()[-1]) == rewritten, "a base of what was rewritten")
        _write(journal, 3)
        points.await_after(journal.flush().before)
        final = node.sstableutil(table.keyspace, table.name)

    taken = points.complete()

    assert not written & rewritten
    _read_exactly(taken, journal, bucket, reader, tmp_path)
    assert {directory / name for name in taken[-1].index.files} == final
    assert "without a transaction" not in daemon.log


def test_the_stock_line_brings_back_what_was_there_between_rewritings(
    node: Node, reader: Reader, bucket: Bucket, tmp_path: Path
) -> None:
    table = Table("rewritten_by_all", "t", COLUMNS, KEY)
    table.create(node, ASLEEP)
    journal = Journal(node, table)
    [directory] = node.table_directories(table.keyspace, table.name)
    points = RestorePoints(bucket, [directory])
    with running(bucket, *STOCK_LINE, *node.data, log=tmp_path / "daemon.log") as daemon:
        for batch, operation in enumerate(OPERATIONS.values()):
            _write(journal, batch)
            journal.flush()
            node.nodetool(*operation, table.keyspace, table.name)
        _write(journal, len(OPERATIONS))
        points.await_after(journal.flush().before)

    taken = points.complete()

    _read_exactly(taken, journal, bucket, reader, tmp_path)
    assert "without a transaction" not in daemon.log


def test_what_nodetool_import_moves_in_is_in_the_next_restore_point(
    node: Node, reader: Reader, bucket: Bucket, tmp_path: Path
) -> None:
    table = Table("imported", "t", COLUMNS, KEY)
    table.create(node, ASLEEP)
    made = Journal(node, table)
    [directory] = node.table_directories(table.keyspace, table.name)
    staged = tmp_path / "staged" / table.keyspace / table.name
    points = RestorePoints(bucket, [directory])
    for batch in range(3):
        _write(made, batch)
        made.flush()
    _copy_sstables(directory, staged)
    node.execute(f"TRUNCATE {table.full_name}")
    journal = Journal(node, table)
    with running(bucket, *PROMPT, *node.data, log=tmp_path / "daemon.log") as daemon:
        _write(journal, 3, first=50)
        points.await_after(journal.flush().before)
        bring = partial(node.nodetool, "import", table.keyspace, table.name, staged)
        points.await_after(journal.adopt(made, bring).before)
        _write(journal, 4, first=50)
        points.await_after(journal.flush().before)

    taken = points.complete()

    rows = _read_exactly(taken, journal, bucket, reader, tmp_path)
    assert len(_sstables(taken[-1])) == 5
    assert rows[-1].keys() > made.rows(made.moments[-1].state).keys()
    assert "without a transaction, as by nodetool import" in daemon.log
    assert "ERROR" not in daemon.log


def _agree(node: Node) -> bool:
    """Say whether *node* sees another, and both have the same schema."""
    [own] = node.execute("SELECT schema_version FROM system.local")
    peers = node.execute("SELECT schema_version FROM system.peers_v2")
    return bool(peers) and {peer.schema_version for peer in peers} == {own.schema_version}


def _write(journal: Journal, batch: int, *, first: int = 0) -> None:
    """Write nine partitions, most of their rows anew, and delete some that earlier batches wrote."""
    for p in range(first, first + 9):
        for c in range(40):
            journal.insert(p, c, f"v{batch}", f"w{batch} {os.urandom(40).hex()}")
        journal.insert(p, 100 + batch, f"v{batch}", "in one batch alone")
        journal.delete_row(p, batch)
        journal.delete_row(p, 99 + batch)
        journal.update(p, 20 + batch, "v", "updated")
        journal.delete_cell(p, 21 + batch, "w")
    # No range of rows: scrub takes a partition that has a range tombstone for unreadable, and drops it (5.0.6,
    # SortedTableScrubber.RowMergingSSTableIterator).
    journal.delete_partition(first + batch)


def _read_exactly(
    taken: Sequence[RestorePoint], journal: Journal, bucket: Bucket, reader: Reader, scratch: Path
) -> list[Rows]:
    """Restore all of *taken*, insist that each has exactly the rows of its moment, and return those."""
    assert taken
    found = []
    for number, point in enumerate(taken):
        rows = read_back(bucket, point, journal.table, reader, scratch / f"restored-{number}")
        assert not journal.complaint(point.taken_at, rows)
        found.append(rows)
    return found


def _sstables(point: RestorePoint) -> set[str]:
    """Return the stems of the sstables that *point* holds."""
    return {one.stem for name in point.index.files if (one := sstable.parse(name))}


def _sstables_in(directory: Path) -> set[str]:
    """Return the stems of the sstables in *directory*, once no transaction is under way there."""
    wait_until(lambda: not list(directory.glob("*_txn_*.log")), "the end of transactions")
    return {one.stem for path in directory.iterdir() if (one := sstable.parse(path.name))}


def _copy_sstables(directory: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for path in directory.iterdir():
        if sstable.parse(path.name):
            shutil.copy2(path, target / path.name)
