"""2.0 to 2.2 and Scylla keep no history that could be read: each restore point is a listing that stood still."""

from pathlib import Path

import pytest
from tests.daemon.fake_cassandra import V30, Table
from tests.daemon.fake_old_cassandra import OldTable, ScyllaTable
from tests.daemon.in_process import indexes, insist_all_restore, running, wait_for_index
from tests.daemon.table_points import data_keys, directory_below, following, wait_for_live

from tablesnap.store.memory import MemoryStore

STOCK = frozenset({"IN_MOVED_TO"})  # what a daemon listens for that was told nothing


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(params=["jb", "ka", "la", "scylla"])
def table(request: pytest.FixtureRequest, data: Path) -> OldTable | ScyllaTable:
    if request.param == "scylla":
        return ScyllaTable(directory_below(data))
    return OldTable(data / "ks" / "t" if request.param == "jb" else directory_below(data), request.param)


def test_what_was_flushed_is_listed_once_it_stands_still(
    data: Path, store: MemoryStore, table: OldTable | ScyllaTable
) -> None:
    with running(store, data, events=STOCK):
        table.flush()
        wait_for_index(store, table.directory, table.files)
        table.flush()
        wait_for_index(store, table.directory, table.files)

    insist_all_restore(store)


def test_a_compaction_is_followed_to_its_end(data: Path, store: MemoryStore, table: OldTable | ScyllaTable) -> None:
    with running(store, data, events=STOCK):
        flushed = [table.flush(), table.flush()]
        wait_for_index(store, table.directory, table.files)
        table.compact(*flushed)
        wait_for_index(store, table.directory, table.files)

    insist_all_restore(store)


def test_what_is_still_being_written_is_neither_stored_nor_listed(
    data: Path, store: MemoryStore, table: OldTable | ScyllaTable
) -> None:
    with running(store, data, events=STOCK):
        unfinished = table.begin()
        table.flush()
        wait_for_index(store, table.directory, table.files)
        assert all(unfinished.stem not in name for index in indexes(store, table.directory) for name in index.files)
        table.finish(unfinished)
        wait_for_index(store, table.directory, table.files)

    assert not [key for key in data_keys(store) if "tmp" in key.rpartition("/")[2] or ".sstable/" in key]


def test_what_was_there_at_start_is_listed_where_that_is_asked_for(
    data: Path, store: MemoryStore, table: OldTable | ScyllaTable
) -> None:
    table.flush()
    table.begin()

    with running(store, data, events=STOCK, backup=True):
        wait_for_index(store, table.directory, table.files)


def test_nothing_is_listed_while_a_stream_arrives(data: Path, store: MemoryStore) -> None:
    table = OldTable(directory_below(data), "ka")
    with running(store, data, events=STOCK):
        first = table.flush()
        wait_for_index(store, table.directory, table.files)
        lock = table.lock()
        table.flush()
        table.flush()
        lock.unlink()
        wait_for_index(store, table.directory, table.files)

    listed = [set(index.files) for index in indexes(store, table.directory)]
    assert listed == [set(first.files), set(table.files)]
    assert not [key for key in data_keys(store) if "lockfile" in key]


def test_an_upgrade_to_3_0_makes_the_same_directory_a_table_with_a_history(data: Path, store: MemoryStore) -> None:
    old = OldTable(directory_below(data), "la")
    with running(store, data, events=STOCK):
        old.flush()
        wait_for_index(store, old.directory, old.files)
    new = Table(old.directory, fmt=V30)
    new.live = list(old.live)

    with following(store, new):
        first = new.flush()
        wait_for_live(store, new)
        new.compact(*old.live, operation="upgradesstables")
        second = new.flush()
        wait_for_index(store, old.directory, old.files | first.files | second.files)
