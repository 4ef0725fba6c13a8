"""Find the newest index of one directory among those that are listed."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from tablesnap.catalog.ordering import stamp_of
from tablesnap.errors import NoSuchObject, StoreRefused, UnreadableIndex
from tablesnap.rules import order
from tablesnap.rules.index import FORMAT, Index
from tablesnap.rules.index_decoding import expect_size
from tablesnap.rules.keys import directory_of, is_index
from tablesnap.rules.order import AHEAD, KeysSeen, believed, serial_of
from tablesnap.rules.taken import later_of, name_of_index
from tablesnap.store.port import Listed, Store

log = logging.getLogger(__name__)

# In the place of one that was there and cannot be read. It vouches for nothing, and nobody knows what it said.
UNREADABLE = Index(directory="", names=(), latest_name=None, format=1)


@dataclass
class Candidates:
    """What a listing shows of the indexes of one directory, in little memory."""

    newest: list[Listed] = field(default_factory=list)  # by the store's dates, of which several may be the same
    seen: KeysSeen = field(default_factory=KeysSeen)

    def note(self, listed: Listed) -> None:
        """Take in an index."""
        self.seen.note(listed.key)
        if self.newest and listed.modified > self.newest[0].modified:
            self.newest.clear()
        if not self.newest or listed.modified == self.newest[0].modified:
            self.newest.append(listed)


@dataclass(frozen=True)
class Newest:
    """The newest index of one directory."""

    key: str
    index: Index  # with its serial, or the number that stands for it, and its moments as far as they are believed
    stored_at: datetime
    highest: int  # of the serials that were read


class NewestFinder:
    """Finds newest indexes. May be used by several threads."""

    def __init__(self, store: Store, read: Callable[[str], Index]) -> None:
        self._store = store
        self._read = read

    def find(self, candidates: Candidates) -> Newest:
        """Return the newest of a directory. Raises `StoreUnavailable`.

        By the store's dates, unless what is read or the keys contradict them, as in a bucket that was copied: then
        every index of the directory is read, and these say the order themselves.
        """
        found = self._latest_of(candidates.newest)
        index = found.index
        if index.seen_at is None or index.format < FORMAT:
            return found
        known = later_of(index.latest_name, name_of_index(found.key))
        if order.is_late(index.seen_at, found.stored_at) or candidates.seen.contradicts(index.seen_at, known):
            return self._by_what_indexes_say(found)
        return found

    def read(self, key: str, stored_at: datetime) -> Index:
        """Read the index under *key*, which the store dates to *stored_at*; `UNREADABLE` if it cannot be read."""
        index = self._read_or_tell(key)
        return index if index is UNREADABLE else _as_believed(index, stored_at)

    def _read_or_tell(self, key: str) -> Index:
        try:
            return self._read(key)
        except (NoSuchObject, StoreRefused, UnreadableIndex) as error:
            # Purged since it was listed, archived out of reach, or damaged; the other directories must not wait for
            # it. This one had an index all the same, so that earlier runs were responsible for it, and nothing is
            # taken as stored on the word of that: all is compared.
            return unreadable(error)

    def _latest_of(self, listed: list[Listed]) -> Newest:
        """Return the newest of several, all of which the store dates to the same moment."""
        indexes = [(one, self._read_listed(one)) for one in listed]
        highest = max(_serial(index, one) for one, index in indexes)
        newest, index = max(indexes, key=lambda pair: (_serial(pair[1], pair[0]), *_moments(pair[1], pair[0])))
        return Newest(newest.key, index, newest.modified, highest)

    def _read_listed(self, listed: Listed) -> Index:
        try:
            expect_size(listed.size)
        except UnreadableIndex as error:
            return unreadable(UnreadableIndex(f"the index {listed.key} cannot be read: {error}"))
        return self.read(listed.key, listed.modified)

    def _by_what_indexes_say(self, by_date: Newest) -> Newest:
        directory_key = directory_of(by_date.key)
        stamps = {}
        highest = by_date.highest
        for listed in self._store.level(directory_key):
            if isinstance(listed, Listed) and is_index(listed.key):
                # As it is: a number that stands for a serial would make an order of what a clock did.
                index = self._read_or_tell(listed.key)
                highest = max(highest, serial_of(index.serial, index.seen_at, listed.modified))
                if index is not UNREADABLE:
                    stamps[listed.key] = stamp_of(index, listed)
        if not order.are_dates_wrong(stamps.values()):
            return replace(by_date, highest=highest)
        newest = order.by_serials(stamps.values())[-1]
        log.info(
            "the store's dates of the indexes in %s are not those at which they were written (was the bucket copied?): "
            "all %d were read, and say the order themselves",
            directory_key,
            len(stamps),
        )
        return Newest(newest.key, self.read(newest.key, newest.stored_at), newest.stored_at, highest)


def _as_believed(index: Index, stored_at: datetime) -> Index:
    return replace(
        index,
        # One of the future counts as taken when it was stored: it must not hold up the moments of later ones.
        taken_at=index.taken_at and (index.taken_at if index.taken_at - AHEAD <= stored_at else stored_at),
        seen_at=None if index.seen_at is None else believed(index.seen_at, stored_at),
        until=None if index.until is None else believed(index.until, stored_at),
        serial=serial_of(index.serial, index.seen_at, stored_at),
    )


def _serial(index: Index, listed: Listed) -> int:
    return index.serial if index.serial is not None else serial_of(None, None, listed.modified)


def _moments(index: Index, listed: Listed) -> tuple[datetime, datetime, str]:
    return index.taken_at or listed.modified, index.seen_at or listed.modified, listed.key


def unreadable(error: Exception) -> Index:
    """Say that an index cannot be read, and return what stands for it."""
    log.warning("%s; what it names will be compared with the files themselves", error)
    return UNREADABLE
