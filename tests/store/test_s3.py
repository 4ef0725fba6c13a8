import mmap
import os
import uuid
from pathlib import Path
from urllib.parse import unquote

import pytest
from tests.endpoint import S3Server
from tests.faults.proxy import Fate, Reply, Request, proxy

from tablesnap.errors import (
    AlreadyStored,
    DamagedUpload,
    FileChanged,
    KeyRefused,
    NoSuchObject,
    StoreRefused,
    StoreUnavailable,
)
from tablesnap.store.port import Content
from tablesnap.store.s3 import S3Options, S3Store

KEY = "node:/var/lib/cassandra/data/ks/t-1/nb-1-big-Data.db"
MIB = 1 << 20
EMPTY = Content.of(b"")


@pytest.fixture(params=["moto", pytest.param("versitygw", marks=pytest.mark.servers)])
def server(request: pytest.FixtureRequest) -> S3Server:
    found: S3Server = request.getfixturevalue(f"{request.param}_endpoint")
    return found


def new_bucket(server: S3Server) -> str:
    name = f"b-{uuid.uuid4().hex}"
    server.make_bucket(name)
    return name


def store_of(server: S3Server, bucket: str, **options: object) -> S3Store:
    known: dict[str, object] = {
        "access_key": server.access_key,
        "secret_key": server.secret_key,
        "endpoint_url": server.endpoint_url,
    }
    return S3Store(bucket, S3Options(**{**known, **options}))  # type: ignore[arg-type] # a test's shorthand


def file_content(path: Path, data: bytes) -> Content:
    """A content that is read from a descriptor, which the test's end closes."""
    path.write_bytes(data)
    return Content(
        size=len(data), checksum=Content.of(data).checksum, descriptor=os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    )


def object_of(server: S3Server, bucket: str, key: str) -> dict[str, object]:
    found: dict[str, object] = server.client().head_object(Bucket=bucket, Key=key)
    return found


def test_making_a_store_asks_nothing_of_the_network() -> None:
    S3Store("bucket", S3Options(endpoint_url="http://127.0.0.1:1"))


def test_check_leaves_nothing_that_a_listing_shows(server: S3Server) -> None:
    bucket = new_bucket(server)

    store_of(server, bucket).check()

    assert list(store_of(server, bucket).list("")) == []
    assert "Uploads" not in server.client().list_multipart_uploads(Bucket=bucket)


def test_content_in_memory_is_stored_with_its_type_and_metadata(server: S3Server) -> None:
    store = store_of(server, new_bucket(server))

    store.create(KEY, Content.of(b"rows"), content_type="application/json", metadata={"stat": '{"uid": 1}'})

    head = store.head(KEY)
    assert b"".join(store.read(KEY)) == b"rows"
    assert (head.size, head.content_type, head.metadata) == (4, "application/json", {"stat": '{"uid": 1}'})
    assert abs(head.age_seconds) < 60  # a server's Date may lag a second behind its files


def test_content_of_a_descriptor_is_stored_with_its_type_and_metadata(server: S3Server, tmp_path: Path) -> None:
    store = store_of(server, new_bucket(server))
    content = file_content(tmp_path / "f", b"rows" * MIB)

    store.create(KEY, content, content_type="text/plain", metadata={"stat": "{}"})

    head = store.head(KEY)
    assert b"".join(store.read(KEY)) == b"rows" * MIB
    assert (head.size, head.content_type, head.metadata) == (4 * MIB, "text/plain", {"stat": "{}"})
    assert head.checksum in (content.checksum, None)


@pytest.mark.servers
def test_versitygw_tells_the_checksum_of_what_obstore_sent(versitygw_endpoint: S3Server) -> None:
    store = store_of(versitygw_endpoint, new_bucket(versitygw_endpoint))
    content = Content.of(b"rows")

    store.create(KEY, content)

    assert store.head(KEY).checksum == content.checksum


def test_a_checksum_of_another_kind_is_none_of_ours(server: S3Server) -> None:
    bucket = new_bucket(server)
    server.client().put_object(Bucket=bucket, Key=KEY, Body=b"rows", ChecksumAlgorithm="CRC32")

    head = store_of(server, bucket).head(KEY)

    assert head.checksum is None


def test_a_memory_map_can_be_closed_after_it_was_stored(server: S3Server, tmp_path: Path) -> None:
    store = store_of(server, new_bucket(server))
    (tmp_path / "f").write_bytes(b"rows")
    with (tmp_path / "f").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    content = Content(size=4, checksum=Content.of(b"rows").checksum, buffer=mapped)

    store.create(KEY, content)
    with pytest.raises(AlreadyStored):
        store.create(KEY, content)
    mapped.close()

    assert b"".join(store.read(KEY)) == b"rows"


