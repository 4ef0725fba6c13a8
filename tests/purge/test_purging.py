"""What a purge of one history does when the store or a daemon comes in between."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from tests.catalog.stored import Past
from tests.stores import Around, Failing

from tablesnap.catalog.summary import timelines_below
from tablesnap.catalog.timeline import Timeline
from tablesnap.errors import StoreRefused, StoreUnavailable
from tablesnap.purge.freshening import find_aging, freshen
from tablesnap.purge.planning import Plan, Terms, plan_purge
from tablesnap.purge.purging import BATCH, purge
from tablesnap.purge.tidying import give_up, stale_uploads
from tablesnap.rules.keys import is_index
from tablesnap.rules.purging import Retention
from tablesnap.store.port import Listed, Store
from tablesnap.store.upkeep import Expiry, NoUpkeep, Unfinished

NOW = datetime(2026, 11, 22, 20, 25, 17, tzinfo=UTC)
GRACE = timedelta(hours=24)
TABLE = f"/data/ks/t-{'1' * 32}"
OTHER_DISK = TABLE.replace("/data", "/data2")


def ago(**before: float) -> datetime:
    return NOW - timedelta(**before)


@pytest.fixture
def past() -> Past:
    past = Past.in_memory()
    for days in (90, 60, 2):
        files = {place: past.sstable(place, days, ago(days=days)) for place in (TABLE, OTHER_DISK)}
        past.point(files, ago(days=days))
    return past


def terms_of(past: Past) -> Terms:
    return Terms(past.keys, "/", Retention(cutoff=ago(days=30), settled=NOW - GRACE), NOW, GRACE, readers=16)


def planned(past: Past, store: Store, terms: Terms) -> tuple[Timeline, Plan]:
    [timeline] = timelines_below(store, past.keys, "/")
    return timeline, plan_purge(store, timeline, terms)


def keys(past: Past) -> set[str]:
    return {listed.key for listed in past.store.list("")}


class Deleting(Around):
    """A store that notes which keys were deleted together, and refuses some."""

    def __init__(self, store: Store, *refused: str) -> None:
        super().__init__(store)
        self.batches: list[list[str]] = []
        self._refused = refused

    def delete(self, keys: Iterable[str]) -> None:
        keys = list(keys)
        self.batches.append(keys)
        if any(text in key for text in self._refused for key in keys):
            raise StoreRefused("no")
        super().delete(keys)


def test_an_index_that_names_another_goes_before_it_and_not_together_with_it(past: Past) -> None:
    store, terms = Deleting(past.store), terms_of(past)

    outcome = purge(store, *planned(past, store, terms), terms)

    [pointer], [whole], objects = store.batches
    assert pointer.startswith("node1:/data2/")
    assert whole.startswith("node1:/data/")
    assert is_index(pointer)
    assert is_index(whole)
    assert (outcome.indexes, outcome.objects, len(objects)) == (2, 10, 10)


def test_no_object_is_deleted_while_an_index_that_names_it_could_not_be(past: Past) -> None:
    store, terms = Deleting(past.store, "-listdir.json"), terms_of(past)
    before = keys(past)

    outcome = purge(store, *planned(past, store, terms), terms)

    assert (outcome.failures, outcome.objects) == (["no"], 0)
    assert keys(past) == before


def test_an_index_that_was_written_anew_under_its_old_key_is_left_alone(past: Past) -> None:
    # 1.x does so: it overwrites, and its index of a file that was put back has the same key as ever.
    terms = terms_of(past)
    timeline, plan = planned(past, past.store, terms)
    key = plan.indexes[0].key
    body = b"".join(past.store.read(key))
    past.store.delete([key])
    past.garbage(key, body, NOW)
    there = keys(past)

    outcome = purge(past.store, timeline, plan, terms)

    assert [fault.what for fault in outcome.faults] == ["it was written anew since the plan was made; try again"]
    assert keys(past) == there


def test_what_cannot_be_deleted_stops_no_other_and_is_reported(past: Past) -> None:
    for number in range(2 * BATCH):
        past.garbage(past.keys.plain(f"{TABLE}/nb-7{number:05}-big-Data.db"), b"", ago(days=50))
    store, terms = Deleting(past.store, "nb-700042-"), terms_of(past)
    gone: list[str] = []

    outcome = purge(store, *planned(past, store, terms), terms, gone.extend)

    assert outcome.failures == ["no"]
    assert outcome.objects == BATCH + 10
    assert len(store.batches) == 2 + 3, "no request for each object"
    assert len(gone) == outcome.objects + outcome.indexes
    assert not set(gone) & keys(past)


def test_a_store_that_went_away_is_reported_once(past: Past) -> None:
    terms = terms_of(past)
    store = Failing(past.store, lambda request: StoreUnavailable("away") if request == "delete" else None)

    outcome = purge(store, *planned(past, store, terms), terms)

    assert outcome.failures == ["away"]


def test_where_nothing_is_to_be_deleted_nothing_more_is_asked(past: Past) -> None:
    store, terms = Around(past.store), terms_of(past)
    purge(store, *planned(past, store, terms), terms)
    timeline, plan = planned(past, store, terms)
    asked = len(store.requests)

    purge(store, timeline, plan, terms)

    assert plan.number == 0
    assert len(store.requests) == asked


def test_what_came_into_use_after_the_plan_stays(past: Past) -> None:
    terms = terms_of(past)
    timeline, plan = planned(past, past.store, terms)
    past.table(TABLE, [90], ago(minutes=1))

    outcome = purge(past.store, timeline, plan, terms)

    assert (outcome.spared, outcome.objects) == (5, 5)
    assert past.keys.plain(f"{TABLE}/nb-90-big-Data.db") in keys(past)


class Cut(Around):
    """A store whose listings of a directory end at once after the first few, which are *honest*."""

    def __init__(self, store: Store, *, honest: int) -> None:
        super().__init__(store)
        self._honest = honest

    def level(self, prefix: str) -> "Iterator[Listed | str]":
        self._honest -= 1
        return islice(super().level(prefix), None if self._honest >= 0 else 0)


@pytest.mark.parametrize("honest", [0, 2], ids=["before its indexes are deleted", "before its objects are deleted"])
def test_a_listing_that_lacks_an_index_of_the_first_deletes_no_object(past: Past, honest: int) -> None:
    """As where something in between drops a page: what lacks one index may lack another, which names an object."""
    terms = terms_of(past)
    timeline, plan = planned(past, past.store, terms)
    objects = {key for key in keys(past) if not is_index(key)}

    outcome = purge(Cut(past.store, honest=honest), timeline, plan, terms)

    assert "a second listing lacks it" in outcome.faults[0].what
    assert outcome.objects == 0
    assert outcome.indexes == honest
    assert objects <= keys(past)


def test_an_index_that_came_after_the_plan_and_cannot_be_read_stops_it(past: Past) -> None:
    terms = terms_of(past)
    timeline, plan = planned(past, past.store, terms)
    past.garbage(past.keys.plain(f"{TABLE}/nb-9-big-Data.db-listdir.json"), b"{", ago(minutes=1))

    outcome = purge(past.store, timeline, plan, terms)

    assert "cannot be read" in outcome.faults[0].what
    assert outcome.objects == 0


def test_a_table_that_a_daemon_still_writes_to_is_not_forgotten_as_a_whole(past: Past) -> None:
    terms = replace(terms_of(past), forget_all=True)
    timeline, plan = planned(past, past.store, terms)
    past.table(TABLE, [3], ago(minutes=1))

    outcome = purge(past.store, timeline, plan, terms)

    assert plan.number == 30 + 6
    assert "a daemon still writes there" in outcome.faults[0].what
    assert outcome.objects == 0
    assert past.keys.plain(f"{TABLE}/nb-3-big-Data.db") in keys(past)


def test_indexes_are_read_side_by_side_in_as_many_threads_as_asked_for(past: Past) -> None:
    terms = replace(terms_of(past), readers=1)

    assert planned(past, past.store, terms)[1].number == planned(past, past.store, terms_of(past))[1].number == 12


class Expiring(NoUpkeep):
    """A store that deletes by age; it fails to refresh what has a *stuck* text in its key."""

    def __init__(self, stuck: str = "nothing") -> None:
        self.refreshed: list[str] = []
        self._stuck = stuck

    def refresh(self, key: str) -> None:
        if self._stuck in key:
            raise StoreRefused("stuck")
        self.refreshed.append(key)


def test_what_the_newest_restore_point_names_is_made_young_past_half_of_its_time(past: Past) -> None:
    past.point({place: past.sstable(place, 60, ago(days=60)) for place in (TABLE, OTHER_DISK)}, ago(days=1))
    [timeline] = timelines_below(past.store, past.keys, "/")
    upkeep, terms = Expiring(), terms_of(past)
    rules = [Expiry("node1:/data/", timedelta(days=119)), Expiry("node1:/data2/", timedelta(days=121))]

    aging = find_aging(past.store, timeline, terms, rules)
    failures = freshen(upkeep, aging)

    assert len(upkeep.refreshed) == 5
    assert all(key.startswith("node1:/data/ks/t-") and "/nb-60-" in key for key in upkeep.refreshed)
    assert not any(is_index(key) for key in upkeep.refreshed), "its date is what a purge goes by"
    assert (failures, aging.faults) == ([], [])
    assert freshen(Expiring("Data.db"), aging) == ["stuck"]
    assert not find_aging(past.store, timeline, terms, [Expiry("x", timedelta(days=1))]).keys


def test_nothing_is_made_young_of_a_table_with_an_index_that_cannot_be_read(past: Past) -> None:
    past.garbage(past.keys.plain(f"{TABLE}/nb-9-big-Data.db-listdir.json"), b"{", ago(minutes=1))
    [timeline] = timelines_below(past.store, past.keys, "/")

    aging = find_aging(past.store, timeline, terms_of(past), [Expiry("", timedelta(days=1))])

    assert aging.keys == []
    assert "cannot be read" in aging.faults[0].what


class Littered(NoUpkeep):
    """A store with uploads that nobody finished; those named ``stuck`` cannot be given up."""

    def __init__(self, *unfinished: Unfinished) -> None:
        self._unfinished = unfinished
        self.given_up: list[str] = []

    def unfinished(self, prefix: str) -> Iterator[Unfinished]:
        yield from (one for one in self._unfinished if one.key.startswith(prefix))

    def give_up(self, one: Unfinished) -> None:
        if one.upload == "stuck":
            raise StoreRefused("stuck")
        self.given_up.append(one.upload)


def test_unfinished_uploads_of_ours_older_than_the_grace_period_are_given_up(past: Past) -> None:
    upkeep = Littered(
        Unfinished("node1:/data/ks/a", "stuck", ago(hours=30)),
        Unfinished("node1:/data/ks/a", "old", ago(hours=25)),
        Unfinished("node1:/data/ks/b", "young", ago(hours=23)),
        Unfinished("node1:/data/ks//c", "foreign", ago(hours=25)),
        Unfinished("node1:/data/ks2/d", "elsewhere", ago(hours=25)),
        Unfinished("node2:/data/ks/d", "another's", ago(hours=25)),
    )

    failures = give_up(upkeep, stale_uploads(upkeep, replace(terms_of(past), path="/data/ks")))

    assert upkeep.given_up == ["old"]
    assert failures == ["stuck"]
