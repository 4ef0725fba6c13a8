"""What it costs to restore over TLS: time, CPU and memory of tableslurp and of others, on the same objects in one run.

Run it by ``make bench``. It asserts nothing. Needs versitygw; ``aws`` and ``s5cmd`` are measured where they are on
PATH. By the environment: BENCH_ROUNDS (3, of which the median by wall time is shown), and of what is brought
BENCH_ONE_MIB (4096), BENCH_LARGE_FILES and BENCH_LARGE_MIB (64 of 64), BENCH_SMALL_FILES and BENCH_SMALL_KIB (2,000 of
16: sstables of four files each). Needs three times the largest of these in TMPDIR.

All objects are in the page cache of the server, which is on loopback and whose CPU is not counted, though it runs on
the same cores. tableslurp compares every byte with the checksum in the index, and returns when all is flushed to the
disk. The others compare nothing of the kind, and return before their files are on the disk; so the time until the disk
has everything is shown as well.
"""

import mmap
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from bench.upload import (
    BUCKET,
    MIB,
    OTHERS,
    Cost,
    UploaderFailed,
    environment,
    make_certificates,
    measure,
    number,
    runs,
)
from tests.endpoint import S3Server
from tests.s3_servers import versitygw_program, versitygw_server

from tablesnap.catalog.catalog import Catalog
from tablesnap.checksum import crc64nvme
from tablesnap.rules.index import Index, Owner, StoredFile
from tablesnap.rules.keys import INDEX_ENDING, Keys
from tablesnap.store.port import Content
from tablesnap.store.s3 import S3Options, S3Store

NODE = "bench"
TABLESLURP = "import sys; from tablesnap.cli.tableslurp.main import main; sys.exit(main())"


@dataclass(frozen=True)
class Objects:
    """Files of one size that were in one directory."""

    title: str
    origin: str
    names: tuple[str, ...]
    size: int  # bytes of each

    @property
    def prefix(self) -> str:
        """What their keys begin with."""
        return f"{NODE}:{self.origin}/"


@dataclass(frozen=True)
class Restored:
    """What one restore took."""

    cost: Cost
    on_disk: float  # seconds until everything is on the disk


def main() -> int:
    """Measure, print, return an exit code."""
    if versitygw_program() is None:
        print("bench: versitygw was not found; CONTRIBUTING.md says how to have it", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="tablesnap-bench-") as name:
        root = Path(name)
        certificates = make_certificates(root)
        print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
        with versitygw_server(certificates / "server.pem", certificates / "server.key") as plain:
            server = replace(plain, ca_bundle=str(certificates / "ca.pem"))
            server.make_bucket(BUCKET)
            for objects in all_objects():
                store(objects, server)
                print_heading(objects)
                compare(objects, server, root / "target")
    return 0


def all_objects() -> Iterator[Objects]:
    """Yield what is restored, one after the other."""
    yield Objects("one large file", "/data/one", ("only",), number("BENCH_ONE_MIB", 4096) * MIB)
    large = tuple(f"part-{place}" for place in range(number("BENCH_LARGE_FILES", 64)))
    yield Objects("large files", "/data/large", large, number("BENCH_LARGE_MIB", 64) * MIB)
    sstables = number("BENCH_SMALL_FILES", 2000) // (1 + len(OTHERS))
    small = tuple(f"nb-{place}-big-{kind}" for place in range(1, sstables + 1) for kind in ("Data.db", *OTHERS))
    yield Objects("small files", "/data/small", small, number("BENCH_SMALL_KIB", 16) << 10)


def store(objects: Objects, server: S3Server) -> None:
    """Store the objects, each with bytes of its own, and the index of their restore point."""
    options = S3Options(server.access_key, server.secret_key, None, "us-east-1", server.endpoint_url, server.ca_bundle)
    bucket, owner, now = S3Store(BUCKET, options), Owner(0, 0, "root", "root"), datetime.now(UTC)
    files = {}
    with tempfile.TemporaryFile() as body:
        block = os.urandom(min(objects.size, 64 * MIB))
        for _ in range(0, objects.size, len(block)):
            body.write(block)
        body.flush()
        for place, name in enumerate(objects.names):
            os.pwrite(body.fileno(), mark_of(place), 0)
            with mmap.mmap(body.fileno(), objects.size, prot=mmap.PROT_READ) as content:
                checksum = crc64nvme(content)
                bucket.create(objects.prefix + name, Content(objects.size, checksum, buffer=content))
            key = objects.prefix + name
            files[name] = StoredFile(key, objects.size, checksum, time.time_ns(), 0o100644, owner)
    index = Index(objects.origin, objects.names, files, node=NODE, taken_at=now, seen_at=now, covers=(objects.origin,))
    Catalog(bucket, Keys("", NODE, ":")).write_restore_point([index])


