"""What S3 has besides objects: unfinished uploads, versions and locks."""

import uuid
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from datetime import timedelta

import pytest
from tests.endpoint import S3Server
from tests.faults.proxy import Reply, Request, proxy

from tablesnap.errors import DamagedUpload, NoSuchObject, ObjectArchived, StoreRefused
from tablesnap.store.address import parse_address
from tablesnap.store.opening import StoreOptions, open_upkeep
from tablesnap.store.s3_upkeep import S3Upkeep
from tablesnap.store.upkeep import Expiry, NoUpkeep, Upkeep


@pytest.fixture(params=["moto", pytest.param("versitygw", marks=pytest.mark.servers)])
def server(request: pytest.FixtureRequest) -> S3Server:
    found: S3Server = request.getfixturevalue(f"{request.param}_endpoint")
    return found


def new_bucket(server: S3Server) -> str:
    name = f"b-{uuid.uuid4().hex}"
    server.make_bucket(name)
    return name


def upkeep_of(server: S3Server, bucket: str) -> Upkeep:
    options = StoreOptions(
        access_key=server.access_key,
        secret_key=server.secret_key,
        endpoint_url=server.endpoint_url,
        region="us-east-1",
    )
    return open_upkeep(parse_address(f"s3://{bucket}"), options)


def begin(server: S3Server, bucket: str, key: str) -> None:
    server.client().create_multipart_upload(Bucket=bucket, Key=key)


def test_unfinished_uploads_are_found_below_a_prefix_and_given_up(server: S3Server) -> None:
    bucket = new_bucket(server)
    for key in ("n:/a/one", "n:/a/two", "n:/a/two", "n:/ab"):
        begin(server, bucket, key)
    upkeep = upkeep_of(server, bucket)

    found = list(upkeep.unfinished("n:/a/"))
    for one in found[:2]:
        upkeep.give_up(one)
        upkeep.give_up(one)  # gone is no error

    assert sorted(one.key for one in found) == ["n:/a/one", "n:/a/two", "n:/a/two"]
    assert all(one.begun.utcoffset() is not None for one in found)
    assert list(upkeep.unfinished("n:/a/")) == found[2:]
    assert [one.key for one in upkeep.unfinished("n:/ab")] == ["n:/ab"]


def test_a_plain_bucket_has_no_remarks(server: S3Server) -> None:
    assert list(upkeep_of(server, new_bucket(server)).remarks()) == []


def test_a_bucket_with_versions_is_remarked_upon(moto_endpoint: S3Server) -> None:
    bucket = new_bucket(moto_endpoint)
    moto_endpoint.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    [remark] = upkeep_of(moto_endpoint, bucket).remarks()

    assert remark.startswith("the bucket keeps versions (enabled)")


def test_a_bucket_with_object_lock_is_remarked_upon(moto_endpoint: S3Server) -> None:
    bucket = f"b-{uuid.uuid4().hex}"
    client = moto_endpoint.client()
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 30}}
    client.put_object_lock_configuration(
        Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )

    remarks = upkeep_of(moto_endpoint, bucket).remarks()

    assert "has Object Lock, by default for 30 days in mode COMPLIANCE" in remarks[-1]


@pytest.fixture(params=[(403, "AccessDenied"), (501, "NotImplemented"), (404, "NoSuchBucket")], ids=lambda one: one[1])
def answering(request: pytest.FixtureRequest, moto_endpoint: S3Server) -> Iterator[tuple[str, S3Server]]:
    """A server that answers all questions so."""
    status, code = request.param

    class Said(Reply):
        def body(self) -> bytes:
            return f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()

    with proxy(moto_endpoint, lambda one: Said(status) if one.method == "GET" else None) as between:
        yield code, between


def test_who_may_not_ask_hears_so_and_a_store_that_does_not_know_is_silent(answering: tuple[str, S3Server]) -> None:
    code, server = answering
    upkeep = upkeep_of(server, "some-bucket")

    if code == "NoSuchBucket":
        with pytest.raises(StoreRefused, match="there is no bucket"):
            upkeep.remarks()
    else:
        remarks = upkeep.remarks()
        assert len(remarks) == (2 if code == "AccessDenied" else 0)
    if code != "NotImplemented":
        with pytest.raises(StoreRefused):
            list(upkeep.unfinished(""))


