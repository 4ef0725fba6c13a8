import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import trustme
from tests.endpoint import S3Server
from tests.faults.proxy import Proxy, Reply, Request, listening, proxy
from tests.s3_servers import versitygw_server

from tablesnap.errors import StoreRefused, StoreUnavailable
from tablesnap.store.port import Content
from tablesnap.store.s3 import S3Options, S3Store

ROWS = Content.of(b"rows")


@pytest.fixture
def bucket(moto_endpoint: S3Server) -> str:
    name = f"b-{uuid.uuid4().hex}"
    moto_endpoint.make_bucket(name)
    return name


@pytest.fixture
def between(moto_endpoint: S3Server) -> Iterator[Proxy]:
    with proxy(moto_endpoint) as found:
        yield found


def use_both_libraries(store: S3Store) -> None:
    """Create an object through obstore, and list the bucket through botocore."""
    store.create("key", ROWS)
    assert [listed.key for listed in store.list("")] == ["key"]


def signed(between: Proxy) -> list[Request]:
    """What came with a signature: the question for the region has none."""
    return [request for request in between.seen if request.access_key]


def region_of(request: Request) -> str:
    return request.headers["authorization"].partition("Credential=")[2].split("/")[2]


def test_the_operators_keys_are_used_by_both_libraries(bucket: str, between: Proxy) -> None:
    options = S3Options("key-1", "secret-1", "token-1", endpoint_url=between.endpoint_url)

    use_both_libraries(S3Store(bucket, options))

    assert {request.access_key for request in signed(between)} == {"key-1"}
    assert {request.headers["x-amz-security-token"] for request in signed(between)} == {"token-1"}
    agents = {request.method: request.headers["user-agent"].partition("/")[0] for request in signed(between)}
    assert (agents["PUT"], agents["GET"]) == ("object_store", "Botocore")


