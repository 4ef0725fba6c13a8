"""Does to a table's files what Cassandra 3.0 to 5.0 does, in its order; there are no rows, only bytes that differ.

Source: ``LogTransaction``, ``SSTableWriter``, ``BtiTableWriter``, ``Directories``, ``TableSnapshot``; running nodes.
"""

import itertools
import json
import os
import time
import uuid
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.waiting import wait_until

TRUNCATE = "unknowncompactiontype"  # the name that truncate and drop have in a log

_serial = itertools.count()  # no two files ever written have the same bytes
# nodetool import moves the components in the order of a hash set.
_IMPORT_ORDER = ("Statistics.db", "Digest.crc32", "Index.db", "CompressionInfo.db", "CRC.db", "Data.db", "Filter.db")


@dataclass(frozen=True)
class Format:
    """How a version names and orders what it writes."""

    version: str
    layout: str = "big"
    compressed: bool = True
    uuids: bool = False

    @property
    def log(self) -> str:
        """What the names of its transaction logs begin with."""
        return self.version if self.layout == "big" else f"{self.layout}-{self.version}"

    def in_log(self, prefix: str) -> str:
        """Spell the *prefix* of an sstable as a transaction log has it: 3.x leaves the last hyphen out."""
        return prefix.removesuffix("-") if self.version.startswith("m") else prefix


V30 = Format("mc")
V40 = Format("na")
V41 = Format("nb")
V50 = Format("oa", compressed=False)
BTI = Format("da", "bti", uuids=True)


@dataclass(eq=False)
class Written:
    """An sstable, and what is in its files at the moment."""

    directory: Path
    stem: str
    files: dict[str, bytes] = field(default_factory=dict)  # by name

    def path(self, component: str) -> Path:
        """Return where *component* is."""
        return self.directory / (self.stem + component)

    def put(self, component: str, data: bytes) -> None:
        """Write a component from its first byte to its close."""
        self.files[self.stem + component] = data
        self.path(component).write_bytes(data)

    def delete(self) -> None:
        """Delete every file, Data.db first."""
        for name in sorted(self.files, key=lambda name: not name.endswith("-Data.db")):
            (self.directory / name).unlink(missing_ok=True)


