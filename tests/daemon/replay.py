"""Do in a directory what Cassandra did in a trace, and know what came of it: what was committed when.

What is known here is computed from the records of the transaction logs alone, as simply as can be.
"""

import itertools
import os
import re
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from tests.cassandra.trace import Act, Step, Trace
from tests.waiting import wait_until

from tablesnap.checksum import crc64nvme

DATA = "Data.db"
_LARGEST = 300  # bytes of a file, whatever Cassandra wrote
_ADDING = ("flush", "stream", "import")
_FIELDS = re.compile(r"(?P<kind>\w+):\[(?P<path>[^,]*),(?P<updated>\d+),(?P<files>\d+)\]")

Place = tuple[str, str]  # directory and name, or directory and stem


@dataclass(frozen=True)
class Life:
    """One sstable, from its commit on; another may follow under the same name."""

    directory: str
    stem: str
    data: int  # checksum of its Data.db, which no other has
    components: frozenset[str] = field(compare=False)  # at its commit


@dataclass(frozen=True)
class Commit:
    """One change of what is live."""

    at: datetime
    operation: str
    added: frozenset[Life]
    removed: frozenset[Life]

    @property
    def is_addition(self) -> bool:
        """Say whether it brought rows found nowhere else."""
        return self.operation in _ADDING

    @property
    def takes_rows_away(self) -> bool:
        """Say whether what was there is no part of any later view."""
        return self.operation in ("unknowncompactiontype", "lost")


