"""One daemon of a machine for each PATH and name: a second one does not start, and nothing stale keeps one from it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.daemon.harness import Bucket, running, wait_until, write_sstables

from tablesnap.daemon.claim import claimed, name_of
from tablesnap.daemon.settings import Settings
from tablesnap.rules.keys import is_index
from tablesnap.store.address import parse_address
from tablesnap.store.opening import StoreOptions, identity_of

RECURSIVE = ("-r", "-a", "-B")
SECOND = "second.log"


def recorded(bucket: Bucket) -> bool:
    return any(map(is_index, bucket.keys()))


@contextmanager
def first_at_work(bucket: Bucket, data: Path, log: Path, *flags: str) -> Iterator[int]:
    with running(bucket, *RECURSIVE, *flags, data, log=log) as first:
        yield first.process.pid


def test_a_second_daemon_over_the_same_path_names_the_first_and_ends(
    file_bucket: Bucket, data: Path, log: Path
) -> None:
    with first_at_work(file_bucket, data, log) as process:
        second = running(file_bucket, *RECURSIVE, data, log=log.with_name(SECOND), await_watching=False)
        with second as refused:
            assert refused.wait_for_end() == 1
            assert f"process {process} backs up {data} under the same name" in refused.log
            assert "--name or --prefix" in refused.log


def test_of_several_paths_one_that_is_taken_is_enough(
    file_bucket: Bucket, data: Path, log: Path, tmp_path: Path
) -> None:
    (tmp_path / "more").mkdir()
    with first_at_work(file_bucket, data, log):
        paths = (tmp_path / "more", data)
        with running(file_bucket, *RECURSIVE, *paths, log=log.with_name(SECOND), await_watching=False) as refused:
            assert refused.wait_for_end() == 1
            assert f"backs up {data} " in refused.log


@pytest.mark.parametrize(
    "flags",
    [("-p", "other/"), ("--keyname-separator", "/"), ("-n", "other"), ("-i=/snapshots/",), ("-e=-tmp",)],
    ids=" ".join,
)
def test_a_daemon_that_writes_other_restore_points_may_be_beside(
    file_bucket: Bucket, data: Path, log: Path, flags: tuple[str, ...]
) -> None:
    with (
        first_at_work(file_bucket, data, log),
        running(file_bucket, *RECURSIVE, *flags, data, log=log.with_name(SECOND)) as second,
    ):
        assert second.process.poll() is None


def test_another_store_or_path_may_be_beside(file_bucket: Bucket, data: Path, log: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    elsewhere = Bucket.in_directory(tmp_path / "elsewhere")
    with (
        first_at_work(file_bucket, data, log),
        running(elsewhere, *RECURSIVE, data, log=log.with_name(SECOND)),
        running(file_bucket, *RECURSIVE, tmp_path / "more", log=log.with_name("third.log")) as third,
    ):
        assert third.process.poll() is None


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_the_next_daemon_starts_at_once_whatever_ended_the_last(
    file_bucket: Bucket, data: Path, log: Path, end: signal.Signals
) -> None:
    with running(file_bucket, *RECURSIVE, data, log=log) as first:
        first.send(end)
        first.process.wait()
    write_sstables(data, 1)

    with running(file_bucket, *RECURSIVE, data, log=log):
        wait_until(lambda: recorded(file_bucket), "an index")


HOLD = """
import os, socket, sys
os.setuid(int(sys.argv[2]))
held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
held.bind(bytes.fromhex(sys.argv[1]))
held.listen()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_cannot_keep_a_backup_from_starting(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(paths=(str(data),), node="n")
    name = name_of(settings, ["store"], str(data)).hex()
    command = [sys.executable, "-c", HOLD, name, "65534"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with claimed(settings, ["store"]):
            assert f"process {other.pid} of user 65534 says that it backs up {data}" in caplog.text


def test_a_path_that_is_given_twice_is_no_second_daemon(data: Path) -> None:
    with claimed(Settings(paths=(str(data), str(data)), node="n"), ["store"]):
        pass


def test_a_name_that_does_not_say_whose_it_is_refuses_nobody(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(paths=(str(data),), node="n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.bind(name_of(settings, ["store"], str(data)))

        with claimed(settings, ["store"]):
            assert f"could not see whether another tablesnap of this machine backs up {data}" in caplog.text


def test_stores_of_one_name_on_two_servers_are_told_apart() -> None:
    address = parse_address("s3://b")
    options = [StoreOptions(endpoint_url=url) for url in (None, "http://one", "http://two")]

    found = {identity_of(address, one, {}) for one in options}
    found.add(identity_of(address, StoreOptions(), {"AWS_ENDPOINT_URL_S3": "http://three"}))

    assert len(found) == 4
    assert identity_of(address, StoreOptions(), {"AWS_SECRET_ACCESS_KEY": "s"}) in found