class Table:
    """One table on one data directory or several."""

    def __init__(self, *directories: Path, fmt: Format = V41) -> None:
        self.directories = directories
        self.format = fmt
        self.live: list[Written] = []
        self.indexes: list[Table] = []
        self.components: tuple[str, ...] = ()  # of SASI and SAI: written after TOC.txt, in the same transaction
        self.followed_by: int | None = None  # the process that is to read every log; else one may be gone unread
        self._generation = 0
        for directory in directories:
            directory.mkdir(parents=True, exist_ok=True)

    def make_index(self, name: str) -> "Table":
        """Make a secondary index of the old kind: a hidden directory with generations and transactions of its own."""
        index = Table(*(directory / f".{name}" for directory in self.directories), fmt=self.format)
        index.followed_by = self.followed_by
        self.indexes.append(index)
        return index

    def next_stem(self) -> str:
        """Return the stem of the next sstable."""
        self._generation += 1
        number = f"{self._generation:04d}_{next(_serial):04d}_{'1a' * 9}" if self.format.uuids else self._generation
        return f"{self.format.version}-{number}-{self.format.layout}-"

    def begin(self, operation: str) -> "Transaction":
        """Begin a transaction."""
        return Transaction(self, operation)

    def flush(self, *directories: Path, size: int = 0) -> Written:
        """Flush what was written, split over the *directories* if several are given, and then each index."""
        flush = self.begin("flush")
        for directory in directories or self.directories[:1]:
            flush.write(directory, size=size)
        flush.end()
        for index in self.indexes:
            index.flush()
        return flush.added[0]

    def compact(
        self, *inputs: Written, operation: str = "compaction", size: int = 0, outputs: int = 1
    ) -> list[Written]:
        """Put new sstables in the place of *inputs*."""
        compaction = self.begin(operation)
        for _ in range(outputs):
            compaction.write(inputs[0].directory, size=size)
        compaction.remove(*inputs)
        compaction.end()
        return compaction.added

    def truncate(self) -> None:
        """Take away all there is, in the indexes as well."""
        for table in (self, *self.indexes):
            truncate = table.begin(TRUNCATE)
            truncate.remove(*table.live)
            truncate.end()

    def truncate_unread(self) -> None:
        """Take away all there is, with a log that is gone before anybody can open it: a link to nowhere is like it."""
        log = f"{self.format.log}_txn_{TRUNCATE}_{uuid.uuid1()}.log"
        for directory in self.directories:
            (directory / log).symlink_to("nowhere")
        for one in self.live:
            one.delete()
        for directory in self.directories:
            (directory / log).unlink()
        self.live = []

    def drop(self, snapshot: str = "") -> None:
        """Drop the table; its directories stay where there are snapshots."""
        if snapshot:
            self.snapshot(snapshot)
        self.truncate()
        for directory in [one for table in (*self.indexes, self) for one in table.directories]:
            for below in (directory / "backups", directory):
                if below.is_dir() and not any(below.iterdir()):
                    below.rmdir()

    def stream(self) -> "Stream":
        """Begin to receive an sstable that is streamed whole (zero-copy)."""
        return Stream(self)

    def bring_in(self, staging: Path) -> Written:
        """Do what ``nodetool import`` does: move an sstable here, in no useful order, without a transaction."""
        staging.mkdir()
        written = Written(self.directories[0], self.next_stem())
        outside = Written(staging, written.stem)
        write(outside, self.format)
        for component in sorted(_without_stem(outside), key=_import_place):
            outside.path(component).rename(written.path(component))
        written.files = outside.files
        self.live.append(written)
        return written

    def snapshot(self, tag: str, *, schema: bool = True) -> list[Path]:
        """Link what is live, and write the files that end a snapshot; return its directories."""
        made = []
        for directory in self.directories:
            target = directory / "snapshots" / tag
            target.mkdir(parents=True)
            names = [f"{one.stem}Data.db" for one in self.live if one.directory == directory]
            self.hard_link(directory, target)
            for index in self.indexes:
                below = directory / index.directories[0].name
                (target / below.name).mkdir()
                index.hard_link(below, target / below.name)
                names += [f"{below.name}/{one.stem}Data.db" for one in index.live if one.directory == below]
            (target / "manifest.json").write_text(json.dumps({"files": names}))
            if schema:
                (target / "schema.cql").write_text("CREATE TABLE ks.t (k int PRIMARY KEY)")
            made.append(target)
        return made

    def back_up(self, one: Written) -> None:
        """Link an sstable into backups/, as after a flush with incremental backups."""
        target = one.directory / "backups"
        target.mkdir(exist_ok=True)
        for name in sorted(one.files):
            (target / name).hardlink_to(one.directory / name)

    def hard_link(self, source: Path, target: Path) -> None:
        """Link what is live in *source*."""
        for one in self.live:
            for name in one.files if one.directory == source else ():
                (target / name).hardlink_to(source / name)

    def restart(self) -> None:
        """Undo what was left unfinished, and count generations from what is there."""
        for directory in self.directories:
            for log in directory.glob("*_txn_*.log"):
                lines = log.read_text().splitlines()
                undone = "REMOVE" if any(line.startswith("COMMIT") for line in lines) else "ADD"
                for line in lines:
                    if line.startswith(undone) and (prefix := Path(line.partition("[")[2].partition(",")[0])):
                        for path in prefix.parent.glob(f"{prefix.name.removesuffix('-')}-*"):
                            path.unlink()
                log.unlink()
        stems = {
            path.name.split("-")[1] for one in self.directories for path in one.rglob("*-Data.db") if _counts(path)
        }
        self._generation = max((int(stem) for stem in stems if stem.isdecimal()), default=0)


