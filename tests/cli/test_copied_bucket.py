"""A bucket that was copied: its objects have the dates of the copy, in the order of their keys."""

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.catalog.stored import Past
from tests.cli.process import ended

NOW = datetime.now(UTC).replace(microsecond=250_000)
DATA = "/var/lib/cassandra/data"
USERS = f"{DATA}/shop/users-{'5a1c395e' * 4}"


def run(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return ended(command, "-n", "node1", *arguments, COLUMNS="80")


@pytest.fixture
def buckets(tmp_path: Path) -> tuple[str, str]:
    """The original, and its copy: names and moments that come in another order than the keys."""
    past = Past.in_directory(tmp_path / "original")
    for hours, generations in ((9, [9]), (8, [9, 10]), (7, [11]), (6, [3, 11]), (5, [12]), (4, [5, 12]), (3, [100])):
        past.table(USERS, generations, NOW - timedelta(hours=hours))
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "original", copy)
    for number, path in enumerate(sorted(one for one in copy.rglob("*") if one.is_file())):
        moment = (NOW - timedelta(minutes=30)).timestamp() + number
        os.utime(path, (moment, moment))
    return f"file://{tmp_path}/original", f"file://{copy}"


@pytest.mark.parametrize("at", [(), *(("--at", f"{hours}h ago") for hours in (2.9, 4.5, 6.5, 8.5, 9.5))])
def test_a_restore_takes_what_it_takes_from_the_original(
    buckets: tuple[str, str], tmp_path: Path, at: tuple[str, ...]
) -> None:
    plans = []
    for bucket in buckets:
        done = run("tableslurp", "--dry-run", "--json", *at, bucket, USERS, str(tmp_path / "target"))
        plan = json.loads(done.stdout.splitlines()[0])["plan"]
        plans.append((done.returncode, plan["restore_points"], sorted(one["key"] for one in plan["fetch"])))

    original, copy = plans
    assert copy == original


def test_lists_and_checks_say_what_they_say_of_the_original(buckets: tuple[str, str]) -> None:
    at = f"{NOW - timedelta(hours=6.5):%Y-%m-%dT%H:%M:%SZ}"
    for command in (("tablelist", "--json"), ("tablelist", "--json", "--at", at), ("tablecheck",)):
        original, copy = (
            run(command[0], *command[1:], bucket, *([USERS] if len(command) == 2 else [])) for bucket in buckets
        )
        assert (copy.returncode, copy.stdout) == (original.returncode, original.stdout)
        assert original.returncode == 0


def test_it_is_said_that_every_index_was_read(buckets: tuple[str, str], tmp_path: Path) -> None:
    done = run("tableslurp", "--dry-run", buckets[1], USERS, str(tmp_path / "target"))

    assert done.stderr.count("was the bucket copied?") == 1
    assert "WARNING" not in done.stderr


def test_a_purge_keeps_what_it_keeps_of_the_original_and_deletes_later(buckets: tuple[str, str]) -> None:
    done = run("tablechop", "--json", "--dry-run", buckets[1], DATA, "0")

    assert done.returncode == 0
    [planned] = [json.loads(line) for line in done.stdout.splitlines() if '"kept"' in line]
    assert (planned["forgotten"], planned["planned"]["objects"]) == ([], 0)
    assert [one["taken_at"] for one in planned["kept"]] == sorted(
        (one["taken_at"] for one in planned["kept"]), reverse=True
    )


def test_a_restore_from_objects_is_refused(buckets: tuple[str, str], tmp_path: Path) -> None:
    original, copy = (
        run("tableslurp", "--from-objects", "--dry-run", bucket, USERS, str(tmp_path / "target")) for bucket in buckets
    )

    assert original.returncode == 0
    assert copy.returncode == 3
    assert "this bucket is a copy" in copy.stdout
