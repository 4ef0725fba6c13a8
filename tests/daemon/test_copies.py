"""snapshots/ and backups/: hard links to what is stored already, left out unless somebody asks for them."""

import os
import re
from pathlib import Path

import pytest
from tests.daemon.fake_cassandra import Table, Written
from tests.daemon.in_process import below, indexes, restored, wait_for_index
from tests.daemon.table_points import creates, data_keys, directory_below, following, held, wait_for_live
from tests.waiting import wait_until

from tablesnap.rules.selection import Selection
from tablesnap.store.memory import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def table(data: Path) -> Table:
    return Table(directory_below(data))


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


def files_of(*sstables: Written) -> dict[str, bytes]:
    return {name: data for one in sstables for name, data in one.files.items()}


def test_copies_below_a_table_are_left_out(store: MemoryStore, table: Table) -> None:
    table.back_up(table.flush())
    table.snapshot("before")

    with following(store, table, backup=True):
        wait_for_live(store, table)
        table.back_up(table.flush())
        table.snapshot("after")
        table.flush()
        wait_for_live(store, table)

    assert not [key for key in data_keys(store) if "/snapshots/" in key or "/backups/" in key]


def test_a_snapshot_that_is_asked_for_is_one_restore_point(store: MemoryStore, table: Table) -> None:
    index = table.make_index("by_name")
    (snapshots := table.directories[0] / "snapshots").mkdir()
    with following(store, table, paths=(snapshots,)):
        table.flush()
        table.flush()
        (snapshot,) = table.snapshot("daily")
        wait_for_index(store, snapshot, contents(snapshot))
        hidden = snapshot / index.directories[0].name
        wait_for_index(store, hidden, contents(hidden))

    assert len(indexes(store, snapshot)) == 1
    assert len(indexes(store, hidden)) == 1


def test_a_snapshot_is_recorded_when_its_last_file_is_there(store: MemoryStore, table: Table) -> None:
    (snapshots := table.directories[0] / "snapshots").mkdir()
    with following(store, table, paths=(snapshots,)):
        one, two = table.flush(), table.flush()
        half = snapshots / "half"
        half.mkdir()
        for name in one.files:
            (half / name).hardlink_to(one.directory / name)
        table.snapshot("other")
        wait_until(lambda: indexes(store, snapshots / "other"), "the other snapshot's restore point")
        assert not indexes(store, half)
        for name in two.files:
            (half / name).hardlink_to(two.directory / name)
        (half / "manifest.json").write_text("{}")
        (half / "schema.cql").write_text("CREATE TABLE")
        wait_for_index(store, half, contents(half))

    assert [len(index.files) for index in indexes(store, half)] == [8 + 8 + 2]


def test_a_snapshot_of_an_older_version_without_a_schema_is_recorded_too(store: MemoryStore, table: Table) -> None:
    (snapshots := table.directories[0] / "snapshots").mkdir()
    with following(store, table, paths=(snapshots,)):
        table.flush()
        (snapshot,) = table.snapshot("daily", schema=False)
        wait_for_index(store, snapshot, contents(snapshot))

    assert len(indexes(store, snapshot)) == 1


def test_snapshots_are_included_by_a_pattern_that_names_them(store: MemoryStore, table: Table) -> None:
    selection = Selection(include=(re.compile("/snapshots/"),))
    with following(store, table, selection=selection):
        table.flush()
        (snapshot,) = table.snapshot("daily")
        wait_for_index(store, snapshot, contents(snapshot))

    assert all("/snapshots/" in key for key in data_keys(store))


def test_a_daemon_for_snapshots_does_not_record_the_table_beside_them_as_empty(
    store: MemoryStore, table: Table
) -> None:
    with following(store, table, backup=True):
        table.flush()
        wait_for_live(store, table)
    before = indexes(store, table.directories[0])

    with following(store, table, selection=Selection(include=(re.compile("/snapshots/"),))):
        table.flush()
        (snapshot,) = table.snapshot("daily")
        wait_for_index(store, snapshot, contents(snapshot))

    assert indexes(store, table.directories[0]) == before


def test_a_snapshot_outlives_the_sstables_it_was_made_of(store: MemoryStore, table: Table) -> None:
    (snapshots := table.directories[0] / "snapshots").mkdir()
    with following(store, table, paths=(snapshots,)):
        table.flush()
        table.drop(snapshot="dropped-1-t")
        wait_for_index(store, snapshots / "dropped-1-t", contents(snapshots / "dropped-1-t"))


def test_backups_that_are_asked_for_are_stored_and_deleted_once_a_restore_point_names_them(
    store: MemoryStore, table: Table
) -> None:
    (backups := table.directories[0] / "backups").mkdir()
    stored: dict[str, bytes] = {}
    with (
        held(store, creates("nb-2-big-Data.db")) as slow,
        following(slow, table, paths=(backups,), delete_on_backup=True),
    ):
        one = table.flush()
        table.back_up(one)
        wait_until(lambda: not os.listdir(backups), "the first to be deleted")
        two = table.flush()
        table.back_up(two)
        wait_until(lambda: slow.waiting, "the second to be on its way")
        assert set(contents(backups)) == set(two.files)
        slow.let_through()
        wait_until(lambda: not os.listdir(backups), "the second to be deleted")
        for index in indexes(store, backups):
            stored |= restored(store, index)

    assert stored == files_of(one, two)
    assert len(os.listdir(table.directories[0])) == 8 + 8 + 1, "what the table lives on is not touched"
    assert all(key.startswith(below(backups)) for key in data_keys(store))
