"""One history out of many indexes: in order, whole, and never an older state for a newer one."""

import json
import logging
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from tests.catalog.stored import Past
from tests.stores import Around, Failing

from tablesnap.catalog.inventory import inventory
from tablesnap.catalog.timeline import Timeline, timelines
from tablesnap.errors import StoreUnavailable
from tablesnap.rules.index import StoredFile
from tablesnap.rules.late import Lagging, Late
from tablesnap.rules.points import RestorePoint
from tablesnap.store.port import Content, Listed, Store

TABLE = "ks/t-1b255f4def2540a60000000000000005"
ONE, TWO, THREE = f"/disk1/{TABLE}", f"/disk2/{TABLE}", f"/disk3/{TABLE}"
INDEX = f"{ONE}/.t_by_name_idx"
START = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


@pytest.fixture
def past() -> Past:
    return Past.in_memory()


def history(past: Past, store: Store | None = None) -> Timeline:
    """The only one in the store."""
    store = store or past.store
    (found,) = timelines(store, past.keys, inventory(store, past.keys.below("/")))
    return found


def minutes(found: Iterator[RestorePoint] | Sequence[RestorePoint]) -> list[float]:
    return [(point.taken_at - START) / timedelta(minutes=1) for point in found]


def generations(point: RestorePoint) -> list[str]:
    """The sstables in it, each with its disk."""
    return sorted(f"{file.path.split('/')[1]}:{file.name.split('-')[1]}" for file in point.files if "Data" in file.name)


def held(past: Past, **disks: Sequence[int]) -> dict[str, Mapping[str, StoredFile]]:
    """What a table held on its disks, each sstable stored at the start."""
    found: dict[str, Mapping[str, StoredFile]] = {}
    for disk, numbers in disks.items():
        files: dict[str, StoredFile] = {}
        for number in numbers:
            files |= past.sstable(f"/{disk}/{TABLE}", number, START)
        found[f"/{disk}/{TABLE}"] = files
    return found


def write_1x(past: Past, directory: str, numbers: Sequence[int], when: datetime, name: str = "") -> str:
    """Write the index that 1.x wrote of a directory."""
    names = [name for number in numbers for name in past.sstable(directory, number, START)]
    key = past.keys.plain(f"{directory}/{name or f'nb-{numbers[-1]}-big-Data.db'}-listdir.json")
    past.garbage(key, json.dumps({directory: names}).encode(), when)
    return key


def damage(past: Past, key: str, when: datetime) -> None:
    past.store.delete([key])
    past.garbage(key, b'{"/disk1', when)


def test_a_store_without_an_index_has_no_restore_point(past: Past) -> None:
    past.sstable(ONE, 1, START)

    found = history(past)

    assert (list(found.backward()), list(found.backward(at(5))), list(found.all()), found.oldest(), found.count) == (
        [], [], [], None, 0
    )  # fmt: skip


def test_restore_points_come_newest_first(past: Past) -> None:
    for minute in range(5):
        past.table(ONE, [minute + 1], at(minute))

    found = history(past)
    oldest = found.oldest()

    assert minutes(found.backward()) == [4, 3, 2, 1, 0]
    assert oldest is not None
    assert minutes([oldest]) == [0]
    assert found.count == 5


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8, 100])
def test_the_one_that_was_current_at_a_moment_comes_first(past: Past, count: int) -> None:
    for number in range(count):
        past.table(ONE, [number + 1], at(10 * number))
    found = history(past)

    for number in range(count):
        expected = [float(10 * earlier) for earlier in range(number, -1, -1)]
        assert minutes(found.backward(at(10 * number))) == expected
        assert minutes(found.backward(at(10 * number + 9))) == expected
        assert minutes(found.backward(at(10 * number) - timedelta(microseconds=1))) == expected[1:]


def test_of_many_restore_points_few_are_read_to_find_a_moment(past: Past) -> None:
    for number in range(100):
        past.table(ONE, [number + 1], at(number))
    store = Around(past.store)
    found = history(past, store)

    next(found.backward(at(30)))

    # Seven by halves, and the newest and the oldest, which show whether the bucket was copied.
    assert sum(request.startswith("read") for request in store.requests) <= 9


