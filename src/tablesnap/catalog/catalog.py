"""Read and write the indexes of one node."""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Lock

from tablesnap.errors import AlreadyStored, NoSuchObject, StoreRefused, UnreadableIndex
from tablesnap.rules.index import Index, StoredFile, decode, encode, newest_file
from tablesnap.rules.index_parts import newest_of, project, when
from tablesnap.rules.keys import Keys, directory_of, index_key, is_index
from tablesnap.rules.taken import LatestName, is_free, later_of, name_of, name_of_index, to_be_told
from tablesnap.store.port import Content, Listed, Store

log = logging.getLogger(__name__)

READERS = 8  # indexes read at a time
# In the place of one that was there and cannot be read. It vouches for nothing, and nobody knows what it said.
_UNREADABLE = Index(directory="", names=(), latest_name=None, format=1)


@dataclass(frozen=True)
class Survey:
    """What the store holds of some directories."""

    newest: Mapping[str, Index] = field(default_factory=dict)  # by directory path; one that has none is not in it
    taken: frozenset[str] = frozenset()  # of the keys asked about, those that are taken
    # By directory path, the restore point that `newest` is a part of: the index with the files of all directories of
    # the table, or `newest` itself. A directory whose newest cannot be read is not in it.
    points: Mapping[str, Index] = field(default_factory=dict)

    def newest_point(self, directories: Iterable[str]) -> Index | None:
        """Return the newest restore point of the table that has these *directories*, or None if it has none."""
        return newest_of(self.points[directory] for directory in directories if directory in self.points)


