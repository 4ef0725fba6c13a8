"""What is said of a node's tables, in figures."""

import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from tests.catalog.stored import COMPONENTS, OWNER, SIZE, Past
from tests.stores import Around

from tablesnap.catalog.summary import (
    EXAMPLES,
    State,
    Summary,
    outlines,
    summaries,
    timelines_below,
)
from tablesnap.errors import StoreUnavailable
from tablesnap.rules.index import StoredFile

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
DATA = "/var/lib/cassandra/data"
USERS = f"{DATA}/shop/users-{'5a1c395e' * 4}"
ORDERS = f"{DATA}/shop/orders-{'0b1c395e' * 4}"
SSTABLE = SIZE * (len(COMPONENTS) + 3)


@pytest.fixture
def past() -> Past:
    return Past.in_memory()


def at(**after: float) -> datetime:
    return START + timedelta(**after)


def summed_up(past: Past, path: str = "/") -> list[Summary]:
    return list(summaries(past.store, past.keys, timelines_below(past.store, past.keys, path)))


def test_a_table_is_summed_up_by_its_newest_and_oldest_restore_point_and_what_is_stored(past: Past) -> None:
    past.table(USERS, [1], START)
    past.table(USERS, [1, 2], at(hours=1))
    past.table(USERS, [2, 3], at(hours=2))

    [users] = summed_up(past)

    assert (users.node, users.name, users.directories) == ("node1", f"shop/users-{'5a1c395e' * 4}", (USERS,))
    assert (users.count, users.objects) == (3, 3 * len(COMPONENTS) + 3)
    assert users.newest is not None
    assert (users.newest.taken_at, users.newest.state) == (at(hours=2), State.COMPLETE)
    assert (users.newest.files, users.newest.size) == (2 * len(COMPONENTS), 2 * SSTABLE)
    assert (users.oldest, users.whole) == (START, at(hours=2))
    assert 3 * SSTABLE < users.stored < 3 * SSTABLE + 6000


def test_the_directories_of_one_table_are_one_line(past: Past) -> None:
    one, two = f"/data1/shop/t-{'a' * 32}", f"/data2/shop/t-{'a' * 32}"
    past.point({one: past.sstable(one, 1, START), two: past.sstable(two, 2, START), f"{one}/.by_name": {}}, START)

    [table] = summed_up(past)

    assert table.directories == (one, f"{one}/.by_name", two)
    assert table.newest is not None
    assert (table.newest.size, table.newest.state, table.count) == (2 * SSTABLE, State.COMPLETE, 1)


def test_other_directories_come_after_the_tables_each_by_its_path(past: Past) -> None:
    past.point({"/srv/files": {"a": past.file("/srv/files", "a", 10, START)}}, START)
    past.table(USERS, [1], START)
    past.table(f"{USERS}/snapshots/before", [1], START)

    names = [one.name for one in summed_up(past)]

    assert names == [f"shop/users-{'5a1c395e' * 4}", "/srv/files", f"{USERS}/snapshots/before"]


def test_a_path_leaves_out_what_is_not_at_or_below_it(past: Past) -> None:
    past.table(USERS, [1], START)
    past.table(ORDERS, [1], START)
    past.table(f"{DATA}/shopping/t-{'c' * 32}", [1], START)

    assert [one.directories for one in summed_up(past, f"{DATA}/shop/")] == [(ORDERS,), (USERS,)]
    assert [one.directories for one in summed_up(past, ORDERS)] == [(ORDERS,)]


@pytest.mark.parametrize("component", ["Data.db", "TOC.txt"])
def test_an_object_that_went_makes_the_newest_incomplete_and_is_named(past: Past, component: str) -> None:
    past.table(USERS, [1], START)
    past.table(USERS, [1, 2], at(hours=1))
    past.store.delete([past.keys.plain(f"{USERS}/nb-2-big-{component}")])

    [users] = summed_up(past)

    assert users.newest is not None
    assert (users.newest.state, users.newest.faults, users.is_sound) == (State.INCOMPLETE, 1, False)
    assert users.newest.examples[0].path == f"{USERS}/nb-2-big-{component}"
    assert users.whole == START


def test_an_object_of_another_size_makes_the_newest_incomplete(past: Past) -> None:
    past.table(USERS, [1], START)
    key = past.keys.plain(f"{USERS}/nb-1-big-Data.db")
    past.store.delete([key])
    past.garbage(key, b"short", at(hours=1))

    [users] = summed_up(past)

    assert users.newest is not None
    assert users.newest.state is State.INCOMPLETE
    assert "5 bytes" in users.newest.examples[0].what
    assert users.whole is None


def test_what_the_daemon_missed_makes_the_newest_incomplete(past: Past) -> None:
    past.point({USERS: past.sstable(USERS, 1, START)}, START, missing=["nb-2-big-Data.db"])

    [users] = summed_up(past)

    assert users.newest is not None
    assert [fault.path for fault in users.newest.examples] == [f"{USERS}/nb-2-big-Data.db"]


