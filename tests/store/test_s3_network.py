"""Both HTTP libraries reach the bucket the same way, and trust the same certificates."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.endpoint import S3Server, free_port
from tests.faults.proxy import Proxy, proxy
from tests.forward_proxy import ForwardProxy, forward_proxy

from tablesnap.errors import StoreRefused, StoreUnavailable
from tablesnap.store.port import Content
from tablesnap.store.s3 import S3Options, S3Store

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


@pytest.fixture(autouse=True)
def no_network_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def bucket(moto_endpoint: S3Server) -> str:
    name = f"b{uuid.uuid4().hex}"
    moto_endpoint.make_bucket(name)
    return name


@pytest.fixture
def between(bucket: str, moto_endpoint: S3Server) -> Iterator[Proxy]:
    """The server, as it hears of requests whichever way they come."""
    with proxy(moto_endpoint) as between:
        yield between


@pytest.fixture
def over_tls(bucket: str, moto_endpoint: S3Server) -> Iterator[Proxy]:
    with proxy(moto_endpoint, tls=True) as between:
        yield between


@pytest.fixture
def forward() -> Iterator[ForwardProxy]:
    with forward_proxy() as forward:
        yield forward


def store_of(server: S3Server, bucket: str, *, host: str = "", ca_bundle: str | None = None) -> S3Store:
    url = urlsplit(server.endpoint_url)
    endpoint = url._replace(netloc=f"{host}:{url.port}").geturl() if host else server.endpoint_url
    return S3Store(
        bucket,
        S3Options(
            server.access_key,
            server.secret_key,
            region="us-east-1",
            endpoint_url=endpoint,
            ca_bundle=ca_bundle,
        ),
    )


def use_both_libraries(store: S3Store) -> None:
    """Write and read by obstore, ask by botocore."""
    store.create("key", Content.of(b"rows"))
    assert b"".join(store.read("key")) == b"rows"
    assert store.head("key").size == 4


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_both_libraries_go_by_the_proxy_that_a_variable_names(
    bucket: str, between: Proxy, forward: ForwardProxy, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, forward.url)

    # Nobody but the proxy knows this name.
    use_both_libraries(store_of(between, bucket, host="unheard-of"))

    assert len(forward.reached) == len(between.seen) > 3
    assert {one.partition(" ")[2] for one in forward.reached} == {f"unheard-of:{urlsplit(between.endpoint_url).port}"}


@pytest.mark.parametrize("exceptions", ["*", "127.0.0.1", "127.0.0.0/8", "127.0.0.1:PORT", "other, 127.0.0.1"])
def test_both_libraries_go_past_the_proxy_where_no_proxy_says_so(
    bucket: str, between: Proxy, forward: ForwardProxy, monkeypatch: pytest.MonkeyPatch, exceptions: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", forward.url)
    monkeypatch.setenv("HTTP_PROXY", forward.url)
    monkeypatch.setenv("NO_PROXY", exceptions.replace("PORT", str(urlsplit(between.endpoint_url).port)))

    use_both_libraries(store_of(between, bucket))

    assert forward.reached == []


def test_an_exception_for_another_port_is_none_for_both_libraries(
    bucket: str, between: Proxy, forward: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", forward.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1:1")

    use_both_libraries(store_of(between, bucket))

    assert len(forward.reached) == len(between.seen) > 3


def test_both_libraries_tell_the_proxy_their_password(
    bucket: str, between: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with forward_proxy("hush") as forward:
        monkeypatch.setenv("HTTP_PROXY", forward.url.replace("//", "//me:hush@"))

        use_both_libraries(store_of(between, bucket, host="unheard-of"))

        assert len(forward.reached) == len(between.seen) > 3


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_lets_nobody_in_without_a_password_is_a_refusal_that_names_it(
    bucket: str, between: Proxy, over_tls: Proxy, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    server = between if scheme == "http" else over_tls
    with forward_proxy("hush") as forward:
        monkeypatch.setenv("ALL_PROXY", forward.url.replace("//", "//me:wrong@"))

        with pytest.raises(StoreRefused) as refused:
            store_of(server, bucket, ca_bundle=server.ca_bundle).check()

    for words in (f"by the proxy {forward.url} (ALL_PROXY)", "wants a name and a password", "http://NAME:PASSWORD@"):
        assert words in str(refused.value)
    assert "wrong" not in str(refused.value)


def test_a_proxy_that_is_away_is_an_outage_that_names_it(
    bucket: str, between: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("HTTP_PROXY", f"http://me:hush@{away}")

    with pytest.raises(StoreUnavailable) as outage:
        store_of(between, bucket, host="unheard-of").check()

    assert f"does not answer by the proxy http://{away} (HTTP_PROXY)" in str(outage.value)
    assert "hush" not in str(outage.value)


@pytest.mark.parametrize("way", ["--ca-bundle", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_both_libraries_trust_the_authority_that_was_named(
    bucket: str, over_tls: Proxy, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    assert over_tls.ca_bundle is not None
    if way != "--ca-bundle":
        monkeypatch.setenv(way, over_tls.ca_bundle)

    use_both_libraries(store_of(over_tls, bucket, ca_bundle=over_tls.ca_bundle if way == "--ca-bundle" else None))


def test_both_libraries_trust_the_authority_through_a_proxy(
    bucket: str, over_tls: Proxy, forward: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", forward.url)

    use_both_libraries(store_of(over_tls, bucket, ca_bundle=over_tls.ca_bundle))

    assert set(forward.reached) == {f"CONNECT {urlsplit(over_tls.endpoint_url).netloc}"}
    assert len(forward.reached) > 1  # a connection of each


def test_an_authority_that_is_not_trusted_is_a_refusal_that_says_who_is(
    bucket: str, over_tls: Proxy, moto_endpoint: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy(moto_endpoint, tls=True) as other:
        assert other.ca_bundle is not None
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", other.ca_bundle)

        with pytest.raises(StoreRefused) as refused:
            store_of(over_tls, bucket).check()

    for words in ("certificate is not trusted", "--ca-bundle", f"{other.ca_bundle} (REQUESTS_CA_BUNDLE)"):
        assert words in str(refused.value)


def test_a_file_of_certificates_that_cannot_be_read_is_a_refusal_that_says_who_named_it(
    bucket: str, over_tls: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))

    with pytest.raises(StoreRefused, match=r"missing\.pem \(SSL_CERT_FILE\)"):
        store_of(over_tls, bucket).check()
