"""When a table's index is due: by a clock that the test moves."""

from datetime import UTC, datetime, timedelta

import pytest

from tablesnap.daemon.directory import Directory, Pending
from tablesnap.daemon.recording import AGAIN_SECONDS, AT_THE_LATEST_SECONDS, BACKLOG_SECONDS
from tablesnap.daemon.table import Part, Parts, Table
from tablesnap.daemon.table_recording import (
    NEXT_AGAIN_SECONDS,
    REST_SECONDS,
    SHARE,
    SMALL_INDEX,
    has_news,
    is_due,
    known_until,
    stir,
    stretched,
)
from tablesnap.rules.incarnation import Incarnation
from tablesnap.rules.index import Index
from tablesnap.rules.txnlog import Kind
from tablesnap.rules.view import Name, Sstable

NOW = 1_000_000.0
MOMENT = datetime(2026, 11, 24, tzinfo=UTC)
HERE = Incarnation(size=1, mtime_ns=2, inode=3)
DIRECTORY = "/data/ks/t-1b255f4def2540a60000000000000001"
INTERVAL = 10.0


def name(number: int) -> Name:
    return DIRECTORY, f"nb-{number}-big-"


def table(
    *, stored: bool = True, changed: float | None = 0.0, last_index: float | None = None, begun: float = 0.0
) -> Table:
    """Return a table with one sstable, in a base that is *stored* or on its way; times are seconds ago."""
    it = Table("ks/t", directories={DIRECTORY: Directory(DIRECTORY)}, begun=True)
    it.history.look([name(1)], at=MOMENT, now=NOW - begun)
    if stored:
        it.history.stored(Sstable(*name(1)))
    it.needed = frozenset(it.history.needed())
    it.changed_since = None if changed is None else NOW - changed
    it.last_index = None if last_index is None else NOW - last_index
    return it


def due(it: Table, interval: float = INTERVAL) -> bool:
    return is_due(it, NOW, interval)


def test_the_first_restore_point_is_due_at_once() -> None:
    assert due(table())


def test_another_is_due_at_once_where_the_last_is_long_ago_and_else_after_the_interval() -> None:
    assert due(table(last_index=INTERVAL))
    assert not due(table(last_index=INTERVAL - 1))
    assert due(table(last_index=0.0), interval=0.0)


def test_nothing_is_due_while_nothing_has_changed_but_once_a_day() -> None:
    assert not due(table(changed=None))
    assert not due(table(changed=None, last_index=AGAIN_SECONDS - 1))
    assert due(table(changed=None, last_index=AGAIN_SECONDS))


@pytest.mark.parametrize("hinders", ["in flight", "absent", "not begun", "too soon"])
def test_nothing_is_due_of_a_table_that_cannot_be_recorded(hinders: str) -> None:
    it = table(last_index=AGAIN_SECONDS)
    it.index_in_flight = hinders == "in flight"
    it.absent = {DIRECTORY} if hinders == "absent" else set()
    it.begun = hinders != "not begun"
    it.record_at = NOW + 0.1 if hinders == "too soon" else 0.0

    assert not due(it)


def test_while_there_is_no_view_an_index_is_due_now_and_then_so_that_progress_shows() -> None:
    assert not due(table(stored=False, changed=AT_THE_LATEST_SECONDS - 1))
    assert due(table(stored=False, changed=AT_THE_LATEST_SECONDS))
    assert not due(table(stored=False, changed=AT_THE_LATEST_SECONDS, last_index=AT_THE_LATEST_SECONDS - 1))


def test_while_what_was_found_at_start_is_on_its_way_an_index_is_due_each_five_minutes() -> None:
    def backlog(seconds: float) -> Table:
        it = table(stored=False, changed=seconds)
        one = Sstable(*name(1))
        it.parts[one] = Parts(one, {"nb-1-big-Data.db": Part("nb-1-big-Data.db", HERE, queued=True, found=True)})
        return it

    assert not due(backlog(BACKLOG_SECONDS - 1))
    assert due(backlog(BACKLOG_SECONDS))


def test_what_a_long_base_has_stored_is_named_early_and_then_every_quarter_of_the_grace_period() -> None:
    it = table(stored=False, changed=None, begun=AT_THE_LATEST_SECONDS - 1)
    assert not due(it)

    it = table(stored=False, changed=None, begun=AT_THE_LATEST_SECONDS)
    assert due(it)

    it = table(stored=False, changed=None, begun=2 * NEXT_AGAIN_SECONDS)
    it.next_at = NOW - NEXT_AGAIN_SECONDS + 1
    assert not due(it)
    it.next_at -= 1
    assert due(it)


def test_a_stop_need_not_look_at_a_table_whose_newest_index_tells_all() -> None:
    def told(*, changed: float | None = None, stored: bool = True, live: str = "fingerprint") -> Table:
        it = table(changed=changed, last_index=10.0, stored=stored)
        it.newest = Index(DIRECTORY, names=(), files={}, missing=(), taken_at=MOMENT, seen_at=MOMENT, live=live)
        return it

    assert not has_news(told(), NOW)
    assert has_news(told(changed=0.0), NOW)
    assert has_news(told(stored=False), NOW), "a base is on its way"
    assert has_news(told(live=""), NOW), "the next start could not go on from it"
    assert has_news(table(changed=None), NOW), "there is no index"
    suspicious = told()
    suspicious.suspects[name(2)] = NOW
    assert has_news(suspicious, NOW)


