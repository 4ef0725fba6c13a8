"""The restore points of one table, or of one directory outside Cassandra, from the newest back."""

import logging
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from itertools import groupby

from tablesnap.catalog.ahead import read_ahead
from tablesnap.catalog.index_reader import Body, IndexReader
from tablesnap.catalog.inventory import StoredDirectory
from tablesnap.rules import points
from tablesnap.rules.index import Index
from tablesnap.rules.keys import Keys, directory_of
from tablesnap.rules.place import place_of
from tablesnap.rules.points import RestorePoint
from tablesnap.store.port import Listed, Store

log = logging.getLogger(__name__)

FORMAT_OF_1X = 1
_KEPT = 8  # restore points that were read and may be asked for again

_Read = Callable[[Listed], RestorePoint | Index]


class Timeline:
    """The restore points of one history: a table's directories have one together.

    It goes by the store's dates: within one history no restore point is older than one that was stored before it.
    Not for several threads at once.
    """

    def __init__(self, name: str, directories: Mapping[str, StoredDirectory], reader: IndexReader) -> None:
        self.name = name  # ``<keyspace>/<table>-<id>``, or the directory's path
        self.directories = directories  # by absolute path
        self._reader = reader
        self._indexes = {path: sorted(one.indexes, key=_when) for path, one in directories.items()}
        ordered = sorted((listed for indexes in self._indexes.values() for listed in indexes), key=_when)
        self._listed = {listed.key: listed for listed in ordered}
        # A store may date its objects in whole seconds: only what they say themselves orders those of one moment.
        self._moments = [list(group) for _, group in groupby(ordered, key=lambda listed: listed.modified)]
        self._read: dict[str, RestorePoint | Index] = {}

    def backward(self, until: datetime | None = None) -> Iterator[RestorePoint]:
        """Yield the restore points, the newest first; with *until*, beginning with the one that was current then.

        One whose index cannot be read is yielded as such, dated by the store. Raises `StoreUnavailable`.
        """
        end = len(self._moments) if until is None else self._first_later(until)
        found = (point for place in range(end - 1, -1, -1) for point in self._points_at(place, self._read_once))
        yield from self._watched(point for point in found if until is None or point.taken_at <= until)

    def all(self, readers: int = 8) -> Iterator[RestorePoint]:
        """Yield what `backward` does; *readers* threads fetch the next indexes, as many as they are, meanwhile."""
        newest_first = (listed for group in reversed(self._moments) for listed in group)
        yield from self._watched(self._points_of(read_ahead(self._reader.fetch, newest_first, readers)))

    def oldest(self) -> RestorePoint | None:
        """Return the oldest restore point; None if there is none. Raises `StoreUnavailable`."""
        for place in range(len(self._moments)):
            for point in reversed(self._points_at(place, self._read_once)):
                return point
        return None

    def recorded_by(self, key: str) -> RestorePoint | None:
        """Return the restore point that the index of this *key* is of, as a whole; None if there is no such index."""
        listed = self._listed.get(key)
        if listed is None:
            return None
        found = self._read_once(listed)
        if isinstance(found, Index) and found.whole in self._listed:
            listed = self._listed[found.whole]
        here = next(place for place, moment in enumerate(self._moments) if listed in moment)
        return next((point for point in self._points_at(here, self._read_once) if point.key == listed.key), None)

    @property
    def indexes(self) -> Iterable[Listed]:
        """The indexes of all directories, those stored first at the front."""
        return self._listed.values()

    @property
    def count(self) -> int:
        """How many restore points there are, by the listing alone: each is written once in every directory."""
        return max(map(len, self._indexes.values()), default=0)

    def _points_of(self, bodies: Iterator[Body]) -> Iterator[RestorePoint]:
        for place in range(len(self._moments) - 1, -1, -1):
            here = {
                listed.key: self._reader.understand(listed, body)
                for listed, body in zip(self._moments[place], bodies, strict=False)
            }
            yield from self._points_at(place, partial(self._read_among, here))

    def _watched(self, found: Iterable[RestorePoint]) -> Iterator[RestorePoint]:
        """Yield the restore points, and warn where the store's dates put them in another order than their own."""
        later: RestorePoint | None = None
        for point in found:
            if not point.unreadable:
                if later is not None and point.taken_at > later.taken_at:
                    log.warning(
                        "%s was stored before %s, and is the later restore point: these objects do not have the dates "
                        "at which they were written (was the bucket copied?); look at all with tablelist",
                        point.key,
                        later.key,
                    )
                later = point
            yield point

    def _first_later(self, moment: datetime) -> int:
        """Return the place of the first whose restore points were all taken after *moment*."""
        low, high = 0, len(self._moments)
        while low < high:
            middle = (low + high) // 2
            if any(point.taken_at <= moment for point in self._nearest_points(middle, low)):
                low = middle + 1
            else:
                high = middle
        return low

    def _nearest_points(self, place: int, low: int) -> list[RestorePoint]:
        """Return the restore points stored at *place*, or where there are none that can be read, those before."""
        for earlier in range(place, low - 1, -1):
            if found := [point for point in self._points_at(earlier, self._read_once) if not point.unreadable]:
                return found
        return self._points_at(place, self._read_once)

    def _points_at(self, place: int, read: _Read) -> list[RestorePoint]:
        """Return the restore points whose indexes the store dates to one moment, the newest first."""
        found = []
        for listed in self._moments[place]:
            point = self._point(listed, read)
            if point is not None:
                found.append(self._with_others(point, listed, read))
        single = {point.key: point for point in found}  # one that was not listed may be named by several
        return sorted(single.values(), key=points.when, reverse=True)

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
        """Return the restore point of one directory that was the newest when *listed* was stored."""
        indexes = self._indexes[path]
        end = bisect_right(indexes, listed.modified, key=lambda one: one.modified)
        if end == 0 or directory_of(listed.key) == self.directories[path].key:
            return None
        latest = [one for one in indexes[:end][::-1] if one.modified == indexes[end - 1].modified]
        found = [self._resolved(one, read) for one in latest]
        return next((one for one in found if one.unreadable), None) or max(found, key=points.when)

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


def _when(listed: Listed) -> tuple[datetime, str]:
    return listed.modified, listed.key


def _without_its_files(index: Index, listed: Listed) -> RestorePoint:
    why = f"it names {index.whole} for its files, which is not there"
    return points.unreadable_point(listed.key, index.directory, listed.modified, why)
