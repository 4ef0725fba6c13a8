"""A restore of several tables: the one moment of system_schema, and what is said of how the tables fit together."""

import json
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.catalog.stored import Past
from tests.cli.process import ended

from tablesnap.units import spell_utc

NOW = datetime.now(UTC).replace(microsecond=0)
DATA = "/var/lib/cassandra/data"
COLUMNS, TABLES, KEYSPACES, TYPES = (
    f"{DATA}/system_schema/{name}-{digit * 32}"
    for name, digit in (("columns", "1"), ("tables", "2"), ("keyspaces", "3"), ("types", "4"))
)
USERS, ORDERS = f"{DATA}/shop/users-{'5' * 32}", f"{DATA}/shop/orders-{'6' * 32}"


def second(number: float) -> datetime:
    """Return a moment of an hour ago: *number* seconds later."""
    return NOW - timedelta(hours=1) + timedelta(seconds=number)


def spelt(number: float) -> str:
    return f"{second(number):%Y-%m-%d %H:%M:%S}.000000"


def known(past: Past, directory: str, generation: int, taken_at: float, until: float) -> None:
    """Have a table hold one sstable, from one second to another."""
    files = past.sstable(directory, generation, second(taken_at))
    past.point({directory: files}, second(taken_at), seen_at=second(until), until=second(until))


def run(*arguments: str | Path, command: str = "tableslurp") -> subprocess.CompletedProcess[str]:
    flags = ["-r"] if command == "tableslurp" else []
    return ended(command, "-n", "node1", *flags, *arguments, COLUMNS="1000")


def plan_of(*arguments: str | Path) -> Mapping[str, Any]:
    done = run("--json", "--dry-run", *arguments)
    plan: Mapping[str, Any] = json.loads(done.stdout.splitlines()[0])["plan"]
    return plan


def taken(plan: Mapping[str, Any]) -> dict[str, str]:
    """Return from which moment each table is restored."""
    return {one["name"].rpartition("/")[2].partition("-")[0]: one["taken_at"] for one in plan["restore_points"]}


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past.in_directory(tmp_path / "bucket")


@pytest.fixture
def bucket(tmp_path: Path) -> str:
    return f"file://{tmp_path}/bucket"


def migrated(past: Past) -> None:
    """Make three changes of the schema. At the second one *tables* was recorded long before *columns*."""
    for generation, moment in ((1, 0), (2, 100), (3, 200)):
        known(past, COLUMNS, generation, moment, moment + 10 if generation != 2 else moment + 1)
        known(past, KEYSPACES, generation, moment + 2, moment + 10)
    known(past, TABLES, 1, 1, 10)
    known(past, TABLES, 2, 111, 120)
    known(past, TABLES, 3, 201, 210)


def test_the_tables_of_the_schema_are_restored_as_of_the_greatest_moment_at_which_all_are_known(
    past: Past, bucket: str, tmp_path: Path
) -> None:
    migrated(past)

    newest = plan_of(bucket, DATA, tmp_path / "target")
    between = plan_of("--at", spell_utc(second(130)), bucket, DATA, tmp_path / "target")

    assert taken(newest) == {
        "columns": spell_utc(second(200)),
        "tables": spell_utc(second(201)),
        "keyspaces": spell_utc(second(202)),
    }
    assert newest["system_schema"]["as_of"] == spell_utc(second(210))
    assert newest["system_schema"]["passed_over"] == []
    assert taken(between) == {
        "columns": spell_utc(second(0)),
        "tables": spell_utc(second(1)),
        "keyspaces": spell_utc(second(2)),
    }
    assert between["system_schema"]["as_of"] == spell_utc(second(10))
    assert [name.partition("-")[0] for name in between["system_schema"]["passed_over"]] == [
        "system_schema/columns",
        "system_schema/keyspaces",
        "system_schema/tables",
    ]


def test_the_plan_says_of_when_the_schema_is_and_which_tables_it_may_not_have(
    past: Past, bucket: str, tmp_path: Path
) -> None:
    migrated(past)
    known(past, USERS, 1, 3, 4)
    known(past, USERS, 2, 90, 95)
    known(past, ORDERS, 1, 112, 115)

    done = run("--at", spell_utc(second(130)), bucket, DATA, tmp_path / "target")

    assert f"system_schema is as of {spelt(10)} UTC: all of its tables are known then" in done.stdout
    assert f"! the schema of {spell_utc(second(10))} may not have shop/orders-{'6' * 32}: its oldest" in done.stdout
    assert "before the newest restore points of system_schema/columns-" in done.stdout
    assert "may not have shop/users" not in done.stdout
    assert done.returncode == 0


def test_tables_of_the_schema_that_share_no_moment_are_refused_unless_that_is_allowed(
    past: Past, bucket: str, tmp_path: Path
) -> None:
    past.table(COLUMNS, [1], second(0))
    past.table(KEYSPACES, [1], second(10))
    past.table(TABLES, [1], second(10))

    refused = run(bucket, DATA, tmp_path / "target")
    allowed = run("--allow-mixed-schema", bucket, DATA, tmp_path / "other")

    disagrees = f"system_schema/columns-{'1' * 32} is known until {spell_utc(second(0))}, 10 s before the newest"
    assert f"in the way: the tables of system_schema are of different moments: {disagrees}. " in refused.stdout
    assert "--allow-mixed-schema" in refused.stdout
    assert refused.returncode == 1
    assert not (tmp_path / "target").exists()
    assert f"! the tables of system_schema are of different moments: {disagrees}. " in allowed.stdout
    assert len(list((tmp_path / "other").rglob("*-Data.db"))) == 3
    assert allowed.returncode == 0


