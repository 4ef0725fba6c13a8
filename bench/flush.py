"""How long after its COMMIT a flush is stored, and a restore point with it: median and 99th percentile.

Run it by ``make bench``. It asserts nothing. By the environment: BENCH_FLUSHES (100), BENCH_QUEUED_GIB (10). Needs
versitygw, and three times the queued bytes in TMPDIR.

A script does on disk what Cassandra does in a flush of 8 files with 1 MB in all, before the eyes of the daemon as
operators run it. The store is a real S3 server on loopback, over TLS. The clock starts when fsync of the COMMIT record
has returned. "Stored" is the moment at which the last of the 8 objects has its name in the directory that the server
keeps them in, and so is there for all readers, as inotify tells this process; "index" the same of the first index whose
name is that of this flush or of a later one. The answer to the daemon follows a little later. Each flush waits for the
index of the one before and a moment more, so that it is alone, unless a row says otherwise.

The peer is what can be had at best: after each flush and its index, obstore puts the same 8 files one after the other,
and then an index of the same size, under other keys on the same server. Its clock ends when the last answer is there.

"Queued": before these flushes, a compaction was committed whose output is that large, `--base-interval` is 0, and so
the daemon uploads a base meanwhile. Whenever one is stored, another compaction of the same size follows.
"""

import math
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.scripted_cassandra import FLUSH, ScriptedTable
from bench.upload import BUCKET, environment, make_certificates, number
from inotify_simple import INotify, flags
from obstore.store import S3Store
from tests.endpoint import S3Server, free_port
from tests.s3_servers import running, versitygw_program

GIB = 1 << 30
PAUSE_SECONDS = (0.6, 0.9)  # between an index and the next flush
BATCH = 50  # flushes, then the table is truncated: of a view with 75 an index is so large that it has to wait
QUIET_SECONDS = 11.0  # more than the default of --index-interval
PATIENCE_SECONDS = 900
TABLE = "ks/t-0123456789abcdef0123456789abcdef"
NODE = "bench"


class Failed(Exception):
    """What was waited for did not happen."""


@dataclass(frozen=True)
class Flush:
    """When one flush was committed, stored and in a restore point, in monotonic seconds."""

    stem: str
    committed: float
    stored: float
    indexed: float = math.nan
    peer_stored: float = math.nan  # seconds it took
    peer_indexed: float = math.nan


