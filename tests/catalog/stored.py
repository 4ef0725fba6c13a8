"""Buckets with a past: restore points as a daemon writes them, each at its own time."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from tablesnap.catalog.catalog import Catalog
from tablesnap.checksum import crc64nvme
from tablesnap.errors import AlreadyStored
from tablesnap.rules.index import Index, Owner, StoredFile
from tablesnap.rules.index_parts import join
from tablesnap.rules.keys import Keys
from tablesnap.rules.late import Late
from tablesnap.rules.writers import Writer
from tablesnap.store.file import FileStore
from tablesnap.store.memory import MemoryStore
from tablesnap.store.port import Content, Store

COMPONENTS = ("CompressionInfo.db", "Index.db", "Statistics.db", "TOC.txt", "Data.db")
OWNER = Owner(112, 117, "cassandra", "cassandra")
SIZE = 1000  # bytes of a component, and of a Data.db four times as many


class Past:
    """Writes to a store what a node's daemon would have written, at the moments that it is told."""

    def __init__(self, store: Store, set_clock: Callable[[datetime, str], None], node: str = "node1") -> None:
        self.store = store
        self.keys = Keys("", node, ":")
        self._set_clock = set_clock
        self._catalog = Catalog(store, self.keys)

    @classmethod
    def in_memory(cls, node: str = "node1") -> "Past":
        """Return a past in memory."""
        clock = _Clock()
        return cls(MemoryStore(clock), clock.set, node)

    @classmethod
    def in_directory(cls, directory: Path, node: str = "node1") -> "Past":
        """Return a past in a directory."""
        directory.mkdir(parents=True, exist_ok=True)
        return cls(FileStore(str(directory)), lambda when, key: _date(directory / key, when), node)

    def run(self, name: str, *directories: str, host: str = "node1") -> "Past":
        """Return the same past, as another run of the daemon goes on with it that begins now."""
        other = Past(self.store, self._set_clock, self.keys.node)
        other._catalog = Catalog(self.store, self.keys, Writer(f"machine of {host}", host, name))
        other._catalog.survey(["/"], directories)
        return other

    def sstable(
        self, directory: str, generation: int, when: datetime, *, statistics: bytes | None = None
    ) -> dict[str, StoredFile]:
        """Store an sstable, unless it is there, and return what an index says of it."""
        names = {component: f"nb-{generation}-big-{component}" for component in COMPONENTS}
        files = {
            name: self.file(directory, name, SIZE * 4 if component == "Data.db" else SIZE, when)
            for component, name in names.items()
            if component != "Statistics.db" or statistics is None
        }
        if statistics is not None:
            files[names["Statistics.db"]] = self._file(directory, names["Statistics.db"], statistics, when)
        return files

    def file(self, directory: str, name: str, size: int, when: datetime) -> StoredFile:
        """Store a file, unless it is there, and return what an index says of it."""
        body = (f"{directory}/{name};".encode("utf-8", "surrogateescape") * (size // 8 + 1))[:size]
        return self._file(directory, name, body, when)

    def _file(self, directory: str, name: str, body: bytes, when: datetime) -> StoredFile:
        key = self.keys.plain(f"{directory}/{name}")
        with suppress(AlreadyStored):
            self._put(key, body, when)
        return StoredFile(key, len(body), crc64nvme(body), int(when.timestamp() * 1e9), 0o100644, OWNER)

    def point(
        self,
        held: Mapping[str, Mapping[str, StoredFile]],
        taken_at: datetime,
        *,
        seen_at: datetime | None = None,
        stored_at: datetime | None = None,
        until: datetime | None = None,
        missing: Sequence[str] = (),
        unexplained: Sequence[str] = (),
        behind: Sequence[str] = (),
        late: Sequence[Late] = (),
    ) -> tuple[str, ...]:
        """Write the restore point of a table that *held* this, by directory, and return the keys of its indexes."""
        seen_at = seen_at or taken_at
        parts = [
            Index(
                directory=directory,
                names=tuple(files),
                files=files,
                missing=tuple(missing) if place == 0 else (),
                unexplained=tuple(unexplained) if place == 0 else (),
                behind=tuple(behind) if place == 0 else (),
                late=tuple(late) if place == 0 else (),
                node=self.keys.node,
                taken_at=taken_at,
                seen_at=seen_at,
                until=until,
                covers=tuple(held),
            )
            for place, (directory, files) in enumerate(held.items())
        ]
        stored_at = stored_at or seen_at
        self._set_clock(stored_at, "")
        written = self._catalog.write_restore_point([join(parts), *parts[1:]])
        for key in written:
            self._set_clock(stored_at, key)
        return written

    def table(self, directory: str, generations: Sequence[int], when: datetime) -> tuple[str, ...]:
        """Write a restore point of a table in one directory, whose sstables have these *generations*."""
        files: dict[str, StoredFile] = {}
        for generation in generations:
            files |= self.sstable(directory, generation, when)
        return self.point({directory: files}, when)

    def garbage(self, key: str, body: bytes, when: datetime, metadata: Mapping[str, str] | None = None) -> None:
        """Store what nobody of ours wrote."""
        self._put(key, body, when, metadata)

    def _put(self, key: str, body: bytes, when: datetime, metadata: Mapping[str, str] | None = None) -> None:
        self._set_clock(when, "")
        self.store.create(key, Content.of(body), metadata=metadata or {})
        self._set_clock(when, key)


class _Clock:
    def __init__(self) -> None:
        self._moment: datetime | None = None

    def set(self, moment: datetime, _key: str) -> None:
        self._moment = moment

    def __call__(self) -> datetime:
        assert self._moment is not None
        return self._moment


def _date(path: Path, when: datetime) -> None:
    """Give a stored object its age, once it is there."""
    if path.is_file():
        os.utime(path, ns=(int(when.timestamp() * 1e9),) * 2)
