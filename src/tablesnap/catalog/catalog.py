"""Read and write the indexes of one node."""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from threading import Lock

from tablesnap.catalog.newest import UNREADABLE, Candidates, NewestFinder, unreadable
from tablesnap.catalog.strangers import Strangers
from tablesnap.errors import AlreadyStored, NoSuchObject, StoreRefused, UnreadableIndex, UnwritableIndex
from tablesnap.rules.index import Index, StoredFile, encode, newest_file
from tablesnap.rules.index_decoding import LARGEST, decode, expect_size
from tablesnap.rules.index_fields import LARGEST_SERIAL
from tablesnap.rules.index_parts import newest_of, project
from tablesnap.rules.keys import Keys, directory_of, index_key, is_index
from tablesnap.rules.taken import LatestName, is_free, later_of, name_of, name_of_index, to_be_told
from tablesnap.rules.writers import Writer
from tablesnap.store.keys import shown
from tablesnap.store.port import Content, Store

log = logging.getLogger(__name__)

MOST_KEYS = 4  # that are tried for one index: no two of them have a moment in common
READERS = 8  # indexes read at a time


@dataclass(frozen=True)
class Survey:
    """What the store holds of some directories."""

    newest: Mapping[str, Index] = field(default_factory=dict)  # by directory path; one that has none is not in it
    taken: frozenset[str] = frozenset()  # of the keys asked about, those that are taken
    # By directory path, the restore point that `newest` is a part of: the index with the files of all directories of
    # the table, or `newest` itself. A directory whose newest cannot be read is not in it.
    points: Mapping[str, Index] = field(default_factory=dict)
    example: str = ""  # the key of an object that is there

    def newest_point(self, directories: Iterable[str]) -> Index | None:
        """Return the newest restore point of the table that has these *directories*, or None if it has none."""
        return newest_of(self.points[directory] for directory in directories if directory in self.points)


