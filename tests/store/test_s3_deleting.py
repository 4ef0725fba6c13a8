"""What is deleted is gone, whichever way a server wants to be asked."""

import re
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.endpoint import S3Server
from tests.faults.proxy import Answer, Lie, Meddle, Reply, Request, proxy

from tablesnap.errors import KeyRefused, NoSuchObject, StoreRefused
from tablesnap.store.port import Content
from tablesnap.store.s3 import S3Options, S3Store
from tablesnap.store.s3_upkeep import S3Upkeep

KEYS = [f"n:/d/{number}" for number in range(5)]


@pytest.fixture
def bucket(moto_endpoint: S3Server) -> str:
    """A bucket with `KEYS`, and one object that is to stay."""
    name = f"b-{uuid.uuid4().hex}"
    moto_endpoint.make_bucket(name)
    for key in [*KEYS, "stays"]:
        moto_endpoint.client().put_object(Bucket=name, Key=key, Body=b"")
    return name


def options_of(server: S3Server) -> S3Options:
    return S3Options(server.access_key, server.secret_key, endpoint_url=server.endpoint_url)


def deletions(server: S3Server, bucket: str, meddle: Meddle) -> Iterator[str]:
    """Delete `KEYS` in two calls, and yield the requests for it."""
    with proxy(server, meddle) as between:
        store = S3Store(bucket, options_of(between))
        store.delete(KEYS[:3])
        store.delete(KEYS[3:])
        yield from (one.call for one in between.seen if one.call.startswith("Delete"))


def left(server: S3Server, bucket: str) -> list[str]:
    return [one.key for one in S3Store(bucket, options_of(server)).list("")]


def test_a_server_that_wants_an_md5_gets_one(moto_endpoint: S3Server, bucket: str) -> None:
    def want_md5(request: Request) -> Reply | None:
        if request.call == "DeleteObjects" and "content-md5" not in request.headers:
            return Reply(400, "MissingContentMD5")
        return None

    asked = list(deletions(moto_endpoint, bucket, want_md5))

    assert left(moto_endpoint, bucket) == ["stays"]
    assert asked == ["DeleteObjects"] * 3, "it was to be told once"


@pytest.mark.parametrize("refusal", [Reply(501, "NotImplemented"), Reply(405, "MethodNotAllowed"), Reply(405)])
def test_a_server_that_knows_no_joint_deletion_is_asked_for_each(
    moto_endpoint: S3Server, bucket: str, refusal: Reply
) -> None:
    asked = list(deletions(moto_endpoint, bucket, lambda request: refusal if request.call == "DeleteObjects" else None))

    assert left(moto_endpoint, bucket) == ["stays"]
    assert asked.count("DeleteObjects") in (1, 3), "botocore repeats what has a status of 500 and more"
    assert asked.count("DeleteObject") == len(KEYS)


def test_a_key_of_which_the_answer_says_nothing_is_deleted_by_itself(moto_endpoint: S3Server, bucket: str) -> None:
    """As where a server does the first hundred, or the answer to another request arrives."""

    def mistake_the_first(request: Request) -> None:
        request.body = request.body.replace(f"{KEYS[0]}<".encode(), b"n:/d/x<")

    asked = list(deletions(moto_endpoint, bucket, mistake_the_first))

    assert left(moto_endpoint, bucket) == ["stays"]
    assert asked == ["DeleteObjects", "DeleteObject", "DeleteObjects"]


def test_who_may_not_delete_is_told_so_and_asked_no_further(moto_endpoint: S3Server, bucket: str) -> None:
    denied = Reply(403, "AccessDenied")

    with (
        proxy(moto_endpoint, lambda request: denied if request.call == "DeleteObjects" else None) as between,
        pytest.raises(StoreRefused, match="access was denied to DeleteObjects"),
    ):
        S3Store(bucket, options_of(between)).delete(KEYS)

    assert len(left(moto_endpoint, bucket)) == len(KEYS) + 1


def turn_backslashes(request: Request) -> None:
    """Do as SeaweedFS: a backslash in a key is a slash. A listing's prefix is no key."""
    path, mark, query = request.path.partition("?")
    request.path = path.replace("%5C", "/") + mark + query


def test_a_backslash_that_a_server_turns_is_refused(moto_endpoint: S3Server, bucket: str) -> None:
    with proxy(moto_endpoint, turn_backslashes) as between:
        store = S3Store(bucket, options_of(between))
        store.check("n:/d/")  # from here on it is known that nothing is overwritten
        store.create("n:/d/plain", Content.of(b"rows"))

        with pytest.raises(KeyRefused):
            store.create("n:/d/back\\slash", Content.of(b"rows"))
        with pytest.raises(NoSuchObject):
            store.head("n:/d\\plain")

    assert "n:/d/back/slash" not in left(moto_endpoint, bucket)


def test_a_backslash_that_a_server_keeps_is_kept(moto_endpoint: S3Server, bucket: str) -> None:
    store = S3Store(bucket, options_of(moto_endpoint))

    store.create("n:/d/back\\slash", Content.of(b"rows"))

    assert b"".join(store.read("n:/d/back\\slash")) == b"rows"


def test_a_checksum_without_its_type_is_of_the_whole_object(moto_endpoint: S3Server, bucket: str) -> None:
    """CRC-64/NVME knows no other type; not every server tells it."""

    def without_type(answer: Answer) -> Answer:
        return replace(
            answer,
            headers={name: value for name, value in answer.headers.items() if name.lower() != "x-amz-checksum-type"}
            | {"x-amz-checksum-crc64nvme": "AAAAAAAAAAE="},
        )

    with proxy(moto_endpoint, lambda request: Lie(without_type) if request.method == "HEAD" else None) as between:
        head = S3Store(bucket, options_of(between)).head(KEYS[0])

    assert head.checksum == 1


@pytest.mark.parametrize("refusal", [Reply(501, "NotImplemented"), Reply(405), Reply(400, "InvalidArgument")])
def test_a_server_that_lists_no_uploads_has_a_remark(moto_endpoint: S3Server, bucket: str, refusal: Reply) -> None:
    with proxy(moto_endpoint, lambda request: refusal if request.call == "ListMultipartUploads" else None) as between:
        upkeep = S3Upkeep(bucket, options_of(between))

        found = list(upkeep.unfinished("n:/"))
        remarks = upkeep.remarks()

    assert found == []
    assert re.match("the store does not list unfinished uploads", remarks[0])