@pytest.mark.parametrize("variable", ["AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"])
def test_the_environments_keys_and_token_are_used_by_both_libraries(
    bucket: str, between: Proxy, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-2")
    monkeypatch.setenv(variable, "token-2")

    use_both_libraries(S3Store(bucket, S3Options(endpoint_url=between.endpoint_url)))

    assert {request.access_key for request in signed(between)} == {"key-2"}
    assert {request.headers["x-amz-security-token"] for request in signed(between)} == {"token-2"}


def test_a_token_of_the_environment_is_not_mixed_with_the_operators_keys(
    bucket: str, between: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-others")

    use_both_libraries(S3Store(bucket, S3Options("key-1", "secret-1", endpoint_url=between.endpoint_url)))

    assert not any("x-amz-security-token" in request.headers for request in between.seen)


def test_a_key_on_the_command_line_goes_with_the_secret_of_the_environment(
    bucket: str, between: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-2")

    use_both_libraries(S3Store(bucket, S3Options(access_key="key-1", endpoint_url=between.endpoint_url)))

    assert {request.access_key for request in signed(between)} == {"key-1"}


def test_half_of_the_credentials_is_refused(between: Proxy) -> None:
    with pytest.raises(StoreRefused, match="give both -k and -s"):
        S3Store("bucket", S3Options(access_key="key-1", endpoint_url=between.endpoint_url)).check()


def test_a_profile_gives_credentials_region_and_endpoint(
    bucket: str, between: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "credentials").write_text("[backup]\naws_access_key_id = key-3\naws_secret_access_key = secret-3\n")
    (tmp_path / "config").write_text(
        f"[profile backup]\nregion = xx-nowhere-7\nendpoint_url = {between.endpoint_url}\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "backup")

    use_both_libraries(S3Store(bucket))

    assert {(request.access_key, region_of(request)) for request in signed(between)} == {("key-3", "xx-nowhere-7")}


def test_a_profile_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "misspelt")

    with pytest.raises(StoreRefused, match="misspelt"):
        S3Store("bucket").check()


def test_credentials_that_are_not_yet_there_are_an_outage_until_they_come(
    bucket: str, between: Proxy, tmp_path: Path
) -> None:
    store = S3Store(bucket, S3Options(endpoint_url=between.endpoint_url))
    with pytest.raises(StoreUnavailable, match="no credentials"):
        store.check()

    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = key-4\naws_secret_access_key = secret-4\n")
    use_both_libraries(store)

    assert {request.access_key for request in signed(between)} == {"key-4"}


def test_credentials_that_were_replaced_on_disk_are_found_after_a_refusal(
    moto_endpoint: S3Server, bucket: str, tmp_path: Path
) -> None:
    def refuse_the_old(request: Request) -> Reply | None:
        return Reply(403, "InvalidAccessKeyId") if request.access_key == "old" else None

    with proxy(moto_endpoint, refuse_the_old) as between:
        store = S3Store(bucket, S3Options(endpoint_url=between.endpoint_url))
        (tmp_path / "credentials").write_text("[default]\naws_access_key_id = old\naws_secret_access_key = s\n")
        with pytest.raises(StoreRefused):
            store.check()

        (tmp_path / "credentials").write_text("[default]\naws_access_key_id = new\naws_secret_access_key = s\n")
        use_both_libraries(store)


@contextmanager
def credentials_service(answer: Callable[[], dict[str, str] | None]) -> Iterator[str]:
    """What a container asks for its credentials."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = answer()
            self.send_response_only(503 if said is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            pass

    with listening(Handler) as url:
        yield url


def credentials_for(lifetime: timedelta, key: str) -> dict[str, str]:
    expiration = (datetime.now(UTC) + lifetime).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"AccessKeyId": key, "SecretAccessKey": "s", "Token": f"token-of-{key}", "Expiration": expiration}


def test_credentials_are_renewed_before_they_expire(
    bucket: str, between: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first ones have less than the ten minutes that botocore wants them to have, the others an hour.
    issued: list[str] = []

    def issue() -> dict[str, str]:
        issued.append(f"key-{len(issued)}")
        return credentials_for(timedelta(minutes=2 if len(issued) == 1 else 60), issued[-1])

    with credentials_service(issue) as url:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        use_both_libraries(S3Store(bucket, S3Options(endpoint_url=between.endpoint_url)))

    assert {request.access_key for request in signed(between)} == {"key-1"}
    assert {request.headers["x-amz-security-token"] for request in signed(between)} == {"token-of-key-1"}


def test_a_credentials_service_that_fails_is_an_outage_until_it_answers(
    bucket: str, between: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[dict[str, str] | None] = [None]

    with credentials_service(lambda: answers[-1]) as url:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        store = S3Store(bucket, S3Options(endpoint_url=between.endpoint_url))
        with pytest.raises(StoreUnavailable, match="no credentials"):
            store.check()
        answers.append(credentials_for(timedelta(hours=1), "key-5"))
        store.check()

    assert {request.access_key for request in signed(between)} == {"key-5"}


def test_an_expired_token_is_an_outage_and_the_next_one_is_used(
    moto_endpoint: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_the_first(request: Request) -> Reply | None:
        return Reply(400, "ExpiredToken") if request.access_key == "key-0" else None

    issued: list[str] = []

    def issue() -> dict[str, str]:
        issued.append(f"key-{len(issued)}")
        return credentials_for(timedelta(hours=1), issued[-1])

    with credentials_service(issue) as url, proxy(moto_endpoint, refuse_the_first) as between:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        store = S3Store(bucket, S3Options(endpoint_url=between.endpoint_url))
        with pytest.raises(StoreUnavailable, match="expired"):
            list(store.list(""))

        use_both_libraries(store)


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_environments_region_is_used_whatever_its_name(
    bucket: str, between: Proxy, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "xx-future-1")

    use_both_libraries(S3Store(bucket, S3Options("k", "s", endpoint_url=between.endpoint_url)))

    assert {region_of(request) for request in signed(between)} == {"xx-future-1"}


def test_the_operators_region_wins(bucket: str, between: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "xx-future-1")

    use_both_libraries(S3Store(bucket, S3Options("k", "s", region="yy-1", endpoint_url=between.endpoint_url)))

    assert {region_of(request) for request in signed(between)} == {"yy-1"}


def test_without_a_region_the_bucket_is_asked(moto_endpoint: S3Server, between: Proxy) -> None:
    name = f"b-{uuid.uuid4().hex}"
    moto_endpoint.client().create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "ap-southeast-3"}
    )

    use_both_libraries(S3Store(name, S3Options("k", "s", endpoint_url=between.endpoint_url)))

    assert {region_of(request) for request in signed(between)} == {"ap-southeast-3"}


def test_a_region_that_cannot_be_asked_for_now_is_an_outage(moto_endpoint: S3Server, bucket: str) -> None:
    with proxy(moto_endpoint, lambda request: Reply(503) if request.method == "HEAD" else None) as between:
        store = S3Store(bucket, S3Options("k", "s", endpoint_url=between.endpoint_url))

        with pytest.raises(StoreUnavailable):
            store.check()


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_the_environments_endpoint_is_used_by_both_libraries(
    bucket: str, between: Proxy, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, between.endpoint_url)

    use_both_libraries(S3Store(bucket, S3Options("k", "s")))

    assert {request.path.split("?")[0].split("/")[1] for request in between.seen} == {bucket}


def test_the_operators_endpoint_wins(bucket: str, between: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")

    use_both_libraries(S3Store(bucket, S3Options("k", "s", endpoint_url=between.endpoint_url)))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_SKIP_SIGNATURE", "true"),
        ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true"),
        ("AWS_S3_EXPRESS", "true"),
        ("AWS_CHECKSUM_ALGORITHM", "sha256"),
        ("AWS_SERVER_SIDE_ENCRYPTION", "AES256"),
        ("AWS_SSE_KMS_KEY_ID", "another"),
        ("AWS_COPY_IF_NOT_EXISTS", "nonsense"),
        ("AWS_ENDPOINT", "http://127.0.0.1:1"),
        ("AWS_CONDITIONAL_PUT", "disabled"),
        ("AWS_UNSIGNED_PAYLOAD", "nonsense"),
    ],
)
def test_what_obstore_alone_reads_from_the_environment_changes_nothing(
    moto_endpoint: S3Server, bucket: str, between: Proxy, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    use_both_libraries(S3Store(bucket, S3Options("k", "s", endpoint_url=between.endpoint_url)))

    [stored, *_] = [request for request in between.seen if request.method == "PUT"]
    assert stored.access_key == "k"
    assert stored.headers["if-none-match"] == "*"
    assert "x-amz-checksum-crc64nvme" in stored.headers
    assert "ServerSideEncryption" not in moto_endpoint.client().head_object(Bucket=bucket, Key="key")


def test_an_endpoint_that_is_no_url_is_refused() -> None:
    with pytest.raises(StoreRefused, match="nonsense"):
        S3Store("bucket", S3Options("k", "s", endpoint_url="nonsense")).check()


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def over_tls(authority: trustme.CA, tmp_path: Path) -> Iterator[S3Server]:
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    with versitygw_server(tmp_path / "cert.pem", tmp_path / "key.pem") as server:
        yield server


@pytest.mark.servers
@pytest.mark.parametrize("way", ["option", "environment"])
def test_a_private_authority_is_trusted_where_it_is_named(
    over_tls: S3Server, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    if way == "environment":
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    ca_bundle = str(tmp_path / "ca.pem")
    S3Server(over_tls.endpoint_url, over_tls.access_key, over_tls.secret_key, ca_bundle).make_bucket("bucket")
    store = S3Store(
        "bucket",
        S3Options(
            over_tls.access_key,
            over_tls.secret_key,
            endpoint_url=over_tls.endpoint_url,
            ca_bundle=ca_bundle if way == "option" else None,
            multipart_above=8 << 20,
        ),
    )
    large = Content.of(bytes(9 << 20))

    use_both_libraries(store)
    store.create("large", large)

    assert store.head("large").checksum == large.checksum


@pytest.mark.servers
def test_an_authority_nobody_named_is_refused(over_tls: S3Server) -> None:
    options = S3Options(over_tls.access_key, over_tls.secret_key, endpoint_url=over_tls.endpoint_url)

    with pytest.raises(StoreRefused, match="--ca-bundle"):
        S3Store("bucket", options).check()


def test_a_bundle_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    options = S3Options("k", "s", endpoint_url="https://127.0.0.1:1", ca_bundle=str(tmp_path / "missing.pem"))

    with pytest.raises(StoreRefused, match=r"missing\.pem"):
        S3Store("bucket", options).check()


def test_secrets_are_not_shown() -> None:
    assert "hush" not in repr(S3Options("k", "hush", "hush"))
