"""What a server says is believed only if an S3 server would say it."""

import uuid
from collections.abc import Callable
from contextlib import suppress

import pytest
from tests.endpoint import S3Server
from tests.faults.proxy import Reply, Request, proxy

from tablesnap.errors import AlreadyStored, DamagedUpload, StoreRefused, StoreUnavailable
from tablesnap.store.port import Content
from tablesnap.store.s3 import S3Options, S3Store
from tablesnap.store.s3_answers import why_not_believed
from tablesnap.store.s3_upkeep import S3Upkeep

KEY = "node:/var/lib/cassandra/data/ks/t-1/nb-1-big-Data.db"
ODD_KEY = "node:/data//Data.db"  # botocore sends what is under such a key
MIB = 1 << 20
MODIFIED = "Mon, 30 Nov 2026 00:00:00 GMT"

LOGIN = b"<!DOCTYPE html><html><head><title>Log in, please</title><link href=x></head><body>Welcome<br></body></html>"
TIDY = b"<html><head><title>Log in, please</title></head><body>Welcome</body></html>"  # XML as well
# A web server gives its pages ETags, too.
LIES = {"HTML": Reply(200, text=LOGIN, headers={"ETag": '"5f3c1a2b-264"'}), "an empty body": Reply(200, text=b"")}

Use = Callable[[S3Store], object]


@pytest.fixture
def bucket(moto_endpoint: S3Server) -> str:
    name = f"b-{uuid.uuid4().hex}"
    moto_endpoint.make_bucket(name)
    return name


def options_of(server: S3Server, **others: int) -> S3Options:
    return S3Options(server.access_key, server.secret_key, endpoint_url=server.endpoint_url, **others)  # type: ignore[arg-type] # a test's shorthand


def in_parts(server: S3Server, bucket: str) -> S3Store:
    return S3Store(bucket, options_of(server, multipart_above=MIB, part_size=5 * MIB))


def keys_in(server: S3Server, bucket: str) -> set[str]:
    return {found["Key"] for found in server.client().list_objects_v2(Bucket=bucket).get("Contents", [])}


def is_put(request: Request) -> bool:
    return request.method == "PUT" and "partNumber=" not in request.path


def is_part(request: Request) -> bool:
    return "partNumber=" in request.path


def begins_parts(request: Request) -> bool:
    return request.method == "POST" and request.path.endswith("?uploads")


def ends_parts(request: Request) -> bool:
    return request.method == "POST" and "uploadId=" in request.path


CREATIONS = [
    pytest.param(KEY, 100, is_put, id="by obstore"),
    pytest.param(ODD_KEY, 100, is_put, id="by botocore"),
    pytest.param(KEY, 6 * MIB, is_part, id="a part"),
    pytest.param(KEY, 6 * MIB, begins_parts, id="an upload in parts, begun"),
    pytest.param(KEY, 6 * MIB, ends_parts, id="an upload in parts, ended"),
]


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
@pytest.mark.parametrize(("key", "size", "is_lied_to"), CREATIONS)
def test_a_200_is_no_proof_that_something_was_stored(
    moto_endpoint: S3Server, bucket: str, key: str, size: int, is_lied_to: Callable[[Request], bool], lie: Reply
) -> None:
    with (
        proxy(moto_endpoint, lambda request: lie if is_lied_to(request) else None) as between,
        pytest.raises(StoreUnavailable, match="proxy or a login page"),
    ):
        in_parts(between, bucket).create(key, Content.of(bytes(size)))

    assert keys_in(moto_endpoint, bucket) == set()


