"""Which commit log segments are needed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tablesnap.rules.commitlogs import Segment, needed, segment_id

T0 = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


def segments(count: int = 10, size: int = 10) -> list[Segment]:
    """Return segments that were archived a minute apart."""
    names = (f"CommitLog-7-{1700000000000 + number}.log" for number in range(count))
    return [Segment(name, f"n:/c/{name}", size, T0 + timedelta(minutes=number)) for number, name in enumerate(names)]


def minutes(found: list[Segment]) -> list[int]:
    return [int((one.stored_at - T0).total_seconds() // 60) for one in found]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("CommitLog-7-1700000000000.log", 1700000000000),
        ("CommitLog-12-1700000000000.log", 1700000000000),
        ("CommitLog-1700000000000.log", 1700000000000),
        ("CommitLog-7-1700000000000.log.gz", None),
        ("CommitLog-7-1700000000000_cdc.idx", None),
        ("nb-1-big-Data.db", None),
        (f"CommitLog-7-{'9' * 5000}.log", None),
    ],
)
def test_segments_are_known_by_their_names_of_every_version(name: str, number: int | None) -> None:
    assert segment_id(name) == number


def test_those_archived_since_the_oldest_restore_point_are_needed_and_as_many_before_as_may_be_unflushed() -> None:
    found = needed(segments(), T0 + timedelta(minutes=7), None, space=25)

    assert minutes(found) == [4, 5, 6, 7, 8, 9]


def test_all_are_needed_where_less_is_stored_than_may_be_unflushed() -> None:
    assert minutes(needed(segments(), T0 + timedelta(minutes=7), None)) == list(range(10))


def test_up_to_a_moment_the_segment_that_was_being_written_then_is_the_last() -> None:
    found = needed(segments(), T0 + timedelta(minutes=3), T0 + timedelta(minutes=5, seconds=30), space=0)

    assert minutes(found) == [3, 4, 5, 6]


def test_a_moment_after_all_of_them_takes_all() -> None:
    assert minutes(needed(segments(), T0 + timedelta(minutes=8), T0 + timedelta(days=1), space=0)) == [8, 9]


def test_one_that_was_uploaded_late_cuts_off_no_other() -> None:
    late, *others = segments(5)
    late = replace(late, stored_at=T0 + timedelta(hours=1))
    found = needed([late, *others], T0, T0 + timedelta(minutes=3, seconds=30))

    assert len(found) == 5


def test_where_all_dates_are_later_all_are_taken() -> None:
    assert len(needed(segments(), T0 - timedelta(days=1), T0 - timedelta(hours=1))) == 10


def test_the_ids_and_not_the_names_order_them() -> None:
    one, other = Segment("CommitLog-7-99.log", "a", 1, T0), Segment("CommitLog-6-100.log", "b", 1, T0)

    assert needed([other, one], T0, None) == [one, other]
