"""What it costs to list a bucket of a million objects: time, requests and memory of tablelist, as the bucket grows.

Run it by ``make bench``. It asserts nothing. By the environment: BENCH_LIST_OBJECTS (1,000,000), and
BENCH_LIST_DELAY_MS (50, what S3 takes to answer a LIST). The bucket is not there: a server on loopback makes up each
page of a listing when it is asked for. All is listed twice: once for what there is, and then for what the newest
restore points name.
"""

import bisect
import posixpath
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from bench.upload import BUCKET, MIB, UploaderFailed, environment, measure, number
from tests.endpoint import S3Server

from tablesnap.rules.index import Index, Owner, StoredFile, encode
from tablesnap.rules.keys import INDEX_ENDING

NODE = "bench"
DATA = "/var/lib/cassandra/data"
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
SSTABLES_PER_INDEX = 12
LIVE = 20  # sstables that an index names
OBJECTS_PER_TABLE = 8000
TABLES_PER_KEYSPACE = 25
START = datetime(2026, 1, 1, tzinfo=UTC)
APART = timedelta(minutes=20)  # sstables
PAGE = 1000
TABLELIST = "import sys; from tablesnap.cli.tablelist.main import main; sys.exit(main())"


@dataclass(frozen=True)
class Bucket:
    """Tables that are all alike, none of whose objects is kept anywhere."""

    tables: int
    objects: int  # of each table

    @cached_property
    def directories(self) -> list[str]:
        """The keys of the tables' directories, in order."""
        names = (
            f"{NODE}:{DATA}/ks{place // TABLES_PER_KEYSPACE:03}/t{place % TABLES_PER_KEYSPACE:02}-{place:032x}/"
            for place in range(self.tables)
        )
        return sorted(names)

    @cached_property
    def names(self) -> list[str]:
        """What is in each of them, in order."""
        sstables = self.objects * SSTABLES_PER_INDEX // (SSTABLES_PER_INDEX * len(COMPONENTS) + 1)
        found = [f"nb-{one}-big-{component}" for one in range(1, sstables + 1) for component in COMPONENTS]
        found += [
            f"nb-{one}-big-Data.db{INDEX_ENDING}" for one in range(SSTABLES_PER_INDEX, sstables + 1, SSTABLES_PER_INDEX)
        ]
        return sorted(found)

    @cached_property
    def sizes(self) -> dict[str, int]:
        """The sizes of these, which are the same in each directory, as the directories' names are of one length."""
        return {name: size_of(self.directories[0], name) for name in self.names}

    def level(self, prefix: str) -> list[str]:
        """Return the folders below *prefix* that are no table's directory, or lead to one."""
        return sorted({one[: one.index("/", len(prefix)) + 1] for one in self.directories if one.startswith(prefix)})

    def page(self, prefix: str, after: str) -> tuple[list[str], bool]:
        """Return up to a page of keys that begin with *prefix* and come after another, and whether there are more."""
        keys: list[str] = []
        for directory in self.directories:
            if not (directory.startswith(prefix) or prefix.startswith(directory)) or directory + "\x7f" < after:
                continue
            first = bisect.bisect_right(self.names, after.removeprefix(directory)) if after.startswith(directory) else 0
            wanted = prefix[len(directory) :]
            found = (directory + name for name in self.names[first : first + PAGE + 1] if name.startswith(wanted))
            keys += found
            if len(keys) > PAGE:
                return keys[:PAGE], True
        return keys, False


def generation_of(name: str) -> int:
    """Return the generation of the sstable that *name* is of."""
    return int(name.split("-")[1])


def size_of(directory_key: str, name: str) -> int:
    """Return the size of an object."""
    return len(body_of(directory_key, name)) if name.endswith(INDEX_ENDING) else 1000


def moment_of(name: str) -> datetime:
    """Return when an object was stored."""
    return START + APART * generation_of(name)


def body_of(directory_key: str, name: str) -> bytes:
    """Return the content of an index."""
    newest, owner = generation_of(name), Owner(112, 117, "cassandra", "cassandra")
    files = {
        one: StoredFile(directory_key + one, 1000, generation, int(moment_of(one).timestamp() * 1e9), 0o100644, owner)
        for generation in range(max(1, newest - LIVE + 1), newest + 1)
        for one in (f"nb-{generation}-big-{component}" for component in COMPONENTS)
    }
    directory = directory_key.partition(":")[2].rstrip("/")
    when = moment_of(name)
    index = Index(directory, tuple(files), files, node=NODE, taken_at=when, seen_at=when, covers=(directory,))
    return encode(index, directory_key)


