"""Reading single indexes, and for those of 1.x what is stored beside them."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from tablesnap.errors import KeyRefused, NoSuchObject, StoreRefused, UnreadableIndex
from tablesnap.rules import points
from tablesnap.rules.index import FORMAT, Index
from tablesnap.rules.index_decoding import decode, expect_size
from tablesnap.rules.keys import directory_of
from tablesnap.rules.points import RestorePoint
from tablesnap.store.port import Listed, Store

_LISTINGS = 16  # of directories of 1.x that are kept


@dataclass(frozen=True)
class Body:
    """What was read of one index; or why it cannot be."""

    data: bytes = b""
    unreadable: str = ""


class IndexReader:
    """Reads indexes; for those of 1.x it lists their directories, once. May be used by several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._listings: dict[str, Mapping[str, int]] = {}

    def read(self, listed: Listed) -> RestorePoint | Index:
        """Return the restore point of an index; the `Index` itself where it names the one that holds the files.

        One that cannot be read is a restore point as well, which says why. Raises `StoreUnavailable`.
        """
        return self.understand(listed, self.fetch(listed))

    def read_late(self, key: str) -> RestorePoint | None:
        """Return the restore point of an index that was not listed, as one is that was written during the listing.

        None if there is no such index, or it is none that holds files. Raises `StoreUnavailable`.
        """
        try:
            head = self._store.head(key)
        except (NoSuchObject, StoreRefused, KeyRefused):
            return None
        found = self.read(Listed(key, head.size, head.modified))
        return found if isinstance(found, RestorePoint) and not found.unreadable else None

    def fetch(self, listed: Listed) -> Body:
        """Return the body of an index as it is stored, unless it is too large. Raises `StoreUnavailable`."""
        try:
            expect_size(listed.size)
            return Body(b"".join(self._store.read(listed.key, length=listed.size)))
        except (NoSuchObject, StoreRefused, KeyRefused, UnreadableIndex) as error:
            return Body(unreadable=str(error))

    def understand(self, listed: Listed, body: Body) -> RestorePoint | Index:
        """Return what `read` does, of a *body* that was fetched."""
        directory_key = directory_of(listed.key)
        if body.unreadable:
            return points.unreadable_point(listed.key, directory_key, listed.modified, body.unreadable)
        try:
            index = decode(body.data, directory_key)
        except UnreadableIndex as error:
            return points.unreadable_point(listed.key, directory_key, listed.modified, str(error))
        if index.whole:
            return index
        if index.format < FORMAT:
            return points.point_of_1x(index, listed.key, listed.modified, self._beside(directory_key))
        return points.point_of(index, listed.key, listed.modified)

    def _beside(self, directory_key: str) -> Mapping[str, int]:
        """Return the sizes of the objects in a directory by key, and its folders, of no size."""
        with self._lock:
            found = self._listings.get(directory_key)
        if found is None:
            level = self._store.level(directory_key)
            found = dict((one, 0) if isinstance(one, str) else (one.key, one.size) for one in level)
            with self._lock:
                while len(self._listings) >= _LISTINGS:
                    del self._listings[next(iter(self._listings))]
                self._listings[directory_key] = found
        return found
