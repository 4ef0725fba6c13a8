"""Links in the directory that a restore goes to: followed where the operator named them, and nowhere else."""

import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.catalog.stored import Past
from tests.download.bringing import Count

from tablesnap.catalog.summary import timelines_below
from tablesnap.download.folders import Roots
from tablesnap.restore.chosen import Choice, Chosen
from tablesnap.restore.plan import Plan
from tablesnap.restore.planning import make_plan
from tablesnap.restore.removing import remove
from tablesnap.restore.request import Request
from tablesnap.restore.restoring import CannotBegin, Outcome, carry_out

T0 = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
NAME = f"users-{'5a1c395e' * 4}"
ORIGIN = "/data/shop"
TABLE = f"{ORIGIN}/{NAME}"


@pytest.fixture
def past() -> Past:
    past = Past.in_memory()
    past.table(TABLE, [1], T0)
    return past


@pytest.fixture
def target(tmp_path: Path) -> Path:
    target = tmp_path / "target"
    target.mkdir()
    return target


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Return a directory with a file that no restore may touch, and one that has a restored file's name."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"precious")
    (outside / "nb-1-big-TOC.txt").write_bytes(b"another's")
    return outside


def planned(past: Past, request: Request) -> Plan:
    chosen = [
        Choice(timeline, point := next(timeline.backward()), point.files)
        for timeline in timelines_below(past.store, past.keys, ORIGIN)
    ]
    return make_plan(request, Chosen(chosen), past.store, threads=2, stop=threading.Event())


def carried_out(past: Past, plan: Plan) -> Outcome:
    return carry_out(plan, past.store, threads=2, progress=Count(), stop=threading.Event())


def asked(past: Past, target: Path) -> Request:
    return Request(past.keys, ORIGIN, str(target), recursive=True, force=True, exact=True)


def contents(directory: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in directory.iterdir()}


def test_a_link_below_target_is_in_the_way_and_the_flags_that_name_it_are_said(
    past: Past, target: Path, outside: Path
) -> None:
    (target / NAME).symlink_to(outside)
    before = contents(outside)

    plan = planned(past, asked(past, target))

    [obstacle] = plan.obstacles
    assert obstacle == (
        f"{target}/{NAME} is a link to {outside}, and a restore follows none below TARGET; "
        f"if it is meant, say so: --data-dir {TABLE}={target}/{NAME} or --table-dir {NAME}={NAME}"
    )
    with pytest.raises(CannotBegin, match="is a link"):
        carried_out(past, plan)
    assert contents(outside) == before


def test_a_link_above_a_tables_directory_is_in_the_way_too(past: Past, target: Path, outside: Path) -> None:
    (target / "shop").symlink_to(outside)
    request = replace(asked(past, target), origin="/data")

    [obstacle] = planned(past, request).obstacles

    assert obstacle.startswith(f"{target}/shop is a link to {outside}")
    assert obstacle.endswith(f"--data-dir {ORIGIN}={target}/shop")


@pytest.mark.parametrize("how", ["data_dirs", "table_dirs"])
def test_a_tables_directory_that_is_a_link_is_restored_in_place_where_it_is_named(
    past: Past, target: Path, outside: Path, how: str
) -> None:
    (target / NAME).symlink_to(outside)
    named = {"data_dirs": {TABLE: f"{target}/{NAME}"}, "table_dirs": {NAME: NAME}}[how]

    plan = planned(past, replace(asked(past, target), **{how: named}))  # type: ignore[arg-type] # a field by its name
    outcome = carried_out(past, plan)

    assert outcome.is_whole
    assert (target / NAME).is_symlink()
    assert sorted(contents(outside)) == sorted(
        one.key.rpartition("/")[2] for one in past.store.list(f"node1:{TABLE}/") if "listdir" not in one.key
    )


def test_target_itself_may_be_a_link(past: Past, tmp_path: Path, target: Path) -> None:
    (tmp_path / "link").symlink_to(target)

    plan = planned(past, asked(past, tmp_path / "link"))

    assert plan.obstacles == []
    assert carried_out(past, plan).is_whole
    assert len(contents(target / NAME)) == 5


def test_a_link_is_followed_once_and_not_to_where_it_leads_later(
    past: Past, tmp_path: Path, target: Path, outside: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(target)
    before = contents(outside)
    plan = planned(past, asked(past, link))
    link.unlink()
    link.symlink_to(outside)

    assert carried_out(past, plan).is_whole

    assert contents(outside) == before
    assert len(contents(target / NAME)) == 5


def test_a_directory_that_became_a_link_after_the_plan_is_written_to_by_nobody(
    past: Past, target: Path, outside: Path
) -> None:
    (target / NAME).mkdir()
    before = contents(outside)
    plan = planned(past, asked(past, target))
    (target / NAME).rmdir()
    (target / NAME).symlink_to(outside)

    with pytest.raises(CannotBegin, match=f"{NAME} is a link"):
        carried_out(past, plan)

    assert contents(outside) == before


def test_nothing_is_removed_through_a_directory_that_became_a_link(target: Path, outside: Path) -> None:
    (target / NAME).symlink_to(outside)
    before = contents(outside)

    failed = remove([f"{target}/{NAME}/precious"], Roots.followed([str(target)]))

    assert [(path, "is a link" in why) for path, why in failed] == [(f"{target}/{NAME}/precious", True)]
    assert contents(outside) == before
