"""What ``tableslurp`` proposes, typed: it does what it said."""

import re
import shlex
import subprocess
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from tests.catalog.stored import Past
from tests.cli.test_tableslurp import DATA, USERS, ago, contents, expected, run, spelt

PROPOSED = re.compile(
    r"(?<=take it with )-.*?(?=, or the empty one with |;|$)|(?<=or the empty one with )-.*?(?=$)", re.MULTILINE
)


@pytest.fixture
def bucket(tmp_path: Path) -> str:
    return f"file://{tmp_path}/bucket"


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past.in_directory(tmp_path / "bucket")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


def proposed(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
    """Return the words of each proposal, in their order."""
    found = [shlex.split(text.partition(" without ")[0].partition(" (")[0]) for text in PROPOSED.findall(done.stdout)]
    assert found, f"nothing is proposed: {done.stdout}"
    return found


def typed(words: list[str], bucket: str, target: Path) -> Mapping[str, bytes]:
    """Type a proposal, insist that it is done, and return what it restores."""
    done = run(*words, bucket, USERS, target)
    assert done.returncode == 0, done.stdout + done.stderr
    return contents(target)


def test_the_last_one_that_holds_something_and_the_empty_one_are_taken_as_proposed(
    past: Past, bucket: str, target: Path
) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.point({USERS: {}}, ago(hours=1))

    refused = run(bucket, USERS, target, COLUMNS="1000")

    held, empty = proposed(refused)
    assert (held, empty) == (["--at", spelt(ago(hours=5))], ["--at", spelt(ago(hours=1))])
    assert typed(held, bucket, target.with_name("held")) == expected(past, USERS, [1])
    assert typed(empty, bucket, target.with_name("empty")) == {}


def test_of_two_restore_points_of_one_moment_each_is_taken_as_proposed(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.point({USERS: {}}, ago(hours=5), seen_at=ago(hours=4))

    refused = run(bucket, USERS, target, COLUMNS="1000")

    held, empty = proposed(refused)
    assert typed(held, bucket, target.with_name("held")) == expected(past, USERS, [1])
    assert typed(empty, bucket, target.with_name("empty")) == {}
    assert refused.returncode == 3


def test_the_last_one_that_holds_something_is_proposed_only_if_it_is_whole(
    past: Past, bucket: str, target: Path
) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.table(USERS, [1, 2], ago(hours=4))
    past.store.delete([past.keys.plain(f"{USERS}/nb-2-big-Data.db")])
    past.point({USERS: {}}, ago(hours=1))

    held, _ = proposed(run(bucket, USERS, target, COLUMNS="1000"))

    assert typed(held, bucket, target) == expected(past, USERS, [1])


def test_the_only_one_that_holds_something_is_proposed_though_it_is_not_whole(
    past: Past, bucket: str, target: Path
) -> None:
    past.table(USERS, [1, 2], ago(hours=4))
    past.store.delete([past.keys.plain(f"{USERS}/nb-2-big-Data.db")])
    past.point({USERS: {}}, ago(hours=1))

    held, _ = proposed(run(bucket, USERS, target, COLUMNS="1000"))
    done = run(*held, bucket, USERS, target)

    assert contents(target) == expected(past, USERS, [1])
    assert done.returncode == 3, "what is missing is missing"


def test_the_nearest_complete_one_is_taken_as_proposed(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.table(USERS, [1, 2], ago(hours=1))
    past.store.delete([past.keys.plain(f"{USERS}/nb-2-big-Data.db")])

    [words] = proposed(run(bucket, USERS, target, COLUMNS="1000"))

    assert typed(words, bucket, target) == expected(past, USERS, [1])


def test_a_moment_that_is_still_to_come_is_not_proposed(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1], ago(hours=5) + timedelta(days=400))
    past.point({USERS: {}}, ago(hours=1) + timedelta(days=400))

    held, empty = proposed(run(bucket, USERS, target, COLUMNS="1000"))

    assert typed(held, bucket, target.with_name("held")) == expected(past, USERS, [1])
    assert typed(empty, bucket, target.with_name("empty")) == {}


def test_what_does_not_go_with_a_proposal_is_said(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.point({USERS: {}}, ago(hours=5), seen_at=ago(hours=4))

    refused = run("-r", bucket, DATA, target, COLUMNS="1000")

    assert f" without -r (ORIGIN is {USERS} then)" in refused.stdout
    assert typed(proposed(refused)[0], bucket, target) == expected(past, USERS, [1])


def test_what_does_not_go_with_taking_objects_is_said(past: Past, bucket: str, target: Path) -> None:
    past.sstable(USERS, 1, ago(hours=2))

    refused = run("--at", "1h ago", bucket, USERS, target, COLUMNS="1000")

    assert "--from-objects without --at takes them as well" in refused.stdout
    assert typed(["--from-objects"], bucket, target) == expected(past, USERS, [1])


def test_an_empty_one_that_was_asked_for_by_its_moment_is_said_to_be_empty(
    past: Past, bucket: str, target: Path
) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.point({USERS: {}}, ago(hours=1))

    done = run("--at", "0s ago", bucket, USERS, target, COLUMNS="1000")

    assert "! comes EMPTY: it was truncated or dropped" in done.stdout
    assert typed(proposed(done)[0], bucket, target) == expected(past, USERS, [1])
    assert done.returncode == 0


def test_a_table_that_never_held_anything_is_restored_without_a_word(past: Past, bucket: str, target: Path) -> None:
    past.point({USERS: {}}, ago(hours=5))
    past.point({USERS: {}}, ago(hours=1))

    done = run(bucket, USERS, target, COLUMNS="1000")

    assert "EMPTY" not in done.stdout
    assert done.returncode == 0


def test_all_objects_of_an_empty_table_are_none_and_that_is_no_success(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.point({USERS: {}}, ago(hours=1))
    past.store.delete(past.keys.plain(f"{USERS}/{name}") for name in expected(past, USERS, [1]))

    done = run("--from-objects=all", bucket, USERS, target, COLUMNS="1000")

    assert contents(target) == {}
    assert done.returncode == 3