@dataclass
class Asked:
    """What the server was asked."""

    requests: Counter[str] = field(default_factory=Counter)
    now: int = 0
    most: int = 0  # listings at a time
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def listing(self) -> Iterator[None]:
        """Count a listing while it is answered."""
        with self.lock:
            self.requests["LIST"] += 1
            self.now += 1
            self.most = max(self.most, self.now)
        yield
        with self.lock:
            self.now -= 1


@contextmanager
def serving(bucket: Bucket, delay: float) -> Iterator[tuple[S3Server, Asked]]:
    """Serve *bucket* on loopback, as S3 does as far as tablelist asks."""
    asked = Asked()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            key = unquote(url.path).removeprefix(f"/{BUCKET}").removeprefix("/")
            if key:
                asked.requests["GET"] += 1
                directory, name = posixpath.split(key)
                self._send_part(body_of(f"{directory}/", name))
                return
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            with asked.listing():
                time.sleep(delay)  # what a real store takes, and what listing side by side is for
                self._answer(page_of(bucket, query), "application/xml")

        def do_HEAD(self) -> None:
            asked.requests["HEAD"] += 1
            self._answer(b"", "application/xml")

        def _send_part(self, body: bytes) -> None:
            first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
            part = body[first : last + 1]
            headers = {"ETag": '"0"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
            headers["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{len(body)}"
            self._answer(part, "application/json", 206, headers)

        def _answer(self, body: bytes, kind: str, status: int = 200, more: Mapping[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (more or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            pass

    assert bucket.sizes  # worked out before the time that is measured
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield S3Server(f"http://127.0.0.1:{server.server_port}", "key", "secret", ca_bundle=""), asked
    server.shutdown()
    server.server_close()


def page_of(bucket: Bucket, query: dict[str, str]) -> bytes:
    """Return the answer to a LIST."""
    prefix = query.get("prefix", "")
    keys: list[str] = []
    folders: list[str] = []
    more = False
    if "delimiter" in query and not any(prefix.startswith(one) for one in bucket.directories):
        folders = bucket.level(prefix)
    else:
        keys, more = bucket.page(prefix, query.get("continuation-token", ""))
    parts = [f"<IsTruncated>{str(more).lower()}</IsTruncated><EncodingType>url</EncodingType><MaxKeys>{PAGE}</MaxKeys>"]
    parts.append(f"<Prefix>{quote(prefix)}</Prefix>")
    if more:
        parts.append(f"<NextContinuationToken>{escape(keys[-1])}</NextContinuationToken>")
    for key in keys:
        name = posixpath.basename(key)
        parts.append(
            f"<Contents><Key>{quote(key)}</Key><LastModified>{moment_of(name):%Y-%m-%dT%H:%M:%S}.000Z</LastModified>"
            f"<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>{bucket.sizes[name]}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
        )
    parts += (f"<CommonPrefixes><Prefix>{quote(folder)}</Prefix></CommonPrefixes>" for folder in folders)
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<ListBucketResult xmlns="{namespace}">{"".join(parts)}</ListBucketResult>'.encode()


def main() -> int:
    """Measure, print, return an exit code."""
    objects, delay = number("BENCH_LIST_OBJECTS", 1_000_000), number("BENCH_LIST_DELAY_MS", 50) / 1000
    print(f"tablelist, {delay * 1000:.0f} ms for each LIST")
    print(f"  {'':34}{'LIST':>7}{'at once':>9}{'GET':>6}{'wall s':>8}{'CPU s':>8}{'peak MiB':>10}", flush=True)
    buckets = [Bucket(max(1, objects // parts // OBJECTS_PER_TABLE), OBJECTS_PER_TABLE) for parts in (100, 10, 1)]
    for bucket in (*buckets, Bucket(1, objects)):
        with serving(bucket, delay) as (server, asked):
            print_row(bucket, server, asked)
    return 0


def print_row(bucket: Bucket, server: S3Server, asked: Asked) -> None:
    """List one bucket, and print what it took."""
    command: Sequence[str] = [sys.executable, "-c", TABLELIST, "--endpoint-url", server.endpoint_url, BUCKET]
    title = f"{len(bucket.names) * bucket.tables:,} objects, {bucket.tables} tables"
    env = {name: value for name, value in environment(server).items() if value}
    try:
        cost = measure(command, env)
    except UploaderFailed as failure:
        print(f"  {title:34}{failure}", flush=True)
        return
    requests = f"{asked.requests['LIST']:>7,}{asked.most:>9}{asked.requests['GET']:>6}"
    print(f"  {title:34}{requests}{cost.wall:>8.1f}{cost.cpu:>8.1f}{cost.peak / MIB:>10.0f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
