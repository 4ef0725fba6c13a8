"""What the check at start finds out of a server, and what is done about it from then on."""

import json
import logging
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.endpoint import S3Server
from tests.faults.proxy import Answer, Fate, Lie, Meddle, Proxy, Reply, Request, proxy

from tablesnap.errors import AlreadyStored, KeyRefused, StoreRefused, StoreUnavailable
from tablesnap.store import probe
from tablesnap.store.port import Content
from tablesnap.store.s3 import S3Options, S3Store

MIB = 1 << 20
GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "operations.md"
PREFIX = "nodes/n1:/"
PROBE = PREFIX + probe.NAME


@pytest.fixture
def between(moto_endpoint: S3Server) -> Iterator[Proxy]:
    with proxy(moto_endpoint) as found:
        yield found


@pytest.fixture
def bucket(moto_endpoint: S3Server) -> str:
    name = f"b-{uuid.uuid4().hex}"
    moto_endpoint.make_bucket(name)
    return name


def store_of(server: S3Server, bucket: str) -> S3Store:
    options = S3Options(
        access_key=server.access_key,
        secret_key=server.secret_key,
        endpoint_url=server.endpoint_url,
        multipart_above=MIB,
        part_size=5 * MIB,
    )
    return S3Store(bucket, options)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]


def has_crc(request: Request) -> bool:
    return any(name.startswith(("x-amz-checksum-algorithm", "x-amz-checksum-crc64nvme")) for name in request.headers)


def is_end(request: Request) -> bool:
    return request.call == "CompleteMultipartUpload"


def refuse(when: Callable[[Request], bool], status: int) -> Meddle:
    return lambda request: (
        Reply(status, "InvalidArgument" if status == 400 else "NotImplemented") if when(request) else None
    )


def forget_condition(when: Callable[[Request], bool] = lambda _: True) -> Meddle:
    def meddle(request: Request) -> None:
        if when(request):
            request.headers.pop("if-none-match", None)

    return meddle


def has_condition(request: Request) -> bool:
    return "if-none-match" in request.headers


WAYS = {"memory": Content.of(b"in memory"), "in parts": Content.of(bytes(2 * MIB))}


def require_works(store: S3Store) -> None:
    """Store in each way, and see that it is there and is not overwritten."""
    for name, content in WAYS.items():
        store.create(name, content)
        with pytest.raises(AlreadyStored):
            store.create(name, Content.of(bytes(content.size + 1)))
        assert b"".join(store.read(name)) == content.buffer


