"""An upload over a slow line goes on where it was broken off, also over a restart; what others began is left alone."""

import logging
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from tests.endpoint import S3Server
from tests.faults.proxy import Answer, Fate, Lie, Proxy, Reply, Request, proxy

from tablesnap.checksum import crc64nvme, to_base64
from tablesnap.errors import AlreadyStored, StoreRefused, StoreUnavailable
from tablesnap.store.port import Content
from tablesnap.store.s3 import S3Options, S3Store
from tablesnap.store.s3_limits import Limits

KEY = "node:/data/nb-1-big-Data.db"
STAT = {"stat": '{"uid": 1000}'}
MIB = 1 << 20
DATA = bytes(range(256)) * (11 * MIB // 256)
LIMITS = Limits(slow_part=5 * MIB)

Meddle = Callable[[Request], Reply | Fate | Lie | None]


@pytest.fixture
def line(moto_endpoint: S3Server) -> Iterator[Proxy]:
    """Stand before a server whose line is too slow for the object at once."""
    with proxy(moto_endpoint) as between:
        between.faults.meddle = too_slow
        yield between


CHECKSUMS: dict[tuple[str, str], str] = {}  # of parts, by upload and number


def too_slow(one: Request) -> Reply | Lie | None:
    """Take no object at once; tell the age of uploads and the checksums of parts, as Amazon does and moto does not."""
    if one.call == "PutObject" and one.key == KEY:
        return Reply(400, "RequestTimeout")
    if one.call == "UploadPart":
        CHECKSUMS[one.query["uploadId"], one.query["partNumber"]] = one.headers["x-amz-checksum-crc64nvme"]
    if one.call == "ListMultipartUploads":
        return Lie(partial(begun_before, timedelta(minutes=1)))
    return Lie(partial(with_checksums, one.query["uploadId"])) if one.call == "ListParts" else None


def begun_before(age: timedelta, answer: Answer) -> Answer:
    began = f"<Initiated>{(datetime.now(UTC) - age).isoformat()}</Initiated>".encode()
    return replace(answer, body=re.sub(rb"<Initiated>[^<]*</Initiated>", began, answer.body))


def with_checksums(upload: str, answer: Answer) -> Answer:
    def checksum(number: re.Match[bytes]) -> bytes:
        told = CHECKSUMS.get((upload, number[1].decode()), "")
        return number[0] + f"<ChecksumCRC64NVME>{told}</ChecksumCRC64NVME>".encode()

    return replace(answer, body=re.sub(rb"<PartNumber>(\d+)</PartNumber>", checksum, answer.body))


def also(meddle: Meddle) -> Meddle:
    return lambda one: meddle(one) or too_slow(one)


def lost_from_part_3(one: Request) -> Fate | None:
    return Fate.RESET_UNHEARD if one.query.get("partNumber") == "3" else None


def answering(call: str, status: int, code: str, *, part: str | None = None) -> Meddle:
    return lambda one: Reply(status, code) if one.call == call and one.query.get("partNumber") == part else None


@pytest.fixture
def options(line: Proxy) -> S3Options:
    return S3Options(
        access_key=line.access_key, secret_key=line.secret_key, endpoint_url=line.endpoint_url, limits=LIMITS
    )


@pytest.fixture
def bucket(line: Proxy) -> str:
    name = f"b-{uuid.uuid4().hex}"
    line.make_bucket(name)
    return name


def create(bucket: str, options: S3Options, data: bytes = DATA, metadata: Mapping[str, str] = STAT) -> S3Store:
    """Store the object as a daemon does that has just been started."""
    store = S3Store(bucket, options)
    store.create(KEY, Content.of(data), metadata=metadata)
    return store


def broken_off(line: Proxy, bucket: str, options: S3Options) -> str:
    """Begin an upload that loses its line after two of its three parts; return the store's name for it."""
    line.faults.meddle = also(lost_from_part_3)
    with pytest.raises(StoreUnavailable):
        create(bucket, options)
    line.faults.meddle = too_slow
    line.seen.clear()
    [upload] = unfinished(line, bucket)
    return upload


def unfinished(line: Proxy, bucket: str) -> list[str]:
    answer: dict[str, Any] = line.client().list_multipart_uploads(Bucket=bucket)
    return [one["UploadId"] for one in answer.get("Uploads", [])]


def parts_sent(line: Proxy) -> list[str]:
    """Return the numbers of the parts of the object that were sent; the label is the fourth."""
    return [one.query["partNumber"] for one in line.seen if one.call == "UploadPart"]


def test_an_upload_that_was_broken_off_goes_on_after_a_restart(line: Proxy, bucket: str, options: S3Options) -> None:
    broken_off(line, bucket, options)

    store = create(bucket, options)

    assert parts_sent(line) == ["3"]
    assert b"".join(store.read(KEY)) == DATA
    head = store.head(KEY)
    assert (head.checksum, head.metadata) == (Content.of(DATA).checksum, STAT)
    assert unfinished(line, bucket) == []


@pytest.mark.servers
def test_an_upload_goes_on_in_a_store_that_tells_of_parts_by_itself(versitygw_endpoint: S3Server) -> None:
    with proxy(versitygw_endpoint) as line:
        name = f"b-{uuid.uuid4().hex}"
        line.make_bucket(name)
        options = S3Options(
            access_key=line.access_key, secret_key=line.secret_key, endpoint_url=line.endpoint_url, limits=LIMITS
        )
        at_once = answering("PutObject", 400, "RequestTimeout")
        line.faults.meddle = lambda one: at_once(one) or lost_from_part_3(one)
        with pytest.raises(StoreUnavailable):
            create(name, options)
        line.faults.meddle = at_once
        line.seen.clear()

        store = create(name, options)

        assert parts_sent(line) == ["3"]
        assert b"".join(store.read(KEY)) == DATA
        assert unfinished(line, name) == []


@pytest.mark.parametrize("wanted", [{"storage_class": "STANDARD_IA"}, {"encryption": "AES256"}])
def test_an_upload_of_another_class_or_encryption_is_left_alone(
    line: Proxy, bucket: str, options: S3Options, wanted: dict[str, str]
) -> None:
    other = broken_off(line, bucket, options)

    create(bucket, replace(options, **wanted))  # type: ignore[arg-type]  # mypy does not look into the dictionary

    assert parts_sent(line) == ["4", "1", "2", "3"]
    assert unfinished(line, bucket) == [other]


@pytest.mark.parametrize(("data", "metadata"), [(DATA, {"stat": "{}"}), (DATA[1:], STAT), (DATA[::-1], STAT)])
def test_an_upload_of_other_metadata_or_content_is_left_alone(
    line: Proxy, bucket: str, options: S3Options, data: bytes, metadata: dict[str, str]
) -> None:
    other = broken_off(line, bucket, options)

    store = create(bucket, options, data, metadata)

    assert parts_sent(line) == ["4", "1", "2", "3"]
    assert unfinished(line, bucket) == [other]
    assert b"".join(store.read(KEY)) == data
    assert store.head(KEY).metadata == metadata


def test_an_upload_that_somebody_else_began_is_left_alone(line: Proxy, bucket: str, options: S3Options) -> None:
    began = line.client().create_multipart_upload(Bucket=bucket, Key=KEY, Metadata=STAT, ChecksumAlgorithm="CRC64NVME")

    create(bucket, options)

    assert parts_sent(line) == ["4", "1", "2", "3"]
    assert unfinished(line, bucket) == [began["UploadId"]]


def test_an_upload_that_is_a_day_old_is_left_alone(line: Proxy, bucket: str, options: S3Options) -> None:
    old = broken_off(line, bucket, options)
    day_old = Lie(partial(begun_before, timedelta(days=1, seconds=2)))
    line.faults.meddle = also(lambda one: day_old if one.call == "ListMultipartUploads" else None)

    create(bucket, options)

    assert parts_sent(line) == ["4", "1", "2", "3"]
    assert unfinished(line, bucket) == [old]


def test_an_upload_whose_parts_have_no_checksums_is_left_alone(line: Proxy, bucket: str, options: S3Options) -> None:
    other = broken_off(line, bucket, options)
    line.faults.meddle = lambda one: None if one.call == "ListParts" else too_slow(one)

    create(bucket, options)

    assert parts_sent(line) == ["4", "1", "2", "3"]
    assert unfinished(line, bucket) == [other]


def test_a_part_with_other_bytes_is_sent_again(line: Proxy, bucket: str, options: S3Options) -> None:
    upload = broken_off(line, bucket, options)
    other = bytes(5 * MIB)
    checksum = to_base64(crc64nvme(other))
    line.client().upload_part(
        Bucket=bucket, Key=KEY, UploadId=upload, PartNumber=1, Body=other, ChecksumCRC64NVME=checksum
    )
    line.seen.clear()

    store = create(bucket, options)

    assert parts_sent(line) == ["1", "3"]
    assert b"".join(store.read(KEY)) == DATA


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [(409, "ConditionalRequestConflict", StoreUnavailable), (412, "PreconditionFailed", AlreadyStored)],
)
def test_an_upload_that_is_refused_at_its_end_is_given_up_and_begun_anew(
    line: Proxy, bucket: str, options: S3Options, status: int, code: str, error: type[Exception]
) -> None:
    broken_off(line, bucket, options)
    line.faults.meddle = also(answering("CompleteMultipartUpload", status, code))

    with pytest.raises(error):
        create(bucket, options)

    assert unfinished(line, bucket) == []
    line.faults.meddle = too_slow
    assert b"".join(create(bucket, options).read(KEY)) == DATA


