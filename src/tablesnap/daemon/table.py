"""What the daemon knows of one Cassandra table: all of its directories have one history."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tablesnap.capture.listing import Disk
from tablesnap.capture.pin import Pin
from tablesnap.daemon.directory import Directory
from tablesnap.daemon.timing import Timing
from tablesnap.rules import sstable as names
from tablesnap.rules.incarnation import Incarnation
from tablesnap.rules.index import Index, StoredFile
from tablesnap.rules.place import place_of
from tablesnap.rules.view import History, Name, Sstable, View


@dataclass
class Part:
    """One component of an sstable."""

    name: str
    incarnation: Incarnation  # as it was last seen
    pin: Pin | None = None
    stored: StoredFile | None = None  # what is stored of it, of this or an earlier incarnation
    queued: bool = False
    found: bool = False  # was there at start
    expected: bool = False  # an object is likely there already
    given_up: bool = False
    since: float = 0.0  # when it was found, or put in the queue, in monotonic seconds; 0: it does not wait


@dataclass
class Parts:
    """What is known of one life of an sstable."""

    sstable: Sstable
    parts: dict[str, Part] = field(default_factory=dict)
    left_alone: bool = False  # found at start, and not asked for
    fresh: bool = False  # came after the start, though its table was looked at later still

    @property
    def size(self) -> int:
        """Bytes, all components together."""
        return sum(part.incarnation.size for part in self.parts.values())

    def is_stored(self) -> bool:
        """Say whether a restore point may name it."""
        return bool(self.parts) and all(part.stored is not None for part in self.parts.values())

    def is_of(self, data: Incarnation | None) -> bool:
        """Say whether *data*, what is under the name of its Data.db now, is this life's, as far as is known."""
        known = self.parts.get(self.sstable.stem + names.DATA)
        if data is None or known is None or known.incarnation.same_as(data):
            return True
        return known.stored is None and known.incarnation.inode == data.inode  # it is still being copied

    def is_complete(self) -> bool:
        """Say whether Cassandra could open it."""
        stem = self.sstable.stem
        return names.is_complete([name[len(stem) :] for name in self.parts])


def new_history(timing: Timing) -> History:
    """Return the history of a table of which nothing is known yet."""
    return History(
        lambda directory: bool(place_of(directory).index),
        index_flushes=timing.index_flushes,
        index_patience=timing.index_patience,
        told_late=timing.told_late,
    )


@dataclass
class Table:
    """One table: the daemon's one thread alone changes it. Times are monotonic seconds."""

    name: str
    directories: dict[str, Directory] = field(default_factory=dict)
    leaving: set[str] = field(default_factory=set)  # directories that are gone, whose sstables are yet to be recorded
    hidden: set[str] = field(default_factory=set)  # directories of secondary indexes that are watched
    history: History = field(default_factory=lambda: new_history(Timing()))
    parts: dict[Sstable, Parts] = field(default_factory=dict)
    needed: frozenset[Sstable] = frozenset()  # replaced whole, as workers read it
    begun: bool = False  # it was looked at, and the history goes on from there
    found: dict[str, frozenset[str]] = field(default_factory=dict)  # until it is begun: what each had at start
    looked_at: float = 0.0  # when the first look at it began,
    look_ended: float = 0.0  # and when it ended
    accounted: set[str] = field(default_factory=set)  # transactions that the look has taken in
    suspects: dict[Name, float] = field(default_factory=dict)  # what no transaction explains yet, and since when
    moved: dict[tuple[Sstable, str], float] = field(default_factory=dict)  # components that may be rewritten
    missed: list[str] = field(default_factory=list)  # operations whose logs were gone before they could be read
    truncated: set[str] = field(default_factory=set)  # where a truncation was seen and is not taken in
    committed_at: float = 0.0  # when its last addition or truncation was told
    look_at: float | None = None  # when to look at the directories again
    base_at: float = 0.0  # no base before then
    base_asked_at: float = 0.0  # when to ask again whether one is due
    base_wanted: str = ""  # why a base is due, besides the history's own reasons
    absent: set[str] = field(default_factory=set)  # directories whose sstables went without a cause
    disks: dict[str, Disk] = field(default_factory=dict)  # where each directory was
    seen: dict[str, Incarnation] = field(default_factory=dict)  # every Data.db at the last look, by path
    vanished: dict[str, float] = field(
        default_factory=dict
    )  # directories that went, and may have been moved: since when
    doubted: float | None = None  # since when the disk has not been what the history says
    unexplained: set[str] = field(default_factory=set)  # stems that went without a transaction, to be said once
    newest: Index | None = None
    recorded: View | None = None  # the view that the newest index holds, or the one in flight
    changed_since: float | None = None
    live_moved: float | None = None  # since when the newest index does not say what is live, though its view is right
    last_index: float | None = None
    next_at: float = 0.0  # when an index last said which base is being stored
    record_at: float = 0.0  # no index before then
    index_in_flight: bool = False
    index_size: int = 0
    stored_bytes: int = 0  # since the last index
    ending: bool = False  # the index in flight is the last one of an epoch
    untidy: bool = False  # something may be held that is not needed any more
    stirred: bool = True  # the history moved: what follows is to be worked out

    @property
    def first(self) -> Directory:
        """The directory whose index holds the files of all."""
        return self.directories[min(self.directories, key=lambda path: (place_of(path).index, path))]

    @property
    def indexes(self) -> set[str]:
        """The directories of secondary indexes, those too that hold nothing yet."""
        return self.hidden | {path for path in self.directories if place_of(path).index}

    def pending(self) -> Iterator[Part]:
        """Yield the components on their way into the store."""
        for parts in self.parts.values():
            if parts.sstable in self.needed:
                yield from (part for part in parts.parts.values() if part.queued)

    def has_backlog(self) -> bool:
        """Say whether files found at start are still on their way."""
        return any(part.found for part in self.pending())

    def doubt(self, since: float) -> None:
        """Remember that sstables are gone, or others have their names, and that no transaction has said so."""
        if self.doubted is None:
            self.doubted = max(since, self.last_index or since)  # what is recorded stays

    def note_change(self, now: float) -> None:
        """Remember that the newest index does not tell all."""
        if self.changed_since is None:
            self.changed_since = now