def test_a_table_of_the_schema_without_a_complete_restore_point_is_named(
    past: Past, bucket: str, tmp_path: Path
) -> None:
    known(past, COLUMNS, 1, 0, 10)
    known(past, TABLES, 1, 0, 10)
    past.store.delete([past.keys.plain(f"{TABLES}/nb-1-big-Data.db")])

    plan = plan_of(bucket, DATA, tmp_path / "target")

    assert plan["system_schema"]["unknown"] == [f"system_schema/tables-{'2' * 32}"]
    assert f"system_schema/tables-{'2' * 32} has no complete restore point" in plan["obstacles"][0]


def test_a_table_of_the_schema_that_was_empty_then_does_not_disagree(past: Past, bucket: str, tmp_path: Path) -> None:
    migrated(past)
    known(past, TYPES, 1, 205, 210)

    plan = plan_of("--at", spell_utc(second(50)), bucket, DATA, tmp_path / "target")

    assert plan["system_schema"]["as_of"] == spell_utc(second(10))
    assert [one["name"] for one in plan["left_out"]] == [f"system_schema/types-{'4' * 32}"]


def test_just_before_a_table_of_the_schema_was_found_nobody_knows_whether_it_was_empty(
    past: Past, bucket: str, tmp_path: Path
) -> None:
    migrated(past)
    known(past, TYPES, 1, 209, 210)

    assert plan_of(bucket, DATA, tmp_path / "target")["system_schema"]["as_of"] == spell_utc(second(210))
    plan = plan_of("--at", spell_utc(second(208)), bucket, DATA, tmp_path / "target")
    assert plan["system_schema"]["as_of"] == spell_utc(second(10))


def test_one_table_of_the_schema_is_restored_by_itself_as_any_other(past: Past, bucket: str, tmp_path: Path) -> None:
    migrated(past)

    plan = plan_of("--at", spell_utc(second(130)), bucket, COLUMNS, tmp_path / "target")

    assert taken(plan) == {"columns": spell_utc(second(100))}
    assert plan["system_schema"] is None


def test_with_objects_alone_the_plan_warns_that_the_schema_may_be_mixed(
    past: Past, bucket: str, tmp_path: Path
) -> None:
    migrated(past)

    plan = plan_of("--from-objects", bucket, DATA, tmp_path / "target")

    assert "the tables of system_schema may be of different moments" in plan["warnings"][0]


def test_the_plan_says_how_far_apart_tables_are_and_when_all_of_them_are_known(
    past: Past, bucket: str, tmp_path: Path
) -> None:
    known(past, USERS, 1, 0, 60)
    known(past, ORDERS, 1, 50, 70)
    known(past, ORDERS, 2, 75, 80)

    apart = run(bucket, DATA, tmp_path / "target")
    together = run("--dry-run", "--at", spell_utc(second(60)), bucket, DATA, tmp_path / "target")

    users, orders = f"shop/users-{'5' * 32}", f"shop/orders-{'6' * 32}"
    assert (
        f"tables are up to 15 s apart: {users} is known until {spelt(60)} UTC, and {orders} is as of {spelt(75)} UTC; "
        f"all are known at {spelt(60)} UTC, which --at takes"
    ) in apart.stdout
    assert f"unchanged from {spelt(0)} until {spelt(60)} UTC: 5 files" in apart.stdout
    assert f"all tables are known at {spelt(60)} UTC" in together.stdout
    assert f"unchanged from {spelt(50)} until {spelt(70)} UTC: 5 files" in together.stdout


def test_where_no_moment_is_found_at_which_all_tables_are_known_the_plan_says_so(
    past: Past, bucket: str, tmp_path: Path
) -> None:
    past.table(USERS, [1], second(0))
    past.table(ORDERS, [1], second(75))

    done = run("--dry-run", bucket, DATA, tmp_path / "target")

    assert "no earlier moment was found at which all are known" in done.stdout
    assert f"as of {spelt(75)} UTC: 5 files" in done.stdout


def test_tablelist_shows_of_the_schema_what_a_restore_takes(past: Past, bucket: str) -> None:
    migrated(past)
    known(past, USERS, 1, 110, 115)
    at = spell_utc(second(130))

    listed = run("--json", "--at", at, bucket, DATA, command="tablelist")
    shown = run("--at", at, bucket, DATA, command="tablelist")

    lines = {
        line["name"].rpartition("/")[2].partition("-")[0]: line for line in map(json.loads, listed.stdout.splitlines())
    }
    assert {name: (line["as_of"], line["taken"]["taken_at"]) for name, line in lines.items()} == {
        "columns": (moment(10), moment(0)),
        "tables": (moment(10), moment(1)),
        "keyspaces": (moment(10), moment(2)),
        "users": (moment(130), moment(110)),
    }
    assert f"system_schema is as of {spelt(10)} UTC: all of its tables are known then" in shown.stderr


def test_tablelist_says_where_the_schema_is_of_no_one_moment(past: Past, bucket: str) -> None:
    past.table(COLUMNS, [1], second(0))
    past.table(TABLES, [1], second(10))

    done = run("--at", "0s ago", bucket, DATA, command="tablelist")

    assert "at no moment all tables of system_schema are known" in done.stderr


def moment(number: float) -> str:
    return f"{second(number):%Y-%m-%dT%H:%M:%S}.000000Z"
