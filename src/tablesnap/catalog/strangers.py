"""Indexes that another run writes while this one is at work: two daemons back up one directory under one name."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock

from tablesnap.errors import NoSuchObject, StoreError, StoreRefused, UnreadableIndex
from tablesnap.rules.index import Index
from tablesnap.rules.keys import Keys, is_index
from tablesnap.rules.writers import Writer
from tablesnap.store.port import Listed, Store

_READ = 4  # indexes of one directory that are read in one look


_EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Stranger:
    """An index that another run wrote."""

    directory: str
    writer: Writer
    stored_at: datetime


@dataclass
class _Known:
    """What is known of the indexes of one directory."""

    serial: int = 0  # the highest when this run began: what has no higher one is older, whatever its date
    since: datetime = _EVER  # by the store's clock; all that is older was looked at
    keys: set[str] = field(default_factory=set)  # those of that very date, and those that this run has written since


class Strangers:
    """Finds indexes that another run than *writer* writes. May be used by several threads.

    A look lists only the directories in which this run wrote an index since the last one, which is each of them once a
    day at the least, and reads what it does not know. So it costs one request for each of them.
    """

    def __init__(self, store: Store, keys: Keys, read: Callable[[str], Index], writer: Writer | None) -> None:
        self._store = store
        self._keys = keys
        self._read = read
        self._writer = writer
        self._known: dict[str, _Known] = {}  # by directory path
        self._due: set[str] = set()
        self._suspected = False
        self._lock = Lock()

    @property
    def are_suspected(self) -> bool:
        """Whether something was seen since the last look that another run may have done."""
        return self._suspected

    def begin(self, directory: str, newest: Sequence[Listed], serial: int) -> None:
        """Take in what was there at the start: the *newest* indexes by date, and the highest *serial*."""
        known = _Known(serial, max(one.modified for one in newest), {one.key for one in newest})
        with self._lock:
            self._known.setdefault(directory, known)

    def note(self, directory: str, key: str) -> None:
        """Take in that this run is about to write the index *key*."""
        with self._lock:
            self._known.setdefault(directory, _Known()).keys.add(key)
            self._due.add(directory)

    def suspect(self, directory: str, key: str = "") -> None:
        """Take in that a key of *directory* is taken, that of an index *key* say, and not by what this run stored."""
        with self._lock:
            self._known.setdefault(directory, _Known()).keys.discard(key)
            self._due.add(directory)
            self._suspected = True

    def look(self) -> Iterator[Stranger]:
        """Yield an index of each directory in which another run has written one. Raises what the store raises."""
        with self._lock:
            due = sorted(self._due)
            self._suspected = False
        for directory in due:
            with self._lock:
                self._due.discard(directory)
            try:
                stranger = self._look_at(directory)
            except StoreError:
                with self._lock:
                    self._due.add(directory)
                raise
            if stranger is not None:
                yield stranger

    def _look_at(self, directory: str) -> Stranger | None:
        with self._lock:
            known = self._known[directory]
            before = set(known.keys)
        recent = [
            one
            for one in self._store.level(self._keys.below(directory))
            if isinstance(one, Listed) and is_index(one.key) and one.modified >= known.since
        ]
        with self._lock:
            unknown = [one for one in recent if one.key not in known.keys]
        stranger = self._first_of(directory, unknown, known.serial)
        with self._lock:
            known.since = max((one.modified for one in recent), default=known.since)
            known.keys -= before  # not of those that were written meanwhile
            known.keys |= {one.key for one in recent if one.modified == known.since}
        return stranger

    def _first_of(self, directory: str, listed: Sequence[Listed], serial: int) -> Stranger | None:
        """Return the newest that another run wrote, if there is one among the newest of those *listed*."""
        for one in sorted(listed, key=lambda one: one.modified, reverse=True)[:_READ]:
            try:
                index = self._read(one.key)
            except (NoSuchObject, StoreRefused, UnreadableIndex):
                continue  # purged meanwhile, or a fault for tablecheck
            if index.writer is None or index.serial is None or index.serial <= serial:
                continue
            if self._writer is None or index.writer.run != self._writer.run:
                return Stranger(directory, index.writer, one.modified)
        return None