class Catalog:
    """The indexes of one node in one store."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys
        self._latest_names: dict[str, LatestName] = {}  # by directory path; one that is not in it has no index
        self._lock = Lock()  # a directory that comes anew is surveyed while an index of it may be on its way

    def survey(self, roots: Iterable[str], directories: Collection[str], keys: Collection[str] = ()) -> Survey:
        """Find the newest index of each of *directories*, all below *roots*, and which of *keys* are taken.

        Each root's prefix is listed once, in memory that grows with *directories* and *keys* and not with the store.
        Raises what the store raises.
        """
        wanted = {self._keys.below(directory): directory for directory in directories}
        indexes: dict[str, list[Listed]] = {}
        taken: set[str] = set()
        for root in _outermost(roots):
            for listed in self._store.list(self._keys.below(root)):
                if is_index(listed.key) and directory_of(listed.key) in wanted:
                    _keep_newest(indexes.setdefault(directory_of(listed.key), []), listed)
                    # Of every index: those of 1.x, and early ones of ours, do not say which name was the latest.
                    self._note_name(wanted[directory_of(listed.key)], name_of_index(listed.key))
                elif listed.key in keys:
                    taken.add(listed.key)
        newest, points = self._resolve({wanted[key]: candidates for key, candidates in indexes.items()})
        return Survey(newest=newest, taken=frozenset(taken), points=points)

    def _resolve(self, indexes: Mapping[str, list[Listed]]) -> tuple[dict[str, Index], dict[str, Index]]:
        """Read what a survey found for each directory: return `Survey.newest` and `Survey.points`."""
        with ThreadPoolExecutor(READERS, thread_name_prefix="survey") as readers:
            found = dict(zip(indexes, readers.map(self._newest, indexes, indexes.values()), strict=True))
            # Each is read once, also where several directories name it, or where it is the newest of its own.
            read = {key: index for key, index in found.values() if not index.whole}
            named = sorted({index.whole for _, index in found.values() if index.whole} - read.keys())
            read |= zip(named, readers.map(self._read_or_tell, named), strict=True)
        points = {directory: read[index.whole or key] for directory, (key, index) in found.items()}
        newest = {directory: _part(points[directory], directory, index) for directory, (_, index) in found.items()}
        return newest, {directory: points[directory] for directory, part in newest.items() if part is not _UNREADABLE}

    def write_restore_point(self, indexes: Sequence[Index]) -> tuple[str, ...]:
        """Store the restore point of a table once in each of its directories, and return the keys.

        The first of *indexes* holds the files of all directories, each of the others is its directory's part of it.
        Raises what the store raises; to do it again, with the same *indexes*, is safe.
        """
        first, *others = indexes
        # The one with the files first, because whoever sees an index that names it must find it there.
        whole = self.write(first)
        return whole, *(self._write(replace(other, whole=whole), first.others[other.directory]) for other in others)

    def write(self, index: Index) -> str:
        """Store *index*, whose every file is stored already, and return its key. Raises what the store raises."""
        return self._write(index, index.files)

    def _write(self, index: Index, files: Mapping[str, StoredFile]) -> str:
        """Store *index*, whose directory holds *files*; in the index itself only if it names no other for them."""
        newest = newest_file(files)
        name = name_of(newest.key) if newest else ""
        latest = self._latest_names.get(index.directory, "")
        index = replace(index, latest_name=to_be_told(later_of(latest, name), name))
        if index.whole:
            index = replace(index, files={}, others={}, next=())
        directory_key = self._keys.below(index.directory)
        content = Content.of(encode(index, directory_key))
        for key in _names(newest, directory_key, index.seen_at, is_free=is_free(name, latest)):
            try:
                self._store.create(key, content, content_type="application/json")
            except AlreadyStored:
                if not self._holds(key, content):
                    continue  # two that see the same directory
                # By an earlier try, whose answer was lost.
            self._note_name(index.directory, name)
            return key
        raise AssertionError("there is always a later moment")

    def _note_name(self, directory: str, name: LatestName) -> None:
        with self._lock:
            self._latest_names[directory] = later_of(self._latest_names.get(directory, ""), name)

    def _holds(self, key: str, content: Content) -> bool:
        try:
            return self._store.head(key).size == content.size and b"".join(self._store.read(key)) == content.buffer
        except NoSuchObject:
            return False

    def read(self, key: str) -> Index:
        """Read the index stored as *key*; raise `UnreadableIndex` naming it, or what the store raises."""
        try:
            return decode(b"".join(self._store.read(key)), directory_of(key))
        except UnreadableIndex as error:
            raise UnreadableIndex(f"the index {key} cannot be read: {error}") from error

    def _newest(self, directory: str, candidates: list[Listed]) -> tuple[str, Index]:
        """Return the newest of *candidates*, all of which the store dates to the same, latest moment, and its key."""
        indexes = [(listed.key, self._read_or_tell(listed.key)) for listed in candidates]
        for _, index in indexes:
            self._note_name(directory, index.latest_name)
        return max(indexes, key=lambda one: when(one[1]))

    def _read_or_tell(self, key: str) -> Index:
        try:
            return self.read(key)
        except (NoSuchObject, StoreRefused, UnreadableIndex) as error:
            # Purged since it was listed, archived out of reach, or damaged; the other directories must not wait for
            # it. This one had an index all the same, so that earlier runs were responsible for it, and nothing is
            # taken as stored on the word of that: all is compared.
            return _unreadable(error)


def _unreadable(error: Exception) -> Index:
    log.warning("%s; what it names will be compared with the files themselves", error)
    return _UNREADABLE


def _part(point: Index, directory: str, index: Index) -> Index:
    """Return what *point* holds of *directory*, whose newest index is *index*: that itself, or one that names it."""
    if not index.whole:
        return project(index, index.directory) if index.others else index
    if point is _UNREADABLE:
        return point
    try:
        return replace(project(point, directory), names=index.names)
    except UnreadableIndex as error:
        return _unreadable(UnreadableIndex(f"the index {index.whole} is no restore point of the table: {error}"))


def _names(newest: StoredFile | None, directory_key: str, moment: datetime | None, *, is_free: bool) -> Iterator[str]:
    """Yield the keys an index may take, in order: the plain one if that *is_free*, then those with a moment.

    The index of a directory that holds nothing is named after the moment alone.
    """
    assert moment is not None, "an index of ours has its moment"
    if newest is not None and is_free:
        yield index_key(newest.key)
    while True:
        yield index_key(newest.key if newest else directory_key, moment)
        moment += timedelta(microseconds=1)


def _keep_newest(candidates: list[Listed], listed: Listed) -> None:
    """Add *listed* if nothing newer is there. Several stay: a store may date its objects in whole seconds."""
    if candidates and listed.modified > candidates[0].modified:
        candidates.clear()
    if not candidates or listed.modified == candidates[0].modified:
        candidates.append(listed)


def _outermost(roots: Iterable[str]) -> list[str]:
    """Return *roots* without those below another, so that no prefix is listed twice."""
    kept: list[str] = []
    for root in sorted({root.rstrip("/") + "/" for root in roots}):
        if not kept or not root.startswith(kept[-1]):
            kept.append(root)
    return kept
