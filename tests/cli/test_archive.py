"""Restores and checks of a bucket whose files are in an archive class, of which nothing can be read at once."""

import json
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.catalog.stored import Past
from tests.cli.process import ended
from tests.endpoint import S3Server

from tablesnap.store.s3 import S3Options, S3Store

USERS = f"/data/shop/users-{'5a1c395e' * 4}"
FILES = 5  # of an sstable


@dataclass(frozen=True)
class Bucket:
    """A bucket, and the commands that read it."""

    server: S3Server
    name: str

    def past(self, storage_class: str | None) -> Past:
        """Return the past of a node whose daemon was given this class."""
        options = S3Options(
            self.server.access_key,
            self.server.secret_key,
            region="us-east-1",
            endpoint_url=self.server.endpoint_url,
            storage_class=storage_class,
        )
        return Past(S3Store(self.name, options), lambda when, key: None)

    def run(self, command: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        access = ("--endpoint-url", self.server.endpoint_url, "--aws-region", "us-east-1", "-n", "node1")
        keys = {"AWS_ACCESS_KEY_ID": self.server.access_key, "AWS_SECRET_ACCESS_KEY": self.server.secret_key}
        return ended(command, *access, *arguments, **keys)


@pytest.fixture
def bucket(moto_endpoint: S3Server) -> Bucket:
    name = f"b{uuid.uuid4().hex}"
    moto_endpoint.make_bucket(name)
    return Bucket(moto_endpoint, name)


def moment() -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)


def contents(directory: Path) -> set[str]:
    return {one.name for one in directory.rglob("*") if one.is_file()} if directory.exists() else set()


def plan_of(done: subprocess.CompletedProcess[str]) -> Mapping[str, Any]:
    plan: Mapping[str, Any] = json.loads(done.stdout.splitlines()[0])["plan"]
    return plan


def test_a_restore_names_all_that_is_archived_before_it_fetches_anything(bucket: Bucket, tmp_path: Path) -> None:
    then = moment()
    warm = bucket.past(None).sstable(USERS, 1, then)
    past = bucket.past("GLACIER")
    past.point({USERS: {**warm, **past.sstable(USERS, 2, then)}}, then)

    done = bucket.run("tableslurp", bucket.name, USERS, tmp_path / "target")

    assert "archived, and cannot be read now: 5 files" in done.stdout
    for component in ("CompressionInfo.db", "Index.db", "Statistics.db", "TOC.txt", "Data.db"):
        assert f"nb-2-big-{component} (GLACIER)\n" in done.stdout
    assert "nb-1-" not in done.stdout
    assert "5 files must be thawed first" in done.stderr
    assert "--thaw DAYS" in done.stderr
    assert "GLACIER 3 to 5 hours" in done.stderr
    assert contents(tmp_path / "target") == set()
    assert done.returncode == 1


def test_a_restore_thaws_what_is_archived_and_the_same_line_goes_on_later(bucket: Bucket, tmp_path: Path) -> None:
    past = bucket.past("DEEP_ARCHIVE")
    past.table(USERS, [1, 2], moment())

    asked = bucket.run("tableslurp", "--thaw", "7", bucket.name, USERS, tmp_path / "target")
    before = contents(tmp_path / "target")
    again = bucket.run("tableslurp", "--thaw", "7", bucket.name, USERS, tmp_path / "target")

    assert "asked to thaw 10 files, for 7 days" in asked.stderr
    assert "DEEP_ARCHIVE up to 12 hours" in asked.stderr
    assert (asked.returncode, before) == (1, set())
    assert again.returncode == 0, again.stderr
    assert len(contents(tmp_path / "target")) == 2 * FILES


def test_an_index_that_a_lifecycle_rule_archived_is_thawed_before_its_files(bucket: Bucket, tmp_path: Path) -> None:
    [index] = bucket.past("GLACIER").table(USERS, [1], moment())
    client = bucket.server.client()
    copied = {"CopySource": {"Bucket": bucket.name, "Key": index}, "StorageClass": "GLACIER"}
    client.copy_object(Bucket=bucket.name, Key=index, **copied)
    line = ("tableslurp", "--thaw", "7", bucket.name, USERS, tmp_path / "target")

    first = bucket.run(*line)
    second = bucket.run(*line)
    third = bucket.run(*line)

    assert f"  {index} (GLACIER)" in first.stdout
    assert "asked to thaw 1 file, for 7 days" in first.stderr
    assert "asked to thaw 5 files, for 7 days" in second.stderr
    assert (first.returncode, second.returncode, third.returncode) == (1, 1, 0)
    assert len(contents(tmp_path / "target")) == FILES


def test_a_dry_run_asks_the_store_to_thaw_nothing(bucket: Bucket, tmp_path: Path) -> None:
    bucket.past("GLACIER").table(USERS, [1], moment())

    bucket.run("tableslurp", "--dry-run", "--thaw", "7", bucket.name, USERS, tmp_path / "target")
    planned = plan_of(bucket.run("tableslurp", "--dry-run", "--json", bucket.name, USERS, tmp_path / "target"))

    assert len(planned["frozen"]) == FILES
    assert {(one["storage_class"], one["is_thawing"]) for one in planned["frozen"]} == {("GLACIER", False)}


def test_what_is_there_already_need_not_be_thawed(bucket: Bucket, tmp_path: Path) -> None:
    then = moment()
    past = bucket.past("GLACIER")
    past.table(USERS, [1], then)
    target = tmp_path / "target"
    target.mkdir()
    past_in_memory = Past.in_memory()
    for name, file in past_in_memory.sstable(USERS, 1, then).items():
        (target / name).write_bytes(b"".join(past_in_memory.store.read(file.key)))

    done = bucket.run("tableslurp", bucket.name, USERS, target)

    assert done.returncode == 0, done.stderr
    assert "archived" not in done.stdout


def test_a_class_that_can_be_read_at_once_is_restored_at_once(bucket: Bucket, tmp_path: Path) -> None:
    bucket.past("GLACIER_IR").table(USERS, [1], moment())

    done = bucket.run("tableslurp", bucket.name, USERS, tmp_path / "target")

    assert done.returncode == 0, done.stderr
    assert len(contents(tmp_path / "target")) == FILES


def test_a_check_counts_what_cannot_be_read_now(bucket: Bucket) -> None:
    bucket.past("GLACIER").table(USERS, [1], moment())

    done = bucket.run("tablecheck", bucket.name)
    asked = json.loads(bucket.run("tablecheck", "--json", bucket.name).stdout.splitlines()[-1])["summary"]

    assert done.stdout.count("archived   ") == FILES
    assert "5 objects archived, and not readable now" in done.stderr
    assert (asked["not_readable_now"], asked["faults"]["archived"]) == (FILES, FILES)
    assert done.returncode == 3


def test_a_check_of_what_is_archived_on_purpose_finds_no_fault_and_counts_it(bucket: Bucket) -> None:
    bucket.past("GLACIER").table(USERS, [1], moment())

    done = bucket.run("tablecheck", "--archive", "--read", bucket.name)

    assert done.returncode == 0, done.stdout
    # moto says no checksum of the whole object, so that the sizes are its word.
    assert "5 objects right (5 by size), 5 objects archived, and not readable now; no fault" in done.stderr
