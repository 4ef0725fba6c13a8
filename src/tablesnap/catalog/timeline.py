"""The restore points of one table, or of one directory outside Cassandra, from the newest back."""

import logging
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import overload

from tablesnap.catalog.ahead import read_ahead
from tablesnap.catalog.index_reader import Body, IndexReader
from tablesnap.catalog.inventory import StoredDirectory
from tablesnap.catalog.ordering import Place, are_keys_out_of_order, is_followed, places_by_date, places_by_indexes
from tablesnap.rules import order, points
from tablesnap.rules.index import Index
from tablesnap.rules.keys import Keys, directory_of
from tablesnap.rules.late import Lagging, Late
from tablesnap.rules.place import place_of
from tablesnap.rules.points import RestorePoint
from tablesnap.store.port import Listed, Store

log = logging.getLogger(__name__)

FORMAT_OF_1X = 1
_KEPT = 8  # restore points that were read and may be asked for again

_Read = Callable[[Listed], RestorePoint | Index]


class Timeline:
    """The restore points of one history: a table's directories have one together.

    It goes by the store's dates, which tell the order without an index being read, unless they contradict what is read
    or what the keys say, as in a bucket that was copied: then every index is read once, and these say the order
    themselves (`tablesnap.rules.order`). Not for several threads at once.
    """

    def __init__(self, name: str, directories: Mapping[str, StoredDirectory], reader: IndexReader) -> None:
        self.name = name  # ``<keyspace>/<table>-<id>``, or the directory's path
        self.directories = directories  # by absolute path
        self._reader = reader
        self._read: dict[str, RestorePoint | Index] = {}
        self._is_settled = False  # it was looked whether the dates are to be believed
        self._is_asked = False  # every index was asked
        self._is_copied = False
        self._late: tuple[Late, ...] | None = None  # of the newest that can be read, once it was
        self._put_in_order(places_by_date(directories.values()))

    def _put_in_order(self, places: Sequence[Place]) -> None:
        self._places = places
        self._late = None
        self._listed = {listed.key: listed for place in places for listed in place}
        self._place_of = {listed.key: number for number, place in enumerate(places) for listed in place}
        self._indexes = {
            path: sorted(one.indexes, key=lambda listed: (self._place_of[listed.key], listed.key))
            for path, one in self.directories.items()
        }

    def backward(self, moment: datetime | None = None) -> Iterator[RestorePoint]:
        """Yield the restore points, the newest first; with a *moment* those taken by then, as `order.as_of` has them.

        One whose index cannot be read is yielded as such, dated by the store. Raises `StoreUnavailable`.
        """
        if moment is None:
            yield from self._checked(self._newest_first())
        else:
            self._settle()
            yield from order.as_of(_Points(self), moment)

    def all(self, readers: int = 8) -> Iterator[RestorePoint]:
        """Yield what `backward` does; *readers* threads fetch the next indexes, as many as they are, meanwhile."""
        yield from self._checked(self._newest_first(readers))

    def oldest(self) -> RestorePoint | None:
        """Return the oldest restore point; None if there is none. Raises `StoreUnavailable`."""
        self._settle()
        return next((point for place in range(len(self._places)) for point in reversed(self.points_at(place))), None)

    def recorded_by(self, key: str) -> RestorePoint | None:
        """Return the restore point that the index of this *key* is of, as a whole; None if there is no such index."""
        self._settle()
        listed = self._listed.get(key)
        if listed is None:
            return None
        found = self._read_once(listed)
        if isinstance(found, Index) and found.whole in self._listed:
            listed = self._listed[found.whole]
        here = self.points_at(self._place_of[listed.key])
        return next((point for point in here if point.key == listed.key), None)

    def lagging(self, point: RestorePoint) -> Lagging:
        """Say which secondary indexes may lack entries of *point*. Raises `StoreUnavailable`.

        That an index was flushed late is known afterwards: the newest restore point says it of all before.
        """
        if point.unreadable:
            return Lagging()
        if self._late is None:
            self._late = next((one.late for one in self._newest_first() if not one.unreadable), ())
        late = {one.index for one in self._late if one.concerns(point.taken_at)}
        return Lagging(point.behind, tuple(sorted(late)))

    @property
    def is_copied(self) -> bool:
        """Whether the store's dates are not those at which the objects were written. Raises `StoreUnavailable`."""
        self._settle()
        return self._is_copied

    @property
    def indexes(self) -> Iterable[Listed]:
        """The indexes of all directories, those recorded first at the front. Raises `StoreUnavailable`."""
        self._settle()
        return self._listed.values()

    @property
    def count(self) -> int:
        """How many restore points there are, by the listing alone: each is written once in every directory."""
        return max(map(len, self._indexes.values()), default=0)

    @property
    def places(self) -> int:
        """How many moments there are at which one or several restore points were stored."""
        return len(self._places)

    # In which order.

    def _settle(self) -> None:
        """See whether the dates can be believed, by the keys and by the indexes at both ends."""
        if self._is_settled:
            return
        self._is_settled = True
        if any(
            order.is_late(point.seen_at, point.stored_at) or self._is_followed(point)
            for number in ({0, len(self._places) - 1} if self._places else ())
            for point in self.points_at(number)
            if point.is_dated
        ):
            self._ask_all()

    def _is_followed(self, point: RestorePoint) -> bool:
        """Say whether keys show that what the store dates last is not *point*, though it dates that last."""
        if point.key not in self._listed or self._place_of[point.key] < len(self._places) - 1:
            return False
        return are_keys_out_of_order(self.directories.values()) or is_followed(point, self.directories)

    def _ask_all(self) -> bool:
        """Read every index; return whether they have another order than the store's dates."""
        if self._is_asked:
            return False
        self._is_asked = True
        places = places_by_indexes(self._reader, self._places)
        if places is None:
            return False
        log.info(
            "the store's dates of %s are not those at which its objects were written (was the bucket copied?): "
            "its indexes say the order themselves, and all %d were read",
            self.name,
            len(self._listed),
        )
        self._is_copied = True
        self._put_in_order(places)
        return True

    def _checked(self, found: Iterator[RestorePoint]) -> Iterator[RestorePoint]:
        """Yield what is *found* as long as it is in order by its own words too, and from there on in that order."""
        told: set[str] = set()
        later: dict[str, RestorePoint] = {}  # by directory: two daemons, each for a disk, have serials of their own
        for point in found:
            pair = [point, later.get(point.directory, point)]
            doubtful = (
                order.is_late(point.seen_at, point.stored_at)
                or self._is_followed(point)
                or order.are_out_of_order(pair)
            )
            if point.is_dated and doubtful and self._ask_all():
                yield from (point for point in self._newest_first() if point.key not in told)
                return
            if point.is_dated:
                later[point.directory] = point
            told.add(point.key)
            if self._late is None and not point.unreadable:
                self._late = point.late
            yield point

    # What is there.

    def _newest_first(self, readers: int = 0) -> Iterator[RestorePoint]:
        places = range(len(self._places) - 1, -1, -1)
        if not readers:
            return (point for number in places for point in self.points_at(number))
        newest_first = (listed for number in places for listed in self._places[number])
        return self._points_of(read_ahead(self._fetch, newest_first, readers), places)

    def _fetch(self, listed: Listed) -> Body | RestorePoint | Index:
        """Return what was read and is kept: a large index is not held twice."""
        return self._read.get(listed.key) or self._reader.fetch(listed)

    def _points_of(
        self, bodies: Iterator[Body | RestorePoint | Index], places: Iterable[int]
    ) -> Iterator[RestorePoint]:
        for number in places:
            here = {
                listed.key: self._reader.understand(listed, body) if isinstance(body, Body) else body
                for listed, body in zip(self._places[number], bodies, strict=False)
            }
            yield from self.points_at(number, partial(self._read_among, here))

    def points_at(self, number: int, read: _Read | None = None) -> list[RestorePoint]:
        """Return the restore points at one place, the newest first. Raises `StoreUnavailable`."""
        read = read or self._read_once
        found = []
        for listed in self._places[number]:
            point = self._point(listed, read)
            if point is not None:
                found.append(self._with_others(point, listed, read))
        single = {point.key: point for point in found}  # one that was not listed may be named by several
        ordered = order.by_serials if self._is_copied else order.by_dates
        return ordered(single.values())[::-1]

    def _point(self, listed: Listed, read: _Read) -> RestorePoint | None:
        """Return the restore point of one index; None if it names another that is on this timeline itself."""
        point = read(listed)
        if isinstance(point, RestorePoint):
            return point
        if point.whole in self._listed:
            return None
        return self._reader.read_late(point.whole) or _without_its_files(point, listed)

    def _with_others(self, point: RestorePoint, listed: Listed, read: _Read) -> RestorePoint:
        """Add what the directories held that *point* does not speak of: another daemon's, or each its own with 1.x.

        The newest of such a directory counts, unless it speaks of one we have: then it is an older state of this
        history, and the directory is out of use.
        """
        if point.unreadable:
            return point
        parts = [point]
        for path in self.directories.keys() - set(point.covers):
            other = self._current(path, listed, read)
            covered = {directory for part in parts for directory in part.covers}
            if other is not None and other.key != point.key and covered.isdisjoint(other.covers):
                parts.append(other)
        return points.merge(parts) if len(parts) > 1 else point

    def _current(self, path: str, listed: Listed, read: _Read) -> RestorePoint | None:
        """Return the restore point of one directory that was the newest when *listed* was recorded."""
        indexes = self._indexes[path]
        end = bisect_right(indexes, self._place_of[listed.key], key=lambda one: self._place_of[one.key])
        if end == 0 or directory_of(listed.key) == self.directories[path].key:
            return None
        newest = self._place_of[indexes[end - 1].key]
        found = [self._resolved(one, read) for one in indexes[:end] if self._place_of[one.key] == newest]
        return next((one for one in found if one.unreadable), None) or order.by_dates(found)[-1]

    def _resolved(self, listed: Listed, read: _Read) -> RestorePoint:
        """Return the restore point that an index holds or names."""
        found = read(listed)
        if isinstance(found, RestorePoint):
            return found
        whole = read(self._listed[found.whole]) if found.whole in self._listed else None
        if isinstance(whole, RestorePoint):
            return whole
        return self._reader.read_late(found.whole) or _without_its_files(found, listed)

    def _read_among(self, here: Mapping[str, RestorePoint | Index], listed: Listed) -> RestorePoint | Index:
        return here.get(listed.key) or self._read_once(listed)

    def _read_once(self, listed: Listed) -> RestorePoint | Index:
        found = self._read.pop(listed.key, None) or self._reader.read(listed)
        while len(self._read) >= max(_KEPT, 2 * len(self.directories)):
            del self._read[next(iter(self._read))]
        self._read[listed.key] = found  # last, as the one that was asked for last
        return found