def test_an_upload_whose_end_was_not_heard_of_is_found_stored(line: Proxy, bucket: str, options: S3Options) -> None:
    ended: list[Request] = []

    def lose_the_answer(one: Request) -> Fate | Reply | None:
        if one.call != "CompleteMultipartUpload":
            return None
        ended.append(one)
        return Fate.RESET_DONE if len(ended) == 1 else Reply(404, "NoSuchUpload")

    line.faults.meddle = also(lose_the_answer)

    with pytest.raises(AlreadyStored):
        create(bucket, options)

    assert b"".join(S3Store(bucket, options).read(KEY)) == DATA


@pytest.mark.parametrize(("stored", "error"), [(True, AlreadyStored), (False, StoreUnavailable)])
def test_whether_an_upload_that_is_gone_was_ended_is_asked(
    line: Proxy, moto_endpoint: S3Server, bucket: str, options: S3Options, stored: bool, error: type[Exception]
) -> None:
    gone = answering("UploadPart", 404, "NoSuchUpload", part="2")

    def end_it_elsewhere(one: Request) -> Reply | Fate | Lie | None:
        if stored and gone(one):
            moto_endpoint.client().put_object(Bucket=bucket, Key=KEY, Body=DATA)
        return gone(one)

    line.faults.meddle = also(end_it_elsewhere)
    with pytest.raises(error):
        create(bucket, options)

    assert unfinished(line, bucket) == []


def test_where_uploads_cannot_be_listed_none_goes_on_and_that_is_said_once(
    line: Proxy, bucket: str, options: S3Options, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "tablesnap")
    denied = answering("ListMultipartUploads", 403, "AccessDenied")
    line.faults.meddle = also(lambda one: denied(one) or lost_from_part_3(one))
    store = S3Store(bucket, options)

    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            store.create(KEY, Content.of(DATA))

    line.faults.meddle = too_slow
    assert unfinished(line, bucket) == []
    store.create(KEY, Content.of(DATA))
    assert b"".join(store.read(KEY)) == DATA
    assert [one.partition(" cannot be listed")[1] for one in caplog.messages].count(" cannot be listed") == 1


def test_an_upload_that_is_refused_on_its_way_is_given_up(line: Proxy, bucket: str, options: S3Options) -> None:
    line.faults.meddle = also(answering("UploadPart", 403, "AccessDenied", part="2"))

    with pytest.raises(StoreRefused, match="access was denied"):
        create(bucket, options)

    assert unfinished(line, bucket) == []