def test_of_many_faults_the_first_are_named_and_all_are_counted(past: Past) -> None:
    past.table(USERS, range(1, 9), START)
    past.store.delete([past.keys.plain(f"{USERS}/nb-{number}-big-Data.db") for number in range(1, 9)])

    [users] = summed_up(past)

    assert users.newest is not None
    assert (users.newest.faults, len(users.newest.examples)) == (8, EXAMPLES)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"/d": [], "tablesnap": {"format": 3}}'])
def test_a_newest_index_that_cannot_be_read_is_said_and_never_passed_over(past: Past, body: bytes) -> None:
    past.table(USERS, [1], START)
    past.garbage(past.keys.plain(f"{USERS}/nb-2-big-Data.db-listdir.json"), body, at(hours=1))

    [users] = summed_up(past)

    assert users.newest is not None
    assert (users.newest.state, users.newest.taken_at) == (State.UNREADABLE, at(hours=1))
    assert users.newest.unreadable
    assert (users.whole, users.oldest) == (START, START)


def test_a_truncated_table_is_empty_and_whole(past: Past) -> None:
    past.table(USERS, [1], START)
    past.point({USERS: {}}, at(hours=1))

    [users] = summed_up(past)

    assert users.newest is not None
    assert (users.newest.state, users.is_sound) == (State.EMPTY, True)


def test_objects_without_an_index_are_counted_and_nothing_is_claimed_of_them(past: Past) -> None:
    past.sstable(USERS, 1, START)

    [users] = summed_up(past)

    assert (users.newest, users.oldest, users.whole, users.is_sound) == (None, None, None, False)
    assert (users.count, users.objects, users.stored) == (0, len(COMPONENTS), SSTABLE)


def test_days_without_an_index_are_seen_by_the_listing_alone(past: Past) -> None:
    for day in (0, 1, 5, 6):
        past.table(USERS, [day + 1], at(days=day))

    [users] = summed_up(past)

    assert users.silences == ((at(days=1), at(days=5)),)


def test_what_is_stored_while_it_is_listed_is_not_taken_for_missing(past: Past) -> None:
    past.table(USERS, [1], START)

    class Busy(Around):
        """A store to which a daemon writes a restore point whenever somebody has listed a folder."""

        done = 1

        def after(self, request: str) -> None:
            if request.startswith(("list ", "level ")) and self.done < 20:
                self.done += 1
                past.table(USERS, [self.done], at(hours=self.done))

    busy = Busy(past.store)

    [users] = list(summaries(busy, past.keys, timelines_below(busy, past.keys, "/")))

    assert users.newest is not None
    assert users.newest.examples == ()


def test_an_outage_is_no_answer(past: Past) -> None:
    past.table(USERS, [1], START)

    class Away(Around):
        def before(self, request: str) -> None:
            if request.startswith("read "):
                raise StoreUnavailable("away")

    away = Away(past.store)

    with pytest.raises(StoreUnavailable):
        list(summaries(away, past.keys, timelines_below(away, past.keys, "/")))


def test_a_summary_costs_one_listing_of_all_and_one_of_each_table_and_two_indexes(past: Past) -> None:
    for hour in range(9):
        past.table(USERS, range(1, hour + 2), at(hours=hour))
        past.table(ORDERS, range(1, hour + 2), at(hours=hour))
    counting = Around(past.store)

    list(summaries(counting, past.keys, timelines_below(counting, past.keys, "/")))

    def count(matches: Callable[[str], bool]) -> int:
        return sum(map(matches, counting.requests))

    assert count(lambda request: request.startswith("read ")) == 4
    assert count(lambda request: request == f"level {past.keys.below(USERS)}") <= 2


def test_every_restore_point_of_a_table_is_outlined_the_newest_first(past: Past) -> None:
    past.table(USERS, [1], START)
    past.table(USERS, [1, 2], at(hours=1))
    past.point({USERS: past.sstable(USERS, 3, at(hours=2))}, at(hours=2), unexplained=["nb-2-big-"])
    past.store.delete([past.keys.plain(f"{USERS}/nb-2-big-Data.db")])
    [timeline] = timelines_below(past.store, past.keys, USERS)

    found = list(outlines(past.store, timeline))

    assert [(point.taken_at, point.state) for point in found] == [
        (at(hours=2), State.COMPLETE),
        (at(hours=1), State.INCOMPLETE),
        (START, State.COMPLETE),
    ]
    assert found[0].unexplained == (f"{USERS}/nb-2-big-",)


# Large ones.


def large(number: int = 20_000) -> dict[str, StoredFile]:
    """Return what an index names, of which nothing is stored."""
    key = f"node1:{USERS}/"
    return {
        name: StoredFile(key + name, 1000 + one, (1 << 63) + one, 10**18 + one, 0o100644, OWNER)
        for one in range(number)
        for name in (f"nb-{one}-big-Data.db",)
    }


def peak_of(task: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        task()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "look",
    [summed_up, lambda past: [list(outlines(past.store, one)) for one in timelines_below(past.store, past.keys, "/")]],
    ids=["summaries", "outlines"],
)
def test_a_large_index_of_objects_that_are_not_there_takes_little_more_memory_than_its_body(
    past: Past, look: Callable[[Past], object]
) -> None:
    [key] = past.point({USERS: large()}, START)
    size = past.store.head(key).size

    peak = peak_of(lambda: look(past))

    assert peak < 4 * size
