"""What the daemon knows of one watched directory."""

from dataclasses import dataclass, field

from tablesnap.capture.listing import Disk
from tablesnap.daemon.timing import Timing
from tablesnap.rules.incarnation import Incarnation
from tablesnap.rules.index import Index, StoredFile


@dataclass(frozen=True)
class Stored:
    """A file that is stored, and which life of it."""

    incarnation: Incarnation
    file: StoredFile


@dataclass
class Pending:
    """A file on its way into the store. Times are monotonic seconds."""

    incarnation: Incarnation
    since: float
    still_since: float  # how long size and mtime have stood still
    found: bool = False  # was there at start
    expected: bool = False  # an object is likely there already
    queued: bool = False  # its content is taken as finished, and a worker has it or will
    again: bool = False  # something happened to it since it was queued


@dataclass(frozen=True)
class Seen:
    """A component in a table's directory that no look at the table has taken in yet."""

    size: int  # bytes
    since: float  # monotonic seconds


@dataclass
class Directory:
    """One watched directory: the daemon's one thread alone changes it."""

    path: str
    table: str | None = None  # the Cassandra table it is one of: its sstables are that table's matter
    listed: bool = False  # it is none of a table with transactions, whatever is in it
    surveyed: bool = False  # whether its newest index is known
    newest: Index | None = None
    point: Index | None = None  # the restore point of the whole table that `newest` is a part of, as found at start
    quiet: float = Timing.quiet  # seconds in which nothing must happen before its index is written
    strict: bool = False  # and no index is written without that
    disk: Disk | None = None  # where it was at its last index
    locked: bool = False  # sstables are being streamed into it (2.0 to 2.2): what has come is not all
    named: frozenset[str] = frozenset()  # the keys the newest index names; replaced whole, as workers read it
    stored: dict[str, Stored] = field(default_factory=dict)
    pending: dict[str, Pending] = field(default_factory=dict)
    left_alone: dict[str, Incarnation] = field(default_factory=dict)
    given_up: dict[str, Incarnation] = field(default_factory=dict)
    found: dict[str, Incarnation] = field(default_factory=dict)  # at start, and not judged yet
    found_at: float = 0.0
    unlooked: dict[str, Seen] = field(default_factory=dict)  # what a table's directory holds before the first look
    changed_since: float | None = None  # since when the newest index is out of date
    last_event: float = 0.0
    last_index: float | None = None
    index_in_flight: bool = False
    own_deletions: set[str] = field(default_factory=set)

    def recall(self, name: str, incarnation: Incarnation) -> Stored | None:
        """Return how this very life of *name* is stored.

        By our own memory alone: an index knows no inode, and a name that was seen gone may come again with the same
        size and mtime and other bytes, as ``cp -p`` and ``rsync`` make them. At start an index is believed (`judge`).
        """
        known = self.stored.get(name)
        return known if known is not None and known.incarnation.same_as(incarnation) else None

    def is_let_be(self, name: str, incarnation: Incarnation) -> bool:
        """Say whether this life of *name* is on purpose not stored: left alone at start, or given up."""
        return any(
            (one := let_be.get(name)) is not None and one.same_as(incarnation)
            for let_be in (self.left_alone, self.given_up)
        )

    def unjudged(self) -> list[Seen]:
        """Return the files of which nobody knows yet whether they are stored: the store was not asked."""
        found = [Seen(one.size, self.found_at) for name, one in self.found.items() if name not in self.pending]
        return found + list(self.unlooked.values())

    def note_change(self, now: float) -> None:
        """Remember that the newest index does not tell all."""
        self.last_event = now
        if self.changed_since is None:
            self.changed_since = now

    def has_backlog(self) -> bool:
        """Say whether files found at start are still on their way."""
        return any(one.found for one in self.pending.values())
