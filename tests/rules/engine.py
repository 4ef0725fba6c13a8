"""A toy of Cassandra's storage engine: what sstables hold, how a read merges them, and what a compaction may drop.

It knows nothing of backups. A cell or a tombstone has a timestamp, the newest wins, and a tombstone wins a tie. A
compaction merges some of the sstables; it may purge a tombstone that is older than everything that the others hold of
its partition, and may drop what the others say is deleted or overwritten (``nodetool garbagecollect``).
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum

from tablesnap.rules.txnlog import Kind
from tablesnap.rules.view import Name

PARTITIONS = 2
ROWS = 3

_START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Cell:
    """A write to one row."""

    partition: int
    row: int
    timestamp: int
    value: int

    def loses_to(self, other: "Cell") -> bool:
        return (self.partition, self.row) == (other.partition, other.row) and (self.timestamp, self.value) < (
            other.timestamp,
            other.value,
        )


@dataclass(frozen=True)
class Tombstone:
    """The deletion of rows *first* to *last* of a partition: of one, of a range, of all."""

    partition: int
    first: int
    last: int
    timestamp: int

    def hides(self, cell: Cell) -> bool:
        return (
            self.partition == cell.partition
            and self.first <= cell.row <= self.last
            and self.timestamp >= cell.timestamp
        )

    def loses_to(self, other: "Tombstone") -> bool:
        return (
            self != other
            and self.partition == other.partition
            and other.first <= self.first
            and self.last <= other.last
            and self.timestamp <= other.timestamp
        )


Content = frozenset[Cell | Tombstone]
Rows = dict[tuple[int, int], int]


def cells_of(contents: Iterable[Content]) -> set[Cell]:
    return {one for content in contents for one in content if isinstance(one, Cell)}


def tombstones_of(contents: Iterable[Content]) -> set[Tombstone]:
    return {one for content in contents for one in content if isinstance(one, Tombstone)}


def read(contents: Iterable[Content]) -> Rows:
    """Merge as a read does."""
    contents = list(contents)
    newest: dict[tuple[int, int], Cell] = {}
    for cell in cells_of(contents):
        kept = newest.setdefault((cell.partition, cell.row), cell)
        if kept.loses_to(cell):
            newest[cell.partition, cell.row] = cell
    tombstones = tombstones_of(contents)
    return {place: cell.value for place, cell in newest.items() if not any(t.hides(cell) for t in tombstones)}


class Collect(Enum):
    """What a compaction drops because of sstables that are not among its inputs."""

    NOTHING = "none"
    DELETED = "row"
    OVERWRITTEN = "cell"


def compacted(
    inputs: Collection[Content],
    others: Collection[Content],
    memtables: Iterable[Content],
    purge: bool,
    collect: Collect,
) -> Content:
    """Merge *inputs* as a compaction does beside *others* and *memtables*."""
    cells, tombstones = cells_of(inputs), tombstones_of(inputs)
    against = tombstones | (tombstones_of(others) if collect is not Collect.NOTHING else set())
    newer = cells | (cells_of(others) if collect is Collect.OVERWRITTEN else set())
    kept = {c for c in cells if not any(t.hides(c) for t in against) and not any(c.loses_to(n) for n in newer)}
    outside = [one for content in (*others, *memtables) for one in content]
    left = {
        t
        for t in tombstones
        if not any(t.loses_to(other) for other in against)
        and not (purge and all(t.timestamp < one.timestamp for one in outside if one.partition == t.partition))
    }
    return frozenset(kept | left)


@dataclass(frozen=True)
class Transaction:
    """A committed transaction, as its log tells it."""

    added: dict[Name, int]  # to the number of the content
    removed: frozenset[Name]
    kind: Kind
    at: datetime
    indexes: frozenset[str] = frozenset()
    waits: bool = True


@dataclass
class Compaction:
    """One that runs, or has yet to commit."""

    inputs: dict[Name, int]
    outputs: list[Content]


@dataclass
class Family:
    """A table, or one of its secondary indexes: a memtable and sstables, in one directory for each disk."""

    directories: Sequence[str]
    memtable: set[Cell | Tombstone] = field(default_factory=set)
    flushing: list[Content] = field(default_factory=list)
    live: dict[Name, int] = field(default_factory=dict)
    generation: int = 0
    compactions: list[Compaction] = field(default_factory=list)
    purged: int = 0  # the newest tombstone that was

    def names(self, number: int) -> list[Name]:
        """Name the outputs of a transaction, each on another disk."""
        first, self.generation = self.generation + 1, self.generation + number
        places = self.directories
        return [(places[(first + each) % len(places)], f"nb-{first + each}-big-") for each in range(number)]

    @property
    def idle(self) -> list[Name]:
        """What a compaction may choose from."""
        busy = {name for compaction in self.compactions for name in compaction.inputs}
        return sorted(self.live.keys() - busy)


def split(content: Content, pieces: int) -> list[Content]:
    """Share *content* out by partition, as a node does that has several disks, or writes sstables of limited size."""
    shares = [frozenset(one for one in content if one.partition % pieces == piece) for piece in range(pieces)]
    return [share for share in shares if share]


class Engine:
    """One table, its secondary index, and the clock."""

    def __init__(self, disks: int, indexed: bool) -> None:
        directories = [f"/d{disk}/ks/t" for disk in range(disks)]
        self.table = Family(directories)
        self.index = Family([f"{directory}/.idx" for directory in directories]) if indexed else None
        self.contents: list[Content] = []
        self.millis = 0
        self.timestamp = 0
        self.values = 0
        self._timeline: list[tuple[datetime, Rows]] = [(self.at, {})]

    # The clock.

    @property
    def at(self) -> datetime:
        return _START + timedelta(milliseconds=self.millis)

    @property
    def now(self) -> float:
        return 1000 + self.millis / 1000

    def rows_at(self, moment: datetime) -> Rows:
        """Return what could be read of the sstables at *moment*."""
        return next(rows for at, rows in reversed(self._timeline) if at <= moment)

    def rows_before(self, moment: datetime) -> Rows:
        return next(rows for at, rows in reversed(self._timeline) if at < moment)

    @property
    def rows(self) -> Rows:
        return self._timeline[-1][1]

    # What is there.

    @property
    def families(self) -> list[Family]:
        return [self.table] if self.index is None else [self.table, self.index]

    @property
    def live(self) -> dict[Name, int]:
        return {name: number for family in self.families for name, number in family.live.items()}

    def is_index(self, directory: str) -> bool:
        return directory.endswith("/.idx")

    def of_table(self, numbers: dict[Name, int]) -> list[Content]:
        return [self.contents[number] for (directory, _), number in numbers.items() if not self.is_index(directory)]

    def of_index(self, numbers: dict[Name, int]) -> list[Content]:
        return [self.contents[number] for (directory, _), number in numbers.items() if self.is_index(directory)]

    # Clients.

    def write(self, partition: int, row: int) -> None:
        self.timestamp += 1
        self._apply(Cell(partition, row, self.timestamp, self._value()))

    def delete(self, partition: int, first: int, last: int) -> None:
        self.timestamp += 1
        self._apply(Tombstone(partition, first, last, self.timestamp))

    def query_index(self) -> None:
        """Delete what a query by index found to be stale."""
        if self.index is not None:
            visible = set(self._read_all().values())
            for entry in cells_of([frozenset(self.index.memtable), *self.index.flushing, *self.of_index(self.live)]):
                if entry.partition not in visible:
                    self.index.memtable.add(Tombstone(entry.partition, entry.row, entry.row, entry.timestamp))

    def _apply(self, change: Cell | Tombstone) -> None:
        if self.index is not None:
            for cell in cells_of([frozenset(self.table.memtable)]):
                over = change.hides(cell) if isinstance(change, Tombstone) else cell.loses_to(change)
                if over:
                    place = cell.partition * ROWS + cell.row
                    self.index.memtable.add(Tombstone(cell.value, place, place, cell.timestamp))
            if isinstance(change, Cell):
                self.index.memtable.add(_entry(change))
        self.table.memtable.add(change)

    def _read_all(self) -> Rows:
        return read([frozenset(self.table.memtable), *self.table.flushing, *self.of_table(self.live)])

    def _value(self) -> int:
        self.values += 1
        return self.values

    # Transactions. Each takes a moment, and returns what its log says.

    def _commit(
        self,
        family: Family,
        outputs: Iterable[Content],
        removed: Collection[Name],
        kind: Kind,
        indexes: Iterable[str] = (),
        *,
        waits: bool = True,
    ) -> Transaction:
        self.millis += 1
        outputs = list(outputs)
        added = {name: len(self.contents) + place for place, name in enumerate(family.names(len(outputs)))}
        self.contents += outputs
        for name in removed:
            del family.live[name]
        family.live |= added
        before = self.rows
        self._timeline.append((self.at, read(self.of_table(self.live))))
        assert kind in (Kind.ADDITION, Kind.TRUNCATION) or self.rows == before, "a compaction changes no row"
        return Transaction(added, frozenset(removed), kind, self.at, frozenset(indexes), waits)

    def flush(self, pieces: int) -> list[Transaction]:
        """Flush the memtable; that of the index is about to be: see `finish_index_flush`."""
        index = self.index
        if index is not None and index.memtable:
            index.flushing.append(frozenset(index.memtable))
            index.memtable.clear()
        outputs = split(frozenset(self.table.memtable), pieces)
        if not outputs:
            return []
        self.table.memtable.clear()
        return [self._commit(self.table, outputs, (), Kind.ADDITION, index.directories if index else ())]

    def finish_index_flush(self) -> list[Transaction]:
        if self.index is None or not self.index.flushing:
            return []
        return [self._commit(self.index, [self.index.flushing.pop(0)], (), Kind.ADDITION)]

    def receive(self, cells: Iterable[tuple[int, int, int]]) -> list[Transaction]:
        """Stream or import (partition, row, age): older than what is here, but not than a tombstone that was purged."""
        newest = max(self.timestamp, self.table.purged + 1)
        came = [
            Cell(partition, row, max(newest - age, self.table.purged + 1), self._value())
            for partition, row, age in cells
        ]
        self.timestamp = newest
        if self.index is not None:
            self.index.flushing.append(frozenset(map(_entry, came)))
        indexes = self.index.directories if self.index else ()
        return [self._commit(self.table, [frozenset(came)], (), Kind.ADDITION, indexes, waits=False)]

    def start_compaction(
        self, family: Family, inputs: Collection[Name], pieces: int, purge: bool, collect: Collect
    ) -> Compaction:
        chosen = {name: family.live[name] for name in inputs}
        before = [self.contents[number] for number in chosen.values()]
        others = [self.contents[number] for name, number in family.live.items() if name not in chosen]
        content = compacted(before, others, [frozenset(family.memtable), *family.flushing], purge, collect)
        if purge:
            gone = tombstones_of(before) - tombstones_of([content])
            family.purged = max([family.purged, *(tombstone.timestamp for tombstone in gone)])
        family.compactions.append(Compaction(chosen, split(content, pieces)))
        return family.compactions[-1]

    def finish_compaction(self, family: Family, compaction: Compaction) -> list[Transaction]:
        """Commit it; what leaves nothing behind is an expiry."""
        family.compactions.remove(compaction)
        kind = Kind.REPLACEMENT if compaction.outputs else Kind.REMOVAL
        return [self._commit(family, compaction.outputs, compaction.inputs, kind)]

    def truncate(self, between: Callable[[], list[Transaction]]) -> list[Transaction]:
        """Flush, then take away all there was at that time; what is flushed *between* survives."""
        told = self.flush(1) + self._finish_index_flushes()
        old = [(family, list(family.live)) for family in self.families]
        told += between()
        for family, names in old:
            family.compactions.clear()
            if names:
                told.append(self._commit(family, (), names, Kind.TRUNCATION))
        return told

    def restart(self) -> list[Transaction]:
        """Restart Cassandra: compactions are undone, and generations go on from the highest that is left."""
        told = self._finish_index_flushes()
        for family in self.families:
            family.compactions.clear()
            family.generation = max((int(stem.split("-")[1]) for _, stem in family.live), default=0)
        return told

    def lose(self, names: Collection[Name]) -> None:
        """Have sstables disappear without a transaction."""
        self.millis += 1
        for family in self.families:
            family.compactions.clear()
            for name in names:
                family.live.pop(name, None)
        self._timeline.append((self.at, read(self.of_table(self.live))))

    def _finish_index_flushes(self) -> list[Transaction]:
        told: list[Transaction] = []
        while more := self.finish_index_flush():
            told += more
        return told


def _entry(cell: Cell) -> Cell:
    return Cell(cell.value, cell.partition * ROWS + cell.row, cell.timestamp, cell.value)
