"""An object is the bytes of one file at one moment, never half of it and never another file's."""

import hashlib
import itertools
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.daemon.harness import Bucket, running, sstable, write_by_close, write_by_rename
from tests.defects.support import await_restore_point, key_of, restored
from tests.endpoint import S3Server
from tests.faults.proxy import Reply, Request, proxy

WHOLE = b"0123456789" * 4 + b"42"
FIRST = b"what was there first"
NAME = "file"


def test_d05_a_file_announced_at_creation_is_stored_whole(data: Path, bucket: Bucket, log: Path) -> None:
    """D5 of tablesnap 1.2.1: with -a a file was uploaded at its creation, before its writer was done."""
    pause = threading.Event()
    with running(bucket, "-a", "--listen-events", "IN_CREATE", data, log=log) as daemon:
        with (data / NAME).open("wb", buffering=0) as writer:
            for start in range(0, len(WHOLE), 4):
                writer.write(WHOLE[start : start + 4])
                pause.wait(0.4)  # the writer is slow: that is what the test is about

        await_restore_point(daemon, bucket, data, {NAME: WHOLE})

    assert bucket.data() == {key_of(data / NAME): WHOLE}


def test_d05_a_file_taken_while_its_writer_stalled_is_stored_again_when_it_is_whole(
    data: Path, bucket: Bucket, log: Path
) -> None:
    """D5 of tablesnap 1.2.1: the store held 7 of 42 bytes, and the whole file was refused for ever."""
    with running(bucket, "-a", "--listen-events", "IN_CREATE", data, log=log) as daemon:
        with (data / NAME).open("wb", buffering=0) as writer:
            writer.write(WHOLE[:7])
            daemon.wait_until(lambda: key_of(data / NAME) in bucket.data(), "the first bytes in the store")
            writer.write(WHOLE[7:])

        await_restore_point(daemon, bucket, data, {NAME: WHOLE})


@pytest.mark.parametrize(
    "second", [b"what came after that", b"longer than what was there first"], ids=["same size", "other size"]
)
@pytest.mark.parametrize("write", [write_by_rename, write_by_close])
def test_d06_other_content_under_a_used_name_is_stored_beside_the_first(
    write: Callable[[Path, bytes], None], second: bytes, data: Path, bucket: Bucket, log: Path
) -> None:
    """D6 of tablesnap 1.2.1: a name used again was refused, or silently taken as stored already."""
    with running(bucket, data, log=log) as daemon:
        write_by_rename(data / NAME, FIRST)
        before = await_restore_point(daemon, bucket, data, {NAME: FIRST})
        write(data / NAME, second)
        after = await_restore_point(daemon, bucket, data, {NAME: second})

    assert restored(bucket, before) == {NAME: FIRST}
    assert before.files[NAME].key == key_of(data / NAME)
    assert sorted(bucket.data().values()) == sorted([FIRST, second])
    # Never other bytes under a plain name, also for whoever restores by names alone.
    assert after.names == (after.files[NAME].key.rpartition("/")[2],)


def test_d06_content_of_the_same_size_and_time_is_told_apart(data: Path, bucket: Bucket, log: Path) -> None:
    """D6 of tablesnap 1.2.1: the same size was taken for the same file."""
    other = data.with_name("other")
    with running(bucket, data, log=log) as daemon:
        write_by_rename(data / NAME, FIRST)
        await_restore_point(daemon, bucket, data, {NAME: FIRST})
        status = (data / NAME).stat()
        other.write_bytes(FIRST.upper())
        os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
        other.rename(data / NAME)

        await_restore_point(daemon, bucket, data, {NAME: FIRST.upper()})

    assert bucket.data()[key_of(data / NAME)] == FIRST


def test_d06_a_rewritten_component_is_stored_and_both_restore_points_restore(
    data: Path, bucket: Bucket, log: Path
) -> None:
    """D6 of tablesnap 1.2.1: a Statistics.db that Cassandra rewrote stayed as it was first."""
    components = sstable(data, 1)
    statistics = data / "nb-1-big-Statistics.db"
    first = {path.name: body for path, body in components.items()}
    second = {**first, statistics.name: b"Statistics.db with another level"}
    with running(bucket, data, log=log) as daemon:
        for path, body in components.items():
            write_by_rename(path, body)
        before = await_restore_point(daemon, bucket, data, first)
        write_by_rename(statistics, second[statistics.name])
        after = await_restore_point(daemon, bucket, data, second)

    assert restored(bucket, before) == first
    assert bucket.data()[key_of(statistics)] == first[statistics.name]
    assert sorted(after.names) == sorted(first)  # 1.x fetches the older level, of the same sstable


def test_d06_a_rebuilt_node_that_begins_again_at_1_keeps_what_the_old_one_stored(
    data: Path, bucket: Bucket, log: Path
) -> None:
    """D6 of tablesnap 1.2.1: a replaced node of the same name stored nothing until its numbers were new."""
    old, new = sstable(data, 1, b"of the old node"), sstable(data, 1, b"of the new node")
    with running(bucket, data, log=log) as daemon:
        for path, body in old.items():
            write_by_rename(path, body)
        before = await_restore_point(daemon, bucket, data, {path.name: body for path, body in old.items()})
    for path, body in new.items():
        path.write_bytes(body)
    with running(bucket, "-B", data, log=log) as daemon:
        await_restore_point(daemon, bucket, data, {path.name: body for path, body in new.items()})

    assert restored(bucket, before) == {path.name: body for path, body in old.items()}