QUESTIONS: dict[str, tuple[str, Use]] = {
    "a head": ("HEAD", lambda store: store.head(KEY)),
    "an object by botocore": ("GET", lambda store: next(store.read(ODD_KEY))),
    "a listing": ("GET", lambda store: list(store.list(""))),
    "a level": ("GET", lambda store: list(store.level(""))),
    "a deletion of several": ("POST", lambda store: store.delete([KEY])),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
@pytest.mark.parametrize(("method", "use"), QUESTIONS.values(), ids=QUESTIONS)
def test_an_answer_that_is_none_of_an_s3_server_is_an_outage(
    moto_endpoint: S3Server, bucket: str, method: str, use: Use, lie: Reply
) -> None:
    S3Store(bucket, options_of(moto_endpoint)).create(KEY, Content.of(b"rows"))
    S3Store(bucket, options_of(moto_endpoint)).create(ODD_KEY, Content.of(b"rows"))

    with proxy(moto_endpoint, lambda request: lie if request.method == method else None) as between:
        store = S3Store(bucket, options_of(between))
        with pytest.raises(StoreUnavailable, match="proxy or a login page"):
            use(store)

    assert keys_in(moto_endpoint, bucket) == {KEY, ODD_KEY}


@pytest.mark.parametrize("moment", ["soon", "", "9" * 400, "0001-01-01T00:00:00+14:00"])
def test_a_head_with_a_time_that_is_none_is_an_outage(moto_endpoint: S3Server, bucket: str, moment: str) -> None:
    lie = Reply(200, text=b"", headers={"ETag": '"x"', "Last-Modified": moment})

    with (
        proxy(moto_endpoint, lambda request: lie if request.method == "HEAD" else None) as between,
        pytest.raises(StoreUnavailable, match=r"a time that is none.*proxy or a login page"),
    ):
        S3Store(bucket, options_of(between)).head(KEY)


def test_a_deletion_of_one_that_is_answered_by_a_page_is_an_outage(moto_endpoint: S3Server, bucket: str) -> None:
    S3Store(bucket, options_of(moto_endpoint)).create(ODD_KEY, Content.of(b"rows"))

    with (
        proxy(moto_endpoint, lambda request: LIES["HTML"] if request.method == "DELETE" else None) as between,
        pytest.raises(StoreUnavailable, match="DeleteObject has a body, a page called 'Log in, please'"),
    ):
        S3Store(bucket, options_of(between)).delete([ODD_KEY])


def test_uploads_that_a_page_does_not_list_are_not_taken_for_none(moto_endpoint: S3Server, bucket: str) -> None:
    with (
        proxy(moto_endpoint, lambda request: LIES["HTML"] if "uploads" in request.path else None) as between,
        pytest.raises(StoreUnavailable, match="proxy or a login page"),
    ):
        list(S3Upkeep(bucket, options_of(between)).unfinished(""))


def test_an_error_that_s3_puts_into_a_200_is_an_error(moto_endpoint: S3Server, bucket: str) -> None:
    error = Reply(200, "InternalError")

    with (
        proxy(moto_endpoint, lambda request: error if ends_parts(request) else None) as between,
        pytest.raises(StoreUnavailable, match="InternalError"),
    ):
        in_parts(between, bucket).create(KEY, Content.of(bytes(2 * MIB)))

    assert keys_in(moto_endpoint, bucket) == set()


def test_an_object_that_is_there_after_all_is_found_at_the_next_try(moto_endpoint: S3Server, bucket: str) -> None:
    """A proxy that gave way to a login page only while it answered."""
    content = Content.of(bytes(2 * MIB))
    lies = [LIES["HTML"]]

    def lie_about_the_first(request: Request) -> Reply | None:
        if not ends_parts(request) or not lies:
            return None
        client = moto_endpoint.client()
        upload = client.list_multipart_uploads(Bucket=bucket)["Uploads"][0]["UploadId"]
        parts = client.list_parts(Bucket=bucket, Key=KEY, UploadId=upload)["Parts"]
        named = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in parts]
        client.complete_multipart_upload(Bucket=bucket, Key=KEY, UploadId=upload, MultipartUpload={"Parts": named})
        return lies.pop()

    with proxy(moto_endpoint, lie_about_the_first) as between:
        store = in_parts(between, bucket)
        with suppress(StoreUnavailable):  # moto takes the end of an upload twice, Amazon does not
            store.create(KEY, content)

        with pytest.raises(AlreadyStored):
            store.create(KEY, content)
        assert b"".join(store.read(KEY)) == content.buffer