@pytest.mark.parametrize("way", ["memory", "descriptor", "parts"])
def test_nothing_is_overwritten_whichever_way_it_is_sent(server: S3Server, tmp_path: Path, way: str) -> None:
    store = store_of(server, new_bucket(server), multipart_above=0 if way == "parts" else MIB)
    store.create(KEY, Content.of(b"first"))
    second = Content.of(b"second") if way == "memory" else file_content(tmp_path / "f", b"second")

    with pytest.raises(AlreadyStored):
        store.create(KEY, second)

    assert b"".join(store.read(KEY)) == b"first"


@pytest.mark.servers
@pytest.mark.parametrize("way", ["descriptor", "parts"])
def test_bytes_other_than_their_checksum_are_not_stored(versitygw_endpoint: S3Server, tmp_path: Path, way: str) -> None:
    bucket = new_bucket(versitygw_endpoint)
    store = store_of(versitygw_endpoint, bucket, multipart_above=0 if way == "parts" else MIB)
    honest = file_content(tmp_path / "f", b"rows")
    damaged = Content(size=honest.size, checksum=honest.checksum ^ 1, descriptor=honest.descriptor)

    with pytest.raises(DamagedUpload):
        store.create(KEY, damaged)

    assert list(store.list("")) == []
    assert "Uploads" not in versitygw_endpoint.client().list_multipart_uploads(Bucket=bucket)


def test_content_above_the_limit_goes_up_in_parts_and_keeps_the_checksum_of_the_whole(
    server: S3Server, tmp_path: Path
) -> None:
    bucket = new_bucket(server)
    store = store_of(server, bucket, multipart_above=6 * MIB, part_size=5 * MIB)
    data = os.urandom(MIB) * 11
    content = file_content(tmp_path / "f", data)

    store.create(KEY, content, content_type="text/plain", metadata={"stat": "{}"})

    head = store.head(KEY)
    assert b"".join(store.read(KEY)) == data
    assert (head.checksum, head.content_type, head.metadata) == (content.checksum, "text/plain", {"stat": "{}"})
    assert str(object_of(server, bucket, KEY)["ETag"]).endswith('-3"')


@pytest.mark.parametrize("multipart_above", [0, MIB])
def test_a_file_that_became_shorter_is_not_stored(server: S3Server, tmp_path: Path, multipart_above: int) -> None:
    bucket = new_bucket(server)
    store = store_of(server, bucket, multipart_above=multipart_above)
    content = file_content(tmp_path / "f", b"rows" * 100)
    os.truncate(tmp_path / "f", 100)

    with pytest.raises(FileChanged):
        store.create(KEY, content)

    assert list(store.list("")) == []
    assert "Uploads" not in server.client().list_multipart_uploads(Bucket=bucket)


def test_what_is_not_there_is_said_so(server: S3Server) -> None:
    store = store_of(server, new_bucket(server))

    with pytest.raises(NoSuchObject):
        store.head(KEY)
    with pytest.raises(NoSuchObject):
        next(store.read(KEY))


ODD_KEYS = ["d/", "/lead", "a//b", "a/./b", "a/../b", "./x", "..", "tab\tin", "bell\x07", "x\x7f", "cr\rx"]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_an_odd_key_is_kept_exactly_where_the_server_can(moto_endpoint: S3Server, key: str) -> None:
    store = store_of(moto_endpoint, new_bucket(moto_endpoint))

    store.create(key, Content.of(b"rows"))

    assert [listed.key for listed in store.list("")] == [key]
    assert store.head(key).size == 4
    assert b"".join(store.read(key)) == b"rows"
    store.delete([key])
    assert list(store.list("")) == []


@pytest.mark.servers
@pytest.mark.parametrize("key", ["a//b", "/a/b", "a/./b", "a/x/../b", "../a/b"])
def test_an_odd_key_is_never_taken_for_another(versitygw_endpoint: S3Server, key: str) -> None:
    store = store_of(versitygw_endpoint, new_bucket(versitygw_endpoint))
    store.create("a/b", Content.of(b"another"))

    with pytest.raises(KeyRefused):
        store.create(key, Content.of(b"rows"))
    with pytest.raises(NoSuchObject):
        store.head(key)
    with pytest.raises(NoSuchObject):
        next(store.read(key))
    store.delete([key])

    assert b"".join(store.read("a/b")) == b"another"