class Objects:
    """The objects of one directory, at the server, and when each was there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.seen: dict[str, float] = {}
        self._inotify = INotify()
        directory.mkdir(parents=True, exist_ok=True)
        self._inotify.add_watch(directory, flags.CREATE | flags.MOVED_TO)

    def close(self) -> None:
        """Look no more."""
        self._inotify.close()

    def look(self, seconds: float) -> None:
        """Take in what appears, for so many seconds at most."""
        events = self._inotify.read(timeout=math.ceil(max(0.0, seconds) * 1000))
        now = time.monotonic()
        for event in events:
            if event.mask & flags.Q_OVERFLOW:
                raise Failed("the kernel's queue of events overflowed")
            self.seen.setdefault(event.name, now)

    def stored(self, stem: str) -> float | None:
        """Return when the last component of *stem* was there; None if one is not."""
        times = [self.seen.get(stem + kind) for kind in FLUSH]
        return max([time for time in times if time is not None]) if None not in times else None

    def indexed(self, stem: str) -> float | None:
        """Return when the first index was there that is named after *stem* or a later flush; None if there is none."""
        times = [moment for name, moment in self.seen.items() if _named_after(name) >= _generation(stem)]
        return min(times, default=None)


def _generation(name: str) -> int:
    return int(name.split("-")[1])


def _named_after(name: str) -> int:
    """Return the generation that an index is named after; 0 for other objects."""
    return _generation(name) if name.endswith("-listdir.json") and name.startswith("nb-") else 0


def main() -> int:
    """Measure, print, return an exit code."""
    if versitygw_program() is None:
        print("bench: versitygw was not found; CONTRIBUTING.md says how to have it", file=sys.stderr)
        return 1
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f} before the start"
    )
    print(f"from COMMIT, in ms, of a flush of {len(FLUSH)} files with {sum(FLUSH.values()) / 1e6:.1f} MB")
    print(f"  {'':44}{'flushes':>8}{'stored: median':>16}{'p99':>7}{'index: median':>15}{'p99':>7}{'most':>7}")
    flushes, queued = number("BENCH_FLUSHES", 100), number("BENCH_QUEUED_GIB", 10)
    try:
        with Bench.set_up("--index-interval", "0") as bench:
            print_rows("alone, --index-interval 0", bench.alone(flushes))
        with Bench.set_up() as bench:
            print_rows("11 s apart, default interval (10 s)", bench.paced(max(2, flushes // 12), QUIET_SECONDS))
            print_rows("1 s apart, default interval (10 s)", bench.paced(flushes // 2, 1.0))
        if queued:
            with Bench.set_up("--index-interval", "0", "--base-interval", "0") as bench:
                print_rows(f"{queued} GiB queued, --index-interval 0", bench.beside_a_base(flushes, queued))
    except Failed as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    return 0


class Bench:
    """A table, the daemon that watches it, the server it stores to, and the peer."""

    def __init__(self, root: Path, server: S3Server, kept: Path, daemon: subprocess.Popen[bytes]) -> None:
        self._root = root
        self._daemon = daemon
        self._table = ScriptedTable(root / "data" / TABLE)
        self._objects = Objects(kept / BUCKET / f"{NODE}:{self._table.directory}")
        self._peer = _peer_store(server)

    @classmethod
    @contextmanager
    def set_up(cls, *arguments: str) -> "Iterator[Bench]":
        """Run all of it while the block lasts; the daemon has stored a first flush when it begins."""
        with tempfile.TemporaryDirectory(prefix="tablesnap-bench-") as name:
            root = Path(name).resolve()
            (root / "data" / TABLE).mkdir(parents=True)
            kept = root / "server"
            kept.mkdir()
            with _server(root, kept) as server, _daemon(root, server, arguments) as daemon:
                bench = cls(root, server, kept, daemon)
                try:
                    bench._await_watching()
                    bench.one_flush()
                    yield bench
                    bench.say_what_was_missed()
                except Failed as failure:
                    raise Failed(f"{failure}; the daemon's log ends: {(root / 'log').read_text()[-2000:]}") from failure
                finally:
                    bench._objects.close()

    def alone(self, flushes: int) -> list[Flush]:
        """Flush, wait until there is an index, let the peer have its turn; so many times."""
        done: list[Flush] = []
        while len(done) < flushes:
            batch = [self.with_peer() for _ in range(min(BATCH, flushes - len(done)))]
            self._table.truncate([one.stem for one in batch])
            time.sleep(max(PAUSE_SECONDS))  # the daemon is to be idle again before the next batch is measured
            done += batch
        return done

    def paced(self, flushes: int, seconds: float) -> list[Flush]:
        """Flush every so many *seconds*, and do not wait for the indexes."""
        time.sleep(QUIET_SECONDS)  # or the first flush would wait for the interval after the index at the start
        done = []
        for _ in range(flushes):
            began = time.monotonic()
            done.append(self._flush())
            while (left := began + seconds - time.monotonic()) > 0:
                self._objects.look(left)
        self._await_index(done[-1].stem)
        return [replace(one, indexed=self._objects.indexed(one.stem) or math.nan) for one in done]

    def beside_a_base(self, flushes: int, gibibytes: int) -> list[Flush]:
        """Flush while a base of so many GiB is uploaded, and another one after it, until there are enough flushes."""
        stash = self._root / "stash"
        files = _write_stash(stash, gibibytes)
        done: list[Flush] = []
        old: list[str] = []
        while len(done) < flushes:
            new = [self._table.next_stem() for _ in files]
            self._table.compact(old, list(zip(new, files, strict=True)))
            fresh: list[Flush] = []
            began = time.monotonic()
            while len(done) + len(fresh) < flushes:
                one = self.with_peer()
                if self._stored_of(new) == len(new):
                    break  # this flush may not have had company
                fresh.append(one)
            done += fresh
            self._await_base(new)
            print(f"  (a base of {gibibytes} GiB took {time.monotonic() - began:.0f} s)", flush=True)
            for path in [path for stem in new for path in self._objects.directory.glob(f"{stem}*")]:
                path.unlink()  # space for the next one
            old = [*new, *(one.stem for one in fresh)]
        return done

    def with_peer(self) -> Flush:
        """Measure one flush, and then the peer with the same files."""
        flush = self.one_flush()
        took = self._measure_peer(flush.stem)
        # So that the daemon is idle, unless it has a base to store; and never in step with what it does now and then.
        time.sleep(random.uniform(*PAUSE_SECONDS))  # the pause between two measurements, as said above
        self._objects.look(0.0)
        return replace(flush, peer_stored=took[0], peer_indexed=took[1])

    def one_flush(self) -> Flush:
        """Flush, and wait until there is an index."""
        flush = self._flush()
        return replace(flush, indexed=self._await_index(flush.stem))

    def say_what_was_missed(self) -> None:
        """Print how many flushes the daemon took for something else."""
        imports = (self._root / "log").read_text().count("without a transaction")
        if imports:
            print(f"  (of these {imports} were taken for an import, a second later: the daemon did not see their log)")

    def _flush(self) -> Flush:
        stem, committed = self._table.flush()
        return Flush(stem, committed, self._await(lambda: self._objects.stored(stem), f"the objects of {stem}"))

    def _await_index(self, stem: str) -> float:
        return self._await(lambda: self._objects.indexed(stem), f"an index with {stem}")

    def _await_base(self, stems: Sequence[str]) -> None:
        self._await(lambda: 1.0 if self._stored_of(stems) == len(stems) else None, "a base")

    def _stored_of(self, stems: Sequence[str]) -> int:
        return sum(self._objects.stored(stem) is not None for stem in stems)

    def _await(self, moment: Callable[[], float | None], what: str) -> float:
        limit = time.monotonic() + PATIENCE_SECONDS
        while (found := moment()) is None:
            if time.monotonic() > limit or self._daemon.poll() is not None:
                raise Failed(f"waited in vain for {what}")
            self._objects.look(1.0)
        return found

    def _await_watching(self) -> None:
        self._await(lambda: 1.0 if "watching" in (self._root / "log").read_text() else None, "the daemon to watch")

    def _measure_peer(self, stem: str) -> tuple[float, float]:
        bodies = {stem + kind: (self._table.directory / (stem + kind)) for kind in FLUSH}
        newest = max((path for path in self._objects.directory.glob("nb-*-listdir.json")), key=_modified)
        index = newest.read_bytes()
        began = time.monotonic()
        for name, path in bodies.items():
            self._peer.put(f"peer/{name}", path.read_bytes(), use_multipart=False)
        stored = time.monotonic() - began
        self._peer.put(f"peer/{stem}listdir.json", index, use_multipart=False)
        return stored, time.monotonic() - began


def _modified(path: Path) -> int:
    return path.stat().st_mtime_ns


def _write_stash(stash: Path, gibibytes: int) -> list[Mapping[str, Path]]:
    """Write so many sstables of a GiB each, no two blocks of which are the same; return their files, by kind."""
    block = os.urandom(16 << 20)
    files: list[Mapping[str, Path]] = []
    for number_ in range(gibibytes):
        directory = stash / str(number_)
        directory.mkdir(parents=True)
        for kind, size in FLUSH.items():
            (directory / kind).write_bytes(os.urandom(size))
        with (directory / "Data.db").open("wb") as data:
            for part in range(GIB // len(block)):
                data.write((number_ * GIB + part).to_bytes(16, "big") + block[16:])
        files.append({kind: directory / kind for kind in FLUSH})
    os.sync()
    return files


def _peer_store(server: S3Server) -> S3Store:
    assert server.ca_bundle is not None
    return S3Store(
        BUCKET,
        config={
            "endpoint": server.endpoint_url,
            "region": "us-east-1",
            "access_key_id": server.access_key,
            "secret_access_key": server.secret_key,
            "virtual_hosted_style_request": False,
            "checksum_algorithm": "CRC64NVME",
            "unsigned_payload": True,
        },
        client_options={"root_certificate": Path(server.ca_bundle).read_text(), "timeout": "10 minutes"},
    )


@contextmanager
def _server(root: Path, kept: Path) -> Iterator[S3Server]:
    """Run versitygw over TLS on the directory *kept*, with a bucket."""
    program = versitygw_program()
    assert program is not None
    make_certificates(root)
    port = free_port()
    access, secret = "versity-access", "versity-secret"
    tls = ["--cert", str(root / "server.pem"), "--key", str(root / "server.key")]
    command = [program, "--port", f"127.0.0.1:{port}", "--keep-alive", "--quiet", *tls, "posix", str(kept)]
    with running(command, port, {**os.environ, "ROOT_ACCESS_KEY": access, "ROOT_SECRET_KEY": secret}):
        server = S3Server(f"https://127.0.0.1:{port}", access, secret, str(root / "ca.pem"))
        server.make_bucket(BUCKET)
        yield server


@contextmanager
def _daemon(root: Path, server: S3Server, arguments: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon on everything below ``data``; it is told to stop at the end."""
    assert server.ca_bundle is not None
    command = [sys.executable, "-m", "tablesnap", "-r", "-a", "-B", "-n", NODE, *arguments]
    command += ["--ca-bundle", server.ca_bundle, "--endpoint-url", server.endpoint_url, BUCKET, str(root / "data")]
    with (root / "log").open("wb") as output:
        daemon = subprocess.Popen(
            command, env=environment(server), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield daemon
    finally:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(60)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def print_rows(title: str, flushes: Sequence[Flush]) -> None:
    """Print what the daemon took, and the peer where it had its turn."""
    stored = [flush.stored - flush.committed for flush in flushes]
    indexed = [flush.indexed - flush.committed for flush in flushes]
    print_row(title, stored, indexed)
    peer_stored = [flush.peer_stored for flush in flushes]
    peer_indexed = [flush.peer_indexed for flush in flushes]
    if not any(map(math.isnan, peer_stored)):
        print_row("  the peer, one put after the other", peer_stored, peer_indexed)
        ratios = [
            statistics.median(stored) / statistics.median(peer_stored),
            percentile(stored) / percentile(peer_stored),
            statistics.median(indexed) / statistics.median(peer_indexed),
            percentile(indexed) / percentile(peer_indexed),
        ]
        print(f"  {'  times the peer':52}{ratios[0]:>16.1f}{ratios[1]:>7.1f}{ratios[2]:>15.1f}{ratios[3]:>7.1f}")


def print_row(title: str, stored: Sequence[float], indexed: Sequence[float]) -> None:
    """Print one row, in milliseconds."""
    first = f"{1000 * statistics.median(stored):>16.0f}{1000 * percentile(stored):>7.0f}"
    second = f"{1000 * statistics.median(indexed):>15.0f}{1000 * percentile(indexed):>7.0f}{1000 * max(indexed):>7.0f}"
    print(f"  {title:44}{len(stored):>8}{first}{second}", flush=True)


def percentile(values: Sequence[float], share: float = 0.99) -> float:
    """Return the value that *share* of all do not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


if __name__ == "__main__":
    sys.exit(main())
