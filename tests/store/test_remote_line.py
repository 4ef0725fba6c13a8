"""What is read from Google and Azure over a line that is slow, or stands still."""

import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import ClassVar

import pytest
from tests.endpoint import S3Server
from tests.faults.proxy import Line, Proxy, Stop, Way, listening, proxy

from tablesnap.errors import StoreUnavailable
from tablesnap.store.azure import AzureStore
from tablesnap.store.azure_account import Account
from tablesnap.store.gcs import GCSStore
from tablesnap.store.port import Content, Store
from tablesnap.store.remote import SMALLEST_SENT, RemoteOptions

MIB = 1 << 20
DATA = bytes(range(256)) * (3 * MIB // 256)


class Handler(BaseHTTPRequestHandler):
    """One object, under whatever key, in the dialects of Azure and of Google."""

    protocol_version = "HTTP/1.1"
    sent: ClassVar[set[str]]

    def do_GET(self) -> None:
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", f"bytes=0-{len(DATA) - 1}"))
        assert match is not None
        part = DATA[int(match[1]) : int(match[2]) + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {match[1]}-{int(match[1]) + len(part) - 1}/{len(DATA)}")
        self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        self.wfile.write(part)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.sent.add(self.path)
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.send_header("ETag", '"1"')
        self.end_headers()

    def do_HEAD(self) -> None:
        is_there = self.path in self.sent
        self.send_response(200 if is_there else 404)
        self.send_header("Content-Length", str(len(DATA)) if is_there else "0")
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def no_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")


@pytest.fixture
def line() -> Iterator[Proxy]:
    class Fresh(Handler):
        sent: ClassVar[set[str]] = set()

    with listening(Fresh) as url, proxy(S3Server(url, "", "")) as between:
        yield between


def store_of(kind: str, line: Proxy, *, stall: float, slowest: float = MIB) -> Store:
    options = RemoteOptions(endpoint_url=line.endpoint_url, stall_seconds=stall, slowest=slowest)
    if kind == "gs":
        return GCSStore("bucket", options)
    return AzureStore("bucket", options, account=Account("account", line.endpoint_url, key="d3Jvbmc="))


@pytest.mark.parametrize("kind", ["gs", "az"])
def test_what_is_read_slowly_is_not_broken_off_as_long_as_it_comes(line: Proxy, kind: str) -> None:
    store = store_of(kind, line, stall=1.4)
    line.faults.line = lambda _: Line(down=Way(rate=2 * MIB))

    assert b"".join(store.read("key")) == DATA

    assert len(line.seen) == 1


@pytest.mark.parametrize("kind", ["gs", "az"])
def test_a_line_that_stands_still_is_noticed_and_the_rest_is_asked_for(line: Proxy, kind: str) -> None:
    store = store_of(kind, line, stall=0.5)
    line.faults.line = lambda _: Line(down=Way(length=None if len(line.seen) > 1 else MIB, stop=Stop.STALL))

    assert b"".join(store.read("key")) == DATA

    assert [one.headers["range"].startswith("bytes=0-") for one in line.seen[:2]] == [True, False]


def test_an_upload_may_take_as_long_as_a_slow_line_needs_for_its_bytes(line: Proxy) -> None:
    line.faults.line = lambda _: Line(up=Way(rate=2 * MIB))
    content = Content.of(DATA)

    store_of("az", line, stall=0.1, slowest=0.2 * MIB).create("key", content)
    with pytest.raises(StoreUnavailable):
        store_of("az", line, stall=0.1, slowest=20 * MIB).create("another", content)


def test_a_line_that_stands_still_is_noticed_within_a_minute_where_nothing_large_is_sent() -> None:
    options = RemoteOptions()

    assert options.stall_seconds + SMALLEST_SENT / options.slowest < 60
