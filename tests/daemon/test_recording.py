"""When an index is due, and what it says while files are on their way."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.stores import Clock

from tablesnap.capture.listing import Listing
from tablesnap.daemon.directory import Directory, Pending, Stored
from tablesnap.daemon.recording import (
    AGAIN_SECONDS,
    AT_THE_LATEST_SECONDS,
    BACKLOG_SECONDS,
    Recorder,
    is_due,
    is_overdue,
)
from tablesnap.daemon.settings import Settings
from tablesnap.daemon.timing import Timing
from tablesnap.rules.incarnation import Incarnation
from tablesnap.rules.index import Index, Owner, StoredFile
from tablesnap.rules.keys import Keys

LATEST = datetime.max.replace(tzinfo=UTC)
HERE = Incarnation(size=1, mtime_ns=2, inode=3)
NOW = 1_000_000.0
MOMENT = Clock().moment


def stored(key: str) -> StoredFile:
    return StoredFile(key=key, size=1, checksum=4, mtime_ns=2, mode=0o644, owner=Owner(0, 0))


def on_its_way(*, found: bool = False) -> Pending:
    return Pending(HERE, since=NOW, still_since=NOW, found=found)


def directory(*, changed: float | None, event: float = 0.0, last_index: float | None = None) -> Directory:
    return Directory(
        path="/d",
        surveyed=True,
        changed_since=None if changed is None else NOW - changed,
        last_event=NOW - event,
        last_index=None if last_index is None else NOW - last_index,
    )


def test_a_changed_directory_is_due_once_it_is_quiet_and_nothing_is_on_its_way() -> None:
    quiet = directory(changed=Timing.quiet, event=Timing.quiet)
    busy = directory(changed=Timing.quiet, event=Timing.quiet / 2)
    waiting = directory(changed=Timing.quiet, event=Timing.quiet)
    waiting.pending["a"] = on_its_way()

    assert [is_due(one, NOW) for one in (quiet, busy, waiting)] == [True, False, False]


def test_a_changed_directory_is_overdue_in_the_end_whatever_is_on_its_way() -> None:
    one = directory(changed=AT_THE_LATEST_SECONDS, event=0.0)
    one.pending["a"] = on_its_way()

    assert is_overdue(one, NOW)
    assert is_due(one, NOW)


def test_where_a_listing_is_all_there_is_nothing_is_recorded_while_something_moves() -> None:
    moving = directory(changed=AT_THE_LATEST_SECONDS, event=0.5)
    moving.quiet, moving.strict = 1.0, True
    still = directory(changed=AT_THE_LATEST_SECONDS, event=1.0)
    still.quiet, still.strict = 1.0, True

    assert [is_due(one, NOW) for one in (moving, still)] == [False, True]


def test_a_backlog_of_files_found_at_start_has_more_time() -> None:
    one = directory(changed=AT_THE_LATEST_SECONDS)
    one.pending["a"] = on_its_way(found=True)
    late = directory(changed=BACKLOG_SECONDS)
    late.pending["a"] = on_its_way(found=True)

    assert [is_due(each, NOW) for each in (one, late)] == [False, True]


def test_an_unchanged_directory_is_due_once_a_day_if_it_has_an_index() -> None:
    never = directory(changed=None)
    fresh = directory(changed=None, last_index=AGAIN_SECONDS - 1)
    old = directory(changed=None, last_index=AGAIN_SECONDS)

    assert [is_due(one, NOW) for one in (never, fresh, old)] == [False, False, True]


def test_nothing_is_due_before_the_store_was_asked_or_while_an_index_is_written() -> None:
    unasked = directory(changed=BACKLOG_SECONDS)
    unasked.surveyed = False
    in_flight = directory(changed=BACKLOG_SECONDS)
    in_flight.index_in_flight = True

    assert [is_due(one, NOW) for one in (unasked, in_flight)] == [False, False]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(Settings(paths=("/d",), node="n"), Keys("", "n", ":"))


def listing(*names: str) -> Listing:
    return Listing(files=dict.fromkeys(names, HERE))


def test_a_file_is_named_only_if_this_very_life_of_it_is_stored(recorder: Recorder) -> None:
    one = directory(changed=0.0)
    one.stored = {
        "a": Stored(HERE, stored("n:/d/a")),
        "b": Stored(Incarnation(size=1, mtime_ns=2, inode=99), stored("n:/d/b")),
        "c": Stored(HERE, stored("n:/d/c")),
    }
    one.pending["c"] = on_its_way()  # something happened to it since

    index = recorder.compose(one, listing("a", "b", "c", "d"), MOMENT, LATEST)

    assert index is not None
    assert set(index.files) == {"a"}
    assert index.missing == ("b", "c", "d")


def test_nothing_stored_is_nothing_to_record(recorder: Recorder) -> None:
    assert recorder.compose(directory(changed=0.0), listing("a"), MOMENT, LATEST) is None
    assert recorder.compose(directory(changed=0.0), listing(), MOMENT, LATEST) is None


def test_an_index_goes_on_naming_what_files_on_their_way_may_be_stored_as(recorder: Recorder) -> None:
    beside = "n:/d/b~00000000000000ab"
    later = "n:/d/b~00000000000000ab~20261122T202517123456Z"
    one = directory(changed=0.0)
    one.named = frozenset({"n:/d/a", "n:/d/b", beside, later, "n:/d/bb", "n:/d/gone", "n:/d/b~nothing"})
    one.stored["a"] = Stored(HERE, stored("n:/d/a"))
    one.pending["b"] = on_its_way(found=True)

    index = recorder.compose(one, listing("a", "b"), MOMENT, LATEST)

    assert index is not None
    assert index.missing == ("b",)
    assert index.next == ("n:/d/b", beside, later)


def test_an_index_with_nothing_on_its_way_names_nothing_but_its_files(recorder: Recorder) -> None:
    one = directory(changed=0.0)
    one.named = frozenset({"n:/d/a", "n:/d/b"})
    one.stored["a"] = Stored(HERE, stored("n:/d/a"))

    index = recorder.compose(one, listing("a", "b"), MOMENT, LATEST)

    assert index is not None
    assert index.next == ()


def test_a_moment_of_the_future_does_not_hold_up_later_ones(recorder: Recorder) -> None:
    now = MOMENT - timedelta(days=365)

    index = recorder.compose(with_index(), listing("a", "b"), now, now + timedelta(minutes=5))

    assert index is not None
    assert (index.taken_at, index.seen_at, index.until) == (now, now, now)


def with_index(**changes: timedelta) -> Directory:
    one = directory(changed=0.0)
    one.stored["a"] = Stored(HERE, stored("n:/d/a"))
    one.newest = Index(
        directory="/d",
        names=("a",),
        files={"a": stored("n:/d/a")},
        node="n",
        taken_at=MOMENT,
        seen_at=MOMENT + changes.get("seen_after", timedelta()),
    )
    return one


def test_what_the_newest_index_says_already_is_not_said_again_on_the_same_day(recorder: Recorder) -> None:
    assert recorder.compose(with_index(), listing("a"), MOMENT + timedelta(hours=23), LATEST) is None


def test_once_a_day_it_is_said_again_as_the_same_moment_seen_later(recorder: Recorder) -> None:
    index = recorder.compose(
        with_index(seen_after=timedelta(hours=1)), listing("a"), MOMENT + timedelta(hours=25), LATEST
    )

    assert index is not None
    assert (index.taken_at, index.seen_at) == (MOMENT, MOMENT + timedelta(hours=25))
    assert index.until == index.seen_at


def test_a_moment_is_later_than_the_last_one_though_the_clock_went_back(recorder: Recorder) -> None:
    index = recorder.compose(with_index(), listing("a", "b"), MOMENT - timedelta(days=3), LATEST)

    assert index is not None
    assert index.taken_at == MOMENT + timedelta(microseconds=1)