@pytest.mark.servers
def test_what_a_server_filed_under_another_name_is_taken_back(versitygw_endpoint: S3Server) -> None:
    store = store_of(versitygw_endpoint, new_bucket(versitygw_endpoint))
    store.check()  # from here on it is known that nothing is overwritten

    with pytest.raises(KeyRefused):
        store.create("a//b", EMPTY)

    assert [*store.list("")] == []


@pytest.mark.parametrize("key", ["", "x" * 1025, "ü" * 513, "\udcff"])
def test_what_s3_cannot_name_is_refused_before_anything_is_asked(key: str) -> None:
    store = S3Store("bucket", S3Options(access_key="a", secret_key="b", endpoint_url="http://127.0.0.1:1"))

    with pytest.raises(KeyRefused):
        store.create(key, EMPTY)


def test_other_peoples_odd_keys_are_listed_as_they_are(moto_endpoint: S3Server) -> None:
    bucket = new_bucket(moto_endpoint)
    keys = sorted([*ODD_KEYS, "plain", "sp ace+plus%41", "d/e", "ü", "\ufffd"], key=str.encode)
    for key in keys:
        moto_endpoint.client().put_object(Bucket=bucket, Key=key, Body=b"")

    listed = list(store_of(moto_endpoint, bucket).list(""))

    assert [entry.key for entry in listed] == keys


