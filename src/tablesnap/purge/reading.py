"""Read every index of one history, and keep of each only what a purge asks."""

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from tablesnap.errors import NoSuchObject, StoreRefused, UnreadableIndex
from tablesnap.rules import points
from tablesnap.rules.index import FORMAT, Index, decode
from tablesnap.rules.keys import directory_of
from tablesnap.rules.points import Fault, RestorePoint
from tablesnap.rules.purging import Record
from tablesnap.store.port import Listed, Store

READERS = 16  # indexes read at a time


@dataclass
class Indexes:
    """The indexes of one history. What they name is kept as numbers: thousands of them name the same objects."""

    records: list[Record] = field(default_factory=list)
    pointers: dict[str, str] = field(default_factory=dict)  # the index that names another for its files, and that one
    faults: list[Fault] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)
    _named: "dict[str, array[int]]" = field(default_factory=dict)

    def named_by(self, keys: Iterable[str]) -> set[str]:
        """Return the keys that any of the indexes under *keys* names."""
        numbers = {number for key in keys for number in self._named.get(key, ())}
        return {key for key, number in self._numbers.items() if number in numbers}

    def note_named(self, key: str, named: Iterable[str]) -> None:
        """Remember what the index under *key* names."""
        self._named[key] = array("I", [self._numbers.setdefault(one, len(self._numbers)) for one in named])


def read_indexes(
    store: Store, listed: Sequence[Listed], objects: Mapping[str, int], *, there: Collection[str]
) -> Indexes:
    """Read the indexes *listed*; *objects* are the sizes of all objects beside them, *there* all indexes, by key.

    One that cannot be read, or that names one that is not there, is a fault. Raises `StoreUnavailable`.
    """
    found = Indexes()
    for one, read in _side_by_side(lambda one: _read(store, one), listed):
        if isinstance(read, Fault):
            found.faults.append(read)
            continue
        found.note_named(one.key, read.keys(directory_of(one.key)))
        if not read.whole:
            found.records.append(_record(read, one, objects))
        elif read.whole in there:
            found.pointers[one.key] = read.whole
        else:
            why = f"it names {read.whole} for its files, which is not there"
            found.faults.append(Fault(one.key, read.directory, why))
    return found


def _read(store: Store, one: Listed) -> Index | Fault:
    directory_key = directory_of(one.key)
    try:
        return decode(b"".join(store.read(one.key)), directory_key)
    except (NoSuchObject, StoreRefused, UnreadableIndex) as error:
        return Fault(one.key, directory_key, f"the index cannot be read: {error}")


def _record(index: Index, listed: Listed, objects: Mapping[str, int]) -> Record:
    point = _point(index, listed, objects)
    return Record(
        key=point.key,
        taken_at=point.taken_at,
        stored_at=listed.modified,
        last_true=max(point.taken_at, point.seen_at, listed.modified),
        # By what is stored, not only by its own word: what cannot be restored must not stand for what can.
        is_complete=not points.faults(point, objects),
        covers=frozenset(point.covers),
    )


def _point(index: Index, listed: Listed, objects: Mapping[str, int]) -> RestorePoint:
    if index.format < FORMAT:
        return points.point_of_1x(index, listed.key, listed.modified, objects)
    return points.point_of(index, listed.key, listed.modified)


def _side_by_side(
    read: Callable[[Listed], Index | Fault], listed: Sequence[Listed]
) -> Iterator[tuple[Listed, Index | Fault]]:
    """Yield each with what was read of it, few at a time: an index of a large table has megabytes."""
    remaining = iter(listed)
    with ThreadPoolExecutor(READERS, thread_name_prefix="indexes") as readers:
        while batch := list(islice(remaining, READERS)):
            yield from zip(batch, readers.map(read, batch), strict=True)
