"""A bucket that is not there: an S3 server on loopback that makes up listings and indexes as they are asked for.

A million objects cost it a byte each, so that what is measured is who asks.
"""

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from tablesnap.rules.index import Index, Owner, StoredFile, encode
from tablesnap.rules.keys import Keys, index_key

COMPONENTS = (
    "CompressionInfo.db",
    "Data.db",
    "Digest.crc32",
    "Filter.db",
    "Index.db",
    "Statistics.db",
    "Summary.db",
    "TOC.txt",
)
BUCKET = "synthetic"
DATA = "/var/lib/cassandra/data"
KEYS = Keys("", "node1.example.com", ":")
LIVE = 50  # sstables in a restore point
SIZE = 4096  # bytes that each object is said to have
PAGE = 1000
OWNER = Owner(112, 118, "cassandra", "cassandra")


@dataclass
class Table:
    """A table that flushed at an even pace, and was compacted: each index names the newest sstables."""

    name: str
    sstables: int
    indexes: int
    oldest: datetime
    pace: timedelta  # from index to index

    def __post_init__(self) -> None:
        self.directory = f"{DATA}/shop/{self.name}"
        self.key = KEYS.below(self.directory)
        self.data = self.sstables * len(COMPONENTS)
        self.count = self.data + self.indexes
        self.deleted = bytearray(self.count)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each object by its key."""
        return {self.key_of(number): number for number in range(self.count)}

    def key_of(self, number: int) -> str:
        """Return the key of an object: those of sstables come first, then the indexes."""
        if number < self.data:
            sstable, component = divmod(number, len(COMPONENTS))
            return f"{self.key}nb-{sstable + 1}-big-{COMPONENTS[component]}"
        return index_key(f"{self.key}nb-{self._newest(number - self.data) + 1}-big-Data.db")

    def moment_of(self, number: int) -> datetime:
        """Return when an object was stored."""
        place = number - self.data
        if number < self.data:
            sstable = number // len(COMPONENTS)
            return self.oldest + self.pace * (sstable * self.indexes / self.sstables)
        return self.oldest + self.pace * (place + 1)

    def body_of(self, number: int) -> bytes:
        """Return an index."""
        newest, taken_at = self._newest(number - self.data), self.moment_of(number)
        files = {}
        for sstable in range(max(0, newest - LIVE + 1), newest + 1):
            for component in COMPONENTS:
                name = f"nb-{sstable + 1}-big-{component}"
                files[name] = StoredFile(self.key + name, SIZE, 0x9E3779B97F4A7C15, sstable * 10**9, 0o644, OWNER)
        index = Index(
            directory=self.directory,
            names=tuple(files),
            files=files,
            node=KEYS.node,
            taken_at=taken_at,
            seen_at=taken_at,
            covers=(self.directory,),
        )
        return encode(index, self.key)

    def _newest(self, index: int) -> int:
        """Return the newest sstable that an index names."""
        return min(self.sstables - 1, index * self.sstables // self.indexes)


@dataclass
class Bucket:
    """All tables, and the requests that were answered."""

    tables: list[Table]
    requests: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, kind: str) -> None:
        """Note a request."""
        with self.lock:
            self.requests[kind] += 1

    @property
    def left(self) -> int:
        """Objects that were not deleted."""
        return sum(table.count - sum(table.deleted) for table in self.tables)

    def find(self, key: str) -> tuple[Table, int] | None:
        """Return the table and the number of an object that is there."""
        for table in self.tables:
            if key.startswith(table.key):
                number = table.numbers.get(key)
                if number is not None and not table.deleted[number]:
                    return table, number
        return None

    def page(self, prefix: str, delimiter: bool, token: str) -> tuple[list[str], list[str], str]:
        """Return entries, folders and the token of the next page."""
        below = [table for table in self.tables if table.key.startswith(prefix)]
        if delimiter and prefix not in {table.key for table in below}:
            folders = {table.key[: table.key.index("/", len(prefix)) + 1] for table in below}
            return [], sorted(folders), ""
        at, start = map(int, token.split(".")) if token else (0, 0)
        entries: list[str] = []
        for place in range(at, len(below)):
            table = below[place]
            for number in range(start, table.count):
                if table.deleted[number]:
                    continue
                if len(entries) == PAGE:
                    return entries, [], f"{place}.{number}"
                size = SIZE if number < table.data else 60_000
                moment = table.moment_of(number).strftime("%Y-%m-%dT%H:%M:%S.000Z")
                entries.append(
                    f"<Contents><Key>{escape(table.key_of(number))}</Key><LastModified>{moment}</LastModified>"
                    f"<ETag>&quot;0&quot;</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
                )
            start = 0
        return entries, [], ""


@contextmanager
def served(bucket: Bucket) -> Iterator[str]:
    """Serve *bucket* while the block lasts; yield the address."""

    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet

        def do_GET(self) -> None:
            path, query = self._asked()
            if path:
                self._object(path, with_body=True)
                return
            if not {"uploads", "versioning", "object-lock"}.isdisjoint(query):
                bucket.count("questions")
                self._answer(200, b"<ListMultipartUploadsResult/>" if "uploads" in query else b"<Nothing/>")
                return
            bucket.count("LIST")
            prefix, token = query.get("prefix", [""])[0], query.get("continuation-token", [""])[0]
            entries, folders, more = bucket.page(prefix, "delimiter" in query, token)
            body = "".join(entries) + "".join(
                f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in folders
            )
            body += f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>"
            if more:
                body += f"<NextContinuationToken>{more}</NextContinuationToken>"
            self._answer(200, f"<ListBucketResult><Name>{BUCKET}</Name>{body}</ListBucketResult>".encode())

        def do_HEAD(self) -> None:
            self._object(self._asked()[0], with_body=False)

        def do_POST(self) -> None:
            bucket.count("DELETE of many")
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            keys = re.findall("<Key>(.*?)</Key>", body)
            for key in keys:
                if (found := bucket.find(key)) is not None:
                    found[0].deleted[found[1]] = 1
            deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)  # spelt as it came, so as XML
            self._answer(200, f"<DeleteResult>{deleted}</DeleteResult>".encode())

        def _object(self, key: str, *, with_body: bool) -> None:
            bucket.count("GET" if with_body else "HEAD")
            found = bucket.find(key)
            if found is None:
                self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>" if with_body else b"")
                return
            table, number = found
            body = table.body_of(number) if number >= table.data else bytes(SIZE)
            self.send_response(206 if with_body else 200)
            self.send_header("Last-Modified", format_datetime(table.moment_of(number).astimezone(UTC), usegmt=True))
            self.send_header("ETag", '"0"')
            self.send_header("Content-Length", str(len(body)))
            if with_body:
                self.send_header("Content-Range", f"bytes 0-{len(body) - 1}/{len(body)}")
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def _asked(self) -> tuple[str, dict[str, list[str]]]:
            split = urlsplit(self.path)
            return unquote(split.path).removeprefix(f"/{BUCKET}").removeprefix("/"), parse_qs(
                split.query, keep_blank_values=True
            )

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