@pytest.mark.servers
def test_a_name_that_a_listing_does_not_spell_out_is_left_out_of_it(
    versitygw_endpoint: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    bucket = new_bucket(versitygw_endpoint)
    for key in ("bell\x07", "really-\ufffd"):
        versitygw_endpoint.client().put_object(Bucket=bucket, Key=key, Body=b"")

    listed = list(store_of(versitygw_endpoint, bucket).list(""))

    assert [entry.key for entry in listed] == ["really-\ufffd"]
    assert "left out of a listing" in caplog.text


def test_a_listing_goes_on_beyond_one_page_and_stops_at_its_prefix(moto_endpoint: S3Server) -> None:
    store = store_of(moto_endpoint, new_bucket(moto_endpoint))
    wanted = [f"a/{number:04}" for number in range(1001)]
    for key in [*wanted, "b"]:
        store.create(key, EMPTY)

    listed = [entry.key for entry in store.list("a/0")] + [entry.key for entry in store.list("a/1")]

    assert listed == wanted


def test_many_keys_are_deleted_with_those_that_are_not_there(server: S3Server) -> None:
    store = store_of(server, new_bucket(server))
    for key in ("a", "b", "left"):
        store.create(key, EMPTY)

    store.delete(["a", "never", "b", "d/e//f", *(f"none-{number}" for number in range(1000))])

    assert [listed.key for listed in store.list("")] == ["left"]


def test_encryption_and_storage_class_go_with_every_object(moto_endpoint: S3Server, tmp_path: Path) -> None:
    bucket = new_bucket(moto_endpoint)
    options = {"encryption": "AES256", "storage_class": "STANDARD_IA"}

    store_of(moto_endpoint, bucket, **options).check()
    store_of(moto_endpoint, bucket, **options).create("memory", EMPTY)
    store_of(moto_endpoint, bucket, **options).create("file", file_content(tmp_path / "f", b"x"))
    store_of(moto_endpoint, bucket, **options, multipart_above=0).create("parts", Content.of(b"x"))

    for key in ("memory", "file", "parts"):
        found = object_of(moto_endpoint, bucket, key)
        assert (found["ServerSideEncryption"], found["StorageClass"]) == ("AES256", "STANDARD_IA"), key
    assert len(list(store_of(moto_endpoint, bucket).list(""))) == 3


@pytest.mark.parametrize("way", ["obstore", "botocore", "parts"])
def test_what_is_standard_has_the_stores_own_class_whatever_was_asked_for(moto_endpoint: S3Server, way: str) -> None:
    bucket = new_bucket(moto_endpoint)
    multipart_above = 0 if way == "parts" else 5 << 30
    store = store_of(moto_endpoint, bucket, storage_class="GLACIER", multipart_above=multipart_above)
    # An odd key goes by botocore.
    key = "a//index" if way == "botocore" else "index"

    store.create(key, Content.of(b"index"), standard=True)

    assert object_of(moto_endpoint, bucket, key).get("StorageClass", "STANDARD") == "STANDARD"
    assert b"".join(store.read(key)) == b"index"


def refuse_who_does_not_pay(request: Request) -> Reply | None:
    return None if "x-amz-request-payer" in request.headers else Reply(403, "AccessDenied")


def test_a_bucket_whose_owner_does_not_pay_is_used_by_who_offers_to(moto_endpoint: S3Server) -> None:
    bucket = new_bucket(moto_endpoint)
    with proxy(moto_endpoint, refuse_who_does_not_pay) as between:
        with pytest.raises(StoreRefused, match="access was denied"):
            store_of(between, bucket).create("poor", Content.of(b"rows"))
        store = store_of(between, bucket, request_payer=True)
        large = store_of(between, bucket, request_payer=True, multipart_above=0)

        store.check()
        store.create("obstore", Content.of(b"rows"))
        store.create("boto//3", Content.of(b"rows"))
        large.create("parts", Content.of(b"rows"))
        read = {listed.key: b"".join(store.read(listed.key)) for listed in store.list("")}
        store.delete(["obstore", "boto//3"])

    assert read == dict.fromkeys(("obstore", "boto//3", "parts"), b"rows")


def refuse_without_acl(request: Request) -> Reply | None:
    creates = request.call in ("PutObject", "CreateMultipartUpload")
    is_given = request.headers.get("x-amz-acl") == "bucket-owner-full-control"
    return Reply(403, "AccessDenied") if creates and not is_given else None


def test_an_acl_goes_with_every_object(moto_endpoint: S3Server, tmp_path: Path) -> None:
    bucket = new_bucket(moto_endpoint)
    acl = "bucket-owner-full-control"
    with proxy(moto_endpoint, refuse_without_acl) as between:
        with pytest.raises(StoreRefused, match="access was denied"):
            store_of(between, bucket).create("without", Content.of(b"rows"))

        store_of(between, bucket, acl=acl).check()
        store_of(between, bucket, acl=acl).create("memory", Content.of(b"rows"))
        store_of(between, bucket, acl=acl).create("file", file_content(tmp_path / "f", b"rows"))
        store_of(between, bucket, acl=acl, multipart_above=0).create("parts", Content.of(b"rows"))

    assert {listed.key for listed in store_of(moto_endpoint, bucket).list("")} >= {"memory", "file", "parts"}


def test_an_archived_object_is_refused_with_what_to_do_and_how_long_it_takes(moto_endpoint: S3Server) -> None:
    store = store_of(moto_endpoint, new_bucket(moto_endpoint), storage_class="GLACIER")
    store.create("data", Content.of(b"rows"))

    with pytest.raises(StoreRefused) as refused:
        b"".join(store.read("data"))

    for words in ("InvalidObjectState", "restored", "aws s3api restore-object", "3 to 5 hours", "12 hours"):
        assert words in str(refused.value)


def test_a_kms_key_goes_with_every_object(moto_endpoint: S3Server, tmp_path: Path) -> None:
    bucket = new_bucket(moto_endpoint)
    store = store_of(moto_endpoint, bucket, encryption="key-1")

    store.check()
    store.create("memory", EMPTY)
    store.create("file", file_content(tmp_path / "f", b"x"))

    for key in ("memory", "file"):
        found = object_of(moto_endpoint, bucket, key)
        assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", "key-1"), key


@pytest.mark.servers
def test_a_store_that_cannot_encrypt_says_so(versitygw_endpoint: S3Server) -> None:
    store = store_of(versitygw_endpoint, new_bucket(versitygw_endpoint), encryption="AES256")

    with pytest.raises(StoreRefused, match="does not encrypt"):
        store.check()


@pytest.mark.servers
def test_a_store_that_knows_no_storage_classes_says_so(versitygw_endpoint: S3Server) -> None:
    store = store_of(versitygw_endpoint, new_bucket(versitygw_endpoint), storage_class="STANDARD_IA")

    with pytest.raises(StoreRefused, match="keeps objects as STANDARD"):
        store.check()

    assert list(store.list("")) == []


def test_a_storage_class_that_does_not_exist_is_refused(moto_endpoint: S3Server) -> None:
    store = store_of(moto_endpoint, new_bucket(moto_endpoint), storage_class="NO_SUCH_CLASS")

    with pytest.raises(StoreRefused, match="InvalidStorageClass"):
        store.check()


def test_a_bucket_that_is_not_there_is_refused_by_every_method(server: S3Server) -> None:
    store = store_of(server, "no-such-bucket")

    for attempt in (
        store.check,
        lambda: store.create(KEY, EMPTY),
        lambda: store.head(KEY),
        lambda: next(store.read(KEY)),
        lambda: list(store.list("")),
        lambda: store.delete([KEY]),
    ):
        with pytest.raises(StoreRefused, match="there is no bucket no-such-bucket"):
            attempt()


@pytest.mark.servers
def test_a_wrong_secret_is_refused_and_not_repeated(versitygw_endpoint: S3Server) -> None:
    store = store_of(versitygw_endpoint, new_bucket(versitygw_endpoint), secret_key="not-the-secret")

    with pytest.raises(StoreRefused, match="does not accept these credentials") as caught:
        store.check()

    assert "not-the-secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_is_away_is_an_outage() -> None:
    store = S3Store("bucket", S3Options(access_key="a", secret_key="b", endpoint_url="http://127.0.0.1:1"))

    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1"):
        store.check()


@pytest.mark.parametrize("fate", [Fate.RESET_UNHEARD, Fate.RESET_DONE])
@pytest.mark.parametrize("way", ["memory", "descriptor"])
def test_a_connection_that_is_reset_leaves_the_whole_object_or_none(
    moto_endpoint: S3Server, tmp_path: Path, fate: Fate, way: str
) -> None:
    content = Content.of(b"rows" * 1000) if way == "memory" else file_content(tmp_path / "f", b"rows" * 1000)

    with proxy(moto_endpoint, lambda request: fate if request.method == "PUT" else None) as between:
        store = store_of(between, new_bucket(moto_endpoint))
        with pytest.raises((StoreUnavailable, AlreadyStored)):
            store.create(KEY, content)

        found = [listed.size for listed in store.list("")]
    assert found == ([] if fate is Fate.RESET_UNHEARD else [4000])


def test_a_part_that_is_lost_is_sent_again(moto_endpoint: S3Server, tmp_path: Path) -> None:
    lost: list[str] = []

    def lose_each_part_once(request: Request) -> Fate | None:
        if "partNumber=" not in request.path or request.path in lost:
            return None
        lost.append(request.path)
        return Fate.RESET_UNHEARD

    data = os.urandom(MIB) * 11
    with proxy(moto_endpoint, lose_each_part_once) as between:
        store = store_of(between, new_bucket(moto_endpoint), multipart_above=MIB, part_size=5 * MIB)

        store.create(KEY, file_content(tmp_path / "f", data))

        assert b"".join(store.read(KEY)) == data
    assert len(lost) == 3


def test_an_upload_whose_part_is_refused_is_given_up(moto_endpoint: S3Server, tmp_path: Path) -> None:
    bucket = new_bucket(moto_endpoint)

    def refuse_the_second(request: Request) -> Reply | None:
        return Reply(403, "AccessDenied") if "partNumber=2" in request.path else None

    with proxy(moto_endpoint, refuse_the_second) as between:
        store = store_of(between, bucket, multipart_above=MIB, part_size=5 * MIB)
        with pytest.raises(StoreRefused, match="access was denied"):
            store.create(KEY, file_content(tmp_path / "f", bytes(11 * MIB)))

    assert list(store_of(moto_endpoint, bucket).list("")) == []
    assert "Uploads" not in moto_endpoint.client().list_multipart_uploads(Bucket=bucket)


def test_a_deletion_that_fails_for_one_key_raises(moto_endpoint: S3Server) -> None:
    class Locked(Reply):
        def body(self) -> bytes:
            failed = "<Error><Key>a</Key><Code>AccessDenied</Code><Message>locked</Message></Error>"
            return f"<DeleteResult>{failed}</DeleteResult>".encode()

    with proxy(moto_endpoint, lambda request: Locked(200) if request.method == "POST" else None) as between:
        store = store_of(between, new_bucket(moto_endpoint))

        with pytest.raises(StoreRefused, match=r"/a at .*AccessDenied"):
            store.delete(["a", "b"])


def test_a_check_touches_no_key_outside_the_prefix_it_is_given(moto_endpoint: S3Server) -> None:
    """An operator may allow a daemon one prefix of a bucket, and nothing else."""
    bucket = new_bucket(moto_endpoint)

    with proxy(moto_endpoint) as between:
        store_of(between, bucket, storage_class="STANDARD_IA").check("nodes/n1:/")

    # The bucket is asked for its region, which it tells whoever asks.
    asked = [unquote(request.path) for request in between.seen if request.path != f"/{bucket}"]
    assert len(asked) > 1
    assert all("nodes/n1:/" in path for path in asked)
