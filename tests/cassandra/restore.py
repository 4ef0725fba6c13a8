"""Bring one restore point back into an empty directory, checked, and have a second Cassandra read it."""

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.cassandra.node import Node
from tests.daemon.harness import NODE, Bucket, wait_until

from tablesnap.cli.console.screen import Screen
from tablesnap.cli.tableslurp import run
from tablesnap.cli.tableslurp.flags import parse
from tablesnap.rules.index import Index, StoredFile
from tablesnap.rules.index_decoding import decode
from tablesnap.rules.keys import Keys, directory_of, is_index

KEYS = Keys(prefix="", node=NODE, separator=":")

Rows = dict[tuple[object, ...], tuple[object, ...]]  # by primary key, the other columns


@dataclass(frozen=True)
class RestorePoint:
    """One restore point of a table, and the key of the index that has its files."""

    key: str
    index: Index

    @property
    def taken_at(self) -> datetime:
        """The moment it is of."""
        assert self.index.taken_at
        return self.index.taken_at

    @property
    def directories(self) -> dict[str, Mapping[str, StoredFile]]:
        """Return the files of each of the table's directories."""
        return {self.index.directory: self.index.files, **self.index.others}

    @property
    def is_complete(self) -> bool:
        """Say whether all it names is stored."""
        return not self.index.missing


class RestorePoints:
    """The restore points of one table in a bucket; an index is read once, as none is ever overwritten."""

    def __init__(self, bucket: Bucket, directories: Collection[Path]) -> None:
        self._store = bucket.store()
        self._prefixes = [KEYS.below(str(directory)) for directory in directories]
        self._read: dict[str, Index] = {}

    def all(self) -> list[RestorePoint]:
        """Return all there are, in the order of their moments."""
        for prefix in self._prefixes:
            for listed in self._store.list(prefix):
                key = listed.key
                if is_index(key) and directory_of(key) == prefix and key not in self._read:
                    self._read[key] = decode(b"".join(self._store.read(key)), prefix)
        # Of a table with several directories, one index has the files, and the others name it.
        points = [RestorePoint(key, index) for key, index in self._read.items() if not index.whole]
        return sorted(points, key=_age)

    def complete(self) -> list[RestorePoint]:
        """Return those that miss nothing."""
        return [point for point in self.all() if point.is_complete]

    def has_one_after(self, moment: datetime, limit: float = 3.0) -> bool:
        """Say whether there is a complete one of *moment* or later, within *limit* seconds."""

        def is_there() -> bool:
            found = self.complete()[-1:]
            return bool(found) and found[0].taken_at >= moment

        try:
            return wait_until(is_there, limit=limit)
        except AssertionError:
            return False

    def await_after(self, moment: datetime) -> RestorePoint:
        """Return the newest complete one once that is of *moment* or later."""

        def newest() -> RestorePoint | None:
            found = self.complete()[-1:]
            return found[0] if found and found[0].taken_at >= moment else None

        found = wait_until(newest, f"a restore point of {moment} or later")
        assert found
        return found


def slurp(bucket: Bucket, *arguments: str | Path) -> None:
    """Run ``tableslurp``, with *arguments* that have BUCKET where it says so; insist that all is restored."""
    words = [
        one for word in arguments for one in ((*bucket.arguments, bucket.url) if word == "BUCKET" else (str(word),))
    ]
    options = parse(words, bucket.environment, datetime.now(UTC))
    code = run.restore(options, bucket.store(), Screen(), threading.Event)
    assert code == 0, f"tableslurp {words} ended with {code}"


def restore(bucket: Bucket, point: RestorePoint, target: Path) -> Path:
    """Bring the sstables of *point*, from whatever disk, below *target*; return the directory that has them."""
    # nodetool import takes a directory only whose last two names are those of the keyspace and the table.
    directory = target.joinpath(*Path(point.index.directory).parts[-2:])
    directory.parent.mkdir(parents=True)
    slurp(bucket, "-n", NODE, "-f", point.key, "BUCKET", point.index.directory, directory)
    return directory


def _age(point: RestorePoint) -> tuple[datetime, datetime]:
    return point.taken_at, point.index.seen_at or point.taken_at


@dataclass(frozen=True)
class Table:
    """A table as a test makes it, and a second Cassandra makes it again."""

    keyspace: str
    name: str
    columns: str  # with the primary key, as CREATE TABLE has them
    key: tuple[str, ...]
    options: str = "gc_grace_seconds = 0"

    @property
    def full_name(self) -> str:
        """Keyspace and name."""
        return f"{self.keyspace}.{self.name}"

    def create(self, node: Node, options: str | None = None) -> None:
        """Make the table, and its keyspace if there is none, with *options* other than its own if given."""
        create_keyspace(node, self.keyspace)
        node.execute(f"CREATE TABLE IF NOT EXISTS {self.full_name} ({self.columns}) WITH {options or self.options}")

    def rows(self, node: Node, where: str = "") -> Rows:
        """Read the table."""
        return {self._key(row): self._rest(row) for row in node.execute(f"SELECT * FROM {self.full_name} {where}")}

    def _key(self, row: Any) -> tuple[object, ...]:
        return tuple(getattr(row, name) for name in self.key)

    def _rest(self, row: Any) -> tuple[object, ...]:
        # By name: SELECT * puts the columns in an order of its own.
        return tuple(value for name, value in sorted(row._asdict().items()) if name not in self.key)


def create_keyspace(node: Node, name: str, replicas: int = 1) -> None:
    """Make a keyspace if there is none."""
    replication = f"{{'class': 'SimpleStrategy', 'replication_factor': {replicas}}}"
    node.execute(f"CREATE KEYSPACE IF NOT EXISTS {name} WITH replication = {replication}")


class Reader:
    """A second Cassandra, which reads what was restored."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def read(self, table: Table, directories: Sequence[Path]) -> Rows:
        """Return the rows of *table* that the sstables in *directories* hold together.

        The files are moved away. Nothing is compacted, so that the rows are those of exactly these sstables.
        """
        table.create(
            self._node,
            "gc_grace_seconds = 0 AND compaction = {'class': 'SizeTieredCompactionStrategy', 'enabled': false}",
        )
        self._node.execute(f"TRUNCATE {table.full_name}")
        # One by one: the sstables of two disks may have the same names.
        for directory in directories:
            data = list(directory.glob("*-Data.db"))
            if data:
                said = self._node.nodetool("import", table.keyspace, table.name, directory)
                left = list(directory.glob("*-Data.db"))
                assert not left, f"Cassandra did not take {left}: {said}"
        return table.rows(self._node)


def read_back(bucket: Bucket, point: RestorePoint, table: Table, reader: Reader, target: Path) -> Rows:
    """Restore *point* below *target*, and return the rows that Cassandra finds in it."""
    # The sstables of a secondary index, below it, cannot be imported; Cassandra builds it anew from the table's own.
    return reader.read(table, [restore(bucket, point, target)])
