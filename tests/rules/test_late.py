"""What is remembered of index flushes that were late: never less than there was."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tablesnap.rules.late import LIMIT, Late, merged

START = datetime(2026, 11, 22, tzinfo=UTC)

seconds = st.integers(0, 1000)


def at(second: int) -> datetime:
    return START + timedelta(seconds=second)


@st.composite
def lates(draw: st.DrawFn) -> Late:
    since = draw(seconds)
    return Late(draw(st.sampled_from([".a", ".b"])), at(since), at(since + draw(st.integers(1, 50))))


def test_an_index_flush_concerns_the_moments_from_the_first_without_it_until_its_own() -> None:
    late = Late(".a", at(5), at(9))

    assert [second for second in range(12) if late.concerns(at(second))] == [5, 6, 7, 8]


def test_what_overlaps_is_one_and_that_of_another_index_is_not() -> None:
    found = [Late(".a", at(1), at(3)), Late(".b", at(2), at(4)), Late(".a", at(3), at(5)), Late(".a", at(7), at(8))]

    assert merged(found) == (Late(".a", at(1), at(5)), Late(".a", at(7), at(8)), Late(".b", at(2), at(4)))


@given(st.lists(lates(), max_size=30), seconds)
def test_each_moment_stays_the_same(found: list[Late], second: int) -> None:
    before = {late.index for late in found if late.concerns(at(second))}

    assert {late.index for late in merged(found) if late.concerns(at(second))} == before


def test_of_too_many_the_oldest_become_one_that_says_too_much() -> None:
    found = [Late(".a", at(10 * number), at(10 * number + 1)) for number in range(LIMIT + 5)]

    kept = merged(found)

    assert len(kept) == LIMIT
    assert kept[0] == Late(".a", at(0), at(51))
    assert kept[1:] == tuple(found[6:])
    assert merged(kept) == kept
