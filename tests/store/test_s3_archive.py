"""Archived objects in S3: a listing tells their class, a HEAD whether they can be read, and they can be thawed."""

import uuid
from collections.abc import Mapping

import pytest
from tests.endpoint import S3Server
from tests.faults.proxy import Reply, Request, proxy

from tablesnap.errors import NoSuchObject, ObjectArchived, StoreRefused
from tablesnap.store.address import parse_address
from tablesnap.store.archive import Thawer
from tablesnap.store.opening import StoreOptions, open_thawer
from tablesnap.store.port import Content
from tablesnap.store.s3 import S3Options, S3Store
from tablesnap.store.s3_archive import S3Thawer, frozen_class

EXPIRY = 'expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"'


@pytest.fixture
def bucket(moto_endpoint: S3Server) -> str:
    name = f"b{uuid.uuid4().hex}"
    moto_endpoint.make_bucket(name)
    return name


def options_of(server: S3Server, storage_class: str | None = None) -> S3Options:
    return S3Options(
        access_key=server.access_key,
        secret_key=server.secret_key,
        region="us-east-1",
        endpoint_url=server.endpoint_url,
        storage_class=storage_class,
    )


def store_of(server: S3Server, bucket: str, storage_class: str | None = None) -> S3Store:
    return S3Store(bucket, options_of(server, storage_class))


def thawer_of(server: S3Server, bucket: str) -> S3Thawer:
    return S3Thawer(bucket, options_of(server))


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ({}, ("", False)),
        ({"StorageClass": "STANDARD_IA"}, ("", False)),
        ({"StorageClass": "GLACIER_IR"}, ("", False)),
        ({"StorageClass": "GLACIER"}, ("GLACIER", False)),
        ({"StorageClass": "DEEP_ARCHIVE", "Restore": 'ongoing-request="true"'}, ("DEEP_ARCHIVE", True)),
        ({"StorageClass": "GLACIER", "Restore": f'ongoing-request="false", {EXPIRY}'}, ("", False)),
        ({"StorageClass": "INTELLIGENT_TIERING"}, ("", False)),
        (
            {"StorageClass": "INTELLIGENT_TIERING", "ArchiveStatus": "ARCHIVE_ACCESS"},
            ("INTELLIGENT_TIERING", False),
        ),
        (
            {
                "StorageClass": "INTELLIGENT_TIERING",
                "ArchiveStatus": "DEEP_ARCHIVE_ACCESS",
                "Restore": 'ongoing-request="true"',
            },
            ("INTELLIGENT_TIERING", True),
        ),
    ],
)
def test_a_head_tells_what_cannot_be_read_and_what_is_being_thawed(
    head: Mapping[str, str], expected: tuple[str, bool]
) -> None:
    assert frozen_class(head) == expected


@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
def test_an_archived_object_is_listed_with_its_class_and_readable_once_it_is_thawed(
    moto_endpoint: S3Server, bucket: str, storage_class: str
) -> None:
    store = store_of(moto_endpoint, bucket, storage_class)
    store.create("data", Content.of(b"rows"))
    (listed,) = store.list("")
    (level,) = store.level("")
    before = store.head("data")
    with pytest.raises(ObjectArchived):
        b"".join(store.read("data"))

    thawer_of(moto_endpoint, bucket).thaw("data", 3)

    after = store.head("data")
    assert (listed.archived, before.frozen, after.frozen) == (storage_class, storage_class, "")
    assert level == listed
    assert b"".join(store.read("data")) == b"rows"


def test_a_check_says_nothing_of_an_archive_that_was_asked_for(
    moto_endpoint: S3Server, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        store_of(moto_endpoint, bucket, "GLACIER").check()

    assert caplog.messages == []


@pytest.mark.parametrize("storage_class", [None, "STANDARD_IA", "GLACIER_IR"])
def test_what_can_be_read_at_once_is_not_archived(
    moto_endpoint: S3Server, bucket: str, storage_class: str | None
) -> None:
    store = store_of(moto_endpoint, bucket, storage_class)
    store.create("data", Content.of(b"rows"))

    (listed,) = store.list("")

    assert (listed.archived, store.head("data").frozen) == ("", "")
    assert b"".join(store.read("data")) == b"rows"


def test_to_ask_twice_or_for_what_can_be_read_is_no_error(moto_endpoint: S3Server, bucket: str) -> None:
    store_of(moto_endpoint, bucket, "GLACIER").create("cold", Content.of(b"rows"))
    store_of(moto_endpoint, bucket).create("warm", Content.of(b"rows"))
    thawer = thawer_of(moto_endpoint, bucket)

    for key in ("cold", "cold", "warm"):
        thawer.thaw(key, 3)

    assert b"".join(store_of(moto_endpoint, bucket).read("cold")) == b"rows"


def test_what_somebody_else_has_asked_for_already_is_no_error(moto_endpoint: S3Server, bucket: str) -> None:
    store_of(moto_endpoint, bucket, "GLACIER").create("cold", Content.of(b"rows"))

    def answer(request: Request) -> Reply | None:
        return Reply(409, "RestoreAlreadyInProgress") if "restore" in request.path.partition("?")[2] else None

    with proxy(moto_endpoint, answer) as between:
        thawer_of(between, bucket).thaw("cold", 3)

    assert [request.method for request in between.seen if "restore" in request.path] == ["POST"]


def test_who_may_not_thaw_hears_so(moto_endpoint: S3Server, bucket: str) -> None:
    store_of(moto_endpoint, bucket, "GLACIER").create("cold", Content.of(b"rows"))

    def answer(request: Request) -> Reply | None:
        return Reply(403, "AccessDenied") if "restore" in request.path.partition("?")[2] else None

    with proxy(moto_endpoint, answer) as between, pytest.raises(StoreRefused, match=r"cold.*access was denied"):
        thawer_of(between, bucket).thaw("cold", 3)


def test_what_is_not_there_cannot_be_thawed(moto_endpoint: S3Server, bucket: str) -> None:
    with pytest.raises(NoSuchObject):
        thawer_of(moto_endpoint, bucket).thaw("never", 3)


@pytest.mark.parametrize("address", ["file:///b", "gs://b", "az://b"])
def test_other_stores_are_not_asked(address: str) -> None:
    thawer: Thawer = open_thawer(parse_address(address), StoreOptions())

    with pytest.raises(StoreRefused, match="--thaw"):
        thawer.thaw("key", 3)
