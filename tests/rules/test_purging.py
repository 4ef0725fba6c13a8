"""What a purge may take, and what it must leave."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tablesnap.rules.index import Index
from tablesnap.rules.purging import (
    Fate,
    Proof,
    Record,
    Retention,
    Stored,
    is_ours,
    is_trustworthy,
    plan_forgetting,
    why_forgotten,
)

NOW = datetime(2026, 11, 22, 20, 25, 17, tzinfo=UTC)
GRACE = timedelta(hours=24)
MONTH = Retention(cutoff=NOW - timedelta(days=30), settled=NOW - GRACE)
DIRECTORY = "n:/data/ks/t-1/"


def taken(days_ago: float, *, complete: bool = True, covers: Sequence[str] = ("/data/ks/t-1",)) -> Record:
    moment = NOW - timedelta(days=days_ago)
    return Record(
        f"{DIRECTORY}nb-{days_ago}-big-Data.db-listdir.json", moment, moment, moment, complete, frozenset(covers)
    )


def kept(records: Sequence[Record], retention: Retention = MONTH) -> list[Record]:
    reasons = plan_forgetting(records, retention)
    assert reasons.keys() == {record.key for record in records}
    return [record for record in records if reasons[record.key]]


def test_what_is_younger_than_the_age_is_kept_and_of_the_older_what_was_current_at_the_cutoff() -> None:
    older, current, recent, newest = taken(50), taken(31), taken(29), taken(1)

    assert kept([newest, older, recent, current]) == [newest, recent, current]


def test_a_table_that_went_quiet_keeps_its_only_restore_point() -> None:
    only = taken(400)

    assert kept([only]) == [only]


def test_a_table_whose_newest_is_incomplete_keeps_the_newest_complete_one_as_well() -> None:
    older, whole, broken = taken(90), taken(80), taken(70, complete=False)

    assert kept([older, whole, broken]) == [whole, broken]


def test_an_incomplete_one_was_not_what_could_be_restored_at_the_cutoff() -> None:
    whole, broken, newest = taken(40), taken(35, complete=False), taken(1)

    assert kept([whole, broken, newest]) == [whole, newest]


def test_an_unchanged_table_s_restore_point_is_as_young_as_when_it_was_last_seen() -> None:
    old = taken(100)
    seen = Record("n:/seen", old.taken_at, old.stored_at, NOW - timedelta(days=2), is_complete=True, covers=old.covers)

    assert kept([old, seen]) == [old, seen]


def test_the_last_few_are_kept_whatever_their_age() -> None:
    records = [taken(100 + number) for number in range(6)]

    assert kept(records, Retention(cutoff=NOW, settled=NOW, last=3)) == records[:3]


def test_no_index_is_forgotten_within_the_grace_period_whatever_is_asked_for() -> None:
    older, young, newest = taken(1.2), taken(0.9), taken(0.1)

    assert kept([older, young, newest], Retention(cutoff=NOW, settled=NOW - GRACE)) == [young, newest]


def test_of_each_day_week_and_month_the_newest_is_kept() -> None:
    records = [taken(days / 4) for days in range(4 * 400)]
    retention = Retention(cutoff=NOW, settled=NOW, hourly=2, daily=7, weekly=4, monthly=12)

    reasons = plan_forgetting(records, retention)

    count = {name: sum(name in why for why in reasons.values()) for name in ("hourly", "daily", "weekly", "monthly")}
    assert count == {"hourly": 2, "daily": 7, "weekly": 4, "monthly": 12}
    daily = [record for record in records if "daily" in reasons[record.key]]
    assert len({record.taken_at.date() for record in daily}) == 7


def test_an_incomplete_restore_point_stands_for_no_day() -> None:
    whole, broken, newest = taken(5.2), taken(5.1, complete=False), taken(1)

    assert whole in kept([whole, broken, newest], Retention(cutoff=NOW, settled=NOW, daily=2))


def test_each_of_two_daemons_disks_keeps_its_own_newest() -> None:
    first = [taken(days, covers=["/disk1/ks/t-1"]) for days in (1, 2, 3)]
    second = [taken(days, covers=["/disk2/ks/t-1"]) for days in (300.5, 200.5)]

    assert set(kept([*first, *second])) == {*first, second[1]}


@given(
    st.lists(
        st.tuples(
            st.integers(0, 60), st.booleans(), st.sampled_from([("/1",), ("/2",), ("/1", "/2")]), st.integers(0, 2)
        ),
        min_size=1,
        max_size=15,
        unique_by=lambda one: one[0],
    ),
    st.integers(-1, 61),
)
def test_any_moment_since_the_cutoff_can_be_restored_as_before_the_purge(
    drawn: list[tuple[int, bool, tuple[str, ...], int]], age: int
) -> None:
    cutoff = NOW - timedelta(days=age)
    records = [
        Record(
            str(days),
            NOW - timedelta(days=days),
            NOW - timedelta(days=days),
            NOW - timedelta(days=days - later),
            whole,
            frozenset(covers),
        )
        for days, whole, covers, later in drawn
    ]
    left = kept(records, Retention(cutoff=cutoff, settled=NOW))

    for directory in ("/1", "/2"):
        of_one = [record for record in records if directory in record.covers and record.is_complete]
        for moment in [cutoff, NOW, *(record.taken_at for record in of_one if record.taken_at > cutoff)]:
            before = max((one for one in of_one if one.taken_at <= moment), key=lambda one: one.taken_at, default=None)
            assert before is None or before in left


def stored(name: str, age: timedelta) -> Stored:
    return Stored(DIRECTORY + name, 7, NOW - age)


def fate_of(one: Stored, *, named: bool = False, indexed: timedelta | None = timedelta(0)) -> Fate:
    return Proof(NOW, GRACE).fate_of(one, named=named, indexed_at=None if indexed is None else NOW - indexed)


def test_what_an_index_names_is_kept_however_old() -> None:
    one = stored("nb-1-big-Data.db", timedelta(days=900))

    assert fate_of(one, named=True) is Fate.NAMED


def test_what_no_index_names_goes_once_an_index_was_written_a_grace_period_after_it() -> None:
    assert fate_of(stored("nb-1-big-Data.db", timedelta(hours=25))) is Fate.NEEDLESS


def test_what_is_younger_than_the_grace_period_may_be_on_its_way_into_an_index() -> None:
    assert fate_of(stored("nb-1-big-Data.db", timedelta(hours=23))) is Fate.YOUNG


def test_what_came_after_the_last_index_or_shortly_before_it_is_kept() -> None:
    # The host may have been lost between the upload and its index.
    assert fate_of(stored("nb-1-big-Data.db", timedelta(days=9)), indexed=timedelta(days=10)) is Fate.UNINDEXED
    assert fate_of(stored("nb-1-big-Data.db", timedelta(days=9)), indexed=timedelta(days=8.5)) is Fate.UNINDEXED
    assert fate_of(stored("nb-1-big-Data.db", timedelta(days=9)), indexed=None) is Fate.UNINDEXED


def test_what_no_index_speaks_for_goes_by_age_where_that_is_asked_for() -> None:
    old, young = stored("nb-1-big-Data.db", timedelta(days=90)), stored("nb-2-big-Data.db", timedelta(days=80))
    proof = Proof(NOW, GRACE, unindexed_before=NOW - timedelta(days=85))

    assert proof.fate_of(old, named=False, indexed_at=None) is Fate.NEEDLESS
    assert proof.fate_of(young, named=False, indexed_at=None) is Fate.UNINDEXED
    assert proof.fate_of(old, named=True, indexed_at=None) is Fate.NAMED


def test_no_age_that_is_asked_for_takes_what_may_be_on_its_way() -> None:
    one = stored("nb-1-big-Data.db", timedelta(hours=23))

    assert Proof(NOW, GRACE, unindexed_before=NOW).fate_of(one, named=False, indexed_at=None) is Fate.YOUNG


def test_d4_an_index_of_1x_that_does_not_name_its_own_file_says_nothing() -> None:
    key = DIRECTORY + "nb-1-big-Data.db-listdir.json"

    assert not is_trustworthy(Index("/data/ks/t-1", (), format=1), key)
    assert is_trustworthy(Index("/data/ks/t-1", ("nb-1-big-Data.db",), format=1), key)
    assert is_trustworthy(Index("/data/ks/t-1", ()), key)


def test_why_one_is_forgotten_is_said() -> None:
    assert "a later one was current" in why_forgotten(taken(50))
    assert "not complete" in why_forgotten(taken(50, complete=False))


def test_a_folder_marker_of_a_console_is_nobody_s_to_delete() -> None:
    assert fate_of(Stored(DIRECTORY, 0, NOW - timedelta(days=90))) is Fate.FOREIGN
    assert not is_ours("n:/data//x")
    assert not is_ours("n:/data/../x")
    assert is_ours("n:/data/ks/t-1/nb-1-big-Data.db~0123456789abcdef")
