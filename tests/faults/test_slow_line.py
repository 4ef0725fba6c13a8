"""A line that is slow is no outage, and one that stands still is noticed."""

import logging
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.endpoint import S3Server
from tests.faults.proxy import Fate, Line, Proxy, Request, Stop, Way, proxy

from tablesnap.capture.file import IN_MEMORY
from tablesnap.checksum import crc64nvme
from tablesnap.errors import StoreUnavailable
from tablesnap.store.port import Content
from tablesnap.store.s3 import S3Options, S3Store
from tablesnap.store.s3_limits import Limits, Throughput

KEY, OTHER = "node:/data/nb-1-big-Data.db", "node:/data/nb-2-big-Data.db"
MIB = 1 << 20
DATA = bytes(range(256)) * (11 * MIB // 256)
RATE = 4 * MIB  # bytes a second, of a line that is slow
# Over such a line, a request takes three times as long as it may; one operation of its socket takes far less.
LIMITS = Limits(operation=2.0, start=0.1, rate=3 * RATE, slow_part=5 * MIB)
IN_THREE_PARTS = ["UploadPart"] * 4 + ["CompleteMultipartUpload"]  # one is the label of the upload


@pytest.fixture
def line(moto_endpoint: S3Server) -> Iterator[Proxy]:
    with proxy(moto_endpoint) as between:
        yield between


def slow_up(one: Request) -> Line:
    return Line(up=Way(rate=RATE if one.method == "PUT" else None))


def store_of(server: S3Server, limits: Limits = LIMITS) -> S3Store:
    bucket = f"b-{uuid.uuid4().hex}"
    server.make_bucket(bucket)
    return S3Store(
        bucket,
        S3Options(
            access_key=server.access_key, secret_key=server.secret_key, endpoint_url=server.endpoint_url, limits=limits
        ),
    )


def sent(line: Proxy, key: str) -> list[str]:
    """Return the requests with bytes of the object that arrived whole, and what ended its upload."""
    calls = ("PutObject", "UploadPart", "CompleteMultipartUpload")
    return [one.call for one in line.seen if one.key == key and one.call in calls]


def test_what_ran_out_of_time_is_sent_again_in_parts_and_called_slow_with_the_rate(
    line: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tablesnap")
    store = store_of(line)
    line.faults.line = slow_up

    store.create(KEY, Content.of(DATA))

    assert b"".join(store.read(KEY)) == DATA
    assert sent(line, KEY) == IN_THREE_PARTS
    first, last = caplog.messages
    assert first.startswith("slow: ")
    assert "takes less than 10.8 MiB a second; it is sent again, in parts" in first
    assert last.startswith("slow: ")
    assert last.endswith("MiB a second")


def test_a_file_that_botocore_sends_in_one_request_is_sent_in_parts_too_where_the_line_is_slow(
    line: Proxy, tmp_path: Path
) -> None:
    store = store_of(line)
    line.faults.line = slow_up
    (tmp_path / "f").write_bytes(DATA)

    with (tmp_path / "f").open("rb") as file:
        store.create(KEY, Content(size=len(DATA), checksum=crc64nvme(DATA), descriptor=file.fileno()))

    assert b"".join(store.read(KEY)) == DATA
    assert sent(line, KEY) == IN_THREE_PARTS


def test_what_is_no_larger_than_a_part_is_sent_in_one_request_without_a_limit_for_the_whole(line: Proxy) -> None:
    store = store_of(line)
    # So slow that the kernel does not have all of it when the time is up: it would send on what it has.
    line.faults.line = lambda one: Line(up=Way(rate=MIB if one.method == "PUT" else None))

    store.create(KEY, Content.of(DATA[: 5 * MIB]))

    assert b"".join(store.read(KEY)) == DATA[: 5 * MIB]
    assert sent(line, KEY) == ["PutObject"]


def test_a_line_that_was_slow_gets_only_what_is_small_at_once(line: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    store = store_of(line)
    line.faults.line = slow_up
    store.create(KEY, Content.of(DATA))

    caplog.clear()
    store.create(OTHER, Content.of(DATA))
    store.create("small", Content.of(b"rows"))

    assert sent(line, OTHER) == IN_THREE_PARTS
    assert set(sent(line, "small")) == {"PutObject"}
    assert "sent again" not in caplog.text


def test_an_upload_that_goes_fast_again_lets_the_next_be_sent_at_once() -> None:
    throughput = Throughput(Limits(start=1, rate=1000))

    assert throughput.is_enough_for(10_000)
    throughput.fell_short(10_000)
    assert not throughput.is_enough_for(10_000)
    throughput.measured(10_000, seconds=6)  # eleven were allowed
    assert not throughput.is_enough_for(10_000)
    throughput.measured(10_000, seconds=5)
    assert throughput.is_enough_for(10_000)


def test_an_upload_that_stands_still_is_an_outage(line: Proxy) -> None:
    store = store_of(line, Limits(operation=0.3, start=0.3, rate=100 * RATE, slow_part=5 * MIB))
    line.faults.line = lambda one: Line(up=Way(length=MIB if one.method == "PUT" else None, stop=Stop.STALL))

    with pytest.raises(StoreUnavailable, match="does not answer"):
        store.create(KEY, Content.of(DATA))


def test_a_connection_that_breaks_is_not_called_slow(line: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    store = store_of(line)
    line.faults.meddle = lambda one: Fate.RESET_UNHEARD if one.method == "PUT" else None

    with pytest.raises(StoreUnavailable):
        store.create(KEY, Content.of(DATA))

    assert "slow" not in caplog.text


@pytest.mark.parametrize("call", ["GetObject", "ListObjectsV2", "HeadObject"])
def test_a_request_that_stands_still_is_made_again(line: Proxy, call: str) -> None:
    store = store_of(line, Limits(operation=1.0))
    store.create(KEY, Content.of(DATA))
    line.seen.clear()
    line.faults.meddle = lambda one: (
        Fate.STALLED_UNHEARD if one.call == call and [seen.call for seen in line.seen].count(call) == 1 else None
    )

    assert b"".join(store.read(KEY)) == DATA
    assert [one.key for one in store.list("")] == [KEY]
    assert store.head(KEY).size == len(DATA)

    assert [seen.call for seen in line.seen].count(call) == 2


def test_what_is_read_slowly_is_not_broken_off_as_long_as_it_comes(line: Proxy) -> None:
    store = store_of(line, Limits(operation=2.0, rate=100 * RATE))
    store.create(KEY, Content.of(DATA))
    line.seen.clear()
    line.faults.line = lambda one: Line(down=Way(rate=RATE if one.method == "GET" else None))

    assert b"".join(store.read(KEY)) == DATA

    assert [one.call for one in line.seen] == ["GetObject"]


def test_whatever_goes_at_once_and_stands_still_is_noticed_within_a_minute() -> None:
    limits = Limits()

    assert max(limits.connect, limits.operation, limits.whole(IN_MEMORY)) <= 60