def test_other_stores_have_none() -> None:
    upkeep = open_upkeep(parse_address("file:///tmp"))

    assert isinstance(upkeep, NoUpkeep)
    assert list(upkeep.unfinished("")) == []
    assert list(upkeep.remarks()) == []


def test_the_rules_that_delete_by_age_are_read(moto_endpoint: S3Server) -> None:
    bucket = new_bucket(moto_endpoint)
    rules = [
        {"ID": "a", "Status": "Enabled", "Filter": {"Prefix": "prod/"}, "Expiration": {"Days": 60}},
        {"ID": "b", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 90}},
        {"ID": "c", "Status": "Disabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}},
        {
            "ID": "d",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        },
    ]
    moto_endpoint.client().put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})

    found = upkeep_of(moto_endpoint, bucket).expiries()

    assert list(found) == [Expiry("prod/", timedelta(days=60)), Expiry("", timedelta(days=90))]
    assert list(upkeep_of(moto_endpoint, new_bucket(moto_endpoint)).expiries()) == []


@pytest.mark.parametrize("largest_copy", [5 << 30, 5 << 20], ids=["in one request", "in parts"])
def test_an_object_that_is_refreshed_has_the_same_bytes_and_metadata(server: S3Server, largest_copy: int) -> None:
    bucket, client, body = new_bucket(server), server.client(), bytes(range(256)) * (24 << 10)  # 6 MiB
    client.put_object(
        Bucket=bucket,
        Key="n:/a",
        Body=body,
        Metadata={"stat": '{"uid": 1}'},
        ContentType="application/octet-stream",
        ChecksumAlgorithm="CRC64NVME",
    )
    before = client.head_object(Bucket=bucket, Key="n:/a")
    upkeep = upkeep_of(server, bucket)
    assert isinstance(upkeep, S3Upkeep)
    upkeep.largest_copy = largest_copy

    # versitygw makes up the checksums of parts that it copied, so that the whole is refused and stays as it was.
    with suppress(DamagedUpload) if largest_copy < len(body) else nullcontext():
        upkeep.refresh("n:/a")

    after = client.head_object(Bucket=bucket, Key="n:/a")
    assert after["LastModified"] >= before["LastModified"]
    assert (after["Metadata"], after["ContentType"]) == (before["Metadata"], before["ContentType"])
    assert client.get_object(Bucket=bucket, Key="n:/a")["Body"].read() == body
    assert list(upkeep.unfinished("")) == []


def test_what_is_not_there_is_not_refreshed(server: S3Server) -> None:
    with pytest.raises(NoSuchObject):
        upkeep_of(server, new_bucket(server)).refresh("n:/a")


def test_a_store_that_refuses_our_checksum_is_not_asked_for_it_where_an_object_is_copied_in_parts(
    moto_endpoint: S3Server,
) -> None:
    bucket, client, body = new_bucket(moto_endpoint), moto_endpoint.client(), bytes(range(256)) * (24 << 10)  # 6 MiB
    client.put_object(Bucket=bucket, Key="n:/a", Body=body)
    asked = {"x-amz-checksum-algorithm", "x-amz-checksum-type"}

    def refuse(one: Request) -> Reply | None:
        return Reply(400, "InvalidRequest") if asked & {name.lower() for name in one.headers} else None

    with proxy(moto_endpoint, refuse) as between:
        upkeep = upkeep_of(between, bucket)
        assert isinstance(upkeep, S3Upkeep)
        upkeep.largest_copy = 5 << 20
        upkeep.refresh("n:/a")

    assert client.get_object(Bucket=bucket, Key="n:/a")["Body"].read() == body


def test_what_is_archived_is_not_refreshed_and_the_error_says_how_to_have_it_thawed(moto_endpoint: S3Server) -> None:
    bucket = new_bucket(moto_endpoint)
    moto_endpoint.client().put_object(Bucket=bucket, Key="n:/a", Body=b"rows")

    def refuse(one: Request) -> Reply | None:
        return Reply(403, "InvalidObjectState") if one.method == "PUT" else None

    with (
        proxy(moto_endpoint, refuse) as between,
        pytest.raises(ObjectArchived, match=r"n:/a .*is archived.*tableslurp --thaw"),
    ):
        upkeep_of(between, bucket).refresh("n:/a")