@pytest.mark.parametrize("status", [400, 501])
def test_a_store_that_refuses_the_checksum_gets_an_md5_and_is_not_said_to_overwrite(
    between: Proxy, bucket: str, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    between.faults.meddle = refuse(has_crc, status)
    store = store_of(between, bucket)

    store.check(PREFIX)
    before = len(between.seen)
    require_works(store)

    [warning] = warnings(caplog)
    assert "does not take a CRC-64/NVME" in warning
    assert "said the proxy" in warning
    sent = [one for one in between.seen[before:] if one.method == "PUT"]
    assert sent
    assert all("content-md5" in one.headers and not has_crc(one) for one in sent)


@pytest.mark.parametrize("status", [400, 501])
def test_a_store_that_takes_no_sum_at_all_is_said_to_verify_nothing(
    between: Proxy, bucket: str, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    between.faults.meddle = refuse(lambda one: has_crc(one) or "content-md5" in one.headers, status)
    store = store_of(between, bucket)

    store.check(PREFIX)
    require_works(store)

    [warning] = warnings(caplog)
    assert "verifies nothing" in warning


@pytest.mark.parametrize(
    ("meddle", "said"),
    [
        (forget_condition(), "would overwrite objects (it ignores If-None-Match)"),
        (refuse(has_condition, 400), "refuses conditional uploads (InvalidArgument"),
        (refuse(has_condition, 501), "refuses conditional uploads (NotImplemented"),
    ],
)
def test_a_store_that_knows_no_conditions_is_found_out_and_asked_first(
    between: Proxy, bucket: str, caplog: pytest.LogCaptureFixture, meddle: Meddle, said: str
) -> None:
    between.faults.meddle = meddle
    store = store_of(between, bucket)

    store.check(PREFIX)
    require_works(store)

    [warning] = warnings(caplog)
    assert said in warning


def test_a_store_that_refuses_both_gets_neither(between: Proxy, bucket: str, caplog: pytest.LogCaptureFixture) -> None:
    between.faults.meddle = refuse(lambda one: has_crc(one) or has_condition(one), 501)
    store = store_of(between, bucket)

    store.check(PREFIX)
    require_works(store)

    assert ["CRC-64" in one for one in warnings(caplog)] == [True, False]
    assert "refuses conditional uploads" in warnings(caplog)[1]


@pytest.mark.parametrize(
    "meddle", [forget_condition(is_end), refuse(lambda one: is_end(one) and has_condition(one), 501)]
)
def test_a_condition_that_is_honoured_in_one_request_is_not_believed_in_parts(
    between: Proxy, bucket: str, caplog: pytest.LogCaptureFixture, meddle: Meddle
) -> None:
    between.faults.meddle = meddle
    store = store_of(between, bucket)
    store.check(PREFIX)

    before = len(between.seen)
    for content in WAYS.values():
        store.create(f"k{content.size}", content)

    assert [one.call for one in between.seen[before:]] == ["PutObject", "PutObject"]
    require_works(store)
    [warning] = warnings(caplog)
    assert "would overwrite objects by uploads in parts, and not otherwise" in warning


def test_what_came_while_the_parts_were_sent_is_not_overwritten(
    moto_endpoint: S3Server, between: Proxy, bucket: str
) -> None:
    between.faults.meddle = forget_condition()
    store = store_of(between, bucket)
    store.check(PREFIX)

    def theirs_comes_first(request: Request) -> None:
        forget_condition()(request)
        if request.call == "UploadPart":
            moto_endpoint.client().put_object(Bucket=bucket, Key="k", Body=b"theirs")

    between.faults.meddle = theirs_comes_first

    with pytest.raises(AlreadyStored):
        store.create("k", Content.of(bytes(2 * MIB)))

    assert b"".join(store.read("k")) == b"theirs"
    assert "Uploads" not in moto_endpoint.client().list_multipart_uploads(Bucket=bucket)


@pytest.mark.parametrize("size", [4, 2 * MIB])
def test_an_object_that_was_overwritten_at_once_is_not_taken_for_stored(
    moto_endpoint: S3Server, between: Proxy, bucket: str, size: int
) -> None:
    between.faults.meddle = forget_condition()
    store = store_of(between, bucket)
    store.check(PREFIX)

    def theirs_comes_after(request: Request) -> None:
        forget_condition()(request)
        stored = [
            one for one in between.seen if one.key == "k" and one.call in ("PutObject", "CompleteMultipartUpload")
        ]
        if stored and request.call == "HeadObject":
            moto_endpoint.client().put_object(Bucket=bucket, Key="k", Body=b"x" * size)

    between.faults.meddle = theirs_comes_after

    with pytest.raises(AlreadyStored):
        store.create("k", Content.of(bytes(size)))


def test_a_store_that_overwrites_is_sent_no_key_that_it_could_take_for_another(between: Proxy, bucket: str) -> None:
    between.faults.meddle = forget_condition()
    store = store_of(between, bucket)
    store.check()
    before = len(between.seen)

    with pytest.raises(KeyRefused, match="would get another name"):
        store.create("d/", Content.of(b"rows"))

    assert len(between.seen) == before


def test_a_store_that_makes_a_folder_of_a_key_and_drops_the_bytes_is_found_out(
    moto_endpoint: S3Server, between: Proxy, bucket: str
) -> None:
    store = store_of(between, bucket)
    store.check()

    def make_folder(request: Request) -> None:
        if request.call == "HeadObject" and request.key == "d/":
            moto_endpoint.client().put_object(Bucket=bucket, Key="d/", Body=b"")

    between.faults.meddle = make_folder

    with pytest.raises(KeyRefused, match="would get another name"):
        store.create("d/", Content.of(b"rows"))

    assert list(store.list("")) == []


def test_a_store_that_knows_conditions_is_not_asked_first(between: Proxy, bucket: str) -> None:
    store = store_of(between, bucket)
    store.check(PREFIX)
    before = len(between.seen)

    store.create("b", Content.of(b""))

    assert [one.method for one in between.seen[before:]] == ["PUT"]


def test_a_store_that_was_not_tried_is_asked_first(moto_endpoint: S3Server, between: Proxy, bucket: str) -> None:
    between.faults.meddle = forget_condition()
    moto_endpoint.client().put_object(Bucket=bucket, Key="k", Body=b"theirs")

    with pytest.raises(AlreadyStored):
        store_of(between, bucket).create("k", Content.of(b"ours"))

    assert b"".join(store_of(between, bucket).read("k")) == b"theirs"


@pytest.mark.parametrize(
    ("meddle", "versions"),
    [
        (lambda _: None, 1),
        (forget_condition(), 3),
        (forget_condition(is_end), 2),
        (refuse(has_condition, 501), 2),
        (refuse(has_crc, 400), 1),
    ],
)
def test_a_bucket_that_keeps_versions_gathers_none_at_restarts(
    moto_endpoint: S3Server, between: Proxy, bucket: str, meddle: Meddle, versions: int
) -> None:
    client = moto_endpoint.client()
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    between.faults.meddle = meddle

    for _ in range(4):
        store = store_of(between, bucket)
        store.check(PREFIX)
        require_refusal_of_what_is_there(store)

    kept = client.list_object_versions(Bucket=bucket)
    assert [one["Key"] for one in kept["Versions"]] == [PROBE] * versions
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)
    assert not [one.path for one in between.seen if one.call == "DeleteObject"]


def test_metadata_is_known_by_its_name_in_whatever_case(moto_endpoint: S3Server, between: Proxy, bucket: str) -> None:
    """gofakes3 answers with ``X-Amz-Meta-Stat``."""

    def in_capitals(answer: Answer) -> Answer:
        headers = {
            name.title() if name.lower().startswith("x-amz-meta-") else name: value
            for name, value in answer.headers.items()
        }
        return Answer(answer.status, headers, answer.body)

    def meddle(request: Request) -> Lie | None:
        forget_condition(is_end)(request)
        return Lie(in_capitals) if request.call == "HeadObject" else None

    client = moto_endpoint.client()
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    between.faults.meddle = meddle
    for _ in range(3):
        store = store_of(between, bucket)
        store.check(PREFIX)

    store.create("k", Content.of(b"rows"), metadata={"stat": "{}"})

    assert store.head("k").metadata == {"stat": "{}"}
    assert len(client.list_object_versions(Bucket=bucket, Prefix=PROBE)["Versions"]) == 2


def require_refusal_of_what_is_there(store: S3Store) -> None:
    for size in (1, 2 * MIB):
        with pytest.raises(AlreadyStored):
            store.create(PROBE, Content.of(bytes(size)))


def test_the_policy_of_the_guide_is_all_that_the_check_and_uploads_need(
    between: Proxy, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    allowed = {action for one in json.loads(policy_of_the_guide())["Statement"] for action in one["Action"]}
    action_of = {
        "HeadBucket": "s3:ListBucket",
        "ListObjectsV2": "s3:ListBucket",
        "HeadObject": "s3:GetObject",
        "GetObject": "s3:GetObject",
        "PutObject": "s3:PutObject",
        "CreateMultipartUpload": "s3:PutObject",
        "UploadPart": "s3:PutObject",
        "CompleteMultipartUpload": "s3:PutObject",
        "AbortMultipartUpload": "s3:AbortMultipartUpload",
    }
    between.faults.meddle = lambda one: None if action_of.get(one.call) in allowed else Reply(403, "AccessDenied")

    for _ in range(2):
        store_of(between, bucket).check(PREFIX)
    store = store_of(between, bucket)
    store.check(PREFIX)
    require_works(store)

    assert warnings(caplog) == []


def policy_of_the_guide() -> str:
    found = re.search(r"## What it may do on S3\n\n```json\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        ({"AbortMultipartUpload"}, "allow s3:AbortMultipartUpload"),
        ({"GetObject", "HeadObject"}, "can be read was not seen"),
    ],
)
def test_what_a_writer_may_not_do_beside_writing_is_a_remark(
    between: Proxy, bucket: str, caplog: pytest.LogCaptureFixture, calls: set[str], said: str
) -> None:
    between.faults.meddle = lambda one: Reply(403, "AccessDenied") if one.call in calls else None

    store_of(between, bucket).check(PREFIX)

    [warning] = warnings(caplog)
    assert said in warning
    assert "AccessDenied" in warning


@pytest.mark.parametrize("call", ["PutObject", "CreateMultipartUpload", "ListObjectsV2"])
def test_a_writer_who_may_not_write_or_list_is_refused(between: Proxy, bucket: str, call: str) -> None:
    between.faults.meddle = lambda one: Reply(403, "AccessDenied") if one.call == call else None

    with pytest.raises(StoreRefused, match="access was denied"):
        store_of(between, bucket).check(PREFIX)


def test_a_store_that_does_not_do_uploads_in_parts_is_used_without(
    between: Proxy, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    between.faults.meddle = refuse(lambda one: one.call == "CreateMultipartUpload", 501)
    store = store_of(between, bucket)

    store.check(PREFIX)
    require_works(store)

    [warning] = warnings(caplog)
    assert "takes no uploads in parts" in warning


def test_a_store_that_gives_back_other_bytes_is_refused(between: Proxy, bucket: str) -> None:
    def other_bytes(answer: Answer) -> Answer:
        return Answer(answer.status, answer.headers, b"X" + answer.body[1:])

    between.faults.meddle = lambda one: Lie(other_bytes) if one.call == "GetObject" else None

    with pytest.raises(StoreRefused, match="is not what was stored there"):
        store_of(between, bucket).check(PREFIX)


def test_a_store_whose_listing_does_not_show_what_was_stored_is_not_ready(between: Proxy, bucket: str) -> None:
    def empty(answer: Answer) -> Answer:
        return Answer(
            answer.status, answer.headers, re.sub(rb"<Contents>.*</Contents>", b"", answer.body, flags=re.DOTALL)
        )

    between.faults.meddle = lambda one: Lie(empty) if one.call == "ListObjectsV2" else None

    with pytest.raises(StoreUnavailable, match="is in no listing"):
        store_of(between, bucket).check(PREFIX)


def test_an_outage_in_the_trial_is_an_outage(between: Proxy, bucket: str) -> None:
    between.faults.meddle = lambda one: Fate.RESET_UNHEARD if one.call == "PutObject" else None

    with pytest.raises(StoreUnavailable):
        store_of(between, bucket).check(PREFIX)


def test_listings_show_no_probe_and_every_other_object(moto_endpoint: S3Server, bucket: str) -> None:
    store = store_of(moto_endpoint, bucket)
    store.check(PREFIX)
    others = [f"{PREFIX}{probe.NAME}-not", f"{PREFIX}{probe.NAME}/x", f"{PREFIX}x{probe.NAME}"]
    for key in others:
        store.create(key, Content.of(b""))

    listed = sorted(one.key for one in store.list(""))
    level = {one if isinstance(one, str) else one.key for one in store.level(PREFIX)}

    assert listed == sorted(others)
    assert level == {others[0], f"{PREFIX}{probe.NAME}/", others[2]}