class Transaction:
    """A transaction, and the replicas of its log: one in each data directory that it touches."""

    def __init__(self, table: Table, operation: str) -> None:
        self._table = table
        self._name = f"{table.format.log}_txn_{operation}_{uuid.uuid1()}.log"
        self._lines: list[str] = []
        self.logs: list[Path] = []
        self.added: list[Written] = []
        self.removed: list[Written] = []

    def add(self, directory: Path | None = None, stem: str = "") -> Written:
        """Record a new sstable, before its first file is there."""
        written = Written(directory or self._table.directories[0], stem or self._table.next_stem())
        self._have_log(written.directory)
        self._append("ADD", self._prefix(written), files=8)
        self.added.append(written)
        return written

    def write(self, directory: Path | None = None, *, stem: str = "", size: int = 0) -> Written:
        """Write a new sstable."""
        written = self.add(directory, stem)
        write(written, self._table.format, size=size, more=self._table.components)
        return written

    def half_write(self, directory: Path | None = None) -> Written:
        """Write as much of an sstable as there is in the middle of a compaction: Data.db grows, Index.db is empty."""
        written = self.add(directory)
        written.put("Data.db", b"half of the rows")
        written.put("Index.db", b"")
        return written

    def remove(self, *sstables: Written) -> None:
        """Record that *sstables* go with the commit."""
        for one in sstables:
            self._have_log(one.directory)
            paths = [one.directory / name for name in one.files if (one.directory / name).exists()]
            updated = max((path.stat().st_mtime_ns for path in paths), default=0) // 1_000_000
            self._append("REMOVE", self._prefix(one), updated, len(paths))
            self.removed.append(one)

    def commit(self) -> None:
        """Write the last record: from now on what was added is live, and what was removed is not."""
        self._append("COMMIT")
        self._table.live = [one for one in self._table.live if one not in self.removed] + self.added

    def tidy(self) -> None:
        """Delete what was removed, and the log last."""
        if self._table.followed_by is not None:
            # A node's fsyncs leave a reader some milliseconds; here nobody knows when the reader gets its turn.
            wait_until(self._is_read, f"{self._name} to be opened")
        for one in self.removed:
            one.delete()
        for log in self.logs:
            log.unlink()

    def end(self) -> None:
        """Commit, and tidy at once."""
        self.commit()
        self.tidy()

    def abort(self) -> None:
        """Undo it."""
        self._append("ABORT")
        self.removed = self.added
        self.tidy()

    def _is_read(self) -> bool:
        held = set()
        open_files = Path(f"/proc/{self._table.followed_by}/fd")
        for descriptor in open_files.iterdir():
            with suppress(OSError):
                held.add(os.readlink(descriptor))
        return held >= {os.path.realpath(log) for log in self.logs}

    def _prefix(self, one: Written) -> str:
        return self._table.format.in_log(os.path.realpath(one.directory) + "/" + one.stem)

    def _have_log(self, directory: Path) -> None:
        path = directory / self._name
        if path not in self.logs:
            self.logs.append(path)
            path.write_text("".join(self._lines))  # a late replica is told what the others know

    def _append(self, kind: str, prefix: str = "", updated: int = 0, files: int = 0) -> None:
        numbers = b"".join((number & 0xFFFFFFFF).to_bytes(4, "big") for number in (updated, updated >> 32, files))
        checksum = zlib.crc32(os.fsencode(prefix) + kind.encode() + numbers)
        line = f"{kind}:[{prefix},{updated},{files}][{checksum}]\n"
        self._lines.append(line)
        for path in self.logs:
            with path.open("a", encoding="utf-8", errors="surrogateescape") as log:  # once per record: each is an event
                log.write(line)


class Stream(Transaction):
    """An sstable that is received whole: no TOC.txt, and its files may be closed long after the commit."""

    _COMPONENTS = (
        "Data.db",
        "Index.db",
        "Statistics.db",
        "CompressionInfo.db",
        "Filter.db",
        "Summary.db",
        "Digest.crc32",
    )

    def __init__(self, table: Table) -> None:
        super().__init__(table, "stream")
        self._open: list[IO[bytes]] = []

    def receive(self) -> Written:
        """Have all of it on disk, open still."""
        written = self.add()
        for component in self._COMPONENTS:
            file = written.path(component).open("wb", buffering=0)
            file.write(content_of(written, component))
            written.files[written.stem + component] = written.path(component).read_bytes()
            self._open.append(file)
        rewrite_statistics(written)
        return written

    def close(self) -> None:
        """Close the files."""
        for file in self._open:
            file.close()


