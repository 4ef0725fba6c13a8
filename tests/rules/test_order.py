"""Which restore point counts at a moment, and in what order: against a rule that looks at all of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import overload

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablesnap.rules.order import as_of, believed, by_dates, by_serials, in_order, is_late, serial_of

START = datetime(2026, 11, 22, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


@dataclass(frozen=True)
class Point:
    key: str
    taken_at: datetime
    seen_at: datetime
    stored_at: datetime
    serial: int | None = None
    covers: tuple[str, ...] = ("/d",)
    is_dated: bool = True


class Places(Sequence[Sequence[Point]]):
    """Places that count how many of them were looked at."""

    def __init__(self, places: Sequence[Sequence[Point]]) -> None:
        self._places = places
        self.looked_at: set[int] = set()

    @overload
    def __getitem__(self, number: int) -> Sequence[Point]: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Sequence[Point]]: ...
    def __getitem__(self, number: int | slice) -> Sequence[Point] | Sequence[Sequence[Point]]:
        assert isinstance(number, int)
        self.looked_at.add(number)
        return self._places[number]

    def __len__(self) -> int:
        return len(self._places)


def by_looking_at_all(points: Sequence[Point], moment: datetime) -> Iterator[Point]:
    """Those of the latest `taken_at` first: recorded by *moment*, from the last back, then recorded later, in order."""
    taken = [point for point in points if point.taken_at <= moment]
    for taken_at in sorted({point.taken_at for point in taken}, reverse=True):
        group = [point for point in taken if point.taken_at == taken_at]
        yield from reversed([point for point in group if point.seen_at <= moment])
        yield from (point for point in group if point.seen_at > moment)


@st.composite
def timelines(draw: st.DrawFn) -> list[list[Point]]:
    """Places in order. Each restore point is taken and recorded no earlier than the one before."""
    places: list[list[Point]] = []
    taken, seen, serial = 0, 0, 0
    for number in range(draw(st.integers(0, 12))):
        place: list[Point] = []
        for part in range(draw(st.integers(0, 3))):
            seen += draw(st.integers(0, 3))
            taken = max(taken, seen - draw(st.integers(0, 6)))
            serial += 1
            place.insert(0, Point(f"{number}.{part}", at(taken), at(seen), at(seen), serial))
        places.append(place)
    return places


@given(timelines(), st.integers(-1, 50))
def test_the_order_of_preference_is_that_of_a_rule_that_looks_at_all(places: list[list[Point]], minute: int) -> None:
    everything = [point for place in places for point in reversed(place)]

    found = list(as_of(places, at(minute)))

    assert found == list(by_looking_at_all(everything, at(minute)))


def test_few_of_very_many_are_looked_at() -> None:
    quiet = [[Point(str(number), at(0), at(number), at(number), number)] for number in range(1, 5000)]
    busy = [[Point(str(number), at(number), at(number + 1), at(number + 1), number)] for number in range(5000, 9999)]
    for moment in (0, 17.5, 2500, 4999.5, 5000, 7777.5, 12000):
        places = Places([*quiet, *busy])

        next(as_of(places, at(moment)))

        assert len(places.looked_at) < 50


def test_one_that_cannot_be_read_hides_none_and_is_told_where_the_store_s_date_puts_it() -> None:
    points = [Point(str(number), at(number), at(number), at(number), number) for number in range(6)]
    points[3] = Point("3", at(3), at(3), at(3), is_dated=False)

    assert [point.key for point in as_of([[point] for point in points], at(4))] == ["4", "3", "2", "1", "0"]
    assert [point.key for point in as_of([[point] for point in points], at(2.5))] == ["2", "1", "0"]


def test_one_of_the_future_does_not_hide_those_after_it() -> None:
    ahead = Point("ahead", at(10), at(10), at(5), 2, is_dated=False)  # five minutes after the store's date
    points = [Point("before", at(0), at(0), at(0), 1), ahead, Point("after", at(6), at(6), at(6), 3)]

    assert [point.key for point in as_of([[point] for point in points], at(7))] == ["after", "before"]
    assert [point.key for point in as_of([[point] for point in points], at(11))] == ["after", "ahead", "before"]


@given(st.permutations(range(8)), st.booleans())
def test_a_copy_in_any_order_of_dates_has_the_order_of_the_original(dates: list[int], numbered: bool) -> None:
    """The points are an hour apart, the copies a minute, and made a day later."""
    original = [
        Point(str(number), at(60 * number), at(60 * number), at(60 * number), number if numbered else None)
        for number in range(8)
    ]
    copy = [
        Point(point.key, point.taken_at, point.seen_at, at(1440 + date), point.serial)
        for point, date in zip(original, dates, strict=True)
    ]

    assert in_order(original) == original
    assert [point.key for point in in_order(copy)] == [point.key for point in original]


def test_two_daemons_each_for_a_disk_are_merged_by_when_they_recorded() -> None:
    first = [Point(f"a{n}", at(10 * n), at(10 * n), at(10 * n), 100 + n, ("/1",)) for n in range(4)]
    second = [Point(f"b{n}", at(10 * n + 5), at(10 * n + 5), at(10 * n + 5), n, ("/2",)) for n in range(4)]
    both = Point("both", at(50), at(50), at(50), 104, ("/1", "/2"))
    expected = ["a0", "b0", "a1", "b1", "a2", "b2", "a3", "b3", "both"]

    assert [point.key for point in by_serials([both, *second, *first])] == expected
    assert [point.key for point in by_dates([both, *second, *first])] == expected


def test_a_clock_that_was_set_back_does_not_change_the_order_of_serials() -> None:
    points = [Point("1", at(60), at(60), at(60), 1), Point("2", at(60), at(0), at(61), 2)]

    assert in_order(points) == points


def test_without_a_serial_the_milliseconds_of_the_earlier_date_stand_for_it() -> None:
    milliseconds = int(START.timestamp()) * 1000

    assert serial_of(5, at(0), at(1)) == 5
    assert serial_of(None, at(0), at(1)) == milliseconds
    assert serial_of(None, at(1), at(0)) == milliseconds
    assert serial_of(None, None, at(0)) == milliseconds


@pytest.mark.parametrize(("minutes", "expected"), [(0, 0), (5, 5), (5.1, 5), (1e6, 5)])
def test_a_moment_is_believed_up_to_five_minutes_after_the_store_s_date(minutes: float, expected: float) -> None:
    assert believed(at(minutes), at(0)) == at(expected)


def test_an_index_is_late_when_the_store_dates_it_more_than_ten_minutes_after_it_was_recorded() -> None:
    assert not is_late(at(0), at(10))
    assert is_late(at(0), at(10.1))
