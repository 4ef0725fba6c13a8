"""When a table has no restore point."""

from datetime import UTC, datetime, timedelta

from tablesnap.rules.gaps import Gap, Record, gaps

START = datetime(2026, 11, 1, 12, tzinfo=UTC)


def at(**after: float) -> datetime:
    return START + timedelta(**after)


def record(taken_at: datetime, seen_at: datetime | None = None, *, whole: bool = True, daily: bool = True) -> Record:
    return Record(taken_at, seen_at or taken_at, whole=whole, daily=daily)


def test_what_was_said_at_least_once_a_day_has_no_gaps() -> None:
    quiet = [record(START, at(days=day)) for day in range(5)]

    assert gaps([*quiet, record(at(days=5))], now=at(days=6)) == []


def test_more_than_a_day_without_a_word_is_a_gap_up_to_the_next_restore_point() -> None:
    found = gaps([record(START, at(days=1)), record(at(days=4))], now=at(days=4))

    assert found == [Gap(at(days=1), at(days=4), silent=True)]


def test_nothing_is_missed_where_all_was_found_unchanged_after_days() -> None:
    assert gaps([record(START), record(START, at(days=9))], now=at(days=9)) == []


def test_silence_since_the_newest_is_a_gap_to_this_day() -> None:
    assert gaps([record(START, at(days=1))], now=at(days=3)) == [Gap(at(days=1), None, silent=True)]


def test_the_silence_of_1x_says_nothing_for_it_wrote_only_where_something_happened() -> None:
    assert gaps([record(START, daily=False), record(at(days=9), daily=False)], now=at(days=30)) == []


def test_from_one_that_is_not_whole_to_the_next_that_is_nothing_can_be_restored() -> None:
    records = [
        record(START),
        record(at(hours=1), whole=False),
        record(at(hours=2), whole=False),
        record(at(hours=3)),
        record(at(hours=4), whole=False),
    ]

    assert gaps(records, now=at(hours=5)) == [
        Gap(at(hours=1), at(hours=3), silent=False),
        Gap(at(hours=4), None, silent=False),
    ]


def test_what_was_made_whole_for_the_same_moment_is_no_gap() -> None:
    records = [record(START, whole=False), record(START, at(hours=1))]

    assert gaps(records, now=at(hours=2)) == []


def test_the_order_in_which_the_records_come_does_not_matter() -> None:
    records = [record(START), record(at(days=4)), record(at(days=5), whole=False)]

    assert gaps(reversed(records), now=at(days=5)) == gaps(records, now=at(days=5))


def test_a_table_without_restore_points_has_no_gap_between_them() -> None:
    assert gaps([], now=START) == []
