"""Read and write the indexes of one node."""

import logging
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tablesnap.errors import AlreadyStored, NoSuchObject, StoreRefused, UnreadableIndex
from tablesnap.rules.index import Index, decode, encode, newest_file
from tablesnap.rules.keys import Keys, directory_of, index_key, is_index
from tablesnap.store.port import Content, Listed, Store

log = logging.getLogger(__name__)

READERS = 8  # indexes read at a time
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Survey:
    """What the store holds of some directories."""

    newest: dict[str, Index] = field(default_factory=dict)  # by directory path; one that has none is not in it
    taken: frozenset[str] = frozenset()  # of the keys asked about, those that are taken


class Catalog:
    """The indexes of one node in one store."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys

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
                elif listed.key in keys:
                    taken.add(listed.key)
        with ThreadPoolExecutor(READERS, thread_name_prefix="survey") as readers:
            found = readers.map(lambda directory_key: self._newest(indexes[directory_key]), indexes)
            newest = {wanted[key]: index for key, index in zip(indexes, found, strict=True)}
        return Survey(newest=newest, taken=frozenset(taken))

    def write(self, index: Index) -> str:
        """Store *index*, whose every file is stored already, and return its key. Raises what the store raises."""
        newest = newest_file(index.files)
        assert newest is not None, "an index that names nothing is not written"
        assert index.seen_at is not None, "an index of ours has its moment"
        directory_key = self._keys.below(index.directory)
        content = Content.of(encode(index, directory_key))
        key = index_key(newest.key)
        moment = index.seen_at
        while True:
            try:
                self._store.create(key, content, content_type="application/json")
            except AlreadyStored:
                if self._holds(key, content):
                    return key  # by an earlier try, whose answer was lost
                # An earlier restore point has that key: the set shrank, or a component was rewritten.
                key = index_key(newest.key, moment)
                moment += timedelta(microseconds=1)
            else:
                return key

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

    def _newest(self, candidates: list[Listed]) -> Index:
        """Return the newest of *candidates*, all of which the store dates to the same, latest moment."""
        indexes: list[Index] = []
        for listed in candidates:
            try:
                indexes.append(self.read(listed.key))
            except (NoSuchObject, StoreRefused, UnreadableIndex) as error:
                # Purged since it was listed, archived out of reach, or damaged; the other directories must not wait for
                # it. This one had an index all the same, so that earlier runs were responsible for it, and nothing is
                # taken as stored on the word of that: all is compared.
                log.warning("%s; what it names will be compared with the files themselves", error)
                indexes.append(Index(directory="", names=(), format=1))
        return max(indexes, key=lambda one: (one.taken_at or _LONG_AGO, one.seen_at or _LONG_AGO))


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
