"""What --delete-on-backup leaves behind when it is killed, the next start deletes."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.daemon.harness import Bucket, running, write_by_rename
from tests.defects.support import key_of, restored
from tests.endpoint import S3Server
from tests.faults.proxy import Reply, Request, proxy

ARCHIVED, LEFT = "CommitLog-7-1.log", "CommitLog-7-2.log"


def kill_after(wanted: Callable[[Request], bool], pid: int) -> Callable[[Request], Reply | None]:
    """Kill the process when the store has a PUT that is *wanted*, before it can hear of that."""

    def meddle(request: Request) -> Reply | None:
        if request.method != "PUT" or not wanted(request):
            return None
        os.kill(pid, signal.SIGKILL)
        return Reply(500, is_done=True)

    return meddle


@pytest.mark.parametrize("again", [(), ("-B",)], ids=["without -B", "with -B"])
@pytest.mark.parametrize("last", ["file", "index"])
def test_d20_a_file_stored_just_before_a_kill_is_deleted_at_the_next_start(
    last: str, again: tuple[str, ...], data: Path, log: Path, moto_endpoint: S3Server
) -> None:
    """D20 of tablesnap 1.2.1: killed between upload and unlink, it left the file for ever, and the disk filled."""
    name = f"d20-{last}{''.join(again).lower()}"
    moto_endpoint.make_bucket(name)
    bucket = Bucket.on(moto_endpoint, name)
    with proxy(moto_endpoint) as between:
        through = Bucket.on(between, name)
        with running(through, "--delete-on-backup", data, log=log) as daemon:
            write_by_rename(data / ARCHIVED, b"mutations")
            daemon.wait_until(lambda: not (data / ARCHIVED).exists(), "the first segment deleted")
            between.faults.meddle = kill_after(lambda one: one.is_index == (last == "index"), daemon.process.pid)
            write_by_rename(data / LEFT, b"more mutations")
            assert daemon.wait_for_end() == -signal.SIGKILL
        assert (data / LEFT).exists()

        between.faults.meddle = lambda _: None
        with running(through, "--delete-on-backup", *again, data, log=log) as daemon:
            daemon.wait_until(lambda: not (data / LEFT).exists(), "the segment that was left deleted")

    assert bucket.data() == {key_of(data / ARCHIVED): b"mutations", key_of(data / LEFT): b"more mutations"}
    assert any(restored(bucket, one).get(LEFT) == b"more mutations" for one in bucket.indexes().values())


def test_d20_without_indexes_a_file_stored_just_before_a_kill_is_deleted_at_the_next_start(
    data: Path, log: Path, moto_endpoint: S3Server
) -> None:
    """D20 of tablesnap 1.2.1: killed between upload and unlink, it left the file for ever, and the disk filled."""
    moto_endpoint.make_bucket("d20-unindexed")
    flags = ("--delete-on-backup", "--without-index")
    with proxy(moto_endpoint) as between:
        through = Bucket.on(between, "d20-unindexed")
        with running(through, *flags, data, log=log) as daemon:
            between.faults.meddle = kill_after(lambda one: one.is_data, daemon.process.pid)
            write_by_rename(data / LEFT, b"more mutations")
            assert daemon.wait_for_end() == -signal.SIGKILL
        assert (data / LEFT).exists()

        between.faults.meddle = lambda _: None
        with running(through, *flags, "-B", data, log=log) as daemon:
            daemon.wait_until(lambda: not (data / LEFT).exists(), "the segment that was left deleted")

    assert Bucket.on(moto_endpoint, "d20-unindexed").data() == {key_of(data / LEFT): b"more mutations"}
