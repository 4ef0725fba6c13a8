"""Joint moments of several tables, against a search of every moment there is."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tablesnap.rules.joint import Known, Span, apart, joint_moment

MIDNIGHT = datetime(2026, 11, 30, tzinfo=UTC)
LAST = 40
INSTANT = timedelta(microseconds=1)


def at(second: int) -> datetime:
    return MIDNIGHT + timedelta(seconds=second)


def span(taken_at: int, until: int) -> Span:
    return Span(at(taken_at), at(until))


def table(*spans: Span) -> Known:
    """Return a table with these *spans*, of which it may be asked."""

    def known(moment: datetime) -> Span | None:
        begun = [one for one in spans if one.taken_at <= moment]
        return max(begun, key=lambda one: (one.taken_at, one.until), default=None)

    return known


spans = st.builds(lambda taken_at, length: span(taken_at, taken_at + length), st.integers(0, LAST), st.integers(-2, 12))
histories = st.lists(spans, max_size=8)


@given(st.lists(histories, min_size=1, max_size=5), st.integers(0, LAST + 5))
def test_the_greatest_joint_moment_is_found(tables: Sequence[Sequence[Span]], latest: int) -> None:
    asked = [table(*history) for history in tables]

    found = joint_moment(asked, at(latest))

    def is_joint(moment: datetime) -> bool:
        last = [known(moment) for known in asked]
        return all(one is not None and one.until >= moment for one in last)

    # All is of whole seconds, so only there and just before does anything change.
    moments = [at(second) - before for second in range(-5, latest + 1) for before in (INSTANT, timedelta(0))]
    assert found == max((moment for moment in moments if is_joint(moment)), default=None)


def test_a_span_that_ended_before_it_began_leaves_the_one_before_it() -> None:
    assert joint_moment([table(span(0, 0), span(1, -1))], at(1)) == at(0)
    assert joint_moment([table(span(0, 9), span(5, 3))], at(7)) == at(5) - INSTANT


def test_a_table_that_lags_by_a_commit_pulls_the_moment_back_to_before_that() -> None:
    columns = table(span(0, 9), span(10, 20))
    tables = table(span(1, 12), span(15, 20))

    assert joint_moment([columns, tables], at(30)) == at(20)
    assert joint_moment([columns, tables], at(14)) == at(12)
    assert joint_moment([columns, tables], at(9)) == at(9)
    assert joint_moment([columns, tables], at(0)) is None


def test_a_span_without_a_beginning_ends_as_others_do() -> None:
    ever = Span(datetime.min.replace(tzinfo=UTC), at(3))

    assert joint_moment([table(ever)], at(9)) == at(3)


def test_without_a_known_end_tables_of_different_moments_have_no_joint_moment() -> None:
    assert joint_moment([table(span(0, 0), span(10, 10)), table(span(5, 5))], at(30)) is None


def test_the_search_is_given_up_after_enough_looks() -> None:
    one = table(*(span(second, second) for second in range(0, LAST, 2)))
    other = table(*(span(second, second) for second in range(1, LAST, 2)))

    assert joint_moment([one, other], at(LAST), enough=6) is None
    assert joint_moment([one, table(span(0, LAST))], at(LAST), enough=3) == at(LAST - 2)


def test_tables_are_apart_by_the_time_between_the_end_of_one_and_the_beginning_of_another() -> None:
    assert apart([span(0, 5), span(12, 20), span(3, 30)]) == timedelta(seconds=7)
    assert apart([span(0, 12), span(12, 20)]) == timedelta(0)
    assert apart([]) == timedelta(0)