def test_what_is_live_is_told_once_compaction_has_come_to_rest() -> None:
    it = table(changed=None, last_index=2 * REST_SECONDS)
    it.live_moved = NOW - REST_SECONDS + 1
    assert not due(it)

    it.live_moved -= 1
    assert due(it)


def test_an_ordinary_file_on_its_way_is_waited_for_but_not_for_ever() -> None:
    def waiting(seconds: float) -> Table:
        it = table(changed=seconds)
        it.directories[DIRECTORY].pending["x"] = Pending(HERE, since=NOW, still_since=NOW)
        return it

    assert not due(waiting(AT_THE_LATEST_SECONDS - 1))
    assert due(waiting(AT_THE_LATEST_SECONDS))


def test_the_last_view_before_a_truncation_is_due_at_once_and_the_next_is_not() -> None:
    it = table(last_index=0.0)
    it.history.commit((), [name(1)], Kind.TRUNCATION, at=MOMENT, now=NOW)

    assert due(it, interval=300.0)

    it.history.recorded()
    assert not due(it, interval=300.0)


@pytest.mark.parametrize(
    ("interval", "size", "seconds"),
    [
        (10.0, 0, 10.0),
        (10.0, SMALL_INDEX, 10.0),
        (0.0, SMALL_INDEX, 0.0),
        (10.0, 2 * SMALL_INDEX, 20.0),
        (0.0, 1000 * SMALL_INDEX, 0.0),  # after every commit, as was asked for
        (2 * BACKLOG_SECONDS, 1000 * SMALL_INDEX, 2 * BACKLOG_SECONDS),
        (10.0, 1000 * SMALL_INDEX, BACKLOG_SECONDS),
    ],
)
def test_a_large_index_is_written_less_often_but_each_five_minutes(interval: float, size: int, seconds: float) -> None:
    assert stretched(interval, size) == seconds


def test_a_large_index_is_due_early_where_a_hundred_times_its_size_was_stored() -> None:
    it = table(last_index=1.0)
    it.index_size = 4 * SMALL_INDEX
    it.stored_bytes = SHARE * it.index_size - 1
    assert not due(it)

    it.stored_bytes += 1
    assert due(it)


def test_a_small_index_keeps_to_the_interval_however_much_was_stored() -> None:
    it = table(last_index=1.0)
    it.index_size = SMALL_INDEX
    it.stored_bytes = 1 << 40

    assert not due(it)


def test_a_view_that_was_recorded_is_no_change_and_another_is() -> None:
    it = table(changed=None)
    it.recorded = it.history.view(NOW)
    stir(it, NOW)
    assert it.changed_since is None

    (two,) = it.history.commit([name(2)], (), Kind.ADDITION, at=MOMENT, now=NOW)
    it.stirred = True
    stir(it, NOW)
    assert it.changed_since is None, "not before it is stored"

    it.history.stored(two)
    it.stirred = True
    stir(it, NOW)
    assert it.changed_since == NOW


def test_what_compaction_does_is_no_change() -> None:
    it = table(changed=None)
    it.recorded = it.history.view(NOW)

    it.history.commit([name(2)], [name(1)], Kind.REPLACEMENT, at=MOMENT, now=NOW)
    it.stirred = True
    stir(it, NOW)

    assert it.changed_since is None


def test_a_table_without_a_view_is_no_recorded_one() -> None:
    it = table(stored=False, changed=None)
    stir(it, NOW)

    assert it.changed_since == NOW


# Until when it was true.


SECOND = timedelta(seconds=1)


def test_a_restore_point_that_lacks_nothing_is_known_to_be_true_until_the_look() -> None:
    assert known_until(MOMENT, MOMENT + 10 * SECOND, None, holds_all=True) == MOMENT + 10 * SECOND


def test_with_a_flush_on_its_way_it_is_known_to_be_true_until_just_before() -> None:
    until = known_until(MOMENT, MOMENT + 10 * SECOND, MOMENT + 5 * SECOND, holds_all=True)

    assert until == MOMENT + 5 * SECOND - timedelta(microseconds=1)


def test_where_the_disk_has_what_nobody_told_nothing_is_known_but_the_moment_itself() -> None:
    assert known_until(MOMENT, MOMENT + 10 * SECOND, None, holds_all=False) == MOMENT


def test_it_is_never_true_until_before_it_was_taken_nor_after_it_was_recorded() -> None:
    assert known_until(MOMENT, MOMENT + SECOND, MOMENT - SECOND, holds_all=True) == MOMENT
    assert known_until(MOMENT, MOMENT + SECOND, MOMENT + 9 * SECOND, holds_all=True) == MOMENT + SECOND
