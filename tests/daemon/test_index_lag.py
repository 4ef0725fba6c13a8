"""The flushes of secondary indexes: they are in a restore point with the rows they belong to, or it says so."""

import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.daemon.fake_cassandra import Table, Transaction
from tests.daemon.in_process import indexes
from tests.daemon.table_points import directory_below, following, wait_for_live
from tests.waiting import wait_until

from tablesnap.rules.index import Index
from tablesnap.store.memory import MemoryStore


class Clock:
    """Monotonic seconds, of which a test can have some pass at once."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += seconds


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def table(data: Path) -> Table:
    return Table(directory_below(data))


def flush_alone(table: Table) -> None:
    """Flush the table itself; its indexes are about to follow."""
    flush = table.begin("flush")
    flush.write()
    flush.end()


def begin_flush(index: Table) -> Transaction:
    """Flush an index as far as its last record."""
    flush = index.begin("flush")
    flush.write()
    return flush


def have_a_restore_point(store: MemoryStore, other: Table, clock: Clock) -> None:
    """Have the daemon hear of all that happened, and then record another table; twice, lest it was at it before."""
    for _ in range(2):
        other.flush()
        wait_for_live(store, other)
        clock.advance(10)


def in_order(store: MemoryStore, table: Table) -> list[Index]:
    return [point for point in indexes(store, table.directories[0]) if not point.whole]


def lacks_entries(point: Index, table: Table) -> bool:
    """Say whether a restore point has more flushes of *table* than of one of its indexes."""
    flushed = count_sstables(point.files)
    return any(count_sstables(point.others.get(str(one.directories[0]), {})) < flushed for one in table.indexes)


def count_sstables(names: Iterable[str]) -> int:
    return sum(name.endswith("-Data.db") for name in names)


def test_a_flush_joins_with_those_of_all_its_indexes_however_long_they_take(
    data: Path, store: MemoryStore, table: Table
) -> None:
    by_name, by_age = table.make_index("by_name"), table.make_index("by_age")
    other, clock = Table(directory_below(data, "other")), Clock()
    with following(store, table, other, now=clock):
        table.flush()
        wait_for_live(store, table)
        flush_alone(table)
        for index in (by_name, by_age):
            flush = begin_flush(index)
            have_a_restore_point(store, other, clock)
            flush.end()
        wait_for_live(store, table)

    assert len(in_order(store, table)) == 2
    assert not any(lacks_entries(point, table) or point.behind or point.late for point in in_order(store, table))


def test_the_first_flush_of_a_table_joins_with_those_of_its_indexes(
    data: Path, store: MemoryStore, table: Table
) -> None:
    by_name = table.make_index("by_name")
    other, clock = Table(directory_below(data, "other")), Clock()
    with following(store, table, other, now=clock):
        flush_alone(table)
        flush = begin_flush(by_name)
        have_a_restore_point(store, other, clock)
        flush.end()
        wait_for_live(store, table)

    complete = [point for point in in_order(store, table) if not point.missing]
    assert not complete[-1].behind
    assert not complete[-1].late
    assert [point for point in complete if lacks_entries(point, table)] == [one for one in complete if one.behind]


def test_what_a_daemon_finds_at_its_start_joins_with_the_flushes_of_its_indexes(
    data: Path, store: MemoryStore, table: Table
) -> None:
    by_name = table.make_index("by_name")
    other, clock = Table(directory_below(data, "other")), Clock()
    flush_alone(table)
    flush = begin_flush(by_name)
    with following(store, table, other, now=clock, backup=True):
        have_a_restore_point(store, other, clock)
        flush.end()
        wait_for_live(store, table)

    complete = [point for point in in_order(store, table) if not point.missing]
    assert not complete[-1].behind
    assert not complete[-1].late
    assert [point for point in complete if lacks_entries(point, table)] == [one for one in complete if one.behind]


def test_after_a_minute_a_restore_point_says_which_indexes_are_behind(
    data: Path, store: MemoryStore, table: Table
) -> None:
    by_name = table.make_index("by_name")
    other, clock = Table(directory_below(data, "other")), Clock()
    with following(store, table, other, now=clock):
        table.flush()
        wait_for_live(store, table)
        flush_alone(table)
        flush = begin_flush(by_name)
        have_a_restore_point(store, other, clock)
        clock.advance(60)
        wait_until(lambda: len(in_order(store, table)) == 2, "a restore point without the index")
        flush.end()
        wait_for_live(store, table)

    assert [point.behind for point in in_order(store, table)] == [(), (".by_name",), ()]
    assert [lacks_entries(point, table) for point in in_order(store, table)] == [False, True, False]
    assert not in_order(store, table)[-1].late


def test_after_a_stream_a_restore_point_says_which_indexes_are_behind_until_they_are_built(
    store: MemoryStore, table: Table
) -> None:
    by_name = table.make_index("by_name")
    with following(store, table):
        table.flush()
        wait_for_live(store, table)
        stream = table.stream()
        stream.receive()
        stream.close()
        stream.end()
        wait_for_live(store, table)
        by_name.flush()
        wait_for_live(store, table)

    behind = [point.behind for point in in_order(store, table)]
    assert behind == [(), (".by_name",), ()]


def test_after_an_import_a_restore_point_says_which_indexes_are_behind_until_the_next_flush(
    data: Path, store: MemoryStore, table: Table
) -> None:
    table.make_index("by_name")
    with following(store, table):
        table.flush()
        wait_for_live(store, table)
        table.bring_in(data.parent / "staging")
        wait_for_live(store, table)
        table.flush()
        wait_for_live(store, table)

    behind = [point.behind for point in in_order(store, table)]
    assert behind == [(), (".by_name",), ()]


def test_an_index_that_is_behind_is_so_for_the_next_daemon(data: Path, store: MemoryStore, table: Table) -> None:
    by_name, by_age = table.make_index("by_name"), table.make_index("by_age")
    with following(store, table):
        table.flush()
        wait_for_live(store, table)
        table.bring_in(data.parent / "staging")
        wait_for_live(store, table)
    other = Table(directory_below(data, "other"))
    with following(store, table, other):
        other.flush()
        wait_for_live(store, other)  # by then the daemon has looked at all there was
        by_age.flush()
        wait_for_live(store, table)
        by_name.flush()
        wait_for_live(store, table)

    behind = [point.behind for point in in_order(store, table)]
    assert behind == [(), (".by_age", ".by_name"), (".by_name",), ()]


def test_an_index_flush_that_comes_too_late_is_named_with_the_moments_it_concerns(
    data: Path, store: MemoryStore, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    by_name = table.make_index("by_name")
    other, clock = Table(directory_below(data, "other")), Clock()
    with following(store, table, other, now=clock):
        table.flush()
        wait_for_live(store, table)
        flush_alone(table)
        have_a_restore_point(store, other, clock)
        wait_for_live(store, table)
        by_name.flush()
        wait_for_live(store, table)
        table.flush()
        wait_for_live(store, table)

    points = in_order(store, table)
    without, *following_points = points[1:]
    assert [lacks_entries(point, table) for point in points] == [False, True, False, False]
    assert not without.behind
    assert without.taken_at is not None
    for point in following_points:
        (late,) = point.late
        assert late.index == ".by_name"
        assert late.concerns(without.taken_at)
        assert not late.concerns(points[2].taken_at or without.taken_at)
    assert "index by_name was flushed late" in caplog.text
