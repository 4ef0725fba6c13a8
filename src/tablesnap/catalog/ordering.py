"""In which order the indexes of one timeline were recorded: by the store's dates, or by what they say of themselves."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from tablesnap.catalog.ahead import read_ahead
from tablesnap.catalog.index_reader import IndexReader
from tablesnap.catalog.inventory import StoredDirectory
from tablesnap.rules import order, sstable
from tablesnap.rules.index import Index
from tablesnap.rules.keys import directory_of, moment_in
from tablesnap.rules.order import KeysSeen
from tablesnap.rules.points import RestorePoint
from tablesnap.rules.taken import is_free, name_of_index
from tablesnap.store.port import Listed

_READERS = 8

Place = Sequence[Listed]  # the indexes of one restore point, or those that the store dates to one moment


@dataclass(frozen=True, slots=True)
class Stamp:
    """What is kept of an index that was read: a whole one may name many thousands of files."""

    key: str
    serial: int | None
    taken_at: datetime
    seen_at: datetime
    stored_at: datetime
    covers: tuple[str, ...]
    is_dated: bool


def places_by_date(directories: Iterable[StoredDirectory]) -> list[Place]:
    """Return the indexes by the store's dates. A store may date in whole seconds: those of one moment are together."""
    ordered = sorted((listed for one in directories for listed in one.indexes), key=_when)
    return [list(group) for _, group in groupby(ordered, key=lambda listed: listed.modified)]


def are_keys_out_of_order(directories: Iterable[StoredDirectory]) -> bool:
    """Say whether in one of *directories* the moments or the generations in keys contradict the store's dates."""
    for directory in directories:
        indexes = sorted(directory.indexes, key=_when)
        if _are_moments_out_of_order(indexes) or _are_generations_out_of_order(indexes):
            return True
    return False


def _are_generations_out_of_order(indexes: Iterable[Listed]) -> bool:
    """Say whether an index without a moment in its key is dated after one of a later name: `rules.taken` has none.

    1.x had, but it wrote indexes for the other components of an sstable as well.
    """
    latest, dated, found = "", datetime.min.replace(tzinfo=UTC), False
    for listed in indexes:
        name = name_of_index(listed.key)
        component = sstable.parse(name)
        if moment_in(listed.key) is not None or component is None:
            continue
        if component.component != sstable.DATA:
            return False
        if not latest or is_free(name, latest):
            latest, dated = name, listed.modified
        else:
            found = found or listed.modified > dated
    return found


def _are_moments_out_of_order(indexes: Iterable[Listed]) -> bool:
    latest: tuple[datetime, datetime] | None = None  # the moment in a key, and the store's date
    for listed in indexes:
        moment = moment_in(listed.key)
        if moment is None:
            continue
        if latest is not None and moment < latest[0] and listed.modified > latest[1]:
            return True
        if latest is None or moment > latest[0]:
            latest = moment, listed.modified
    return False


def is_followed(newest: RestorePoint, directories: Mapping[str, StoredDirectory]) -> bool:
    """Say whether the key of any index shows that it was recorded after *newest*, which the store dates last."""
    for directory in directories.values():
        if directory.key == directory_of(newest.key):
            seen = KeysSeen()
            for listed in directory.indexes:
                seen.note(listed.key)
            return seen.contradicts(newest.seen_at, newest.latest_name)
    return False


def places_by_indexes(reader: IndexReader, places: Sequence[Place]) -> list[Place] | None:
    """Read every index and return the restore points in the order that they say; None if the dates agree with it.

    Raises `StoreUnavailable`.
    """
    listed = {one.key: one for place in places for one in place}
    stamps: dict[str, Stamp] = {}
    pointers: dict[str, list[Listed]] = {}
    for one, found in zip(listed.values(), _read_all(reader, listed.values()), strict=True):
        if isinstance(found, Index) and found.whole in listed:
            pointers.setdefault(found.whole, []).append(one)
        else:
            stamps[one.key] = stamp_of(found, one)
    if not order.are_dates_wrong(stamps.values()):
        return None
    return [[listed[stamp.key], *pointers.get(stamp.key, ())] for stamp in order.by_serials(stamps.values())]


def _read_all(reader: IndexReader, listed: Iterable[Listed]) -> Iterator[RestorePoint | Index]:
    ordered = list(listed)
    bodies = read_ahead(reader.fetch, ordered, _READERS)
    return (reader.understand(one, body) for one, body in zip(ordered, bodies, strict=True))


def stamp_of(found: RestorePoint | Index, listed: Listed) -> Stamp:
    """Return the stamp of an index; of one that names another for its files, which is not there, by its own words."""
    taken_at, seen_at = found.taken_at or listed.modified, found.seen_at or listed.modified
    return Stamp(
        key=listed.key,
        serial=found.serial,
        taken_at=order.believed(taken_at, listed.modified),
        seen_at=order.believed(seen_at, listed.modified),
        stored_at=listed.modified,
        covers=found.covers or (found.directory,),
        is_dated=isinstance(found, Index) or found.is_dated,
    )


def _when(listed: Listed) -> tuple[datetime, str]:
    return listed.modified, listed.key