def test_another_checksum_in_the_answer_is_damage(moto_endpoint: S3Server, bucket: str) -> None:
    told = {"ETag": '"0123456789abcdef0123456789abcdef"', "x-amz-checksum-crc64nvme": "AAAAAAAAAAE="}
    other = Reply(200, text=b"", headers=told)

    with (
        proxy(moto_endpoint, lambda request: other if is_put(request) else None) as between,
        pytest.raises(DamagedUpload),
    ):
        S3Store(bucket, options_of(between)).create(ODD_KEY, Content.of(b"rows"))


def test_an_unusual_etag_is_believed_if_the_object_is_there(moto_endpoint: S3Server, bucket: str) -> None:
    def store_it_ourselves(request: Request) -> Reply | None:
        if not is_put(request):
            return None
        moto_endpoint.client().put_object(Bucket=bucket, Key=KEY, Body=request.body)
        return Reply(200, text=b"", headers={"ETag": '"v1.0"'})

    with proxy(moto_endpoint, store_it_ourselves) as between:
        store = S3Store(bucket, options_of(between))

        store.create(KEY, Content.of(b"rows"))

        assert b"".join(store.read(KEY)) == b"rows"


ANSWERS_OF_BOTO3: dict[str, Use] = {
    "a head": lambda store: store.head(KEY),
    "a listing": lambda store: list(store.list("")),
    "a deletion": lambda store: store.delete([KEY]),
    "an odd key": lambda store: next(store.read(ODD_KEY)),
    "a check": lambda store: store.check(),
}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("use", ANSWERS_OF_BOTO3.values(), ids=ANSWERS_OF_BOTO3)
def test_a_redirect_is_not_followed_and_is_told_in_one_line(
    moto_endpoint: S3Server, bucket: str, status: int, use: Use
) -> None:
    """botocore asked the bucket for its region, and was redirected, and asked the bucket for its region."""
    elsewhere = Reply(status, text=b"", headers={"Location": "http://login.example.com/?from=here"})

    with proxy(moto_endpoint, lambda _: elsewhere) as between:
        with pytest.raises(StoreRefused, match=r"http://login\.example\.com") as caught:
            use(S3Store(bucket, options_of(between)))

        assert len(between.seen) <= 3  # one of them for the region
    assert "\n" not in str(caught.value)


def test_an_upload_that_is_sent_elsewhere_is_refused(moto_endpoint: S3Server, bucket: str) -> None:
    elsewhere = Reply(307, text=b"", headers={"Location": "http://127.0.0.1:1/"})

    with (
        proxy(moto_endpoint, lambda request: elsewhere if is_put(request) else None) as between,
        pytest.raises(StoreRefused, match="the answer to PutObject sends us elsewhere"),
    ):
        S3Store(bucket, options_of(between)).create(KEY, Content.of(b"rows"))


@pytest.mark.parametrize("status", [400, 403, 404])
@pytest.mark.parametrize(
    ("call", "use"),
    [
        ("PutObject", lambda store: store.create(KEY, Content.of(b"rows"))),
        ("CreateMultipartUpload", lambda store: store.create(KEY, Content.of(bytes(2 * MIB)))),
        ("ListObjectsV2", lambda store: list(store.list(""))),
    ],
)
def test_an_error_in_html_is_not_the_stores_word(
    moto_endpoint: S3Server, bucket: str, call: str, status: int, use: Use
) -> None:
    """Neither is access denied, nor is there no bucket: a proxy says so, and may not tomorrow."""
    page = Reply(status, text=LOGIN)

    with (
        proxy(moto_endpoint, lambda request: page if request.call == call else None) as between,
        pytest.raises(StoreUnavailable, match=f"answer to {call} has status {status} .* 'Log in, please'"),
    ):
        use(in_parts(between, bucket))


