"""Google and Azure are reached as S3 is: the same proxies, the same certificates, whichever library asks."""

import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from tests.endpoint import free_port
from tests.faults.proxy import listening
from tests.forward_proxy import ForwardProxy, forward_proxy

from tablesnap.errors import NoSuchObject, StoreRefused, StoreUnavailable
from tablesnap.store.azure import AzureStore
from tablesnap.store.azure_account import Account
from tablesnap.store.gcs import GCSStore
from tablesnap.store.port import Store
from tablesnap.store.remote import RemoteOptions

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


class Handler(BaseHTTPRequestHandler):
    """A bucket without an object, in the dialects of Azure and of Google."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        is_listing = "list" in self.path.partition("?")[2]
        body = b"<EnumerationResults><Blobs/></EnumerationResults>" if is_listing else b""
        self.send_response(200 if is_listing else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def no_network_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")


@pytest.fixture
def server() -> Iterator[str]:
    with listening(Handler) as url:
        yield url


@pytest.fixture
def forward() -> Iterator[ForwardProxy]:
    with forward_proxy() as forward:
        yield forward


def store_of(kind: str, endpoint: str) -> Store:
    if kind == "gs":
        return GCSStore("bucket", RemoteOptions(endpoint_url=endpoint))
    return AzureStore("bucket", account=Account("account", endpoint, key="d3Jvbmc="))


def ask(kind: str, endpoint: str) -> None:
    """Ask by obstore, and of Azure for a listing by a request of our own."""
    store = store_of(kind, endpoint)
    with pytest.raises(NoSuchObject):
        b"".join(store.read("key"))
    if kind == "az":
        assert list(store.list("")) == []


@pytest.mark.parametrize("kind", ["gs", "az"])
def test_they_are_reached_by_the_proxy_that_a_variable_names(
    server: str, forward: ForwardProxy, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", forward.url)
    name = f"unheard-of:{urlsplit(server).port}"

    ask(kind, f"http://{name}")

    assert len(forward.reached) >= (2 if kind == "az" else 1)
    assert {one.partition(" ")[2] for one in forward.reached} == {name}


@pytest.mark.parametrize("kind", ["gs", "az"])
@pytest.mark.parametrize("exceptions", ["*", "127.0.0.1:PORT", "127.0.0.0/8"])
def test_they_are_reached_past_the_proxy_where_no_proxy_says_so(
    server: str, forward: ForwardProxy, monkeypatch: pytest.MonkeyPatch, kind: str, exceptions: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", forward.url)
    monkeypatch.setenv("NO_PROXY", exceptions.replace("PORT", str(urlsplit(server).port)))

    ask(kind, server)

    assert forward.reached == []


def test_our_own_requests_tell_the_proxy_their_password_too(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with forward_proxy("hush") as forward:
        monkeypatch.setenv("HTTP_PROXY", forward.url.replace("//", "//me:hush@"))

        ask("az", f"http://unheard-of:{urlsplit(server).port}")

        assert len(forward.reached) >= 2


@pytest.mark.parametrize("kind", ["gs", "az"])
def test_a_proxy_that_is_away_is_an_outage_that_names_it(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    away = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("HTTP_PROXY", f"http://me:hush@{away}")
    store = store_of(kind, "http://unheard-of:1")

    with pytest.raises(StoreUnavailable) as outage:
        b"".join(store.read("key"))

    assert f"does not answer by the proxy http://{away} (HTTP_PROXY)" in str(outage.value)
    assert "hush" not in str(outage.value)


@pytest.fixture
def over_tls(tmp_path: Path) -> Iterator[str]:
    """A server whose authority `authority.pem` names."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with listening(Handler, context) as url:
        yield url


@pytest.mark.parametrize("kind", ["gs", "az"])
@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_authority_that_a_variable_names_is_trusted(
    over_tls: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, variable: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "authority.pem"))

    ask(kind, over_tls)


@pytest.mark.parametrize("kind", ["gs", "az"])
def test_an_authority_that_is_not_trusted_is_a_refusal_that_says_who_is(
    over_tls: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))

    with pytest.raises(StoreRefused) as refused:
        b"".join(store_of(kind, over_tls).read("key"))

    for words in ("certificate is not trusted", "--ca-bundle", f"{other} (REQUESTS_CA_BUNDLE)"):
        assert words in str(refused.value)


class Portal(Handler):
    """A network that wants a login, and has a page for whatever is asked."""

    def do_GET(self) -> None:
        body = b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><body>Log in</body></html>'
        self.send_response(200)
        self.send_header("Content-Type", "application/xhtml+xml")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - http.server's name


@pytest.mark.parametrize("prefix", ["", "node:/data/"])
def test_a_page_for_a_login_is_no_listing_of_a_bucket_without_objects(server: str, prefix: str) -> None:
    honest = store_of("gs", server)
    assert (list(honest.list(prefix)), list(honest.level(prefix))) == ([], [])

    with listening(Portal) as url:
        store = store_of("gs", url)
        for look in (store.list, store.level):
            with pytest.raises(StoreUnavailable, match="login"):
                list(look(prefix))
