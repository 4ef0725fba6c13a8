"""A restore as it is planned and carried out, from a store to a directory."""

import os
import stat
import threading
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.catalog.stored import Past
from tests.download.bringing import Count

from tablesnap.catalog.summary import timelines_below
from tablesnap.restore.choosing import choose
from tablesnap.restore.chosen import Choice, Chosen, Refusal
from tablesnap.restore.plan import Plan
from tablesnap.restore.planning import make_plan
from tablesnap.restore.request import Request
from tablesnap.restore.restoring import CannotBegin, Outcome, carry_out
from tablesnap.rules.index import Owner, StoredFile

T0 = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
USERS = f"/data/shop/users-{'5a1c395e' * 4}"


@pytest.fixture
def past() -> Past:
    return Past.in_memory()


def asked(past: Past, target: Path) -> Request:
    return Request(past.keys, USERS, str(target))


def newest(past: Past) -> Chosen:
    """Choose the newest restore point of the table."""
    [timeline] = timelines_below(past.store, past.keys, USERS)
    point = next(timeline.backward())
    return Chosen([Choice(timeline, point, point.files)])


def planned(past: Past, request: Request, chosen: Chosen | None = None) -> Plan:
    return make_plan(request, chosen or newest(past), past.store, threads=2, stop=threading.Event())


def carried_out(past: Past, plan: Plan) -> Outcome:
    return carry_out(plan, past.store, threads=2, progress=Count(), stop=threading.Event())


def contents(directory: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in directory.iterdir()}


def expected(past: Past, generations: Sequence[int]) -> dict[str, bytes]:
    """Return what the store has of these sstables."""
    found: dict[str, bytes] = {}
    for generation in generations:
        begin = past.keys.plain(f"{USERS}/nb-{generation}-big-")
        for one in past.store.list(begin):
            if not one.key.endswith("-listdir.json"):
                found[one.key.rpartition("/")[2]] = b"".join(past.store.read(one.key))
    return found


def test_a_restore_point_is_brought_whole(past: Past, tmp_path: Path) -> None:
    past.table(USERS, [1, 2], T0)

    plan = planned(past, asked(past, tmp_path / "users"))
    outcome = carried_out(past, plan)

    assert outcome.is_whole
    assert plan.files == 10
    assert contents(tmp_path / "users") == expected(past, [1, 2])


def test_of_each_sstable_the_data_comes_last(past: Past, tmp_path: Path) -> None:
    past.table(USERS, [1, 2], T0)

    plan = planned(past, asked(past, tmp_path / "users"))

    assert len(plan.groups) == 2
    assert all(group[-1].target.endswith("-Data.db") for group in plan.groups)


def test_planning_changes_nothing(past: Past, tmp_path: Path) -> None:
    past.table(USERS, [1], T0)

    planned(past, asked(past, tmp_path / "users"))

    assert list(tmp_path.iterdir()) == []


def test_a_second_run_has_nothing_to_do(past: Past, tmp_path: Path) -> None:
    past.table(USERS, [1, 2], T0)
    carried_out(past, planned(past, asked(past, tmp_path / "users")))

    again = planned(past, asked(past, tmp_path / "users"))

    assert again.is_done
    assert len(again.there) == 10


def test_what_was_there_already_and_is_right_is_not_fetched(past: Past, tmp_path: Path) -> None:
    past.table(USERS, [1], T0)
    carried_out(past, planned(past, asked(past, tmp_path / "users")))
    (tmp_path / "users" / "nb-1-big-Data.db").unlink()

    plan = planned(past, asked(past, tmp_path / "users"))

    assert [fetch.target for group in plan.groups for fetch in group] == [f"{tmp_path}/users/nb-1-big-Data.db"]
    assert carried_out(past, plan).is_whole
    assert contents(tmp_path / "users") == expected(past, [1])


def test_another_file_under_the_same_name_stops_a_restore_before_it_begins(past: Past, tmp_path: Path) -> None:
    past.table(USERS, [1], T0)
    other = tmp_path / "users" / "nb-1-big-Statistics.db"
    other.parent.mkdir()
    other.write_bytes(b"x" * 1000)

    plan = planned(past, asked(past, tmp_path / "users"))

    assert f"{other} is there and has other content; --force replaces it" in plan.obstacles
    with pytest.raises(CannotBegin, match="has other content"):
        carried_out(past, plan)
    assert contents(tmp_path / "users") == {other.name: b"x" * 1000}


def test_force_replaces_it(past: Past, tmp_path: Path) -> None:
    past.table(USERS, [1], T0)
    other = tmp_path / "users" / "nb-1-big-Statistics.db"
    other.parent.mkdir()
    other.write_bytes(b"x" * 1000)

    outcome = carried_out(past, planned(past, replace(asked(past, tmp_path / "users"), force=True)))

    assert outcome.is_whole
    assert contents(tmp_path / "users") == expected(past, [1])


