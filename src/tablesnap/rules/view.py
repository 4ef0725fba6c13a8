"""The view: a base, and the additions since. Which sstables read as a table did at one moment.

A table is a history of transactions in the order of their commits. An *addition* (flush, stream, import) brings rows
found nowhere else; a *replacement* (a compaction) puts some sstables in the place of others that read the same; a
*removal* takes away what no read returns; a *truncation* takes away rows.

A *base* is what was live at one commit, once all of it is stored. The *view* is a base with the additions since, each
of which joins once it is stored, in the order of the commits. Replacements are not followed, because:

* A read merges all sstables, and the newest timestamp wins. The base and every addition since hold all that any later
  sstable was made of, so they read the same; and none of it waits for the output of a compaction.
* Following *some* replacements would not read the same. A compaction may drop rows for a tombstone in an sstable
  outside its inputs (``nodetool garbagecollect``, ``provide_overlapping_tombstones``), and may purge a tombstone while
  an sstable outside its inputs still has what it hides. One of two such outputs without the other loses rows, or
  brings them back.

So a base is taken whole, at one commit, or not at all; and an addition that was lost stops the view until the next
base.

An *epoch* is a time in which that holds. A truncation ends it, and so does whatever happened without a transaction:
what comes after cannot join the view of before. The old epoch's last view is recorded before the next takes its place.

Known difference: a write older than a tombstone that was purged since the base stays hidden in the view.
"""

import posixpath
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tablesnap.rules.txnlog import Kind

MORE_SSTABLES = 50  # a view this much longer than what is live is due for a new base
MORE_BYTES = 2  # and one so many times larger

_LONG_AGO = datetime.min.replace(tzinfo=UTC)

Name = tuple[str, str]  # directory and stem, as transactions name sstables


@dataclass(frozen=True, order=True)
class Sstable:
    """One life of an sstable under its name: integer generations start again, and the name returns with other rows."""

    directory: str
    stem: str
    life: int = 0

    @property
    def name(self) -> Name:
        """What a transaction calls it."""
        return self.directory, self.stem


@dataclass(frozen=True)
class View:
    """A set of sstables that reads as the table did at *taken_at*."""

    sstables: frozenset[Sstable]
    taken_at: datetime


@dataclass(frozen=True)
class Base:
    """What was live at one commit."""

    sstables: frozenset[Sstable]
    position: int  # after which transaction
    taken_at: datetime
    begun: float  # monotonic seconds


@dataclass
class Addition:
    """Sstables that came with rows of their own; those of its secondary indexes join it."""

    sstables: set[Sstable]
    position: int
    at: datetime
    seen: float  # monotonic seconds
    awaits: set[str] = field(default_factory=set)  # names of the indexes whose flush is still to come
    wait: float = 0.0  # seconds, for these

    def is_closed(self, now: float) -> bool:
        """Say whether nothing more joins it."""
        return not self.awaits or now - self.seen >= self.wait


@dataclass(frozen=True)
class _Commit:
    """A committed transaction that was told."""

    new: tuple[Sstable, ...]
    removed: frozenset[Name]
    kind: Kind
    at: datetime
    told: float  # monotonic seconds
    awaits: frozenset[str]
    since: float | None = None  # monotonic seconds

    def brings(self, names: Collection[Name]) -> bool:
        """Say whether one of *names* is new in it."""
        return any(one.name in names for one in self.new)


@dataclass
class _Epoch:
    base: Base | None = None  # stored
    next: Base | None = None  # being stored
    additions: list[Addition] = field(default_factory=list)
    replaced: bool = False  # since the base, or the next one, was begun
    again: bool = False  # the base that was being stored lost an sstable
    recorded: bool = False  # of one that has ended: its last view is in an index

    def members(self) -> Iterator[Sstable]:
        for base in (self.base, self.next):
            if base is not None:
                yield from base.sstables
        for addition in self.additions:
            yield from addition.sstables