def mark_of(place: int) -> bytes:
    """Return what one of the objects begins with, so that no two are alike."""
    return place.to_bytes(8, "big")


Restorer = Callable[[Objects, S3Server, Path], list[str]]


def restorers() -> dict[str, Restorer]:
    """Return those that are here to be measured, as what makes their command."""
    found: dict[str, Restorer] = {"tableslurp": tableslurp}
    if runs("s5cmd"):
        found["s5cmd cp"] = s5cmd
    if runs("aws"):
        found["aws s3 cp --recursive"] = aws
    return found


def tableslurp(objects: Objects, server: S3Server, target: Path) -> list[str]:
    """Return our command."""
    assert server.ca_bundle is not None
    flags = ["-n", NODE, "--endpoint-url", server.endpoint_url, "--ca-bundle", server.ca_bundle]
    return [sys.executable, "-c", TABLESLURP, *flags, BUCKET, objects.origin, str(target)]


def s5cmd(objects: Objects, server: S3Server, target: Path) -> list[str]:
    """Return the command of s5cmd."""
    flags = ["--log", "error", "--endpoint-url", server.endpoint_url, "cp", "--exclude", f"*{INDEX_ENDING}"]
    return ["s5cmd", *flags, f"s3://{BUCKET}/{objects.prefix}*", f"{target}/"]


def aws(objects: Objects, server: S3Server, target: Path) -> list[str]:
    """Return the command of AWS."""
    flags = ["--recursive", "--only-show-errors", "--endpoint-url", server.endpoint_url]
    flags += ["--exclude", f"*{INDEX_ENDING}"]
    return ["aws", "s3", "cp", *flags, f"s3://{BUCKET}/{objects.prefix}", str(target)]


def compare(objects: Objects, server: S3Server, target: Path) -> None:
    """Restore the objects by each restorer in turn, several times over, and print what it took them."""
    rounds: dict[str, list[Restored]] = {}
    failures: dict[str, str] = {}
    for _ in range(number("BENCH_ROUNDS", 3)):
        for title, command in restorers().items():
            try:
                rounds.setdefault(title, []).append(restore(objects, server, target, command))
            except UploaderFailed as failure:
                failures[title] = str(failure)
    ours = median(rounds["tableslurp"]) if rounds["tableslurp"] else None
    for title, all_of_it in rounds.items():
        if title in failures:
            print(f"  {title:24}{failures[title]}", flush=True)
        else:
            print_row(title, median(all_of_it), ours)


def median(rounds: Sequence[Restored]) -> Restored:
    """Return the one in the middle, by wall time."""
    return sorted(rounds, key=lambda one: one.cost.wall)[len(rounds) // 2]


def restore(objects: Objects, server: S3Server, target: Path, command: Restorer) -> Restored:
    """Restore the objects into an empty directory, and take it away again."""
    target.mkdir()
    os.sync()  # lest one pays for what another left to be written
    try:
        began = time.monotonic()
        cost = measure(command(objects, server, target), environment(server))
        os.sync()
        on_disk = time.monotonic() - began
        require_all(objects, target)
    finally:
        shutil.rmtree(target)
    return Restored(cost, on_disk)


def require_all(objects: Objects, target: Path) -> None:
    """Raise `UploaderFailed` unless all files are there with what was stored first in them, and in their size."""
    for place, name in enumerate(objects.names):
        path = target / name
        if not path.exists() or path.stat().st_size != objects.size:
            raise UploaderFailed(f"did not bring {name}")
        with path.open("rb") as file:
            if file.read(8) != mark_of(place):
                raise UploaderFailed(f"brought other bytes as {name}")


def print_heading(objects: Objects) -> None:
    """Print what the rows below are about."""
    size = f"{objects.size // MIB} MiB" if objects.size >= MIB else f"{objects.size >> 10} KiB"
    print(f"\n{objects.title}: {len(objects.names)} of {size}")
    print(f"  {'':24}{'wall s':>8}{'on disk':>9}{'CPU s':>8}{'peak MiB':>10}    as tableslurp: wall, CPU, peak")


def print_row(title: str, took: Restored, ours: Restored | None) -> None:
    """Print what one restorer took, and how often that is what ours took."""
    cost = took.cost
    row = f"  {title:24}{cost.wall:>8.2f}{took.on_disk:>9.2f}{cost.cpu:>8.2f}{cost.peak / MIB:>10.0f}"
    if ours is not None:
        base = ours.cost
        row += f"    {cost.wall / base.wall:>19.2f}{cost.cpu / base.cpu:>5.2f}{cost.peak / base.peak:>6.2f}"
    print(row, flush=True)


if __name__ == "__main__":
    sys.exit(main())