@pytest.mark.parametrize(
    ("call", "use"),
    [
        ("PutObject", lambda store: store.create(KEY, Content.of(b"rows"))),
        ("CompleteMultipartUpload", lambda store: store.create(KEY, Content.of(bytes(2 * MIB)))),
        ("ListObjectsV2", lambda store: list(store.list(""))),
    ],
)
def test_a_message_names_the_request_that_was_refused(
    moto_endpoint: S3Server, bucket: str, call: str, use: Use
) -> None:
    refusal = Reply(403, "AccessDenied")

    with (
        proxy(moto_endpoint, lambda request: refusal if request.call == call else None) as between,
        pytest.raises(StoreRefused, match=f"access was denied to {call} "),
    ):
        use(in_parts(between, bucket))


LISTING = b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>%s</IsTruncated></ListBucketResult>'
COMPLETE = b"<CompleteMultipartUploadResult><ETag>%s</ETag></CompleteMultipartUploadResult>"


@pytest.mark.parametrize(
    ("operation", "headers", "body"),
    [
        ("ListObjectsV2", {}, LISTING % b"false"),
        ("ListObjectsV2", {}, LISTING % b"true"),
        ("ListObjectsV2", {}, b"<ListBucketResult/>"),  # without a namespace
        (
            "ListObjectsV2",
            {},
            b'<?xml version="1.0" encoding="big5"?><ListBucketResult/>',
        ),  # read as UTF-8
        ("CompleteMultipartUpload", {}, COMPLETE % b'"x-1"'),
        ("CompleteMultipartUpload", {}, b"<Error><Code>InternalError</Code></Error>"),  # left to botocore
        (
            "CreateMultipartUpload",
            {},
            b"<InitiateMultipartUpload><UploadId>u</UploadId></InitiateMultipartUpload>",
        ),  # rclone's
        ("DeleteObjects", {}, b"<DeleteResult/>"),
        ("DeleteObject", {}, b""),
        ("PutObject", {"ETag": '""'}, b""),  # rclone's, before a remote that keeps no hashes
        ("UploadPart", {"ETag": '"x"'}, b"\n"),
        ("HeadBucket", {}, b""),
        ("GetBucketVersioning", {}, b"<GetBucketVersioningResponse/>"),  # moto's name for it
    ],
)
def test_what_servers_answer_is_believed(operation: str, headers: dict[str, str], body: bytes) -> None:
    assert why_not_believed(operation, headers, body) is None


@pytest.mark.parametrize(
    ("operation", "headers", "body", "why"),
    [
        ("ListObjectsV2", {}, LISTING % b"maybe", "IsTruncated is 'maybe'"),
        ("ListObjectsV2", {}, LISTING[:-5] % b"false", "is no XML, or not all of it"),
        ("ListObjectsV2", {}, b"<ListAllMyBucketsResult/>", "is no ListBucketResult"),
        ("ListObjectsV2", {}, TIDY, "a page called 'Log in, please'"),
        ("ListObjectsV2", {}, LOGIN, "a page called 'Log in, please'"),
        ("ListObjectsV2", {}, b'{"status": "ok"}', "beginning with"),
        ("ListObjectsV2", {}, b"", "is empty"),
        ("DeleteObjects", {}, LISTING % b"false", "is no DeleteResult"),
        ("CompleteMultipartUpload", {}, TIDY, "a page called"),
        ("CompleteMultipartUpload", {}, COMPLETE % b"", "has no ETag"),
        ("CreateMultipartUpload", {}, b"<InitiateMultipartUploadResult/>", "has no UploadId"),
        ("PutObject", {}, b"", "has no ETag"),
        ("GetBucketVersioning", {}, TIDY, "is no XML of S3"),
        ("HeadObject", {"ETag": '"x"', "Content-Length": "1"}, b"", "has no Last-Modified"),
    ],
)
def test_what_is_not_believed_is_said(operation: str, headers: dict[str, str], body: bytes, why: str) -> None:
    assert why in str(why_not_believed(operation, headers, body))
