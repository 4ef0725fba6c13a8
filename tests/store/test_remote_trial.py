"""What the check at start finds out of a server in the place of Google's: does it keep what is there?"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import md5
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from tests.faults.proxy import listening

from tablesnap.errors import AlreadyStored, StoreRefused, StoreUnavailable
from tablesnap.store import probe
from tablesnap.store.gcs import GCSStore
from tablesnap.store.port import Content
from tablesnap.store.remote import RemoteOptions

PREFIX = "n1:/"
PROBE = PREFIX + probe.NAME
DATE = "Tue, 01 Dec 2026 00:00:00 GMT"


@dataclass
class Bucket:
    """What a server holds, and how it differs from Google's."""

    honours: bool = True
    readable: bool = True
    lists: bool = True
    objects: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    versions: list[str] = field(default_factory=list)  # the key of each object that was written
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def store(self) -> GCSStore:
        return GCSStore("bucket", RemoteOptions(endpoint_url=self.url))


class Handler(BaseHTTPRequestHandler):
    """As much of https://cloud.google.com/storage/docs/xml-api as a daemon asks."""

    protocol_version = "HTTP/1.1"
    bucket: Bucket

    def answer(self) -> None:
        self.bucket.asked.append(self.command)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        key = unquote(urlsplit(self.path).path).removeprefix("/bucket").lstrip("/")
        if self.command == "PUT":
            self.put(key, body)
        elif not key:
            self.list(parse_qs(urlsplit(self.path).query).get("prefix", [""])[0])
        elif not self.bucket.readable:
            self.say(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
        elif key in self.bucket.objects:
            self.get(*self.bucket.objects[key])
        else:
            self.say(404, b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>")

    do_GET = do_HEAD = do_PUT = do_DELETE = answer  # noqa: N815 - http.server's names

    def put(self, key: str, body: bytes) -> None:
        if self.bucket.honours and self.headers.get("x-goog-if-generation-match") == "0" and key in self.bucket.objects:
            self.say(412, b"<Error><Code>PreconditionFailed</Code><Message>it is there</Message></Error>")
            return
        metadata = {name: value for name, value in self.headers.items() if name.startswith("x-goog-meta-")}
        self.bucket.objects[key] = body, metadata
        self.bucket.versions.append(key)
        self.say(200, b"", {"ETag": f'"{md5(body).hexdigest()}"'})

    def get(self, body: bytes, metadata: dict[str, str]) -> None:
        headers = {"ETag": f'"{md5(body).hexdigest()}"', "Last-Modified": DATE, **metadata}
        asked = self.headers.get("Range", "")
        if not asked:
            self.say(200, body, headers)
            return
        first, last = (int(number) for number in asked.removeprefix("bytes=").split("-"))
        part = body[first : last + 1]
        place = f"bytes {first}-{first + len(part) - 1}/{len(body)}"
        self.say(206, part, {**headers, "Content-Range": place})

    def list(self, prefix: str) -> None:
        entries = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2026-12-01T00:00:00.000Z</LastModified>"
            f"<Size>{len(body)}</Size><ETag>1</ETag></Contents>"
            for key, (body, _) in sorted(self.bucket.objects.items())
            if key.startswith(prefix) and self.bucket.lists
        )
        self.say(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode())

    def say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        pass


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    found = Bucket()
    with listening(type("OfThisBucket", (Handler,), {"bucket": found})) as url:
        found.url = url
        account = {"gcs_base_url": url, "disable_oauth": True, "client_email": "", "private_key": ""}
        (tmp_path / "account.json").write_text(json.dumps({**account, "private_key_id": ""}))
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(tmp_path / "account.json"))
        yield found


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]


def test_a_server_that_keeps_what_is_there_is_asked_nothing_before_a_create(
    bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    store = bucket.store()
    store.check(PREFIX)
    bucket.asked.clear()

    store.create("k", Content.of(b"first"))
    with pytest.raises(AlreadyStored):
        store.create("k", Content.of(b"second"))

    assert bucket.asked == ["PUT", "PUT"]
    assert b"".join(store.read("k")) == b"first"
    assert warnings(caplog) == []


def test_a_server_that_overwrites_is_found_out_and_asked_first(
    bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    bucket.honours = False
    store = bucket.store()
    store.check(PREFIX)

    store.create("k", Content.of(b"first"))
    with pytest.raises(AlreadyStored):
        store.create("k", Content.of(b"second"))

    assert b"".join(store.read("k")) == b"first"
    [warning] = warnings(caplog)
    assert "would overwrite objects" in warning


def test_a_server_that_was_not_tried_is_asked_first(bucket: Bucket) -> None:
    bucket.honours = False
    bucket.objects["k"] = b"theirs", {}

    with pytest.raises(AlreadyStored):
        bucket.store().create("k", Content.of(b"ours"))

    assert bucket.objects["k"][0] == b"theirs"


@pytest.mark.parametrize(("honours", "written"), [(True, 1), (False, 2)])
def test_no_start_adds_an_object_and_no_listing_shows_the_probe(bucket: Bucket, honours: bool, written: int) -> None:
    bucket.honours = honours

    for _ in range(4):
        store = bucket.store()
        store.check(PREFIX)
        with pytest.raises(AlreadyStored):
            store.create(PROBE, Content.of(b"another"))

    assert bucket.versions == [PROBE] * written
    assert [*store.list(PREFIX), *store.level(PREFIX)] == []
    assert "DELETE" not in bucket.asked


def test_who_may_not_read_is_told_so(bucket: Bucket, caplog: pytest.LogCaptureFixture) -> None:
    bucket.readable = False

    bucket.store().check(PREFIX)

    [warning] = warnings(caplog)
    assert "can be read was not seen" in warning


def test_a_server_that_gives_back_other_bytes_is_refused(bucket: Bucket) -> None:
    bucket.objects[PROBE] = b"another" * 20, {}

    with pytest.raises(StoreRefused, match="is not what was stored there"):
        bucket.store().check(PREFIX)


def test_a_server_that_lists_nothing_is_not_ready(bucket: Bucket) -> None:
    bucket.lists = False

    with pytest.raises(StoreUnavailable, match="is in no listing"):
        bucket.store().check(PREFIX)