def test_it_is_taken_at_that_counts_and_not_when_it_was_stored(past: Past) -> None:
    past.point(held(past, disk1=[1]), at(0), seen_at=at(30))
    past.point(held(past, disk1=[2]), at(10), seen_at=at(60))

    found = history(past)

    assert minutes(found.backward(at(9))) == [0]
    assert minutes(found.backward(at(10))) == [10, 0]


def test_of_those_that_the_store_dates_to_one_moment_their_own_moments_decide(past: Past) -> None:
    # The key of an index is that of its newest Data.db, so that these are listed in another order.
    for number, minute in ((3, 0), (1, 1), (2, 2)):
        past.point(held(past, disk1=[number]), at(minute), seen_at=at(5))

    found = history(past)
    oldest = found.oldest()

    assert [generations(point) for point in found.backward()] == [["disk1:2"], ["disk1:1"], ["disk1:3"]]
    assert minutes(found.backward(at(1))) == [1, 0]
    assert oldest is not None
    assert minutes([oldest]) == [0]


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (0, [1, 2, 3, 0]),
        (1.5, [1, 2, 3, 0]),
        (2, [1, 2, 3, 0]),
        (3.5, [2, 1, 3, 0]),
        (4, [3, 2, 1, 0]),
        (9, [3, 2, 1, 0]),
    ],
)
def test_of_one_moment_the_latest_that_was_recorded_by_then_counts_and_else_the_earliest(
    past: Past, moment: float, expected: list[int]
) -> None:
    past.point(held(past, disk1=[10]), at(-5))
    for number, seen_at in ((1, 2), (2, 3), (3, 4)):
        past.point(held(past, disk1=[10 + number]), at(0), seen_at=at(seen_at))
    past.point(held(past, disk1=[20]), at(10), seen_at=at(11))

    found = [generations(point) for point in history(past).backward(at(moment))]

    assert found == [[f"disk1:{10 + number}"] for number in expected]


def test_of_very_many_of_one_moment_few_are_read(past: Past) -> None:
    for number in range(100):
        past.point(held(past, disk1=[number + 1]), at(0), seen_at=at(number + 1))
    store = Around(past.store)

    found = next(history(past, store).backward(at(30)))

    assert generations(found) == ["disk1:30"]
    assert sum(request.startswith("read") for request in store.requests) <= 25


def test_a_restore_point_that_every_directory_has_an_index_of_is_one(past: Past) -> None:
    for minute in range(3):
        past.point({**held(past, disk1=[1], disk2=[2, 3 + minute]), INDEX: {}}, at(minute))

    found = history(past)

    assert minutes(found.backward()) == minutes(found.all()) == [2, 1, 0]
    assert found.count == 3
    assert [generations(point) for point in found.backward(at(0))] == [["disk1:1", "disk2:2", "disk2:3"]]


def test_indexes_that_name_one_that_is_gone_are_restore_points_that_cannot_be_read(past: Past) -> None:
    whole, *_ = past.point(held(past, disk1=[1], disk2=[2]), at(0))
    past.point(held(past, disk1=[1], disk2=[3]), at(1))
    past.store.delete([whole])

    newest, gone = history(past).backward()

    assert not newest.unreadable
    assert whole in gone.unreadable


class Unlisted(Around):
    """Does not list the index of one directory, as a listing does that went by before it was stored."""

    def list(self, prefix: str) -> Iterator[Listed]:
        return (one for one in super().list(prefix) if not one.key.startswith("node1:/disk1/"))

    def level(self, prefix: str) -> "Iterator[Listed | str]":
        found = super().level(prefix)
        return (one for one in found if isinstance(one, str) or not one.key.startswith("node1:/disk1/"))


def test_an_index_that_names_one_written_during_the_listing_is_its_restore_point(past: Past) -> None:
    past.point(held(past, disk1=[1], disk2=[2], disk3=[3]), at(0))

    (found,) = history(past, Unlisted(past.store)).backward()

    assert generations(found) == ["disk1:1", "disk2:2", "disk3:3"]


def test_an_index_that_cannot_be_read_is_told_in_its_place(past: Past) -> None:
    keys = [past.table(ONE, [minute + 1], at(minute))[0] for minute in range(5)]
    damage(past, keys[2], at(2))
    damage(past, keys[4], at(4))

    found = list(history(past).backward())

    assert minutes(found) == [4, 3, 2, 1, 0]
    assert [bool(point.unreadable) for point in found] == [True, False, True, False, False]


