"""The daemon stopped, killed, told to look again, and started before its store: nothing is lost, and no index lies."""

import random
import re
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event

import pytest
from moto.server import ThreadedMotoServer
from tests.daemon.harness import (
    ALL_EVENTS,
    NODE,
    Bucket,
    Daemon,
    running,
    sstable,
    write_by_close,
    write_by_link,
    write_by_rename,
)
from tests.endpoint import S3Server, free_port
from tests.faults.proxy import Request, proxy

from tablesnap import __version__
from tablesnap.checksum import crc64nvme
from tablesnap.rules.index_decoding import decode
from tablesnap.rules.keys import INDEX_ENDING, directory_of, is_index

WRITERS = (write_by_rename, write_by_close, write_by_link)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", ["file_bucket", "moto_bucket"])
def test_killed_at_random_moments_of_a_burst_nothing_is_lost_and_no_index_lies(
    kind: str, seed: int, data: Path, log: Path, request: pytest.FixtureRequest
) -> None:
    bucket: Bucket = request.getfixturevalue(kind)
    chance = random.Random(seed)
    tables = [data / "ks" / name for name in ("t-1", "t-2")]
    for table in tables:
        table.mkdir(parents=True)

    for burst in range(5):
        with running(bucket, "-r", "-a", "-B", *ALL_EVENTS, data, log=log) as daemon:
            before = bucket.keys()
            write_burst(chance, tables[burst % 2], burst)
            if chance.random() < 0.3:
                daemon.wait_until(partial(has_more, bucket, before, ending=INDEX_ENDING), "an index")
            else:
                daemon.wait_until(partial(has_more, bucket, before, number=chance.randrange(1, 30)), "some objects")
            daemon.kill()
        insist_that_no_index_lies(bucket)

    with running(bucket, "-r", "-a", "-B", *ALL_EVENTS, data, log=log) as daemon:
        for table in tables:
            await_complete_index(daemon, bucket, table)
    insist_that_no_index_lies(bucket)


def test_told_to_stop_it_stores_what_is_in_flight_and_records_it(
    moto_endpoint: S3Server, data: Path, log: Path
) -> None:
    name, path = f"stop-{uuid.uuid4().hex[:12]}", data / "file"
    moto_endpoint.make_bucket(name)
    arrived, go_on = Event(), Event()

    def hold(asked: Request) -> None:
        if asked.method == "PUT" and asked.path.endswith("/file"):
            arrived.set()
            go_on.wait()

    with proxy(moto_endpoint, hold) as slow, running(Bucket.on(slow, name), data, log=log) as daemon:
        write_by_rename(path, b"content")
        daemon.wait_until(arrived.is_set, "the upload")
        daemon.send(signal.SIGTERM)
        daemon.wait_for_log("stopping")
        go_on.set()
        assert daemon.wait_for_end() == 0

    assert Bucket.on(moto_endpoint, name).keys() == {f"{NODE}:{path}", f"{NODE}:{path}-listdir.json"}
    assert "nothing is pending" in daemon.log


def test_told_to_look_again_it_finds_what_no_event_announced(file_bucket: Bucket, data: Path, log: Path) -> None:
    with running(file_bucket, data, log=log) as daemon:  # listens for renames alone
        write_by_rename(data / "renamed", b"1")
        await_complete_index(daemon, file_bucket, data)
        write_by_close(data / "closed", b"2")
        write_by_link(data / "linked", b"3")

        daemon.send(signal.SIGHUP)

        await_complete_index(daemon, file_bucket, data)


def test_started_before_its_store_it_stores_everything_once_the_store_is_there(data: Path, log: Path) -> None:
    name, port = f"late-{uuid.uuid4().hex[:12]}", free_port()
    server = S3Server(f"http://127.0.0.1:{port}", access_key="moto-access", secret_key="moto-secret")
    with moto_on(port):
        server.make_bucket(name)  # it stays in the memory of this process
    bucket = Bucket.on(server, name)

    with running(bucket, "-r", "-a", "-B", data, log=log) as daemon:
        table = data / "ks" / "t-1"
        table.mkdir(parents=True)
        for path, body in sstable(table, 1).items():
            write_by_rename(path, body)
        daemon.wait_for_log("does not answer")
        with moto_on(port):
            await_complete_index(daemon, bucket, table)
            daemon.stop()


