"""Read every index of one history, and keep of each only what a purge asks."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tablesnap.catalog.ahead import read_ahead
from tablesnap.catalog.index_reader import IndexReader
from tablesnap.errors import UnreadableIndex
from tablesnap.purge.listing import Held
from tablesnap.purge.objects import Objects
from tablesnap.rules import points
from tablesnap.rules.index import FORMAT, Index, StoredFile
from tablesnap.rules.index_decoding import decode
from tablesnap.rules.keys import directory_of
from tablesnap.rules.order import believed
from tablesnap.rules.points import Fault
from tablesnap.rules.purging import Record, is_trustworthy
from tablesnap.store.port import Listed, Store


@dataclass
class Indexes:
    """The indexes of one history. What they name is kept as numbers: thousands of them name the same objects."""

    records: list[Record] = field(default_factory=list)
    pointers: dict[str, str] = field(default_factory=dict)  # the index that names another for its files, and that one
    doubtful: set[str] = field(default_factory=set)  # indexes that say nothing by not naming an object
    faults: list[Fault] = field(default_factory=list)
    _named: "dict[str, array[int]]" = field(default_factory=dict)

    def named_by(self, keys: Iterable[str]) -> set[int]:
        """Return the numbers of the objects that any of the indexes under *keys* names."""
        numbers: set[int] = set()
        for key in keys:
            numbers.update(self._named.get(key, ()))
        return numbers

    def note_named(self, key: str, named: Iterable[str], objects: Objects) -> None:
        """Remember which of *objects* the index under *key* names."""
        numbers = (objects.number(one) for one in named)
        self._named[key] = array("I", (number for number in numbers if number is not None))


def read_indexes(store: Store, listed: Sequence[Listed], held: Held, *, readers: int) -> Indexes:
    """Read the indexes *listed*, *readers* at a time; *held* is all there is beside them.

    One that cannot be read, or that names one that is not there, is a fault. Raises `StoreUnavailable`.
    """
    found = Indexes()
    there = {one.key for one in held.indexes}
    # Decoded here, one after the other: of a large table's, the bodies alone take up megabytes.
    bodies = read_ahead(IndexReader(store).fetch, listed, readers)
    for one, body in zip(listed, bodies, strict=True):
        directory_key = directory_of(one.key)
        try:
            if body.unreadable:
                raise UnreadableIndex(body.unreadable)
            index = decode(body.data, directory_key)
        except UnreadableIndex as error:
            found.faults.append(Fault(one.key, directory_key, f"the index cannot be read: {error}"))
            continue
        found.note_named(one.key, index.each_key(directory_key), held.objects)
        if not is_trustworthy(index, one.key):
            found.doubtful.add(one.key)
        if not index.whole:
            found.records.append(_record(index, one, held))
        elif index.whole in there:
            found.pointers[one.key] = index.whole
        else:
            why = f"it names {index.whole} for its files, which is not there"
            found.faults.append(Fault(one.key, index.directory, why))
    return found


def _record(index: Index, listed: Listed, held: Held) -> Record:
    """Return what a purge must know. Complete is what can be restored by what is stored, not by the index's own word:
    what cannot must not stand for what can."""
    if index.format < FORMAT:
        return _record_of_1x(index, listed, held)
    claimed = index.taken_at or listed.modified
    taken_at = believed(claimed, listed.modified)
    seen_at = believed(index.seen_at or taken_at, listed.modified)
    return Record(
        key=listed.key,
        taken_at=taken_at,
        stored_at=listed.modified,
        seen_at=seen_at,
        last_true=max(taken_at, seen_at, listed.modified),
        serial=index.serial,
        is_dated=claimed == taken_at,
        is_complete=not index.missing and all(held.objects.get(file.key) == file.size for file in _files(index)),
        covers=frozenset(index.covers or (index.directory, *index.others)),
        size=sum(file.size for file in _files(index)),
    )


def _files(index: Index) -> Iterator[StoredFile]:
    return (file for some in (index.files, *index.others.values()) for file in some.values())


def _record_of_1x(index: Index, listed: Listed, held: Held) -> Record:
    directory_key = directory_of(listed.key)
    keys = (directory_key + name for name in index.names)
    beside = {key: held.objects[key] for key in keys if key in held.objects}
    beside |= dict.fromkeys(held.folders.get(directory_key, ()), 0)
    point = points.point_of_1x(index, listed.key, listed.modified, beside)
    return Record(
        key=listed.key,
        taken_at=listed.modified,
        stored_at=listed.modified,
        seen_at=listed.modified,
        last_true=listed.modified,
        is_complete=is_trustworthy(index, listed.key) and not points.faults(point, beside.get),
        covers=frozenset(point.covers),
        size=point.size,
    )
