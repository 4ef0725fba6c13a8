"""What ``tablelist --at`` says a restore would take."""

import json
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.catalog.stored import Past
from tests.cli.process import ended

NOW = datetime.now(UTC).replace(microsecond=250_000)
DATA = "/var/lib/cassandra/data"
USERS = f"{DATA}/shop/users-{'5a1c395e' * 4}"
ORDERS = f"{DATA}/shop/orders-{'0b1c395e' * 4}"


def ago(**before: float) -> datetime:
    return NOW - timedelta(**before)


def spell(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"


def run(*arguments: str, command: str = "tablelist", columns: int = 80) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return ended(command, *arguments, COLUMNS=str(columns))


def lines_of(done: subprocess.CompletedProcess[str]) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def bucket(tmp_path: Path) -> str:
    return f"file://{tmp_path}/bucket"


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past.in_directory(tmp_path / "bucket")


def test_of_each_table_the_newest_restore_point_not_later_is_shown_and_the_span_of_their_moments(
    past: Past, bucket: str
) -> None:
    past.table(USERS, [1], ago(hours=9))
    past.table(USERS, [1, 2], ago(hours=5))
    past.table(USERS, [1, 2, 3], ago(hours=1))
    past.table(ORDERS, [1], ago(hours=7))

    done = run("--at", "3h ago", bucket)

    assert done.stdout.splitlines() == [
        "node1",
        "    TAKEN (UTC)                 STILL TRUE         FILES       SIZE  STATE",
        "",
        f"{DATA}/shop",
        f"  orders-{'0b1c395e' * 4}",
        f"    {spell(ago(hours=7))}  {ago(hours=7):%Y-%m-%d %H:%M}       5    7.8 KiB  complete",
        f"  users-{'5a1c395e' * 4}",
        f"    {spell(ago(hours=5))}  {ago(hours=5):%Y-%m-%d %H:%M}      10   15.6 KiB  complete",
    ]
    assert done.stderr.splitlines() == [
        f"tablelist: taken between {spell(ago(hours=7))} and {spell(ago(hours=5))} UTC",
        "tablelist: 2 listed, 0 of them without a restore point, or not with the newest of then",
    ]
    assert done.returncode == 0


def test_a_moment_as_tablelist_shows_it_finds_exactly_that_restore_point(past: Past, bucket: str) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.table(USERS, [1, 2], ago(hours=3))
    _, _, newest, oldest = run(bucket, USERS).stdout.splitlines()

    for line, files in ((newest, 10), (oldest, 5)):
        [found] = lines_of(run("--json", "--at", line[: len(spell(NOW))], bucket))

        assert found["taken"]["files"] == files


def test_a_later_one_that_is_not_whole_is_passed_over_and_said(past: Past, bucket: str) -> None:
    past.table(USERS, [1], ago(hours=9))
    past.point({USERS: past.sstable(USERS, 2, ago(hours=5))}, ago(hours=5), missing=["nb-9-big-Data.db"])
    past.table(USERS, [1, 3], ago(hours=1))

    done = run("--at", "3h ago", bucket, columns=200)

    assert spell(ago(hours=9)) in done.stdout
    assert (
        f"! passed over, incomplete: {spell(ago(hours=5))}: nb-9-big-Data.db was there, and was not stored"
        in done.stdout
    )
    assert spell(ago(hours=1)) not in done.stdout
    assert "1 listed, 1 of them without a restore point, or not with the newest of then" in done.stderr
    assert done.returncode == 3


def test_a_restore_point_whose_object_is_gone_is_not_shown_as_what_is_taken(past: Past, bucket: str) -> None:
    past.table(USERS, [1], ago(hours=9))
    past.table(USERS, [2], ago(hours=5))
    past.store.delete([past.keys.plain(f"{USERS}/nb-2-big-Index.db")])

    [found] = lines_of(run("--json", "--at", "3h ago", bucket))

    assert found["taken"]["taken_at"] == f"{ago(hours=9):%Y-%m-%dT%H:%M:%S.%fZ}"
    [passed] = found["passed_over"]
    assert passed["first_faults"][0]["path"] == f"{USERS}/nb-2-big-Index.db"


def test_a_table_that_had_no_restore_point_yet_says_when_its_first_was(past: Past, bucket: str) -> None:
    past.table(USERS, [1], ago(hours=1))
    past.garbage(past.keys.plain(f"{ORDERS}/nb-1-big-Data.db"), b"1", ago(hours=9))

    done = run("--at", "3h ago", bucket, columns=200)

    assert f"! there is none of then or before; the oldest is of {spell(ago(hours=1))}" in done.stdout
    assert "! 1 object, and no index that says what belongs together" in done.stdout
    assert "taken" not in done.stderr
    assert done.returncode == 3


def test_where_none_of_then_or_before_is_whole_it_says_so(past: Past, bucket: str) -> None:
    past.point({USERS: past.sstable(USERS, 2, ago(hours=5))}, ago(hours=5), missing=["nb-9-big-Data.db"])

    done = run("--at", "3h ago", bucket)

    assert "! none of then or before is whole" in done.stdout
    assert done.returncode == 3


def test_it_is_what_tableslurp_takes(past: Past, bucket: str, tmp_path: Path) -> None:
    past.table(USERS, [1], ago(hours=9))
    past.point({USERS: past.sstable(USERS, 2, ago(hours=5))}, ago(hours=5), missing=["nb-9-big-Data.db"])
    past.table(USERS, [1, 3], ago(hours=1))
    past.table(ORDERS, [1], ago(hours=7))
    past.table(ORDERS, [], ago(hours=6))
    past.table(f"{USERS}/snapshots/before", [1], ago(hours=7))

    listed = lines_of(run("--json", "--at", "3h ago", bucket, DATA))
    restored = run(
        "-r", "--dry-run", "--json", "-n", "node1", "--at", "3h ago", bucket, DATA, str(tmp_path), command="tableslurp"
    )

    chosen = json.loads(restored.stdout)["plan"]["restore_points"]
    assert [(one["name"], one["taken"]["taken_at"]) for one in listed] == [
        (one["name"], one["taken_at"]) for one in chosen
    ]
    assert listed[0]["taken"]["state"] == "empty"


@pytest.mark.parametrize(
    "arguments", [("--at", "yesterday"), ("--at", "2126-01-01"), ("--at", "2h ago", "--report", "x.html")]
)
def test_what_cannot_be_meant_is_refused(arguments: tuple[str, ...], bucket: str) -> None:
    done = run(*arguments, bucket)

    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr.startswith("tablelist: ")