def timelines(store: Store, keys: Keys, found: Mapping[str, StoredDirectory]) -> list[Timeline]:
    """Return the histories that an inventory of one node has *found*, in the order of their names."""
    root = keys.below("/")
    reader = IndexReader(store)
    gathered: dict[str, dict[str, StoredDirectory]] = {}
    for key, directory in found.items():
        path = "/" + key[len(root) :].rstrip("/")
        gathered.setdefault(place_of(path).table, {})[path] = directory
    return [Timeline(name, directories, reader) for name, directories in sorted(gathered.items())]


class _Points(Sequence[Sequence[RestorePoint]]):
    """The restore points of a timeline, by place, read when they are asked for."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    @overload
    def __getitem__(self, number: int) -> Sequence[RestorePoint]: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Sequence[RestorePoint]]: ...
    def __getitem__(self, number: int | slice) -> Sequence[RestorePoint] | Sequence[Sequence[RestorePoint]]:
        if isinstance(number, slice):
            return [self[place] for place in range(len(self))[number]]
        return self._timeline.points_at(number)

    def __len__(self) -> int:
        return self._timeline.places


def _without_its_files(index: Index, listed: Listed) -> RestorePoint:
    why = f"it names {index.whole} for its files, which is not there"
    return points.unreadable_point(listed.key, index.directory, listed.modified, why)