class Catalog:
    """The indexes of one node in one store; *writer* is who writes them, none of more than *largest* bytes."""

    def __init__(self, store: Store, keys: Keys, writer: Writer | None = None, *, largest: int = LARGEST) -> None:
        self._largest = largest
        self._store = store
        self._keys = keys
        self._writer = writer
        self.strangers = Strangers(store, keys, self.read, writer)
        self._finder = NewestFinder(store, self.read)
        self._serials: dict[str, int] = {}  # by directory path, the highest that is known of its table
        self._latest_names: dict[str, LatestName] = {}  # by directory path; one that is not in it has no index
        self._lock = Lock()  # a directory that comes anew is surveyed while an index of it may be on its way

    def survey(self, roots: Iterable[str], directories: Collection[str], keys: Collection[str] = ()) -> Survey:
        """Find the newest index of each of *directories*, all below *roots*, and which of *keys* are taken.

        Each root's prefix is listed once, in memory that grows with *directories* and *keys* and not with the store.
        Raises what the store raises.
        """
        wanted = {self._keys.below(directory): directory for directory in directories}
        indexes: dict[str, Candidates] = {}
        taken: set[str] = set()
        example = ""
        for root in _outermost(roots):
            for listed in self._store.list(self._keys.below(root)):
                if not example or (is_index(listed.key) and not is_index(example)):
                    example = listed.key
                if is_index(listed.key) and directory_of(listed.key) in wanted:
                    indexes.setdefault(directory_of(listed.key), Candidates()).note(listed)
                    # Of every index: those of 1.x, and early ones of ours, do not say which name was the latest.
                    self._note_name(wanted[directory_of(listed.key)], name_of_index(listed.key))
                elif listed.key in keys:
                    taken.add(listed.key)
        newest, points = self._resolve({wanted[key]: found for key, found in indexes.items()})
        return Survey(newest=newest, taken=frozenset(taken), points=points, example=example)

    def _resolve(self, indexes: Mapping[str, Candidates]) -> tuple[dict[str, Index], dict[str, Index]]:
        """Read what a survey found for each directory: return `Survey.newest` and `Survey.points`."""
        with ThreadPoolExecutor(READERS, thread_name_prefix="survey") as readers:
            found = dict(zip(indexes, readers.map(self._finder.find, indexes.values()), strict=True))
            for directory, one in found.items():
                self._note_name(directory, one.index.latest_name)
            # Each is read once, also where several directories name it, or where it is the newest of its own.
            read = {one.key: one.index for one in found.values() if not one.index.whole}
            named = {one.index.whole: one.stored_at for one in found.values() if one.index.whole}
            named = {key: named[key] for key in sorted(named.keys() - read.keys())}
            read |= zip(named, readers.map(self._finder.read, named, named.values()), strict=True)
        points = {directory: read[one.index.whole or one.key] for directory, one in found.items()}
        newest = {directory: _part(points[directory], directory, one.index) for directory, one in found.items()}
        for directory, one in found.items():
            self._note_serial([directory, *points[directory].covers], one.highest)
            self.strangers.begin(directory, indexes[directory].newest, one.highest)
        return newest, {directory: points[directory] for directory, part in newest.items() if part is not UNREADABLE}

    def write_restore_point(self, indexes: Sequence[Index]) -> tuple[str, ...]:
        """Store the restore point of a table once in each of its directories, and return the keys.

        The first of *indexes* holds the files of all directories, each of the others is its directory's part of it.
        Raises what the store raises; to do it again, with the same *indexes*, is safe.
        """
        first, *others = (replace(index, writer=self._writer) for index in indexes)
        directories = [*first.covers, *(index.directory for index in indexes)]
        serial = self._next_serial(directories)
        # The one with the files first, because whoever sees an index that names it must find it there.
        whole = self._write(replace(first, serial=serial), first.files)
        keys = (
            whole,
            *(
                self._write(replace(other, serial=serial, whole=whole), first.others[other.directory])
                for other in others
            ),
        )
        # Only now: who does it again after a failure writes the same bytes, and finds what is stored already. Were the
        # name noted before, that would get another key: two indexes of one serial.
        self._note_serial(directories, serial)
        for index, files in ((first, first.files), *((other, first.others[other.directory]) for other in others)):
            self._note_name(index.directory, _name_after(newest_file(files)))
        return keys

    def write(self, index: Index) -> str:
        """Store *index*, whose every file is stored already, and return its key. Raises what the store raises."""
        [key] = self.write_restore_point([index])
        return key

    def _next_serial(self, directories: Iterable[str]) -> int:
        """Return one more than the highest serial that is known of a table with these *directories*."""
        with self._lock:
            highest = max(self._serials.get(directory, 0) for directory in directories)
        # Whoever wrote the largest into an index must not stop all later ones: of one serial, the later moment counts.
        return min(highest + 1, LARGEST_SERIAL)

    def _note_serial(self, directories: Iterable[str], serial: int) -> None:
        with self._lock:
            for directory in directories:
                self._serials[directory] = max(serial, self._serials.get(directory, 0))

    def _write(self, index: Index, files: Mapping[str, StoredFile]) -> str:
        """Store *index*, whose directory holds *files*; in the index itself only if it names no other for them."""
        newest = newest_file(files)
        name = _name_after(newest)
        latest = self._latest_names.get(index.directory, "")
        index = replace(index, latest_name=to_be_told(later_of(latest, name), name))
        if index.whole:
            index = replace(index, files={}, others={}, next=())
        directory_key = self._keys.below(index.directory)
        content = Content.of(self._encode(index, directory_key))
        names = _names(newest, directory_key, index.seen_at, is_free=is_free(name, latest))
        for key in islice(names, MOST_KEYS):
            try:
                self.strangers.note(index.directory, key)
                # Whatever class the files go to: every start of a daemon reads indexes, and every command.
                self._store.create(key, content, content_type="application/json", standard=True)
            except AlreadyStored:
                if not self._holds(key, content):
                    self.strangers.suspect(index.directory, key)
                    continue
                # By an earlier try, whose answer was lost.
            return key
        raise StoreRefused(f"{shown(key)}: the store says that this key and {MOST_KEYS - 1} others are taken")

    def _encode(self, index: Index, directory_key: str) -> bytes:
        """Return the body of *index*; raise `UnwritableIndex` if no reader would take it."""
        try:
            body = encode(index, directory_key)
            expect_size(len(body), self._largest)
        except (ValueError, UnreadableIndex) as error:
            why = f"the restore point of {index.directory} is not recorded, as nobody could read its index: {error}"
            raise UnwritableIndex(why) from error
        return body

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


def _part(point: Index, directory: str, index: Index) -> Index:
    """Return what *point* holds of *directory*, whose newest index is *index*: that itself, or one that names it."""
    if not index.whole:
        return project(index, index.directory) if index.others else index
    if point is UNREADABLE:
        return point
    try:
        return replace(project(point, directory), names=index.names)
    except UnreadableIndex as error:
        return unreadable(UnreadableIndex(f"the index {index.whole} is no restore point of the table: {error}"))


def _name_after(newest: StoredFile | None) -> str:
    return name_of(newest.key) if newest else ""


def _names(newest: StoredFile | None, directory_key: str, moment: datetime | None, *, is_free: bool) -> Iterator[str]:
    """Yield the keys an index may take, in order and without end: the plain one if it *is_free*, those with a moment.

    The index of a directory that holds nothing is named after the moment alone.
    """
    assert moment is not None, "an index of ours has its moment"
    if newest is not None and is_free:
        yield index_key(newest.key)
    while True:
        yield index_key(newest.key if newest else directory_key, moment)
        moment += timedelta(microseconds=1)


def _outermost(roots: Iterable[str]) -> list[str]:
    """Return *roots* without those below another, so that no prefix is listed twice."""
    kept: list[str] = []
    for root in sorted({root.rstrip("/") + "/" for root in roots}):
        if not kept or not root.startswith(kept[-1]):
            kept.append(root)
    return kept