def test_indexes_that_cannot_be_read_do_not_hide_those_around_them(past: Past) -> None:
    expected: list[float] = []
    for minute in range(0, 100, 10):
        (key,) = past.point(held(past, disk1=[minute + 1]), at(minute), seen_at=at(minute + 5))
        if minute not in (0, 60):
            damage(past, key, at(minute + 5))
        else:
            expected = [float(minute), *expected]
    found = history(past)

    # Those that cannot be read count from when they were stored.
    assert minutes(found.backward(at(61)))[:2] == [60, 55]
    readable = [point for point in found.backward(at(61)) if not point.unreadable]
    assert minutes(readable) == expected
    assert minutes(found.backward(at(2))) == [0]
    assert minutes(found.backward(at(99)))[0] == 95


def test_a_damaged_index_stored_after_a_moment_does_not_hide_a_restore_point_taken_before_it(past: Past) -> None:
    past.point(held(past, disk1=[1]), at(10), seen_at=at(20))
    (key,) = past.point(held(past, disk1=[2]), at(11), seen_at=at(21))
    damage(past, key, at(21))
    past.point(held(past, disk1=[3]), at(12), seen_at=at(22))

    assert minutes(history(past).backward(at(15))) == [12, 10]


def test_an_outage_is_told(past: Past) -> None:
    past.table(ONE, [1], at(0))
    found = history(past, Failing(past.store, lambda request: StoreUnavailable("gone") if "read" in request else None))

    for ask in (lambda: next(found.backward()), lambda: next(found.all()), found.oldest):
        with pytest.raises(StoreUnavailable):
            ask()


# Several who write


def test_two_daemons_with_a_disk_each_make_one_history(past: Past) -> None:
    past.point(held(past, disk1=[1]), at(0))
    past.point(held(past, disk2=[2]), at(1))
    past.point(held(past, disk2=[2, 3]), at(2))
    past.point(held(past, disk1=[4]), at(3))

    found = list(history(past).backward())

    assert [generations(point) for point in found] == [
        ["disk1:4", "disk2:2", "disk2:3"], ["disk1:1", "disk2:2", "disk2:3"], ["disk1:1", "disk2:2"], ["disk1:1"]
    ]  # fmt: skip
    assert [(minutes([point]), (point.since - START) / timedelta(minutes=1)) for point in found] == [
        ([3], 2), ([2], 0), ([1], 0), ([0], 0)
    ]  # fmt: skip
    assert found[0].covers == (ONE, TWO)


def test_two_daemons_whose_indexes_the_store_dates_to_one_moment_are_put_together(past: Past) -> None:
    for disk, number, minute in (("disk1", 3, 0), ("disk1", 1, 1), ("disk2", 5, 0), ("disk2", 4, 2)):
        past.point(held(past, **{disk: [number]}), at(minute), seen_at=at(5))

    newest = next(history(past).backward())

    assert generations(newest) == ["disk1:1", "disk2:4"]


def test_a_daemon_that_says_that_its_disk_is_empty_is_heard(past: Past) -> None:
    past.point(held(past, disk1=[1]), at(0))
    past.point(held(past, disk2=[2]), at(1))
    past.point({TWO: {}}, at(2))

    assert generations(next(history(past).backward())) == ["disk1:1"]


def test_each_daemon_may_have_several_disks_and_index_directories(past: Past) -> None:
    past.point({**held(past, disk1=[1]), INDEX: {}}, at(0))
    past.point(held(past, disk2=[2], disk3=[3]), at(1))
    past.point({**held(past, disk1=[1, 4]), INDEX: {}}, at(2))

    found = history(past)

    assert [generations(point) for point in found.backward()] == [
        ["disk1:1", "disk1:4", "disk2:2", "disk3:3"], ["disk1:1", "disk2:2", "disk3:3"], ["disk1:1"]
    ]  # fmt: skip


def test_a_data_directory_out_of_use_does_not_come_back(past: Past) -> None:
    past.point(held(past, disk1=[1], disk2=[2], disk3=[3]), at(0))
    past.point(held(past, disk1=[1, 2]), at(1))
    past.point(held(past, disk3=[3]), at(2))

    assert [generations(point) for point in history(past).backward()] == [
        ["disk1:1", "disk1:2", "disk3:3"], ["disk1:1", "disk1:2"], ["disk1:1", "disk2:2", "disk3:3"]
    ]  # fmt: skip


