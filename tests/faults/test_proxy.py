"""The proxy does what it is told to: else a test of a fault would be a test of nothing."""

import http.client
import ssl
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from tests.endpoint import S3Server
from tests.faults.proxy import Answer, Fate, Lie, Line, Proxy, Reply, Stop, Way, proxy
from tests.waiting import wait_until

BODY = bytes(range(256)) * 40


@pytest.fixture
def bucket(moto_endpoint: S3Server) -> str:
    """A bucket with one object, `a`, that everybody may read."""
    name = f"proxied-{uuid.uuid4().hex}"
    moto_endpoint.make_bucket(name)
    moto_endpoint.client().put_object(Bucket=name, Key="a", Body=BODY, ACL="public-read")
    return name


def get(between: Proxy, path: str) -> bytes:
    """Ask for *path* with as little between as can be."""
    return said(between, "GET", path)[1]


def said(between: Proxy, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Return status and body of an answer."""
    url = urlsplit(between.endpoint_url)
    connection: http.client.HTTPConnection
    if between.ca_bundle:
        context = ssl.create_default_context(cafile=between.ca_bundle)
        connection = http.client.HTTPSConnection(url.netloc, timeout=20, context=context)
    else:
        connection = http.client.HTTPConnection(url.netloc, timeout=20)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("tls", [False, True])
def test_told_nothing_it_hands_on_what_it_hears_and_remembers_it(
    moto_endpoint: S3Server, bucket: str, tls: bool
) -> None:
    with proxy(moto_endpoint, tls=tls) as between:
        between.client().put_object(Bucket=bucket, Key="n:/d/b c", Body=b"rows")

        assert between.client().get_object(Bucket=bucket, Key="n:/d/b c")["Body"].read() == b"rows"
        assert between.client().head_object(Bucket=bucket, Key="a")["ContentLength"] == len(BODY)
        assert [(one.call, one.key) for one in between.seen] == [
            ("PutObject", "n:/d/b c"),
            ("GetObject", "n:/d/b c"),
            ("HeadObject", "a"),
        ]


def test_each_call_has_amazons_name(moto_endpoint: S3Server, bucket: str) -> None:
    key = {"Bucket": bucket, "Key": "large"}
    with proxy(moto_endpoint) as between:
        client = between.client()
        upload = client.create_multipart_upload(**key)["UploadId"]
        part = client.upload_part(**key, UploadId=upload, PartNumber=1, Body=b"part")["ETag"]
        client.list_parts(**key, UploadId=upload)
        client.list_multipart_uploads(Bucket=bucket)
        client.complete_multipart_upload(
            **key, UploadId=upload, MultipartUpload={"Parts": [{"ETag": part, "PartNumber": 1}]}
        )
        client.abort_multipart_upload(**key, UploadId=client.create_multipart_upload(**key)["UploadId"])
        client.copy_object(**{**key, "Key": "copy"}, CopySource=f"{bucket}/large")
        client.list_objects_v2(Bucket=bucket)
        client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "copy"}]})
        client.delete_object(**key)
        client.head_bucket(Bucket=bucket)

    assert [one.call for one in between.seen] == [
        "CreateMultipartUpload",
        "UploadPart",
        "ListParts",
        "ListMultipartUploads",
        "CompleteMultipartUpload",
        "CreateMultipartUpload",
        "AbortMultipartUpload",
        "CopyObject",
        "ListObjectsV2",
        "DeleteObjects",
        "DeleteObject",
        "HeadBucket",
    ]


def test_a_reply_is_said_in_the_servers_place(moto_endpoint: S3Server, bucket: str) -> None:
    with proxy(moto_endpoint, lambda _: Reply(200, text=b"<html>")) as between:
        assert said(between, "PUT", f"/{bucket}/never", b"rows") == (200, b"<html>")
        between.faults.meddle = lambda _: Reply(503, "SlowDown", is_done=True)
        assert said(between, "PUT", f"/{bucket}/done", b"rows")[0] == 503

    assert keys(moto_endpoint, bucket) == ["a", "done"]


def test_a_lie_changes_what_the_server_said(moto_endpoint: S3Server, bucket: str) -> None:
    def reverse(answer: Answer) -> Answer:
        return replace(answer, body=answer.body[::-1])

    with proxy(moto_endpoint, lambda _: Lie(reverse)) as between:
        assert get(between, f"/{bucket}/a") == BODY[::-1]


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(("fate", "stored"), [(Fate.RESET_UNHEARD, ["a"]), (Fate.RESET_DONE, ["a", "b"])])
def test_a_reset_cuts_the_connection_before_or_after_the_deed(
    moto_endpoint: S3Server, bucket: str, fate: Fate, stored: list[str], tls: bool
) -> None:
    with proxy(moto_endpoint, lambda _: fate, tls=tls) as between, pytest.raises(ConnectionResetError):
        said(between, "PUT", f"/{bucket}/b", b"rows")

    assert keys(moto_endpoint, bucket) == stored


@pytest.mark.parametrize(("fate", "stored"), [(Fate.STALLED_UNHEARD, ["a"]), (Fate.STALLED_DONE, ["a", "b"])])
def test_a_stall_lasts_as_long_as_the_proxy_stands(
    moto_endpoint: S3Server, bucket: str, fate: Fate, stored: list[str]
) -> None:
    with proxy(moto_endpoint, lambda _: fate) as between:
        waits = failing(lambda: said(between, "PUT", f"/{bucket}/b", b"rows"))
        wait_until(lambda: between.seen and keys(moto_endpoint, bucket) == stored, "the request")
        assert waits.is_alive()
    waits.join(20)

    assert not waits.is_alive()


@pytest.mark.parametrize("tls", [False, True])
def test_a_line_passes_so_many_bytes_up_and_no_more(moto_endpoint: S3Server, bucket: str, tls: bool) -> None:
    with proxy(moto_endpoint, tls=tls) as between:
        between.faults.line = lambda request: Line(up=Way(length=1000)) if request.call == "PutObject" else Line()

        with pytest.raises((ConnectionResetError, BrokenPipeError, ssl.SSLEOFError)):  # whichever is noticed first
            said(between, "PUT", f"/{bucket}/b", bytes(1 << 20))
        assert said(between, "PUT", f"/{bucket}/b", bytes(999))[0] == 200


def test_a_line_passes_so_many_bytes_down_and_no_more(moto_endpoint: S3Server, bucket: str) -> None:
    with proxy(moto_endpoint) as between:
        between.faults.line = lambda _: Line(down=Way(length=1000))
        with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
            get(between, f"/{bucket}/a")

        between.faults.line = lambda _: Line(down=Way(length=1000, stop=Stop.END))
        with pytest.raises(http.client.IncompleteRead) as raised:
            get(between, f"/{bucket}/a")

    assert raised.value.partial == BODY[:1000]


def test_a_slow_line_carries_everything_in_both_directions(moto_endpoint: S3Server, bucket: str) -> None:
    with proxy(moto_endpoint) as between:
        between.faults.line = lambda _: Line(up=Way(rate=1e5), down=Way(rate=1e5))
        assert said(between, "PUT", f"/{bucket}/b", BODY)[0] == 200
        assert get(between, f"/{bucket}/a") == BODY

    assert moto_endpoint.client().get_object(Bucket=bucket, Key="b")["Body"].read() == BODY


def failing(call: Callable[[], object]) -> threading.Thread:
    """Begin a call that is to fail."""

    def fail() -> None:
        with pytest.raises(ConnectionError):
            call()

    thread = threading.Thread(target=fail)
    thread.start()
    return thread


def keys(server: S3Server, bucket: str) -> list[str]:
    return [one["Key"] for one in server.client().list_objects_v2(Bucket=bucket)["Contents"]]