def test_d14_an_index_that_is_due_while_a_file_is_on_its_way_names_it_as_missing(
    data: Path, log: Path, moto_endpoint: S3Server
) -> None:
    """D14 of tablesnap 1.2.1: the listing was written before the data it names."""
    moto_endpoint.make_bucket("d14-slow")
    bucket = Bucket.on(moto_endpoint, "d14-slow")
    arrived = threading.Event()

    def hold_one(request: Request) -> None:
        if request.method == "PUT" and request.name.endswith("/file-1"):
            arrived.wait(60)

    with proxy(moto_endpoint) as between, running(Bucket.on(between, "d14-slow"), data, log=log) as daemon:
        write_by_rename(data / "file-0", b"zero")
        await_restore_point(daemon, bucket, data, {"file-0": b"zero"})
        between.faults.meddle = hold_one
        write_by_rename(data / "file-1", b"one")
        write_by_rename(data / "file-2", b"two")

        def told() -> bool:
            index = bucket.newest_index(data)
            return index is not None and index.missing == ("file-1",)

        daemon.wait_until(told, "an index that names one as missing")
        assert unrestorable(bucket) == []
        arrived.set()
        files = {"file-0": b"zero", "file-1": b"one", "file-2": b"two"}
        await_restore_point(daemon, bucket, data, files)


@pytest.mark.parametrize("fatal", range(1, 6))
def test_d14_killed_at_any_request_it_leaves_no_index_that_names_what_is_not_stored(
    fatal: int, data: Path, log: Path, moto_endpoint: S3Server
) -> None:
    """D14 of tablesnap 1.2.1: a crash left listings of what never existed, and nobody made that good."""
    bucket = Bucket.on(moto_endpoint, f"d14-{fatal}")
    moto_endpoint.make_bucket(bucket.url.removeprefix("s3://"))
    files = {"file-1": b"one", "file-2": b"two", "file-3": b"three"}
    with proxy(moto_endpoint) as between:
        through = Bucket.on(between, bucket.url.removeprefix("s3://"))
        with running(through, "-r", data, log=log) as daemon:
            between.faults.meddle = kill_at(fatal, daemon.process.pid)
            for name, body in files.items():
                write_by_rename(data / name, body)
            assert daemon.wait_for_end() == -signal.SIGKILL
        assert unrestorable(bucket) == []

        between.faults.meddle = lambda _: None
        with running(through, "-B", "-r", data, log=log) as daemon:
            await_restore_point(daemon, bucket, data, files)
    assert unrestorable(bucket) == []


def kill_at(fatal: int, pid: int) -> Callable[[Request], Reply | None]:
    """Kill the process when the server has had the PUT of this number, before it can hear of that."""
    puts = itertools.count(1)

    def meddle(request: Request) -> Reply | None:
        if request.method != "PUT" or next(puts) < fatal:
            return None
        os.kill(pid, signal.SIGKILL)
        return Reply(500, is_done=True)

    return meddle


def unrestorable(bucket: Bucket) -> list[str]:
    """Return what is named and not stored, by any index that can be seen now."""
    named = {file.key for index in bucket.indexes().values() for file in index.files.values()}
    return sorted(named - bucket.keys())  # asked in this order: what is seen second may only be more


@pytest.mark.parametrize("flags", [(), ("-B",)], ids=["without -B", "with -B"])
def test_d23_content_that_differs_at_start_is_stored_beside_the_good_copy(
    flags: tuple[str, ...], data: Path, bucket: Bucket, log: Path
) -> None:
    """D23 of tablesnap 1.2.1: --md5-on-start said that it skipped a file that differs, and overwrote the good copy."""
    with running(bucket, data, log=log) as daemon:
        write_by_rename(data / NAME, FIRST)
        before = await_restore_point(daemon, bucket, data, {NAME: FIRST})
    rot(data / NAME)
    with running(bucket, "--md5-on-start", *flags, data, log=log) as daemon:
        await_restore_point(daemon, bucket, data, {NAME: FIRST.upper()})

    assert bucket.data()[key_of(data / NAME)] == FIRST
    assert restored(bucket, before) == {NAME: FIRST}


def test_d23_an_object_of_1x_that_differs_is_not_overwritten(data: Path, log: Path, moto_endpoint: S3Server) -> None:
    """D23 of tablesnap 1.2.1: --md5-on-start said that it skipped a file that differs, and overwrote the good copy."""
    bucket = Bucket.on(moto_endpoint, "d23")
    moto_endpoint.make_bucket("d23")
    md5 = hashlib.md5(FIRST, usedforsecurity=False).hexdigest()
    moto_endpoint.client().put_object(Bucket="d23", Key=key_of(data / NAME), Body=FIRST, Metadata={"md5sum": md5})
    (data / NAME).write_bytes(FIRST.upper())
    with running(bucket, "-B", "--md5-on-start", data, log=log) as daemon:
        await_restore_point(daemon, bucket, data, {NAME: FIRST.upper()})

    assert bucket.data()[key_of(data / NAME)] == FIRST


def rot(path: Path) -> None:
    """Change what is in the file, and nothing that one sees without reading it."""
    status = path.stat()
    path.write_bytes(path.read_bytes().upper())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