def write(written: Written, fmt: Format, *, size: int = 0, more: Iterable[str] = ()) -> None:
    """Write all components of an sstable, in the order of its format."""
    checks = [] if fmt.compressed else ["CRC.db"]
    info = ["CompressionInfo.db"] if fmt.compressed else []
    big = fmt.layout == "big"
    opened = {name: written.path(name).open("wb") for name in ["Data.db", *checks, *_keys(big=big)]}
    rows = content_of(written, "Data.db", size)
    known = {"Data.db": rows, "Digest.crc32": str(zlib.crc32(rows)).encode()}

    def finish(*components: str) -> None:
        for component in components:
            data = known.get(component) or content_of(written, component)
            written.files[written.stem + component] = data
            file = opened.pop(component, None) or written.path(component).open("wb")
            file.write(data)
            file.close()

    if big:
        finish("Filter.db", "Index.db", "Summary.db", "Digest.crc32", *info, *checks, "Data.db", "Statistics.db")
        finish("TOC.txt", *more)
    else:
        finish("Filter.db", "Rows.db", "Digest.crc32", *info, *checks, "Data.db", "Statistics.db")
        finish("TOC.txt", "Partitions.db", *more)


def content_of(written: Written, component: str, size: int = 0) -> bytes:
    """Return bytes that no other file has ever had."""
    return f"{component} of {written.stem} in {written.directory.name}, {next(_serial)} ".encode().ljust(size, b".")


def rewrite_statistics(written: Written) -> None:
    """Mark the level or the repair in Statistics.db: written beside, and renamed over the old one."""
    data = content_of(written, "Statistics.db")
    temporary = written.path("Statistics.db.tmp")
    temporary.write_bytes(data)
    temporary.replace(written.path("Statistics.db"))
    written.files[written.stem + "Statistics.db"] = data


def redistribute_summary(written: Written) -> None:
    """Sample an index summary anew: the old file is deleted, a new one written."""
    written.path("Summary.db").unlink()
    written.put("Summary.db", content_of(written, "Summary.db"))


def rebuild_filter(written: Written) -> None:
    """Write a bloom filter anew, in place."""
    with written.path("Filter.db").open("r+b") as file:
        file.truncate(0)
        written.files[written.stem + "Filter.db"] = data = content_of(written, "Filter.db")
        file.write(data)


def add_components(written: Written, *components: str) -> None:
    """Build a SASI or SAI index on a live sstable: new files without a transaction, and more in TOC.txt."""
    for component in components:
        written.put(component, content_of(written, component))
    with written.path("TOC.txt").open("ab") as toc:
        toc.write("\n".join(components).encode())
    written.files[f"{written.stem}TOC.txt"] = written.path("TOC.txt").read_bytes()


def drop_components(written: Written, *components: str) -> None:
    """Drop a SASI or SAI index."""
    for component in components:
        written.path(component).unlink()
        del written.files[written.stem + component]


def wait_for_another_tick(path: Path) -> None:
    """Wait until a file written now has a later time than *path*: a kernel's stamps are milliseconds apart."""
    probe = path.with_name("probe-tmp")
    before = path.stat().st_mtime_ns
    while True:
        probe.write_bytes(b"")
        if probe.stat().st_mtime_ns > before:
            break
        time.sleep(0.001)  # nothing announces the tick of a clock
    probe.unlink()


def _keys(*, big: bool) -> Sequence[str]:
    return ["Index.db"] if big else ["Rows.db", "Partitions.db"]


def _without_stem(written: Written) -> list[str]:
    return [name.removeprefix(written.stem) for name in written.files]


def _import_place(component: str) -> int:
    return _IMPORT_ORDER.index(component) if component in _IMPORT_ORDER else len(_IMPORT_ORDER)


def _counts(path: Path) -> bool:
    return "snapshots" not in path.parts  # backups do