def test_stopped_before_it_ever_reached_its_store_it_says_what_waits_and_calls_that_no_success(
    data: Path, log: Path
) -> None:
    server = S3Server(f"http://127.0.0.1:{free_port()}", access_key="key", secret_key="secret")
    write_by_close(data / "file", b"content")

    with running(Bucket.on(server, "bucket"), "-B", data, log=log) as daemon:
        daemon.wait_for_log("does not answer")
        daemon.send(signal.SIGTERM)
        assert daemon.wait_for_end() == 3

    last = daemon.log.splitlines()[-1]
    assert " ERROR stopped; waiting to be stored or compared: 1 file (7 B)" in last
    assert "the store has not answered for" in last


def test_a_bucket_that_is_deleted_while_it_runs_is_told_with_the_file_and_stopping_then_is_no_success(
    moto_endpoint: S3Server, data: Path, log: Path
) -> None:
    name = f"gone-{uuid.uuid4().hex[:12]}"
    moto_endpoint.make_bucket(name)
    reason = f"there is no bucket {name} at {moto_endpoint.endpoint_url}; create it, or correct its name"

    with running(Bucket.on(moto_endpoint, name), "-B", data, log=log) as daemon:
        write_by_rename(data / "first", b"content")
        daemon.wait_for_log(f" INFO recorded {data} as of")
        client = moto_endpoint.client()
        for one in client.list_objects_v2(Bucket=name)["Contents"]:
            client.delete_object(Bucket=name, Key=one["Key"])
        client.delete_bucket(Bucket=name)
        write_by_rename(data / "file", b"content")
        daemon.wait_for_log(f" WARNING failed, and will be tried again: {data / 'file'}: {reason}")
        daemon.send(signal.SIGTERM)
        assert daemon.wait_for_end() == 3

    last = daemon.log.splitlines()[-1]
    assert " ERROR stopped; waiting to be stored: 1 file (7 B)" in last
    assert re.search(r"the store has refused for \d+ s; last error: ", last)
    assert f"{data / 'file'}: {reason}" in last


def test_its_first_line_says_what_it_is_and_what_it_backs_up_to_where(
    file_bucket: Bucket, data: Path, log: Path
) -> None:
    with running(file_bucket, data, log=log) as daemon:
        daemon.wait_for_log("watching")

    first = daemon.log.splitlines()[0]
    assert first.endswith(
        f" INFO starting tablesnap {__version__}: node {NODE}, bucket {file_bucket.url}, paths {data}"
    )


@contextmanager
def moto_on(port: int) -> Iterator[None]:
    """Run moto within this process while the block lasts."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    try:
        yield
    finally:
        server.stop()


def has_more(bucket: Bucket, before: set[str], *, number: int = 1, ending: str = "") -> bool:
    return len({key for key in bucket.keys() - before if key.endswith(ending)}) >= number


def write_burst(chance: random.Random, table: Path, burst: int) -> None:
    """Write sstables new and old: some of the latter rewritten in place, some generations used again."""
    for generation in range(burst * 4, burst * 4 + 4):
        for path, body in sstable(table, generation).items():
            chance.choice(WRITERS)(path, body)
    for path in chance.sample(sorted(table.glob("*-Statistics.db")), 2):
        write_by_rename(path, f"rewritten in burst {burst}".encode())
    again = chance.randrange(burst * 4 + 4)
    for path in sorted(table.glob(f"nb-{again}-big-*")):
        path.unlink()
    for path, body in sstable(table, again, salt=f"again in burst {burst}".encode()).items():
        write_by_rename(path, body)


def await_complete_index(daemon: Daemon, bucket: Bucket, directory: Path) -> None:
    """Wait until the newest index of *directory* names exactly what is in it, by content."""
    here = {path.name: crc64nvme(path.read_bytes()) for path in directory.iterdir()}

    def complete() -> bool:
        index = bucket.newest_index(directory)
        assert index is not None
        assert index.missing == ()
        assert {name: file.checksum for name, file in index.files.items()} == here
        return True

    daemon.wait_until(complete, f"an index of {directory} that names what is there")


def insist_that_no_index_lies(bucket: Bucket) -> None:
    """Insist that whatever any index names can be restored from it."""
    bodies = bucket.bodies()
    for key in filter(is_index, bodies):
        for name, file in decode(bodies[key], directory_of(key)).files.items():
            assert file.key in bodies, f"{key} names {name}, which is not stored"
            body = bodies[file.key]
            assert (len(body), crc64nvme(body)) == (file.size, file.checksum), f"{key} is wrong about {name}"