def test_an_index_of_the_other_daemon_that_cannot_be_read_is_a_fault_of_the_whole(past: Past) -> None:
    past.point(held(past, disk2=[2]), at(0))
    (damaged,) = past.point(held(past, disk2=[3]), at(1))
    past.point(held(past, disk1=[1]), at(2))
    damage(past, damaged, at(1))

    newest = next(history(past).backward())

    assert generations(newest) == ["disk1:1"]
    assert not newest.is_complete
    assert not newest.is_empty
    assert [fault.key for fault in newest.doubts] == [damaged]


def test_every_directory_of_1x_counts_with_what_it_held_then(past: Past) -> None:
    write_1x(past, ONE, [1], at(0))
    write_1x(past, TWO, [2], at(1))
    write_1x(past, ONE, [3], at(2))

    found = history(past)

    assert [generations(point) for point in found.backward()] == [
        ["disk1:3", "disk2:2"], ["disk1:1", "disk2:2"], ["disk1:1"]
    ]  # fmt: skip
    assert minutes(found.backward(at(1.5))) == [1, 0]
    assert next(found.backward()).since == at(1)


def test_of_1x_indexes_of_one_moment_the_last_by_name_is_the_newest_as_its_own_restore_has_it(past: Past) -> None:
    write_1x(past, ONE, [1, 2], at(0), "nb-2-big-Data.db")
    write_1x(past, ONE, [1], at(0), "nb-1-big-Data.db")

    assert generations(next(history(past).backward())) == ["disk1:1", "disk1:2"]


def test_a_directory_that_1x_spelt_with_more_slashes_is_the_same(past: Past) -> None:
    names = list(past.sstable(ONE, 1, START))
    past.garbage(past.keys.plain(f"{ONE}/x-listdir.json"), json.dumps({f"/{ONE}/": names}).encode(), at(0))

    point = next(history(past).backward())

    assert (point.directory, point.covers, point.files[0].directory) == (ONE, (ONE,), ONE)


def test_ours_follow_1x_in_the_same_directories(past: Past) -> None:
    write_1x(past, ONE, [1], at(0))
    write_1x(past, TWO, [2], at(1))
    past.point(held(past, disk1=[1, 4], disk2=[2]), at(2), seen_at=at(2.5))
    past.point(held(past, disk1=[5], disk2=[]), at(3), seen_at=at(3.5))

    found = history(past)

    assert [generations(point) for point in found.backward()] == [
        ["disk1:5"], ["disk1:1", "disk1:4", "disk2:2"], ["disk1:1", "disk2:2"], ["disk1:1"]
    ]  # fmt: skip
    assert [(point.taken_at, point.format) for point in found.backward()] == [
        (at(3), 2), (at(2), 2), (at(1), 1), (at(0), 1)
    ]  # fmt: skip
    for until, expected in ((3.2, [3.0, 2, 1, 0]), (2.1, [2.0, 1, 0]), (1.9, [1.0, 0]), (0.5, [0.0]), (-1, [])):
        assert minutes(found.backward(at(until))) == expected


def test_a_disk_that_1x_still_watches_is_put_together_with_ours(past: Past) -> None:
    write_1x(past, TWO, [2], at(0))
    past.point(held(past, disk1=[1]), at(1))
    write_1x(past, TWO, [3], at(2))

    assert [generations(point) for point in history(past).backward()] == [
        ["disk1:1", "disk2:3"], ["disk1:1", "disk2:2"], ["disk2:2"]
    ]  # fmt: skip


def test_the_directories_of_1x_are_listed_once(past: Past) -> None:
    for minute in range(0, 20, 2):
        write_1x(past, ONE, [minute + 1], at(minute))
        write_1x(past, TWO, [minute + 2], at(minute + 1))
    store = Around(past.store)
    found = history(past, store)
    before = len(store.requests)

    list(found.backward())

    asked = [request for request in store.requests[before:] if request.startswith(("list", "level"))]
    assert sorted(asked) == [f"level {past.keys.below(ONE)}", f"level {past.keys.below(TWO)}"]


# All of them, with many readers


