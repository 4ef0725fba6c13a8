"""What a purge may take, and what it must leave."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablesnap.rules.index import Index
from tablesnap.rules.order import as_of
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


def record(
    key: str,
    taken_at: datetime,
    seen_at: datetime,
    *,
    complete: bool = True,
    covers: Sequence[str] = ("/data/ks/t-1",),
    serial: int | None = None,
) -> Record:
    """A restore point that was stored when it was recorded."""
    return Record(
        key=key,
        taken_at=taken_at,
        stored_at=seen_at,
        seen_at=seen_at,
        last_true=max(taken_at, seen_at),
        is_complete=complete,
        covers=frozenset(covers),
        serial=serial,
    )


def taken(days_ago: float, *, complete: bool = True, covers: Sequence[str] = ("/data/ks/t-1",)) -> Record:
    moment = NOW - timedelta(days=days_ago)
    key = f"{DIRECTORY}nb-{days_ago}-big-Data.db-listdir.json"
    return record(key, moment, moment, complete=complete, covers=covers)


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
    seen = record("n:/seen", old.taken_at, NOW - timedelta(days=2))

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


def test_before_a_secondary_index_was_dropped_the_restore_point_with_its_files_is_the_current_one() -> None:
    flushed, cutoff = NOW - timedelta(days=40), NOW - timedelta(days=30)
    with_index = record("n:/1", flushed, flushed + timedelta(seconds=5))
    without = record("n:/2", flushed, NOW - timedelta(days=31))
    later = record("n:/3", flushed, NOW - timedelta(days=29))

    dropped_before = kept([with_index, without, later], Retention(cutoff=cutoff, settled=NOW))
    dropped_since = kept([with_index, later], Retention(cutoff=cutoff, settled=NOW))

    assert (dropped_before, dropped_since) == ([without, later], [with_index, later])


DISKS = st.sampled_from([("/1",), ("/2",), ("/1", "/2")])


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30), st.booleans(), DISKS), min_size=1, max_size=15),
    st.integers(-1, 100),
    st.booleans(),
)
def test_any_moment_since_the_cutoff_can_be_restored_as_before_the_purge(
    drawn: list[tuple[int, int, bool, tuple[str, ...]]], age: int, numbered: bool
) -> None:
    """Whatever the order of moments: each is recorded some days after the one before, and was taken some days ago."""
    cutoff = NOW - timedelta(days=age)
    records: list[Record] = []
    seen_at, taken_at = NOW - timedelta(days=90), NOW - timedelta(days=120)
    for number, (pause, ago, whole, covers) in enumerate(drawn):
        seen_at += timedelta(days=pause, seconds=1)
        taken_at = max(taken_at, seen_at - timedelta(days=ago))
        serial = number if numbered else None
        records.append(record(str(number), taken_at, seen_at, complete=whole, covers=covers, serial=serial))

    left = kept(records, Retention(cutoff=cutoff, settled=NOW + timedelta(days=99)))

    for directory in ("/1", "/2"):
        before = [[one] for one in records if directory in one.covers and one.is_complete]
        after = [[one] for one in left if directory in one.covers and one.is_complete]
        for moment in {cutoff, NOW, *(at for one in records for at in (one.taken_at, one.seen_at) if at > cutoff)}:
            assert next(as_of(before, moment), None) == next(as_of(after, moment), None)


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
    assert why_forgotten(taken(50)) == "older than the age, and a later one was current at the cutoff"
    assert why_forgotten(taken(50, complete=False)) == "older than the age, and not complete"


def test_every_reason_for_which_one_is_kept_is_said() -> None:
    older, current, recent, whole, newest = taken(60), taken(31), taken(29), taken(2), taken(0.5, complete=False)

    reasons = plan_forgetting([older, current, recent, whole, newest], replace(MONTH, last=2, daily=1))

    assert [reasons[one.key] for one in (older, current, recent, whole, newest)] == [
        [],
        ["current at the cutoff"],
        ["within the age", "among the last 2"],
        ["the newest complete one", "within the age", "among the last 2", "daily"],
        ["the newest", "younger than the grace period", "within the age"],
    ]


def test_the_last_one_before_those_within_the_age_is_kept_though_one_of_these_was_of_the_cutoff() -> None:
    # Whose clock is right, nobody knows: by their order it was current until the next was recorded.
    cutoff = MONTH.cutoff
    before = record("n:/1", cutoff - timedelta(days=10), cutoff - timedelta(days=10))
    late = record("n:/2", cutoff - timedelta(days=5), cutoff + timedelta(days=20))
    newest = record("n:/3", NOW, NOW)

    assert plan_forgetting([before, late, newest], MONTH)["n:/1"] == ["current at the cutoff"]


def test_what_is_of_the_very_moment_is_within_the_age_and_not_within_the_grace_period() -> None:
    at_cutoff, newest = taken(30), taken(1)

    reasons = plan_forgetting([taken(31), at_cutoff, newest], MONTH)

    assert reasons[at_cutoff.key] == ["within the age", "current at the cutoff"]
    assert reasons[newest.key] == ["the newest", "the newest complete one", "within the age"]


def test_days_are_those_of_utc_wherever_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    midnight = NOW.replace(hour=0, minute=0, second=0)
    before, after, newest = (midnight + timedelta(hours=hours) for hours in (-2, 2, 4))
    records = [record(f"n:/{moment.hour}", moment, moment) for moment in (before, after, newest)]
    monkeypatch.setenv("TZ", "EAST-12")  # where all three are of one day
    time.tzset()

    try:
        reasons = plan_forgetting(records, Retention(cutoff=NOW, settled=NOW, daily=2))
    finally:
        monkeypatch.undo()
        time.tzset()

    assert ["daily" in reasons[one.key] for one in records] == [True, False, True]


def test_a_grace_period_is_over_at_its_last_moment() -> None:
    assert fate_of(stored("nb-1-big-Data.db", GRACE)) is Fate.NEEDLESS
    assert fate_of(stored("nb-1-big-Data.db", 2 * GRACE), indexed=GRACE) is Fate.NEEDLESS


def test_an_object_of_the_very_age_that_is_asked_for_is_kept() -> None:
    one = stored("nb-1-big-Data.db", timedelta(days=85))
    proof = Proof(NOW, GRACE, unindexed_before=NOW - timedelta(days=85))

    assert proof.fate_of(one, named=False, indexed_at=None) is Fate.UNINDEXED


def test_a_folder_marker_of_a_console_is_nobody_s_to_delete() -> None:
    assert fate_of(Stored(DIRECTORY, 0, NOW - timedelta(days=90))) is Fate.FOREIGN
    assert not is_ours("n:/data//x")
    assert not is_ours("n:/data/../x")
    assert not is_ours("n:/data/./x")
    assert is_ours("n:/data/ks/t-1/nb-1-big-Data.db~0123456789abcdef")
