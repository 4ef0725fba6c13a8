"""Servers that answer ranges otherwise than Amazon does. RFC 9110, 14.2, allows it; what is read must be the same."""

import re
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler

import pytest
from tests.faults.proxy import listening

from tablesnap.errors import NoSuchObject, StoreError
from tablesnap.store import strides
from tablesnap.store.gcs import GCSStore
from tablesnap.store.port import Store
from tablesnap.store.remote import RemoteOptions
from tablesnap.store.s3 import S3Options, S3Store

DATA = bytes(range(256)) * 10
SIZE = len(DATA)
RANGES = [(0, None), (0, 5), (0, SIZE), (0, SIZE + 99), (7, None), (7, 5), (7, SIZE), (SIZE - 1, None), (SIZE, 3)]


class AsAsked(BaseHTTPRequestHandler):
    """One object, ``data``, and an empty one, of a server that answers a range with a 206, as Amazon does."""

    protocol_version = "HTTP/1.1"
    status = 206
    asked: list[str]

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.asked.append(self.headers.get("Range", "all"))
        self.answer()

    def answer(self) -> None:
        data = {"data": DATA, "empty": b""}.get(self.path.partition("?")[0].rpartition("/")[2])
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if data is None:
            self.say(404, b"")
        elif found is None:
            self.say(200, data)
        else:
            self.answer_range(data, int(found[1]), int(found[2] or len(data) - 1))

    def answer_range(self, data: bytes, first: int, last: int) -> None:
        if first >= len(data):
            self.say(416, b"<Error><Code>InvalidRange</Code></Error>")
            return
        part = data[first : last + 1]
        self.say(self.status, part, f"bytes {first}-{first + len(part) - 1}/{len(data)}")

    def say(self, status: int, body: bytes, place: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", "Mon, 30 Nov 2026 12:00:00 GMT")
        self.send_header("ETag", '"1"')
        if place:
            self.send_header("Content-Range", place)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        pass


class Ignored(AsAsked):
    """A range is ignored: the whole, and a 200."""

    def answer_range(self, data: bytes, first: int, last: int) -> None:
        self.say(200, data)


class CalledAll(AsAsked):
    """rclone 1.75: the range, its place in the object, and a 200."""

    status = 200


class RefusedBeyond(AsAsked):
    """nanio: a range that ends beyond the object is refused."""

    def answer_range(self, data: bytes, first: int, last: int) -> None:
        if last >= len(data):
            self.say(400, b"<Error><Code>InvalidArgument</Code><Message>invalid byte range</Message></Error>")
        else:
            super().answer_range(data, first, last)


class Unsatisfiable(AsAsked):
    """The same, with the status of a range that begins beyond it."""

    def answer_range(self, data: bytes, first: int, last: int) -> None:
        super().answer_range(data, first if last < len(data) else len(data), last)


@pytest.fixture(params=[AsAsked, Ignored, CalledAll, RefusedBeyond, Unsatisfiable])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, list[str]]]:
    """The URL of such a server, and the ranges that it was asked for."""
    handler: type[AsAsked] = type("Handler", (request.param,), {"asked": []})
    with listening(handler) as url:
        yield url, handler.asked


def s3(url: str) -> S3Store:
    return S3Store("bucket", S3Options(access_key="a", secret_key="b", region="us-east-1", endpoint_url=url))


@pytest.fixture(params=["s3", "gs"])
def opened(
    request: pytest.FixtureRequest, server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Store]:
    monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
    if request.param == "s3":
        return lambda: s3(server[0])
    return lambda: GCSStore("bucket", RemoteOptions(endpoint_url=server[0]))


def test_what_is_read_is_the_same_however_ranges_are_answered(opened: Callable[[], Store]) -> None:
    for offset, length in RANGES:
        store = opened()

        first = b"".join(store.read("data", offset=offset, length=length))
        again = b"".join(store.read("data", offset=offset, length=length))

        wanted = DATA[offset : SIZE if length is None else offset + length]
        assert (first, again) == (wanted, wanted), (offset, length)


def test_an_empty_object_is_read_however_ranges_are_answered(opened: Callable[[], Store]) -> None:
    assert b"".join(opened().read("empty")) == b""


def test_what_is_not_there_is_said_so_however_ranges_are_answered(opened: Callable[[], Store]) -> None:
    with pytest.raises(NoSuchObject):
        next(opened().read("nothing"))


@pytest.mark.parametrize("server", [Ignored, CalledAll, RefusedBeyond, Unsatisfiable], indirect=True)
def test_a_server_with_a_way_of_its_own_is_asked_in_vain_once(server: tuple[str, list[str]]) -> None:
    url, asked = server
    store = s3(url)

    for _ in range(3):
        assert b"".join(store.read("data")) == DATA
    assert b"".join(store.read("data", offset=7)) == DATA[7:]

    assert asked == [f"bytes=0-{strides.STRIDE - 1}", "all", "all", "all", f"bytes=7-{SIZE - 1}"]


@pytest.mark.parametrize("server", [AsAsked], indirect=True)
def test_an_empty_object_does_not_make_a_server_one_with_a_way_of_its_own(server: tuple[str, list[str]]) -> None:
    url, asked = server
    store = s3(url)

    assert b"".join(store.read("empty")) == b""
    assert b"".join(store.read("data")) == DATA

    assert asked == [f"bytes=0-{strides.STRIDE - 1}", "all", f"bytes=0-{strides.STRIDE - 1}"]


class Elsewhere(AsAsked):
    """The bytes of another place than was asked for."""

    def answer_range(self, data: bytes, first: int, last: int) -> None:
        if last >= len(data):
            self.say(416, b"")
        else:
            self.say(206, data[first + 1 : last + 2], f"bytes {first + 1}-{last + 1}/{len(data)}")


@pytest.mark.parametrize("server", [Elsewhere], indirect=True)
def test_bytes_of_another_place_are_refused(server: tuple[str, list[str]]) -> None:
    store = s3(server[0])

    with pytest.raises(StoreError):
        b"".join(store.read("data", offset=7, length=5))
    with pytest.raises(StoreError, match="other bytes than those from 7 on"):
        list(store.read("data", offset=7, length=SIZE))