class Replay:
    """A trace on its way, below *root*."""

    def __init__(self, trace: Trace, root: Path) -> None:
        self.disks = [root.resolve() / f"data{number}" for number in range(trace.disks)]
        self.commits: dict[str, list[Commit]] = defaultdict(list)  # by table or index, without the data directory
        self.finished: dict[str, set[int]] = defaultdict(set)  # by path, checksums of all it held when it was closed
        self.dropped: set[str] = set()  # components that were deleted while their sstable lived on
        self.followed = False  # by a daemon, which must get hold of each log
        self._trace = trace
        self._elsewhere = root / "elsewhere"
        self._serial = itertools.count(1)
        self._open: dict[str, IO[bytes]] = {}
        self._replaced: dict[str, IO[bytes]] = {}  # open still, and the name is gone or another file's
        self._bodies: dict[str, bytes] = {}
        self._live: dict[Place, Life] = {}
        self._logs: dict[str, list[str]] = defaultdict(list)  # records by the log's name
        self._replicas: set[str] = set()
        self._committed: set[str] = set()
        self._moved_in: dict[Place, datetime] = {}  # and when its Data.db came
        self._elsewhere.mkdir()
        for disk in self.disks:
            disk.mkdir()

    def marks(self, *, and_before: Callable[[Step], bool] = lambda step: False) -> Iterator[Step]:
        """Yield each mark, and each step that *and_before* picks, once all that came before is done."""
        before, done = 0, time.monotonic()
        for step in self._trace.steps:
            if self._replicas:
                # As quickly as Cassandra was, and no quicker: that is what a daemon has to keep up with.
                time.sleep(max(0.0, done + (step.at - before) / 1000 - time.monotonic()))
            before, done = step.at, time.monotonic()
            if step.act is Act.MARKED or and_before(step):
                yield step
                done = time.monotonic()
            if step.act is not Act.MARKED:
                self._perform(step)
        for file in [*self._open.values(), *self._replaced.values()]:
            file.close()

    def directory(self, place: str) -> str:
        """Return where a directory of the trace is."""
        number, _, rest = place.partition("/")
        return str(self.disks[int(number)] / rest)

    def table_of(self, directory: str) -> str:
        """Return the table or index that *directory* belongs to, whatever the disk."""
        [disk] = [disk for disk in self.disks if directory.startswith(f"{disk}/")]
        return directory[len(f"{disk}/") :]

    def is_live(self, life: Life) -> bool:
        """Say whether Cassandra would read it now."""
        return self._live.get((life.directory, life.stem)) == life

    def take_in_moved(self) -> None:
        """Count what was moved in from outside as added: the daemon had time to see it."""
        for place, at in self._moved_in.items():
            self._commit(self.table_of(place[0]), Commit(at, "import", frozenset({self._born(place)}), frozenset()))
        self._moved_in.clear()

    @property
    def moving_in(self) -> frozenset[Place]:
        """What was moved in from outside and is not counted yet."""
        return frozenset(self._moved_in)

    # What Cassandra does

    def _perform(self, step: Step) -> None:
        path = os.path.join(self.directory(step.directory), step.name)
        is_log = "_txn_" in step.name
        match step.act:
            case Act.MADE:
                os.mkdir(path)
            case Act.REMOVED:
                os.rmdir(path)
            case Act.CREATED:
                self._open[path] = Path(path).open("xb", buffering=0)  # noqa: SIM115 # closed when the trace says so
                if is_log:
                    self._replicas.add(path)
                else:
                    self._open[path].write(b"half")
            case Act.LOGGED:
                self._append(path, step)
            case Act.CLOSED:
                self._close(path, step.size)
            case Act.LINKED:
                assert step.source
                source = os.path.join(self.directory(step.source[0]), step.source[1])
                os.link(source, path)
                self._bodies[path] = self._bodies.get(source, b"")
            case Act.CAME:
                self._arrive(path, step)
            case Act.LEFT:
                os.rename(path, self._elsewhere / f"{next(self._serial)}")
                self._bodies.pop(path, None)
            case Act.DELETED:
                self._delete(path, is_log=is_log)

    def _close(self, path: str, size: int | None) -> None:
        replaced = self._replaced.pop(path, None)
        if replaced is not None:
            replaced.close()
            return
        is_new = path in self._open
        with self._open.pop(path, None) or Path(path).open("r+b", buffering=0) as file:
            if is_new or size is not None:
                body = self._content(path, size or 0)
                file.seek(0)
                file.truncate()
                file.write(body)
                self._holds(path, body)

    def _content(self, path: str, size: int) -> bytes:
        """Return what no other file has ever held."""
        return f"{next(self._serial)}: {os.path.basename(path)}\n".encode().ljust(min(size, _LARGEST), b".")

    def _holds(self, path: str, body: bytes) -> None:
        self._bodies[path] = body
        self.finished[path].add(crc64nvme(body))

    def _arrive(self, path: str, step: Step) -> None:
        if path in self._open:
            self._replaced[path] = self._open.pop(path)
        if step.source is not None:
            source = os.path.join(self.directory(step.source[0]), step.source[1])
            os.rename(source, path)
            self._holds(path, self._bodies.pop(source))
            return
        body = self._content(path, step.size or 0)
        outside = self._elsewhere / f"{next(self._serial)}"
        outside.write_bytes(body)
        outside.rename(path)
        self._holds(path, body)
        if step.name.endswith(f"-{DATA}"):
            self._moved_in[os.path.dirname(path), step.name[: -len(DATA)]] = datetime.now(UTC)

    def _delete(self, path: str, *, is_log: bool) -> None:
        directory, name = os.path.split(path)
        if is_log:
            if self.followed:
                # Its fsyncs give a reader some milliseconds; here nobody knows when the reader gets its turn.
                wait_until(lambda: _is_held(path), f"{path} to be opened")
            self._replicas.discard(path)
        if path in self._open:
            self._replaced[path] = self._open.pop(path)
        os.unlink(path)
        self._bodies.pop(path, None)
        stem = name[: name.rfind("-") + 1]
        if name == stem + DATA and (life := self._live.get((directory, stem))):
            # No transaction said so.
            lost = Commit(datetime.now(UTC), "lost", frozenset(), frozenset({life}))
            self._commit(self.table_of(directory), lost)
        elif (directory, stem) in self._live:
            self.dropped.add(path)

    # What it says of it

    def _append(self, path: str, step: Step) -> None:
        records = [self._local(record) for record in step.records]
        with self._open.pop(path, None) or Path(path).open("ab", buffering=0) as log:
            if records:
                log.write("".join(f"{record}[{_checksum(record)}]\n" for record in records).encode())
        name = step.name
        self._logs[name] += [record for record in records if record not in self._logs[name]]
        if any(record.startswith("COMMIT") for record in records) and name not in self._committed:
            self._committed.add(name)
            written = os.stat(path).st_mtime_ns
            self._take_in(name, datetime.fromtimestamp(written // 1000 / 1e6, UTC))

    def _local(self, record: str) -> str:
        for number, disk in enumerate(self.disks):
            record = record.replace(f"{{{number}}}", str(disk))
        return record

    def _take_in(self, name: str, at: datetime) -> None:
        operation = name.split("_")[-2]
        added, removed = set(), set()
        for record in self._logs[name]:
            fields = _FIELDS.fullmatch(record)
            assert fields
            place = os.path.split(fields["path"])
            # An output that turned out empty is in the log, and never got a file.
            if fields["kind"] == "ADD" and "".join((*place[:1], "/", place[1], DATA)) in self._bodies:
                added.add(self._born(place))
            elif fields["kind"] == "REMOVE":
                removed.add(self._live[place])
        for table in {self.table_of(life.directory) for life in (*added, *removed)}:
            self._commit(table, Commit(at, operation, frozenset(added), frozenset(removed)))

    def _born(self, place: Place) -> Life:
        directory, stem = place
        components = frozenset(name for name in os.listdir(directory) if name.startswith(stem))
        return Life(directory, stem, crc64nvme(self._bodies[os.path.join(directory, stem + DATA)]), components)

    def _commit(self, table: str, commit: Commit) -> None:
        for life in commit.removed:
            del self._live[life.directory, life.stem]
        for life in commit.added:
            self._live[life.directory, life.stem] = life
        self.commits[table].append(commit)


def _checksum(record: str) -> int:
    fields = _FIELDS.fullmatch(record)
    assert fields
    updated, files = int(fields["updated"]), int(fields["files"])
    numbers = b"".join((number & 0xFFFFFFFF).to_bytes(4, "big") for number in (updated, updated >> 32, files))
    return zlib.crc32(os.fsencode(fields["path"]) + fields["kind"].encode() + numbers)


def _is_held(path: str) -> bool:
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if os.readlink(f"/proc/self/fd/{descriptor}") == path:
                return True
    return False
