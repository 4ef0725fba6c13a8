"""The store may fail as it likes: the daemon lives, and loses nothing."""

from pathlib import Path

import pytest
from tests.daemon.harness import Bucket, running, write_by_rename
from tests.defects.support import await_restore_point, key_of, restored
from tests.endpoint import S3Server
from tests.faults.proxy import Fate, Reply, Request, proxy

FIRST = {"file-0": b"before"}
FILES = {f"file-{number}": f"content {number}".encode() for number in range(1, 11)}
CUT = Fate.RESET_UNHEARD


@pytest.mark.parametrize("answer", [CUT, Reply(500), Reply(503), Reply(403)], ids=["cut", "500", "503", "403"])
def test_d09_a_store_that_fails_for_a_while_costs_no_file_and_does_not_end_the_daemon(
    answer: Fate | Reply, data: Path, log: Path, moto_endpoint: S3Server, request: pytest.FixtureRequest
) -> None:
    """D9 of tablesnap 1.2.1: one error of the store, and the daemon killed itself with all that was queued."""
    name = f"d09-outage-{request.node.callspec.id}"
    moto_endpoint.make_bucket(name)
    bucket = Bucket.on(moto_endpoint, name)
    with proxy(moto_endpoint) as between, running(Bucket.on(between, name), data, log=log) as daemon:
        for path, body in FIRST.items():
            write_by_rename(data / path, body)
        await_restore_point(daemon, bucket, data, FIRST)
        so_far = len(between.seen)
        between.faults.meddle = lambda _: answer
        for path, body in FILES.items():
            write_by_rename(data / path, body)
        daemon.wait_until(lambda: len(between.seen) >= so_far + 10, "ten requests that failed")
        between.faults.meddle = lambda _: None

        await_restore_point(daemon, bucket, data, FIRST | FILES)


def test_d09_a_store_that_is_away_at_start_costs_no_file(data: Path, log: Path, moto_endpoint: S3Server) -> None:
    """D9 of tablesnap 1.2.1: a store that did not answer at start ended it with a traceback."""
    moto_endpoint.make_bucket("d09-start")
    bucket = Bucket.on(moto_endpoint, "d09-start")
    with proxy(moto_endpoint) as between:
        between.faults.meddle = lambda _: CUT
        with running(Bucket.on(between, "d09-start"), data, log=log) as daemon:
            daemon.wait_until(lambda: between.seen, "a request that failed")
            for path, body in FILES.items():
                write_by_rename(data / path, body)
            between.faults.meddle = lambda _: None

            await_restore_point(daemon, bucket, data, FILES)


def test_d09_a_directory_that_is_unmounted_for_a_while_costs_no_file(data: Path, bucket: Bucket, log: Path) -> None:
    """D9 of tablesnap 1.2.1: one error of the store, and the daemon killed itself with all that was queued."""
    mounted = Path(bucket.url.removeprefix("file://"))
    with running(bucket, data, log=log) as daemon:
        for path, body in FIRST.items():
            write_by_rename(data / path, body)
        await_restore_point(daemon, bucket, data, FIRST)
        mounted.rename(mounted.with_name("away"))
        for path, body in FILES.items():
            write_by_rename(data / path, body)
        daemon.wait_for_log("the store does not answer")
        mounted.with_name("away").rename(mounted)

        await_restore_point(daemon, bucket, data, FIRST | FILES)


def test_d09_with_retries_a_file_that_fails_is_reported_missing_and_the_others_are_stored(
    data: Path, log: Path, moto_endpoint: S3Server
) -> None:
    """D9 of tablesnap 1.2.1: after its --retries the daemon killed itself, and with it went the other files."""
    moto_endpoint.make_bucket("d09-retries")
    bucket = Bucket.on(moto_endpoint, "d09-retries")
    unlucky = data / "file-1"

    def refuse_one(request: Request) -> Reply | None:
        return Reply(403) if request.method == "PUT" and request.name.endswith(key_of(unlucky)) else None

    with (
        proxy(moto_endpoint) as between,
        running(Bucket.on(between, "d09-retries"), "--retries", "1", data, log=log) as daemon,
    ):
        between.faults.meddle = refuse_one
        for path, body in FILES.items():
            write_by_rename(data / path, body)
        daemon.wait_for_log(f"gave up on {unlucky}")

        def recorded() -> bool:
            index = bucket.newest_index(data)
            assert index is not None
            assert index.missing == (unlucky.name,)
            return restored(bucket, index) == {path: body for path, body in FILES.items() if path != unlucky.name}

        daemon.wait_until(recorded, "an index that names the one file as missing")