def test_exact_removes_what_the_restore_point_does_not_name(past: Past, tmp_path: Path) -> None:
    past.table(USERS, [1, 2], T0)
    carried_out(past, planned(past, asked(past, tmp_path / "users")))
    past.table(USERS, [2], T0 + timedelta(hours=1))

    outcome = carried_out(past, planned(past, replace(asked(past, tmp_path / "users"), exact=True)))

    assert outcome.is_whole
    assert outcome.removed == 5
    assert contents(tmp_path / "users") == expected(past, [2])


def test_exact_is_refused_where_something_was_left_out(past: Past, tmp_path: Path) -> None:
    past.table(USERS, [1], T0)
    chosen = replace(newest(past), refusals=[Refusal("shop/orders", "it is incomplete")])

    plan = planned(past, replace(asked(past, tmp_path / "users"), exact=True), chosen)

    assert "--exact needs a restore point of every table" in plan.obstacles


def test_an_object_that_is_gone_is_a_failure_that_names_the_file(past: Past, tmp_path: Path) -> None:
    past.table(USERS, [1], T0)
    past.store.delete([past.keys.plain(f"{USERS}/nb-1-big-Index.db")])

    outcome = carried_out(past, planned(past, asked(past, tmp_path / "users")))

    assert not outcome.is_whole
    assert f"{tmp_path}/users/nb-1-big-Index.db" in {failure.fetch.target for failure in outcome.failures}
    assert "nb-1-big-Data.db" not in contents(tmp_path / "users")


def test_other_bytes_than_were_stored_never_get_the_name(past: Past, tmp_path: Path) -> None:
    past.table(USERS, [1], T0)
    key = past.keys.plain(f"{USERS}/nb-1-big-Data.db")
    body = b"".join(past.store.read(key))
    past.store.delete([key])
    past.garbage(key, bytes([body[0] ^ 1]) + body[1:], T0)

    outcome = carried_out(past, planned(past, asked(past, tmp_path / "users")))

    assert not outcome.is_whole
    assert "nb-1-big-Data.db" not in contents(tmp_path / "users")


def test_too_little_room_is_said_before_the_first_byte(past: Past, tmp_path: Path) -> None:
    past.table(USERS, [1], T0)
    chosen = newest(past)
    [choice] = chosen.choices
    huge = tuple(replace(file, size=1 << 60) for file in choice.files)

    plan = planned(past, asked(past, tmp_path / "users"), replace(chosen, choices=[replace(choice, files=huge)]))

    assert any("bytes are needed" in one for one in plan.obstacles)


@pytest.mark.parametrize("set_ids", [False, True])
def test_bits_that_give_away_the_owners_rights_are_named_and_come_only_if_asked_for(
    past: Past, tmp_path: Path, set_ids: bool
) -> None:
    own = Owner(os.geteuid(), os.getegid())
    file = replace(past.file("/srv", "tool", 100, T0), mode=0o104755, owner=own)
    past.point({"/srv": {"tool": file}}, T0)
    [timeline] = timelines_below(past.store, past.keys, "/srv")
    point = next(timeline.backward())
    request = replace(asked(past, tmp_path / "srv"), origin="/srv", preserve=True, set_ids=set_ids)

    plan = planned(past, request, Chosen([Choice(timeline, point, point.files)]))
    carried_out(past, plan)

    assert stat.S_IMODE((tmp_path / "srv" / "tool").stat().st_mode) == (0o4755 if set_ids else 0o755)
    said = "1 file had set-user-ID, set-group-ID or sticky bits; --set-ids restores these"
    assert (said in plan.warnings) == (not set_ids)


def test_a_large_index_of_objects_that_are_not_there_is_refused_in_little_more_memory_than_its_body(
    past: Past, tmp_path: Path
) -> None:
    key = past.keys.plain(USERS) + "/"
    names = [f"nb-{one}-big-Data.db" for one in range(20_000)]
    files = {name: StoredFile(key + name, 1000, 1 << 63, 10**18, 0o100644, Owner(1, 1, "a", "a")) for name in names}
    [index] = past.point({USERS: files}, T0)
    timelines = timelines_below(past.store, past.keys, USERS)

    tracemalloc.start()
    try:
        [refusal] = choose(asked(past, tmp_path), timelines, past.store).refusals
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert len(refusal.faults) == len(names)
    assert (refusal.faults[-1].path, refusal.faults[-1].what) == (f"{USERS}/{names[-1]}", "is not in the store")
    assert [fault.path for fault in refusal.faults[:2]] == [f"{USERS}/{name}" for name in names[:2]]
    assert peak < 4 * past.store.head(index).size