def a_mixed_past(past: Past) -> None:
    """1.x, then two daemons, then one for both disks; some of it damaged, much of it at the same moment."""
    rng = random.Random(5)
    for number in range(1, 20):
        write_1x(past, rng.choice([ONE, TWO]), [number], at(number // 3))
    for number in range(20, 40):
        keys = past.point(held(past, **{rng.choice(["disk1", "disk2"]): [number]}), at(number // 3))
        if rng.random() < 0.2:
            damage(past, keys[0], at(number // 3))
    for number in range(40, 60):
        keys = past.point(held(past, disk1=[number], disk2=[number + 100]), at(number // 3))
        if rng.random() < 0.2:
            damage(past, rng.choice(keys), at(number // 3))


@pytest.mark.parametrize("readers", [1, 3, 8])
def test_all_are_the_same_as_one_by_one(past: Past, readers: int) -> None:
    a_mixed_past(past)

    expected = list(history(past).backward())

    assert len(expected) > 40
    assert list(history(past).all(readers)) == expected


class Counting(Around):
    """Counts how many reads have begun, and how many go on at once; the first few wait for each other."""

    def __init__(self, store: Store, together: int) -> None:
        super().__init__(store)
        self._barrier = threading.Barrier(together)
        self._lock = threading.Lock()
        self._together = together
        self.read_so_far = 0

    def before(self, request: str) -> None:
        super().before(request)
        if request.startswith("read"):
            with self._lock:
                self.read_so_far += 1
                waits = self.read_so_far <= self._together
            if waits:
                self._barrier.wait(60)


def test_readers_are_as_many_indexes_ahead_as_they_are_and_no_more(past: Past) -> None:
    for number in range(50):
        past.table(ONE, [number + 1], at(number))
    store = Counting(past.store, together=4)

    found = history(past, store).all(readers=4)
    points = [next(found) for _ in range(10)]

    assert minutes(points) == [float(number) for number in range(49, 39, -1)]
    assert store.read_so_far <= 10 + 4


def test_reading_all_can_be_given_up(past: Past) -> None:
    for number in range(50):
        past.table(ONE, [number + 1], at(number))
    store = Counting(past.store, together=1)
    found = history(past, store).all(readers=4)
    next(found)

    del found

    assert [thread for thread in threading.enumerate() if thread.name.startswith("read")] == []
    assert store.read_so_far <= 1 + 4


# Copied buckets.


def copied(past: Past, begin: datetime) -> Past:
    """A bucket with the same objects, dated when they were copied: one second after the other, in the order of keys."""
    copy = Past.in_memory()
    for number, listed in enumerate(sorted(past.store.list(""), key=lambda one: one.key)):
        copy.garbage(listed.key, b"".join(past.store.read(listed.key)), begin + timedelta(seconds=number))
    return copy


def without_serials(past: Past) -> Past:
    """What an early version of ours would have stored."""
    for listed in past.store.list(""):
        if listed.key.endswith("-listdir.json"):
            document = json.loads(b"".join(past.store.read(listed.key)))
            document["tablesnap"].pop("serial", None)
            past.store.delete([listed.key])
            past.garbage(listed.key, json.dumps(document).encode(), listed.modified)
    return past


def a_long_past(past: Past) -> Past:
    """Names that come in another order than the restore points, and a table that has been at rest."""
    for minute, numbers in enumerate(([9], [9, 10], [11], [3, 11], [12], [12], [5, 12], [100])):
        past.point(held(past, disk1=numbers, disk2=[200 + minute]), at(minute), seen_at=at(minute + 0.5))
    past.point(held(past, disk1=[100], disk2=[207]), at(7), seen_at=at(20))
    return past


MOMENTS = [*range(9), 6.5, 19, 21]


@pytest.mark.parametrize("delay", [timedelta(seconds=1), timedelta(days=3)], ids=["at once", "later"])
@pytest.mark.parametrize("kind", [a_long_past, lambda past: without_serials(a_long_past(past))], ids=["", "early"])
def test_a_copied_bucket_has_the_same_restore_points_in_the_same_order(
    past: Past, delay: timedelta, kind: Callable[[Past], Past], caplog: pytest.LogCaptureFixture
) -> None:
    kind(past)
    copy = copied(past, at(20.5) + delay)

    def told(found: Iterator[RestorePoint]) -> list[tuple[float, list[str]]]:
        return [(minutes([point])[0], generations(point)) for point in found]

    with caplog.at_level(logging.INFO):
        assert told(history(copy).backward()) == told(history(past).backward())
        assert told(history(copy).all()) == told(history(past).all())
        assert history(copy).is_copied
    for moment in MOMENTS:
        assert told(history(copy).backward(at(moment))) == told(history(past).backward(at(moment)))
    oldest = history(copy).oldest()
    assert oldest is not None
    assert minutes([oldest]) == [0]
    assert caplog.text.count("was the bucket copied?") == 3
    assert "WARNING" not in caplog.text
    assert not history(past).is_copied


def test_a_copy_in_which_only_later_restore_points_show_it_goes_on_in_the_right_order(past: Past) -> None:
    # By its date and its key the newest is the newest; behind it two have changed places.
    keys = [past.table(ONE, [number], at(number))[0] for number in (1, 2, 3)]
    bodies = [b"".join(past.store.read(key)) for key in keys]
    past.store.delete(keys)
    for place, minute in ((1, 4.0), (0, 4.5), (2, 5.0)):
        past.garbage(keys[place], bodies[place], at(minute))

    assert minutes(history(past).backward()) == minutes(history(past).all()) == [3, 2, 1]


def test_an_index_that_waited_through_an_outage_is_no_sign_of_a_copy(past: Past) -> None:
    for minute in (0, 1):
        past.table(ONE, [minute + 1], at(minute))
    (late,) = past.table(ONE, [3], at(2))
    body = b"".join(past.store.read(late))
    past.store.delete([late])
    past.garbage(late, body, at(120))

    found = history(past)

    assert minutes(found.backward()) == [2, 1, 0]
    assert not found.is_copied


def test_a_clock_that_is_always_wrong_by_the_same_is_no_sign_of_a_copy(past: Past) -> None:
    for minute in (0, 60, 120):
        (key,) = past.table(ONE, [minute + 1], at(minute))
        body = b"".join(past.store.read(key))
        past.store.delete([key])
        past.garbage(key, body, at(minute + 30))

    assert not history(past).is_copied


def test_two_daemons_whose_serials_say_nothing_of_each_other_are_no_sign_of_a_copy(past: Past) -> None:
    for minute in range(5):
        past.point(held(past, disk1=[minute + 1]), at(minute))
    for minute in range(5, 8):
        past.point(held(past, disk2=[minute + 1]), at(minute))
        past.point(held(past, disk1=[minute + 2]), at(minute + 0.5))

    found = history(past)

    assert minutes(found.backward()) == [7.5, 7, 6.5, 6, 5.5, 5, 4, 3, 2, 1, 0]
    assert not found.is_copied


# Clocks.


def test_a_moment_of_the_future_does_not_hold_up_later_ones(past: Past) -> None:
    past.table(ONE, [1], at(0))
    past.point(held(past, disk1=[2]), at(365 * 24 * 60), seen_at=at(10))
    past.table(ONE, [3], at(20))

    found = history(past)

    assert minutes(found.backward()) == [20, 15, 0]
    assert minutes(found.backward(at(16))) == [15, 0]
    assert [point.ahead for point in found.all()] == [
        timedelta(0), timedelta(minutes=365 * 24 * 60 - 15), timedelta(0)
    ]  # fmt: skip


def test_an_index_read_only_in_part_is_one_that_cannot_be_read(past: Past) -> None:
    key = past.table(ONE, [1], at(0))[0]
    whole = b"".join(past.store.read(key))
    past.store.delete([key])
    past.store.create(key, Content.of(whole[: len(whole) // 2]))

    assert next(history(past).backward()).unreadable


def test_the_newest_restore_point_says_which_indexes_were_late_for_all_before(past: Past) -> None:
    late = Late(".t_by_name_idx", at(1), at(3))
    for minute in (0, 1, 2):
        past.point(held(past, disk1=[minute]), at(minute))
    past.point(held(past, disk1=[3]), at(3), late=[late])
    past.point(held(past, disk1=[4]), at(4), late=[late], behind=[".t_by_age_idx", ".t_by_age_idx"])

    timeline = history(past)

    found = [timeline.lagging(point) for point in timeline.all()]
    lagging = Lagging(late=(".t_by_name_idx",))
    assert found == [Lagging(behind=(".t_by_age_idx",)), Lagging(), lagging, lagging, Lagging()]
    assert [timeline.lagging(point) for point in history(past).backward(at(2))] == found[2:]