class History:
    """The transactions of one table, what is stored of its sstables, and the view that follows.

    No clock inside: *at* is the moment of a commit, *now* is monotonic seconds. An addition waits *index_flushes*
    seconds for the flushes of its secondary indexes, and may still be told *told_late* seconds after its removal.
    """

    def __init__(
        self,
        is_index: Callable[[str], bool] = lambda directory: False,
        *,
        index_flushes: float,
        told_late: float,
    ) -> None:
        self._is_index = is_index
        self._index_flushes = index_flushes
        self._told_late = told_late
        self._epochs = [_Epoch()]
        self._live: dict[Name, Sstable] = {}
        self._lives: dict[Name, int] = {}
        self._stored: set[Sstable] = set()
        self._lost: set[Sstable] = set()
        self._told: list[_Commit] = []  # and not taken in: what the first removes was not told yet
        self._position = 0
        self._last_at = _LONG_AGO  # of the last addition, truncation or look

    # What happened.

    def look(self, live: Iterable[Name], *, at: datetime, now: float, anew: Collection[Name] = ()) -> None:
        """Go on from what was found on disk, and take a base of it: nothing is known of how it came about.

        *anew* are names among *live* that another sstable had when they were last seen.
        """
        known = {name: one for name, one in self._live.items() if name not in anew}
        self._live = {name: known.get(name) or self._born(name) for name in live}
        self._told.clear()
        self._begin_epoch(at, now)

    def take_back(self, since: float) -> None:
        """Take the additions told *since* out of every epoch, as what they were added to was gone by then.

        They are rows of what is live now: whoever looks has them in the base that follows.
        """
        for epoch in self._epochs:
            epoch.additions = [addition for addition in epoch.additions if addition.seen < since]

    def resume(self, view: Iterable[Name], taken_at: datetime, live: Iterable[Name], *, now: float) -> None:
        """Go on from the *view* of the newest index, which is stored; *live* is the same as when it was written."""
        members = {name: self._born(name) for name in view}
        self._live = {name: members.get(name) or self._born(name) for name in live}
        self._stored.update(members.values())
        self._last_at = taken_at
        base = Base(frozenset(members.values()), self._position, taken_at, now)
        self._epochs = [_Epoch(base=base, replaced=True)]

    def commit(
        self,
        added: Collection[Name],
        removed: Collection[Name],
        kind: Kind,
        *,
        at: datetime,
        now: float,
        awaits: Collection[str] = (),
        since: float | None = None,
    ) -> tuple[Sstable, ...]:
        """Take in a committed transaction; return the sstables it brought.

        *awaits* are the directories of secondary indexes whose flush follows that of the table. An addition that was
        found late may have been there *since* an earlier moment: none told since then joins the view before it.
        """
        new = tuple(self._born(name) for name in added if name not in self._live)
        self._told.append(_Commit(new, frozenset(removed), kind, at, now, frozenset(awaits), since))
        self._take_in_told()
        return new

    def stored(self, sstable: Sstable) -> None:
        """Take in that all of *sstable* is stored."""
        self._stored.add(sstable)
        self._lost.discard(sstable)
        self._advance()

    def lost(self, sstable: Sstable) -> None:
        """Take in that *sstable* was gone before all of it could be read."""
        if sstable in self._stored:
            return
        self._lost.add(sstable)
        for epoch in self._epochs:
            if epoch.next is not None and sstable in epoch.next.sstables:
                epoch.next, epoch.again = None, True
        self._advance()

    def settle(self, now: float) -> tuple[Name, ...]:
        """Return sstables that were removed and whose addition was never told: theirs were rows that are lost."""
        unseen: list[Name] = []
        while self._told:
            commit, untold = self._first_told()
            if now - commit.told < self._told_late:
                break
            unseen += sorted(untold)
            self._position += 1
            self._last_at = max(self._last_at, commit.at)  # what is live from then on has those rows
            self._lost |= (missed := {self._born(name) for name in untold})
            self._epochs[-1].additions.append(Addition(missed, self._position, self._last_at, now))
            self._live |= {one.name: one for one in missed}
            self._take_in_told()
        return tuple(unseen)

    def begin_base(self, now: float) -> Collection[Sstable]:
        """Begin a base of what is live now, and return what it holds."""
        epoch = self._epochs[-1]
        epoch.next = Base(frozenset(self._live.values()), self._position, self._last_at, now)
        epoch.replaced = epoch.again = False
        if epoch.base is None:
            epoch.additions.clear()  # no view comes before that of this base, which reads as they do
        self._advance()
        return self._live.values()

    def recorded(self) -> None:
        """Take in that the last view of an epoch that has ended is in an index."""
        self._epochs[0].recorded = True
        self._advance()

    # What follows.

    def view(self, now: float) -> View | None:
        """Return the view; None while no base is stored."""
        epoch = self._epochs[0]
        if epoch.base is None:
            return None
        joined = list(self._joined(epoch, now))
        return View(
            sstables=epoch.base.sstables.union(*(addition.sstables for addition in joined)),
            taken_at=max([epoch.base.taken_at, *(addition.at for addition in joined)]),
        )

    def is_ending(self, now: float) -> bool:
        """Say whether the view is the last of its epoch: nothing more joins it, and it is not recorded yet."""
        return len(self._epochs) > 1 and not self._epochs[0].recorded and self._is_finished(self._epochs[0], now)

    def is_present(self, now: float) -> bool:
        """Say whether the view holds every row there is: nothing is on its way, nothing was lost."""
        epoch = self._epochs[0]
        return (
            len(self._epochs) == 1
            and not self._told
            and epoch.base is not None
            and sum(1 for _ in self._joined(epoch, now)) == len(epoch.additions)
        )

    def lacks_since(self, now: float) -> datetime | None:
        """Return when the first commit came that the view does not hold, of all that were told; None: there is none.

        Replacements and removals are none: without them the view reads the same.
        """
        epoch = self._epochs[0]
        told = [commit.at for commit in self._told if commit.kind in (Kind.ADDITION, Kind.TRUNCATION)]
        waiting = epoch.additions if epoch.base is None else epoch.additions[len(list(self._joined(epoch, now))) :]
        if epoch.base is None:  # what stands for a view then holds all additions but those that were lost
            waiting = [addition for addition in waiting if addition.sstables & self._lost]
        later = [base.taken_at for epoch in self._epochs[1:] for base in (epoch.base, epoch.next) if base is not None]
        later += [addition.at for epoch in self._epochs[1:] for addition in epoch.additions]
        return min([*told, *later, *(addition.at for addition in waiting)], default=None)

    def is_settled(self, now: float) -> bool:
        """Say whether time alone changes nothing any more."""
        closed = all(addition.is_closed(now) for epoch in self._epochs for addition in epoch.additions)
        return closed and not self._told

    def unfinished(self) -> View | None:
        """Return what a restore point without a base would hold, all of it stored or not; None if there is a view."""
        epoch = self._epochs[0]
        if epoch.base is not None:
            return None
        since = {one for addition in epoch.additions for one in addition.sstables} - self._lost
        return View(frozenset(since.union(epoch.next.sstables if epoch.next else ())), self._last_at)

    @property
    def live(self) -> Collection[Sstable]:
        """What Cassandra would read now."""
        return self._live.values()

    @property
    def next(self) -> Base | None:
        """The base that is being stored."""
        return self._epochs[-1].next

    def find(self, name: Name) -> Sstable | None:
        """Return the live sstable of this name."""
        return self._live.get(name)

    def is_addition(self, sstable: Sstable) -> bool:
        """Say whether *sstable* came by an addition that the view has still to take in, or has since its base."""
        return sstable in self._told_additions() or any(
            sstable in addition.sstables for epoch in self._epochs for addition in epoch.additions
        )

    def is_stored(self, sstable: Sstable) -> bool:
        """Say whether all of *sstable* is stored."""
        return sstable in self._stored

    def needed(self) -> set[Sstable]:
        """Return what a view of now or later is made of; nothing else need be stored."""
        return {one for epoch in self._epochs for one in epoch.members()} | self._told_additions()

    def base_reason(self, now: float, *, interval: float, size_of: Callable[[Sstable], int]) -> str | None:
        """Say why a base should be begun now; None: no need. *interval* is in seconds; *size_of* says bytes."""
        epoch = self._epochs[-1]
        if self._told or epoch.next is not None:
            return None
        if any(not addition.is_closed(now) for addition in epoch.additions):
            return None  # a base without the index entries of its newest rows would hide them
        if epoch.base is None:
            return "there is none"
        if epoch.again or any(self._lost & addition.sstables for addition in epoch.additions):
            return "an sstable was lost"
        if not epoch.replaced:
            return None
        if now - epoch.base.begun >= interval:
            return "the last one is old"
        held = set(epoch.members())
        if len(held) > len(self._live) + MORE_SSTABLES:
            return "the view has many more sstables than are live"
        if sum(map(size_of, held)) > MORE_BYTES * sum(map(size_of, self._live.values())):
            return "the view is much larger than what is live"
        return None

    # How.

    def _born(self, name: Name) -> Sstable:
        life = self._lives[name] = self._lives.get(name, -1) + 1
        return Sstable(*name, life)

    def _told_additions(self) -> set[Sstable]:
        return {one for commit in self._told if commit.kind is Kind.ADDITION for one in commit.new}

    def _take_in_told(self) -> None:
        """Take in what was told, in the order of the commits.

        Two logs may be read in another order: so a removal of what is not known waits for the transaction that brought
        it, and all that was told later with it, or a view would hold later rows without earlier ones.
        """
        while self._told:
            commit, untold = self._first_told()
            if untold:
                return
            self._take_in(commit)
            self._told.remove(commit)  # only now, or what is known to be stored of it would be forgotten on the way

    def _first_told(self) -> tuple[_Commit, frozenset[Name]]:
        """Return the first commit of those told, and what it removes that no transaction told yet has brought."""
        others = list(self._told)
        first = others.pop(0)
        while untold := first.removed - self._live.keys():
            earlier = next((other for other in others if other.brings(untold)), None)
            if earlier is None:
                return first, untold
            others.remove(earlier)
            first = earlier
        return first, frozenset()

    def _take_in(self, commit: _Commit) -> None:
        # No view can hold two lives of one name. An addition joins an epoch that begins with what was live before it;
        # what a replacement put in the place of others is in the base itself, as they are gone.
        held = any(self._is_held(one) for one in commit.new)
        if held and commit.kind is Kind.ADDITION:
            self._begin_epoch(self._last_at, commit.told)
        self._position += 1
        for name in commit.removed:
            del self._live[name]
        self._live |= {one.name: one for one in commit.new}
        if commit.kind is Kind.ADDITION:
            self._add(commit)
        elif commit.kind is Kind.TRUNCATION and self._ends_all(commit.removed):
            self._begin_epoch(commit.at, commit.told)
        elif held:
            self._begin_epoch(self._last_at, commit.told)
        else:
            self._epochs[-1].replaced = True

    def _is_held(self, new: Sstable) -> bool:
        """Say whether the view holds another life of *new*'s name."""
        return new.life > 0 and any(one.name == new.name for one in self._epochs[-1].members())

    def _ends_all(self, removed: Collection[Name]) -> bool:
        """Say whether a truncation ends the epoch: that of an index alone, while the table has rows, changes no row."""
        return not all(self._is_index(directory) for directory, _ in removed) or all(
            self._is_index(directory) for directory, _ in self._live
        )

    def _begin_epoch(self, at: datetime, now: float) -> None:
        self._last_at = max(self._last_at, at)
        last = self._epochs[-1]
        last.next = None  # it would say what was live at a moment of the epoch; the additions up to its end say more
        if last.base is None:
            self._epochs.pop()  # no view came of it, and none will
        self._epochs.append(_Epoch())
        self.begin_base(now)

    def _add(self, commit: _Commit) -> None:
        new, now, awaits = set(commit.new), commit.told, commit.awaits
        if not new:
            return
        self._last_at = max(self._last_at, commit.at)
        epoch = self._epochs[-1]
        if all(self._is_index(one.directory) for one in new):
            indexes = _index_names(one.directory for one in new)
            after = max(base.position if base else 0 for base in (epoch.base, epoch.next))
            for addition in epoch.additions:
                # A base begun since then does not hold it: there it has to be an addition of its own.
                if addition.position > after and not addition.is_closed(now) and indexes & addition.awaits:
                    addition.sstables |= new
                    addition.awaits -= indexes
                    return
            awaits = frozenset()
        place = len(epoch.additions)
        if commit.since is not None:
            place = next((n for n, one in enumerate(epoch.additions) if one.seen >= commit.since), place)
        later = epoch.additions[place:]
        at = min([self._last_at, *(one.at for one in later)])
        epoch.additions.insert(place, Addition(new, self._position, at, now, _index_names(awaits), self._index_flushes))

    def _joined(self, epoch: _Epoch, now: float) -> Iterator[Addition]:
        """Yield the additions that the view holds: in order, and none after one that is missing."""
        for addition in epoch.additions:
            if not addition.is_closed(now) or not addition.sstables <= self._stored:
                return
            yield addition

    def _is_finished(self, epoch: _Epoch, now: float) -> bool:
        known = self._stored | self._lost
        return all(addition.is_closed(now) and addition.sstables <= known for addition in epoch.additions)

    def _advance(self) -> None:
        """Have bases that are stored take their places, and epochs that are over end."""
        moved = False
        for epoch in self._epochs:
            if epoch.next is not None and epoch.next.sstables <= self._stored:
                epoch.base, epoch.next, moved = epoch.next, None, True
                after = epoch.base.position
                epoch.additions = [addition for addition in epoch.additions if addition.position > after]
        while len(self._epochs) > 1:
            head, following = self._epochs[0], self._epochs[1]
            if not head.recorded or following.base is None:
                break
            del self._epochs[0]
            moved = True
        if moved:
            held = self.needed().union(self._live.values())
            self._stored &= held
            self._lost &= held


def _index_names(directories: Iterable[str]) -> set[str]:
    """Return the names of the indexes: one flush of an index may write to any of its directories, one on each disk."""
    return {posixpath.basename(directory) for directory in directories}
