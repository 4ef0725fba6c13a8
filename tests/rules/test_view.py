"""What a view is made of, rule by rule; that it reads as the table did is `test_view_model`'s to show."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from tests.rules.engine import Cell, Content, Tombstone, read

from tablesnap.rules.late import Late
from tablesnap.rules.txnlog import Kind
from tablesnap.rules.view import MORE_SSTABLES, History, Name, Sstable, View

QUIET, PATIENCE, LATE_SECONDS = 2.0, 60.0, 2.0
TABLE = "/d0/ks/t"
OTHER_DISK = "/d1/ks/t"
INDEX = "/d0/ks/t/.idx"
INDEX_ON_OTHER_DISK = "/d1/ks/t/.idx"
OTHER_INDEX = "/d0/ks/t/.other_idx"


def at(second: float) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)


new_history = partial(History, index_flushes=QUIET, index_patience=PATIENCE, told_late=LATE_SECONDS)


def named(number: int, directory: str = TABLE) -> Name:
    return directory, f"nb-{number}-big-"


class Table:
    """A history to which every second something happens, and the names that are live at first."""

    def __init__(self, *live: Name) -> None:
        self.history = new_history(lambda directory: directory.endswith("idx"))
        self.second = 0.0
        self.history.look(live, at=at(0), now=0)
        for name in live:
            self.store(name)

    def commit(
        self,
        added: Collection[Name] = (),
        removed: Collection[Name] = (),
        kind: Kind = Kind.ADDITION,
        indexes: Collection[str] = (),
        after: float = 1,
        waits: bool = True,
    ) -> tuple[Sstable, ...]:
        self.second += after
        moment = at(self.second)
        return self.history.commit(added, removed, kind, at=moment, now=self.second, indexes=indexes, waits=waits)

    def note_log(self, *, is_open: bool, after: float = 0.1, directory: str = INDEX) -> None:
        """Have the flush log of an index be there, or end."""
        self.second += after
        self.history.note_index_log(directory, "nb_txn_flush_1.log", is_open=is_open, now=self.second)

    def store(self, *names: Name) -> None:
        """Store what is live under *names*."""
        for one in self.history.live:
            if one.name in names:
                self.history.stored(one)

    def compact(self, removed: Collection[Name], added: Collection[Name]) -> tuple[Sstable, ...]:
        return self.commit(added, removed, Kind.REPLACEMENT if added else Kind.REMOVAL)

    @property
    def view(self) -> list[Name] | None:
        view = self.history.view(self.second)
        return None if view is None else sorted(one.name for one in view.sstables)

    @property
    def taken_at(self) -> datetime:
        view = self.history.view(self.second)
        assert view is not None
        return view.taken_at

    @property
    def behind(self) -> tuple[str, ...]:
        view = self.history.view(self.second)
        assert view is not None
        return view.behind

    @property
    def is_present(self) -> bool:
        return self.history.is_present(self.second)

    def base_reason(self, size_of: int = 0, interval: float = 1000) -> str | None:
        return self.history.base_reason(self.second, interval=interval, size_of=lambda one: size_of)


# Bases and additions.


def test_there_is_no_view_until_all_of_a_base_is_stored() -> None:
    table = Table()
    table.history.look([named(1), named(2)], at=at(0), now=0)
    first, second = sorted(table.history.live)

    table.history.recorded()
    table.history.stored(first)
    before = table.view
    table.history.stored(second)

    assert before == []  # what the first look found
    assert table.view == [named(1), named(2)]


def test_an_addition_joins_the_view_once_all_of_it_is_stored() -> None:
    table = Table(named(1))

    table.commit([named(2), named(3)])
    table.store(named(2))
    before = table.view
    table.store(named(3))

    assert before == [named(1)]
    assert table.view == [named(1), named(2), named(3)]
    assert table.taken_at == at(1)
    assert table.is_present


def test_an_addition_does_not_join_before_an_earlier_one() -> None:
    table = Table()

    table.commit([named(1)])
    table.commit([named(2)])
    table.store(named(2))

    assert table.view == []
    assert table.taken_at == at(0)


def test_replacements_are_not_followed() -> None:
    table = Table(named(1), named(2))

    new = table.compact([named(1), named(2)], [named(3)])
    table.history.stored(new[0])

    assert table.view == [named(1), named(2)]
    assert table.is_present


def test_the_view_keeps_what_expired() -> None:
    table = Table(named(1), named(2))

    table.compact([named(1)], [])

    assert table.view == [named(1), named(2)]


def test_a_new_base_takes_the_place_of_the_view_once_all_of_it_is_stored() -> None:
    table = Table(named(1), named(2))
    table.compact([named(1), named(2)], [named(3), named(4)])
    table.history.begin_base(table.second)

    table.store(named(3))
    before = table.view
    table.store(named(4))

    assert before == [named(1), named(2)]
    assert table.view == [named(3), named(4)]


def test_an_addition_does_not_wait_for_a_base_that_is_being_stored() -> None:
    table = Table(named(1))
    table.compact([named(1)], [named(2)])
    table.history.begin_base(table.second)

    table.commit([named(3)])
    table.store(named(3))
    before = table.view
    table.store(named(2))

    assert before == [named(1), named(3)]
    assert table.view == [named(2), named(3)]


def test_a_new_base_holds_what_came_before_it() -> None:
    table = Table()
    table.commit([named(1)])
    table.compact([named(1)], [named(2)])

    table.history.begin_base(table.second)
    table.store(named(2))

    assert table.view == [named(2)]
    assert table.taken_at == at(1), "a replacement is no moment of its own"
    assert table.is_present


def test_only_what_a_view_is_made_of_is_needed() -> None:
    table = Table(named(1))
    table.commit([named(2)])

    (output,) = table.compact([named(1), named(2)], [named(3)])
    before = table.history.needed()
    table.history.begin_base(table.second)
    table.history.stored(output)

    assert {one.name for one in before} == {named(1), named(2)}
    assert table.history.needed() == {output}


# What is lost.


def test_nothing_joins_after_an_addition_that_was_lost_until_the_next_base() -> None:
    table = Table()
    (lost,) = table.commit([named(1)])
    table.compact([named(1)], [named(2)])
    table.commit([named(3)])

    table.history.lost(lost)
    table.store(named(3))
    before, reason = table.view, table.base_reason()
    table.history.begin_base(table.second)
    table.store(named(2))

    assert before == []
    assert reason == "the last one was given up, or an sstable was lost"
    assert table.view == [named(2), named(3)]
    assert table.taken_at == at(3)


def test_a_base_that_lost_an_sstable_is_begun_again() -> None:
    table = Table(named(1))
    table.compact([named(1)], [named(2)])
    table.history.begin_base(table.second)

    table.history.lost(next(iter(table.history.live)))

    assert table.history.next is None
    assert table.base_reason() == "the last one was given up, or an sstable was lost"
    assert table.view == [named(1)]


def test_what_was_lost_once_counts_when_it_is_stored_after_all() -> None:
    table = Table()
    (one,) = table.commit([named(1)])

    table.history.lost(one)
    table.history.stored(one)

    assert table.view == [named(1)]
    assert table.base_reason() is None


def test_the_end_of_an_epoch_does_not_wait_for_what_was_lost_though_a_base_tried_to_store_it_again() -> None:
    table = Table()
    (lost,) = table.commit([named(1)])
    table.history.lost(lost)
    table.history.look([named(1)], at=at(2), now=2)

    table.history.begin_base(2)

    assert table.history.is_ending(2)


def test_what_was_stored_is_not_lost_any_more() -> None:
    table = Table(named(1))

    table.history.lost(next(iter(table.history.live)))

    assert table.view == [named(1)]
    assert table.base_reason() is None


# Reasons for a base.


def test_a_base_is_due_only_if_something_was_replaced_since_the_last() -> None:
    table = Table(named(1))
    table.second = 2000

    quiet = table.base_reason()
    table.compact([named(1)], [named(2)])

    assert quiet is None
    assert table.base_reason() == "the last one is old"


def test_no_base_is_due_while_one_is_being_stored() -> None:
    table = Table(named(1))
    table.compact([named(1)], [named(2)])

    table.history.begin_base(table.second)

    assert table.base_reason(interval=0) is None


def test_a_base_is_due_when_the_view_has_many_more_sstables_than_are_live() -> None:
    table = Table()
    for number in range(MORE_SSTABLES + 1):
        table.commit([named(number)])
    table.compact([named(number) for number in range(MORE_SSTABLES)], [named(100)])
    before = table.base_reason()

    table.compact([named(100), named(MORE_SSTABLES)], [])

    assert before is None
    assert table.base_reason() == "the view has many more sstables than are live"


def test_a_base_is_due_when_the_view_is_much_larger_than_what_is_live() -> None:
    table = Table(named(1), named(2), named(3))
    table.compact([named(1), named(2), named(3)], [named(4)])

    assert table.base_reason(size_of=10) == "the view is much larger than what is live"
    assert table.base_reason(size_of=0) is None


# Truncation.


def test_what_was_truncated_is_in_the_last_view_before_and_in_none_after() -> None:
    table = Table(named(1))
    table.commit([named(2)])
    table.commit([], [named(1), named(2)], Kind.TRUNCATION)
    table.commit([named(3)])

    first = table.view, table.history.is_ending(table.second)
    table.history.stored(Sstable(*named(2)))
    last = table.view, table.history.is_ending(table.second), table.taken_at
    table.store(named(3))
    table.history.recorded()

    assert first == ([named(1)], False)
    assert last == ([named(1), named(2)], True, at(1))
    assert table.view == [named(3)]
    assert table.taken_at == at(3)


def test_the_view_after_a_truncation_waits_until_the_last_one_before_is_recorded() -> None:
    table = Table(named(1))

    table.commit([], [named(1)], Kind.TRUNCATION)

    assert table.view == [named(1)]
    assert not table.is_present
    table.history.recorded()
    assert table.view == []
    assert table.taken_at == at(1)


def test_a_truncation_ends_the_view_though_its_last_addition_was_lost() -> None:
    table = Table(named(1))
    (lost,) = table.commit([named(2)])
    table.commit([], [named(1), named(2)], Kind.TRUNCATION)

    table.history.lost(lost)

    assert table.history.is_ending(table.second)
    assert table.view == [named(1)]


def test_what_was_flushed_during_a_truncation_survives_it() -> None:
    table = Table(named(1))
    table.commit([named(2)])
    table.commit([], [named(1)], Kind.TRUNCATION)
    table.store(named(2))

    table.history.recorded()

    assert table.view == [named(2)]
    assert table.taken_at == at(2)


def test_the_truncation_of_an_index_alone_ends_nothing() -> None:
    table = Table(named(1), named(1, INDEX))

    table.commit([], [named(1, INDEX)], Kind.TRUNCATION)

    assert table.view == [named(1), named(1, INDEX)]
    assert table.is_present


def test_the_truncation_of_the_index_after_that_of_the_table_ends_what_is_left() -> None:
    table = Table(named(1), named(1, INDEX))

    table.commit([], [named(1)], Kind.TRUNCATION)
    table.commit([], [named(1, INDEX)], Kind.TRUNCATION)
    table.history.recorded()
    table.history.recorded()

    assert table.view == []
    assert table.is_present


# Names that return.


def test_a_name_that_returns_with_other_rows_is_another_sstable() -> None:
    table = Table(named(1))
    table.compact([named(1)], [])

    (new,) = table.commit([named(1)])
    table.history.stored(new)
    old = table.history.view(table.second)
    table.history.recorded()

    assert old is not None
    assert old.sstables == {Sstable(*named(1), life=0)}
    assert new == Sstable(*named(1), life=1)
    assert table.view == [named(1)]
    assert table.history.needed() == {new}


def test_a_name_that_returns_is_in_the_view_once_the_base_of_its_epoch_is_stored() -> None:
    table = Table(named(1), named(2))
    table.compact([named(1), named(2)], [named(3)])

    table.commit([named(1)])
    table.store(named(1))
    table.store(named(3))
    table.history.recorded()

    assert table.view == [named(1), named(3)]
    assert table.is_present


def test_the_output_of_a_replacement_whose_name_returns_is_in_the_base_in_the_place_of_what_is_gone() -> None:
    table = Table(named(1), named(2))
    table.compact([named(1)], [])

    table.compact([named(2)], [named(1)])
    table.store(named(1))
    table.history.recorded()

    assert table.view == [named(1)]
    assert table.history.needed() == {Sstable(*named(1), life=1)}


def test_a_name_that_returns_after_a_base_without_it_joins_at_once() -> None:
    table = Table(named(1))
    table.compact([named(1)], [])
    table.history.begin_base(table.second)

    table.commit([named(1)])
    table.store(named(1))

    assert table.view == [named(1)]
    assert table.is_present


# Several directories.


def test_one_flush_to_two_disks_joins_as_one() -> None:
    table = Table()
    table.commit([named(1), named(2, OTHER_DISK)])

    table.store(named(1))
    before = table.view
    table.store(named(2, OTHER_DISK))

    assert before == []
    assert table.view == [named(1), named(2, OTHER_DISK)]


def test_an_addition_waits_for_the_flush_of_its_index() -> None:
    table = Table()
    table.commit([named(1)], indexes=[INDEX])
    table.store(named(1))
    before = table.view

    table.commit([named(1, INDEX)], after=0.1)
    between = table.view
    table.store(named(1, INDEX))

    assert before == between == []
    assert table.view == [named(1), named(1, INDEX)]


def test_an_addition_does_not_wait_for_long_for_an_index_that_had_nothing_to_flush() -> None:
    table = Table()
    table.commit([named(1)], indexes=[INDEX])
    table.store(named(1))

    table.second += QUIET

    assert table.view == [named(1)]
    assert table.is_present


def test_the_flush_of_an_index_is_over_on_all_disks_at_once() -> None:
    table = Table()
    table.commit([named(1), named(2, OTHER_DISK)], indexes=[INDEX, INDEX_ON_OTHER_DISK])
    table.commit([named(3)], indexes=[INDEX, INDEX_ON_OTHER_DISK], after=0.1)

    table.commit([named(1, INDEX)], after=0.1)
    table.commit([named(2, INDEX_ON_OTHER_DISK)], after=0.1)
    table.store(named(1), named(2, OTHER_DISK), named(3), named(1, INDEX), named(2, INDEX_ON_OTHER_DISK))

    assert table.is_present


def test_flushes_that_may_both_be_those_an_index_flushed_with_join_together() -> None:
    table = Table()
    table.commit([named(1)], indexes=[INDEX])
    table.commit([named(2)], indexes=[INDEX], after=0.1)

    table.commit([named(1, INDEX)], after=0.1)
    table.store(named(1), named(2), named(1, INDEX))
    before = table.view
    table.second += QUIET

    assert before == [], "it may have deleted entries of the first for rows that the second wrote anew"
    assert table.view == [named(1), named(2), named(1, INDEX)]
    assert table.taken_at == at(1.1)


def test_the_flush_of_an_index_leaves_an_addition_at_its_own_moment() -> None:
    table = Table()
    table.commit([named(1)], indexes=[INDEX])

    table.commit([named(1, INDEX)], after=0.1)
    table.store(named(1), named(1, INDEX))

    assert table.taken_at == at(1)


def test_a_base_is_begun_again_where_an_index_flush_may_belong_to_a_later_flush() -> None:
    table = Table()
    table.history.look([named(1)], at=at(1), now=1, indexes=[INDEX])
    table.history.recorded()
    table.second = 1
    table.commit([named(2)], indexes=[INDEX], after=0.1)

    table.commit([named(1, INDEX)], after=0.1)
    reason = table.base_reason()
    table.history.begin_base(table.second)
    table.store(named(1), named(2), named(1, INDEX))
    before = table.view
    table.second += QUIET

    assert reason == "there is none"
    assert before == []
    assert table.view == [named(1), named(2), named(1, INDEX)]


def test_a_flush_waits_for_no_less_than_a_log_of_an_index_is_open() -> None:
    table = Table()
    table.commit([named(1)], indexes=[INDEX, OTHER_INDEX])
    table.store(named(1))

    table.note_log(is_open=True, after=QUIET - 0.1)
    table.second += 10 * QUIET
    open_still = table.view
    table.commit([named(1, INDEX)], after=0.1)
    table.note_log(is_open=False)
    table.store(named(1, INDEX))
    just_ended = table.view
    table.second += QUIET

    assert open_still == just_ended == []
    assert table.view == [named(1), named(1, INDEX)]
    assert not table.behind, "the other index had nothing to flush"


def test_a_flush_waits_again_after_each_event_of_an_index() -> None:
    table = Table()
    table.commit([named(1)], indexes=[INDEX, OTHER_INDEX])
    table.commit([named(1, INDEX)])
    table.note_log(is_open=False)
    table.store(named(1), named(1, INDEX))

    table.note_log(is_open=True, after=QUIET - 0.1, directory=OTHER_INDEX)
    table.second += QUIET
    before = table.view
    table.commit([named(1, OTHER_INDEX)])
    table.note_log(is_open=False, directory=OTHER_INDEX)
    table.store(named(1, OTHER_INDEX))

    assert before == []
    assert table.view == [named(1), named(1, INDEX), named(1, OTHER_INDEX)]


def test_after_a_minute_a_flush_waits_no_more_and_says_which_indexes_are_behind() -> None:
    table = Table()
    table.commit([named(1)], indexes=[INDEX, OTHER_INDEX])
    table.store(named(1))

    table.note_log(is_open=True)
    table.second += PATIENCE - 0.1
    behind = table.behind
    table.commit([named(1, INDEX)], after=1)
    table.note_log(is_open=False)
    table.store(named(1, INDEX))

    assert behind == (".idx", ".other_idx")
    assert table.behind == (".other_idx",), "it may have been about to flush as well"
    assert not table.history.late, "each restore point without it says so"


def test_what_a_look_finds_waits_for_the_flushes_of_indexes() -> None:
    table = Table()
    table.history.look([named(1)], at=at(1), now=1, indexes=[INDEX])
    table.history.recorded()
    table.store(named(1))

    table.note_log(is_open=True, after=2)
    table.second += 2 * QUIET
    before = table.view
    table.commit([named(1, INDEX)])
    table.note_log(is_open=False)
    table.store(named(1, INDEX))

    assert before == [], "the last one of before"
    assert table.view == [named(1), named(1, INDEX)]
    assert table.taken_at == at(1)


def test_what_a_look_finds_waits_no_longer_than_an_index_needs_that_has_nothing_to_flush() -> None:
    table = Table()
    table.history.look([named(1)], at=at(1), now=1, indexes=[INDEX])
    table.history.recorded()
    table.store(named(1))

    table.second = 1 + QUIET

    assert table.view == [named(1)]
    assert table.is_present


def test_a_base_begun_between_a_flush_and_that_of_its_index_holds_both() -> None:
    table = Table(named(1))
    table.compact([named(1)], [named(2)])
    table.commit([named(3)], indexes=[INDEX])

    reason = table.base_reason(interval=0)
    table.history.begin_base(table.second)
    table.store(named(2), named(3))
    before = table.view
    table.commit([named(1, INDEX)], after=0.1)
    between = table.view
    table.store(named(1, INDEX))

    assert reason == "the last one is old", "flushes that come one after another must not put it off"
    assert before == between == [named(1)]
    assert table.view == [named(2), named(3), named(1, INDEX)]


def test_a_stream_joins_at_once_and_its_indexes_are_behind_until_they_flush() -> None:
    table = Table()
    table.commit([named(1)], indexes=[INDEX, OTHER_INDEX], waits=False)
    table.store(named(1))
    joined, behind = table.view, table.behind

    table.commit([named(1, INDEX)], after=100)
    table.store(named(1, INDEX))

    assert joined == [named(1)]
    assert behind == (".idx", ".other_idx")
    assert table.behind == (".other_idx",)
    assert not table.history.late, "each restore point without it says so"


def test_indexes_are_behind_no_more_once_the_next_flush_of_the_table_has_closed() -> None:
    table = Table()
    table.commit([named(1)], indexes=[INDEX], waits=False)
    table.commit([named(2)], indexes=[INDEX])
    table.store(named(1), named(2))
    before = table.behind

    table.second += QUIET

    assert before == (".idx",)
    assert table.view == [named(1), named(2)]
    assert not table.behind


def test_what_is_built_beyond_the_next_flush_of_the_table_is_late_since_that_flush() -> None:
    table = Table()
    table.commit([named(1)], indexes=[INDEX], waits=False)
    table.commit([named(2)], indexes=[INDEX])
    table.commit([named(1, INDEX)], after=0.1)

    table.commit([named(2, INDEX)], after=QUIET)

    assert table.history.late == (Late(".idx", at(2), at(2.1 + QUIET)),)


def test_a_flush_of_an_index_that_comes_after_its_addition_closed_is_late() -> None:
    table = Table()
    table.commit([named(1)], indexes=[INDEX])
    table.commit([named(2)], indexes=[INDEX], after=10)
    table.store(named(1), named(2))

    table.commit([named(1, INDEX)], after=QUIET)
    table.store(named(1, INDEX))

    assert table.view == [named(1), named(2), named(1, INDEX)]
    assert table.history.late == (Late(".idx", at(1), at(11 + QUIET)),)


def test_an_index_that_flushes_with_the_table_is_not_late_because_it_had_nothing_to_flush_before() -> None:
    table = Table()
    table.commit([named(1)], indexes=[INDEX])
    table.commit([named(2)], indexes=[INDEX], after=10)
    table.commit([named(1, INDEX)], after=0.1)

    table.commit([named(2, INDEX)], after=100)

    assert not table.history.late


def test_an_index_that_was_built_before_its_import_was_told_is_not_behind() -> None:
    table = Table()
    table.commit([named(1, INDEX)], after=10)
    table.history.commit(
        [named(1)], [], Kind.ADDITION, at=at(11), now=11.0, indexes=[INDEX, OTHER_INDEX], waits=False, since=9.5
    )
    table.store(named(1), named(1, INDEX))

    assert table.view == [named(1), named(1, INDEX)]
    assert table.behind == (".other_idx",)


def test_a_base_is_behind_as_what_it_holds_is() -> None:
    table = Table()
    table.commit([named(1)], indexes=[INDEX], waits=False)
    table.compact([named(1)], [named(2)])

    table.history.begin_base(table.second)
    table.store(named(2))
    before = table.behind
    table.commit([named(1, INDEX)])
    table.store(named(1, INDEX))

    assert before == (".idx",)
    assert not table.behind


def test_a_daemon_that_goes_on_knows_which_indexes_are_behind() -> None:
    history = new_history(lambda directory: directory.endswith("idx"))
    history.resume([named(1)], at(10), [named(1)], now=0, indexes=[INDEX, OTHER_INDEX], behind=[".idx"])
    before = history.view(0)

    for number, directory in enumerate((INDEX, OTHER_INDEX), start=1):
        (flushed,) = history.commit([named(1, directory)], [], Kind.ADDITION, at=at(10 + number), now=number)
        history.stored(flushed)
    after = history.view(2)

    assert before is not None
    assert before.behind == (".idx",)
    assert after is not None
    assert not after.behind
    assert history.late == (Late(".other_idx", at(10), at(12)),), "nobody knows what the other daemon was waiting for"


# Commits told in another order.


def test_a_removal_waits_for_the_addition_of_what_it_removes() -> None:
    table = Table(named(1))

    (output,) = table.compact([named(1), named(2)], [named(3)])
    waiting = table.is_present
    (flushed,) = table.commit([named(2)])
    table.history.stored(flushed)

    assert not waiting
    assert table.view == [named(1), named(2)]
    assert table.is_present
    assert list(table.history.live) == [output]


def test_no_addition_overtakes_one_whose_removal_is_all_that_was_told() -> None:
    table = Table()

    table.compact([named(1)], [named(2)])
    (later,) = table.commit([named(3)])
    table.history.stored(later)
    before = table.view
    (earlier,) = table.commit([named(1)])
    table.history.stored(earlier)

    assert before == []
    assert table.view == [named(1), named(3)]


def test_no_base_is_begun_before_all_that_was_told_is_taken_in() -> None:
    table = Table(named(1))
    table.compact([named(1)], [named(2)])

    table.compact([named(3)], [])

    assert table.base_reason(interval=0) is None


def test_the_last_view_before_a_truncation_has_what_was_told_after_it() -> None:
    table = Table(named(1))

    table.commit([], [named(1), named(2)], Kind.TRUNCATION)
    ending = table.history.is_ending(table.second)
    (flushed,) = table.commit([named(2)])
    table.history.stored(flushed)

    assert not ending
    assert table.history.is_ending(table.second)
    assert table.view == [named(1), named(2)]


def test_what_is_told_in_reverse_is_taken_in_in_order() -> None:
    table = Table()

    table.compact([named(2)], [named(3)])
    table.compact([named(1)], [named(2)])
    (flushed,) = table.commit([named(1)])
    table.history.stored(flushed)

    assert table.view == [named(1)]
    assert table.is_present
    assert [one.name for one in table.history.live] == [named(3)]


def test_an_addition_that_was_told_is_needed_though_not_taken_in_yet() -> None:
    table = Table()
    table.compact([named(1)], [named(2)])

    (flushed,) = table.commit([named(3)])

    assert table.history.needed() == {flushed}
    assert table.history.is_addition(flushed)


def test_what_was_stored_while_it_waited_to_be_taken_in_is_stored() -> None:
    table = Table(named(5))
    table.compact([named(5)], [])
    table.compact([named(1)], [])
    (returned,) = table.commit([named(5)])
    table.history.stored(returned)

    (late,) = table.commit([named(1)])
    table.history.stored(late)
    table.history.recorded()

    assert table.view == [named(5)]
    assert table.is_present


def test_an_sstable_of_which_only_the_removal_was_told_was_lost() -> None:
    table = Table()
    table.compact([named(1)], [named(2)])
    table.commit([named(3)])
    early = table.history.settle(table.second)

    table.second += LATE_SECONDS
    unseen = table.history.settle(table.second)
    table.store(named(3))

    assert early == ()
    assert unseen == (named(1),)
    assert table.view == []
    assert table.base_reason() == "the last one was given up, or an sstable was lost"


def test_every_sstable_of_which_only_the_removal_was_told_is_said_and_stays_lost() -> None:
    table = Table(named(9))
    table.compact([named(1)], [named(2)])
    table.compact([named(3)], [named(4)])
    table.second += LATE_SECONDS

    unseen = table.history.settle(table.second)

    assert unseen == (named(1), named(3))
    assert table.view == [named(9)]
    assert table.history.lacks_since(table.second) == at(1)
    assert table.history.is_settled(table.second)


def test_a_history_is_not_settled_while_something_told_waits_for_an_earlier_transaction() -> None:
    table = Table()
    table.compact([named(1)], [named(2)])

    assert not table.history.is_settled(table.second)


def test_a_base_after_an_unseen_addition_is_of_a_moment_after_it() -> None:
    table = Table()
    table.compact([named(1)], [named(2)])
    table.second += LATE_SECONDS
    table.history.settle(table.second)

    table.history.begin_base(table.second)
    table.store(named(2))

    assert table.view == [named(2)]
    assert table.taken_at == at(1), "by the moment of its removal it was there"


# Looks and restarts.


def test_after_a_look_nothing_joins_what_was_before() -> None:
    table = Table(named(1), named(2))

    table.history.look([named(1)], at=at(5), now=5)
    table.commit([named(3)], after=6)
    table.store(named(3))
    before = table.view
    table.history.recorded()

    assert before == [named(1), named(2)]
    assert table.view == [named(1), named(3)]
    assert table.taken_at == at(6)


def test_a_look_that_finds_another_sstable_under_a_name_takes_it_for_another() -> None:
    table = Table(named(1), named(2))

    table.history.look([named(1), named(2)], at=at(5), now=5, anew=[named(2)])
    table.history.recorded()
    before = table.view
    table.store(named(2))

    assert sorted(table.history.live) == [Sstable(*named(1), life=0), Sstable(*named(2), life=1)]
    assert before == [named(1), named(2)], "those of before"
    assert table.history.needed() == set(table.history.live)


def test_what_was_added_when_the_view_was_gone_already_is_in_the_next_epoch_alone() -> None:
    table = Table(named(1), named(2))
    table.commit([named(3)])
    table.commit([named(4)])
    gone_since = table.second  # the very moment of that
    table.store(named(3), named(4))

    table.history.take_back(gone_since)
    table.history.look([named(4)], at=at(5), now=5)
    last_of_old = table.view
    table.history.recorded()

    assert last_of_old == [named(1), named(2), named(3)]
    assert table.view == [named(4)]


def test_a_daemon_goes_on_from_the_view_of_its_newest_index() -> None:
    history = new_history()
    history.resume([named(1), named(2)], at(10), [named(3)], now=0)

    (flushed,) = history.commit([named(4)], [], Kind.ADDITION, at=at(9), now=1)
    history.stored(flushed)
    view = history.view(1)

    assert view is not None
    assert {one.name for one in view.sstables} == {named(1), named(2), named(4)}
    assert view.taken_at == at(10), "a clock that was set back does not make it older"
    assert history.is_present(1)
    assert {one.name for one in history.live} == {named(3), named(4)}


def test_what_is_live_of_the_view_of_the_newest_index_is_stored_and_no_addition() -> None:
    history = new_history()
    history.resume([named(1)], at(10), [named(1), named(2)], now=0)

    known, other = history.find(named(1)), history.find(named(2))

    assert known is not None
    assert other is not None
    assert (history.is_stored(known), history.is_stored(other)) == (True, False)
    assert not history.is_addition(known)
    assert history.find(named(3)) is None


def test_a_daemon_that_goes_on_takes_a_base_once_the_interval_is_over() -> None:
    history = new_history()
    history.resume([named(1)], at(10), [named(2)], now=0)

    reasons = [history.base_reason(now, interval=100, size_of=lambda _: 1) for now in (99, 100)]

    assert reasons == [None, "the last one is old"]


def test_a_name_of_the_resumed_view_that_returns_is_another_sstable() -> None:
    history = new_history()
    history.resume([named(1)], at(10), [], now=0)

    (flushed,) = history.commit([named(1)], [], Kind.ADDITION, at=at(11), now=1)
    history.stored(flushed)
    before = history.view(1)
    history.recorded()
    after = history.view(1)

    assert before is not None
    assert after is not None
    assert before.sstables == {Sstable(*named(1), life=0)}
    assert after.sstables == {Sstable(*named(1), life=1)}


# What is unfinished.


def test_without_a_base_a_restore_point_holds_the_base_that_is_being_stored_and_the_additions_since() -> None:
    history = new_history()
    history.look([named(1)], at=at(0), now=0)
    history.commit([named(2)], [], Kind.ADDITION, at=at(1), now=1)

    unfinished = history.unfinished()

    assert unfinished is not None
    assert {one.name for one in unfinished.sstables} == {named(1), named(2)}
    assert unfinished.taken_at == at(1)


def test_without_a_base_a_restore_point_is_behind_with_the_indexes_whose_flushes_are_awaited() -> None:
    history = new_history(lambda directory: directory.endswith("idx"))
    history.look([named(1)], at=at(0), now=0, indexes=[INDEX])

    unfinished = history.unfinished()

    assert unfinished is not None
    assert unfinished.behind == (".idx",)


def test_without_a_base_nothing_from_before_the_one_being_stored_is_needed() -> None:
    history = new_history()
    history.look([named(1)], at=at(0), now=0)
    history.commit([named(2)], [], Kind.ADDITION, at=at(1), now=1)
    history.commit([named(3)], [named(1), named(2)], Kind.REPLACEMENT, at=at(2), now=2)

    history.begin_base(2)
    unfinished = history.unfinished()

    assert unfinished is not None
    assert {one.name for one in unfinished.sstables} == {named(3)}
    assert {one.name for one in history.needed()} == {named(3)}


def test_where_there_is_a_view_nothing_is_unfinished() -> None:
    assert Table(named(1)).history.unfinished() is None


# What is known to differ.


def test_a_write_older_than_a_tombstone_that_was_purged_since_the_base_stays_hidden_in_the_view() -> None:
    contents: dict[Name, Content] = {
        named(1): frozenset([Cell(0, 0, timestamp=5, value=1)]),
        named(2): frozenset([Tombstone(0, 0, 0, timestamp=10)]),
        named(3): frozenset(
            [Cell(0, 0, timestamp=7, value=2)]
        ),  # came late: a hint, a repair, a client's own timestamp
    }
    table = Table(named(1), named(2))
    table.compact([named(1), named(2)], [])  # which purges the tombstone

    table.commit([named(3)])
    table.store(named(3))

    assert read([contents[named(3)]]) == {(0, 0): 2}, "Cassandra reads it"
    assert table.view is not None
    assert read([contents[name] for name in table.view]) == {}, "the view has the tombstone yet"


@pytest.mark.parametrize("kind", [Kind.REPLACEMENT, Kind.REMOVAL])
def test_a_commit_returns_what_it_brought(kind: Kind) -> None:
    table = Table(named(1))

    new = table.commit([named(1), named(2)], [], kind)

    assert [one.name for one in new] == [named(2)], "a look had seen the other"


def test_an_addition_that_was_found_late_joins_before_those_told_since_it_was_there() -> None:
    history = new_history()
    history.look([("d", "1-")], at=at(0), now=0.0)
    history.stored(Sstable("d", "1-"))
    (second,) = history.commit([("d", "2-")], [], Kind.ADDITION, at=at(2), now=2.0)
    history.stored(second)
    (found,) = history.commit([("d", "3-")], [], Kind.ADDITION, at=at(5), now=5.0, since=1.5)

    before = history.view(5.0)
    history.stored(found)
    after = history.view(5.0)

    assert before is not None
    assert before.sstables == {Sstable("d", "1-")}
    assert after == View(frozenset({Sstable("d", "1-"), second, found}), at(2))


# What the view lacks.


def test_a_view_that_holds_all_lacks_nothing() -> None:
    table = Table(named(1))
    table.commit([named(2)])
    table.store(named(2))
    table.compact([named(1)], [named(3)])

    assert table.history.lacks_since(table.second + 9) is None


def test_a_view_lacks_what_was_committed_since_the_first_addition_that_is_not_stored() -> None:
    table = Table(named(1))
    table.commit([named(2)])
    table.commit([named(3)])
    table.store(named(3))

    assert table.history.lacks_since(table.second + 9) == at(1)
    table.store(named(2))
    assert table.history.lacks_since(table.second + 9) is None


def test_a_view_lacks_what_comes_after_an_addition_that_was_lost() -> None:
    table = Table(named(1))
    (lost,) = table.commit([named(2)])
    table.history.lost(lost)

    assert table.history.lacks_since(table.second + 9) == at(1)


def test_the_last_view_before_a_truncation_lacks_it_and_what_came_since() -> None:
    table = Table(named(1))
    table.commit([named(2)])
    table.store(named(2))
    table.commit([], [named(1), named(2)], Kind.TRUNCATION)
    table.commit([named(3)])

    assert table.history.lacks_since(table.second) == at(2)


def test_a_transaction_that_waits_for_an_earlier_one_is_lacking_as_well() -> None:
    table = Table(named(1))
    table.commit([named(3)], [named(2)])  # its first sstable is not told yet

    assert table.history.lacks_since(table.second) == at(1)


# What it was at a moment.


def test_a_view_of_an_earlier_moment_holds_what_was_committed_by_then_and_lacks_what_came_next() -> None:
    table = Table(named(1))
    table.commit([named(2)])
    table.commit([named(3)])
    table.store(named(2), named(3))

    view = table.history.view(table.second, at(1.5))
    assert view is not None
    assert {one.name for one in view.sstables} == {named(1), named(2)}
    assert view.taken_at == at(1)
    assert table.history.lacks_since(table.second, at(1.5)) == at(2)
    assert table.history.view(table.second, at(2)) == table.history.view(table.second)
    assert list(table.history.commits) == [at(1), at(2)]


def test_there_is_no_view_of_a_moment_before_its_base() -> None:
    table = Table(named(1))
    table.commit([named(2)])
    table.store(named(2))
    table.history.begin_base(table.second)

    assert table.history.view(table.second, at(0.5)) is None
    assert table.history.view(table.second, at(1)) is not None
