"""What the daemon costs its host and its store."""

import re
from pathlib import Path
from time import monotonic

import pytest
from tests.daemon.harness import Bucket, Daemon, running, write_by_close, write_by_rename, write_sstables
from tests.defects.support import await_restore_point, key_of
from tests.endpoint import S3Server
from tests.faults.proxy import Reply, Request, proxy

from tablesnap.upload.one import MOST_KEYS

MIB = 1 << 20
SIZE = 160 * MIB
BOUND = 64 * MIB  # well below the file, and below one part of the large ones
SMALL_PARTS = ("--max-upload-size", "6", "--multipart-chunk-size", "5")
LARGE_PARTS = ("--max-upload-size", "6", "--multipart-chunk-size", "100")
IN_ONE_REQUEST: tuple[str, ...] = ()


@pytest.mark.parametrize("name", ["la-1-big-Data.db", "CommitLog-7-1.log"], ids=["sstable", "other"])
@pytest.mark.parametrize(
    ("flags", "parts"),
    [(SMALL_PARTS, 32), (LARGE_PARTS, 2), (IN_ONE_REQUEST, 0)],
    ids=["small parts", "large parts", "one request"],
)
def test_o04_memory_grows_neither_with_the_file_nor_with_its_parts(
    flags: tuple[str, ...],
    parts: int,
    name: str,
    data: Path,
    log: Path,
    moto_endpoint: S3Server,
) -> None:
    """O4 of tablesnap 1.2.1: each thread held a whole part, twice; where memory was short, S3 refused the parts."""
    bucket = f"o04-{parts}-{name[:2].lower()}"
    moto_endpoint.make_bucket(bucket)
    with running(Bucket.on(moto_endpoint, bucket), *flags, data, log=log, forked=False) as daemon:
        before = private_memory(daemon)
        finished = data.with_name(name)
        with finished.open("wb") as file:
            file.truncate(SIZE)
        finished.rename(data / name)
        peak = before

        def stored() -> bool:
            nonlocal peak
            peak = max(peak, private_memory(daemon))
            return "recorded" in daemon.log

        daemon.wait_until(stored, "the file stored")

    etag = moto_endpoint.client().head_object(Bucket=bucket, Key=key_of(data / name))["ETag"].strip('"')
    assert etag.partition("-")[2] == (str(parts) if parts else "")
    assert peak - before < BOUND


def private_memory(daemon: Daemon) -> int:
    """Return the bytes that the daemon holds of its own."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return 1024 * int(re.findall(r"RssAnon:\s+(\d+) kB", status)[0])


def test_o06_a_restart_asks_nothing_about_files_that_the_newest_index_names(
    data: Path, log: Path, moto_endpoint: S3Server
) -> None:
    """O6 of tablesnap 1.2.1: with -B each restart sent a HEAD for every file there is."""
    moto_endpoint.make_bucket("o06-restart")
    bucket = Bucket.on(moto_endpoint, "o06-restart")
    files = write_sstables(data, *range(1, 9), write=write_by_close)
    with running(bucket, "-B", data, log=log) as daemon:
        await_restore_point(daemon, bucket, data, files)
    with (
        proxy(moto_endpoint) as between,
        running(Bucket.on(between, "o06-restart"), "-B", "--index-interval", "0", data, log=log) as daemon,
    ):
        daemon.wait_for_log(f"stored already: {len(files)}")
        new = write_sstables(data, 9)
        await_restore_point(daemon, bucket, data, files | new)

        asked_about = {one.key.rpartition("/")[2] for one in between.seen if one.is_data and not one.query}
    assert asked_about == new.keys()


def test_o06_two_events_of_one_file_upload_it_once_and_ask_nothing(
    data: Path, log: Path, moto_endpoint: S3Server
) -> None:
    """O6 of tablesnap 1.2.1: IN_MOVED_TO and IN_CLOSE_WRITE of one file sent a HEAD each."""
    moto_endpoint.make_bucket("o06-events")
    bucket = Bucket.on(moto_endpoint, "o06-events")
    both = ("--listen-events", "IN_MOVED_TO", "--listen-events", "IN_CLOSE_WRITE")
    files = {f"file-{number}": f"content {number}".encode() for number in range(1, 21)}
    with (
        proxy(moto_endpoint) as between,
        running(Bucket.on(between, "o06-events"), *both, data, log=log) as daemon,
    ):
        write_by_rename(data / "first", b"before we count")
        await_restore_point(daemon, bucket, data, {"first": b"before we count"})
        between.seen.clear()
        for name, body in files.items():
            write_by_rename(data / name, body)
            (data / name).open("ab").close()
        files["first"] = b"before we count"
        await_restore_point(daemon, bucket, data, files)
        for name in files:
            (data / name).open("ab").close()
        write_by_rename(data / "last", b"by now the others were heeded")
        await_restore_point(daemon, bucket, data, files | {"last": b"by now the others were heeded"})

        about_data = sorted((one.method, one.key.rpartition("/")[2]) for one in between.seen if one.is_data)
    assert about_data == sorted(("PUT", name) for name in (files.keys() - {"first"}) | {"last"})


WINDOW = 10  # seconds
TRIES = 6  # in that time at most: the pauses are 0.25, 0.5, 1, 2 and 4 s or longer
REFUSALS = {
    "taken": Reply(412, "PreconditionFailed"),  # and a HEAD finds nothing there
    "denied": Reply(403, "AccessDenied"),
    "unwanted": Reply(400, "InvalidArgument"),
    "misled": Reply(200, text=b"<html>maintenance</html>"),
}


@pytest.mark.parametrize("refused", [{"taken", "denied", "unwanted"}, {"misled"}], ids=["refusals", "an outage"])
def test_what_the_store_never_takes_costs_a_few_requests_a_minute(
    data: Path, log: Path, moto_endpoint: S3Server, refused: set[str]
) -> None:
    moto_endpoint.make_bucket(f"cost-{'-'.join(sorted(refused))}")
    moments: list[tuple[float, str]] = []

    def refuse(request: Request) -> Reply | None:
        name = request.key.rpartition("/")[2].partition("~")[0].removesuffix("-listdir.json")
        if name not in refused:
            return None
        moments.append((monotonic(), name))
        return REFUSALS[name] if request.method == "PUT" else None

    with (
        proxy(moto_endpoint, refuse) as between,
        running(Bucket.on(between, f"cost-{'-'.join(sorted(refused))}"), data, log=log) as daemon,
    ):
        for name in refused:
            write_by_rename(data / name, b"rows")
        daemon.wait_until(lambda: bool(moments) and monotonic() > moments[0][0] + WINDOW, "the time that we count in")
        daemon.kill()  # stopped in good order it says by its exit code what is not stored

    counted = [name for moment, name in moments if moment <= moments[0][0] + WINDOW]
    for name in refused:
        # Nothing is stored yet, so that the daemon asks before each create, and after one that says "taken".
        assert 1 <= counted.count(name) <= TRIES * (3 * MOST_KEYS if name == "taken" else 2), name
