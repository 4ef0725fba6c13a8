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

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tablesnap.rules.index_flushes import IndexFlushes, Waiting, index_names
from tablesnap.rules.late import Late
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
    behind: tuple[str, ...] = ()  # secondary indexes that may lack entries of it, once for each flush that is to come


@dataclass(eq=False)
class Base:
    """What was live at one commit, and the index entries that belong to it."""

    sstables: set[Sstable]
    position: int  # after which transaction
    taken_at: datetime
    begun: float  # monotonic seconds
    waits: tuple[Waiting, ...] = ()  # of what it holds: it is not whole before they are over
    behind: Counter[str] = field(default_factory=Counter)  # without those

    def is_whole(self, stored: AbstractSet[Sstable]) -> bool:
        """Say whether it may take the place of the view, if these sstables are *stored*."""
        return all(waiting.over for waiting in self.waits) and self.sstables <= stored


@dataclass
class Addition:
    """Sstables that came with rows of their own; those of its secondary indexes join it."""

    sstables: set[Sstable]
    position: int
    at: datetime
    seen: float  # monotonic seconds
    waiting: Waiting
    joins_with_next: bool = False

    @property
    def is_closed(self) -> bool:
        """Say whether nothing more joins it."""
        return self.waiting.over


@dataclass(frozen=True)
class _Commit:
    """A committed transaction that was told."""

    new: tuple[Sstable, ...]
    removed: frozenset[Name]
    kind: Kind
    at: datetime
    told: float  # monotonic seconds
    indexes: frozenset[str]
    waits: bool
    since: float | None = None  # monotonic seconds

    def brings(self, names: Collection[Name]) -> bool:
        """Say whether one of *names* is new in it."""
        return any(one.name in names for one in self.new)


@dataclass
class _Epoch:
    base: Base | None = None  # stored
    next: Base | None = None  # being stored
    additions: list[Addition] = field(default_factory=list)
    waits: list[Waiting] = field(default_factory=list)  # of the additions, and of what a look found
    replaced: bool = False  # since the base, or the next one, was begun
    again: bool = False  # the base that was being stored lost an sstable
    recorded: bool = False  # of one that has ended: its last view is in an index

    def members(self) -> Iterator[Sstable]:
        for base in (self.base, self.next):
            if base is not None:
                yield from base.sstables
        for addition in self.additions:
            yield from addition.sstables

    def take_in(self, new: Collection[Sstable], first: Waiting, last: Waiting) -> bool:
        """Have what an index flushed join what waits for it *first*; return whether there is anything.

        It may be that of *last*, and then delete the entries of rows that this writes anew: without it they would be
        hidden. So all from the first to the last join the view together, and a base without the last is begun again.
        """
        names = {one.name for one in new}
        if self.recorded or any(one.name in names for one in self.members()):
            return False
        joined = self.next is not None and first in self.next.waits
        if joined and self.next is not None:
            if last in self.next.waits:
                self.next.sstables.update(new)
            else:
                self.next, self.again = None, True
        waits = [addition.waiting for addition in self.additions]
        if first in waits:
            begin = waits.index(first)
            end = waits.index(last) if last in waits else begin  # it is of the next epoch
            self.additions[begin].sstables.update(new)
            for addition in self.additions[begin:end]:
                addition.joins_with_next = True
            joined = True
        return joined


class History:
    """The transactions of one table, what is stored of its sstables, and the view that follows.

    No clock inside: *at* is the moment of a commit, *now* is monotonic seconds. A flush waits for those of its
    secondary indexes until nothing was heard of one for *index_flushes* seconds, but for *index_patience* at most. An
    addition may still be told *told_late* seconds after its removal.
    """

    def __init__(
        self,
        is_index: Callable[[str], bool] = lambda directory: False,
        *,
        index_flushes: float,
        index_patience: float,
        told_late: float,
    ) -> None:
        self._is_index = is_index
        self._flushes = IndexFlushes(index_flushes, index_patience)
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

    def look(
        self,
        live: Iterable[Name],
        *,
        at: datetime,
        now: float,
        anew: Collection[Name] = (),
        indexes: Collection[str] = (),
        behind: Collection[str] = (),
    ) -> None:
        """Go on from what was found on disk, and take a base of it: nothing is known of how it came about.

        *anew* are names among *live* that another sstable had when they were last seen, *indexes* the directories of
        secondary indexes, which may be about to flush, *behind* those of which the newest index said so.
        """
        known = {name: one for name, one in self._live.items() if name not in anew}
        self._live = {name: known.get(name) or self._born(name) for name in live}
        self._told.clear()
        if behind:
            self._flushes.note_behind(behind)
        self._begin_epoch(at, now, index_names(indexes))

    def take_back(self, since: float) -> None:
        """Take the additions told *since* out of every epoch, as what they were added to was gone by then.

        They are rows of what is live now: whoever looks has them in the base that follows.
        """
        for epoch in self._epochs:
            epoch.additions = [addition for addition in epoch.additions if addition.seen < since]

    def resume(
        self,
        view: Iterable[Name],
        taken_at: datetime,
        live: Iterable[Name],
        *,
        now: float,
        indexes: Collection[str] = (),
        behind: Collection[str] = (),
    ) -> None:
        """Go on from the *view* of the newest index, which is stored; *live* is the same as when it was written.

        *indexes* are the directories of secondary indexes, *behind* those of which the newest index says so.
        """
        members = {name: self._born(name) for name in view}
        self._live = {name: members.get(name) or self._born(name) for name in live}
        self._stored.update(members.values())
        self._last_at = taken_at
        self._flushes.resume(index_names(indexes), taken_at)
        self._flushes.note_behind(behind)
        base = Base(set(members.values()), self._position, taken_at, now, behind=self._flushes.behind)
        self._epochs = [_Epoch(base=base, replaced=True)]

    def commit(
        self,
        added: Collection[Name],
        removed: Collection[Name],
        kind: Kind,
        *,
        at: datetime,
        now: float,
        indexes: Collection[str] = (),
        waits: bool = True,
        since: float | None = None,
    ) -> tuple[Sstable, ...]:
        """Take in a committed transaction; return the sstables it brought.

        *indexes* are the directories of secondary indexes. If their flushes follow that of the table, an addition
        *waits* for them; if Cassandra builds what is in it afterwards, it does not. An addition that was found late may
        have been there *since* an earlier moment: none told since then joins the view before it.
        """
        self._pass_time(now)
        new = tuple(self._born(name) for name in added if name not in self._live)
        self._told.append(_Commit(new, frozenset(removed), kind, at, now, index_names(indexes), waits, since))
        self._take_in_told()
        return new

    def note_index_log(self, directory: str, name: str, *, is_open: bool, now: float) -> None:
        """Take in that the flush log of a secondary index is there, or has ended."""
        self._pass_time(now)
        self._flushes.note_log(directory, name, is_open=is_open, now=now)

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
            nothing = Waiting(self._last_at)
            self._epochs[-1].additions.append(Addition(missed, self._position, self._last_at, now, nothing))
            self._live |= {one.name: one for one in missed}
            self._take_in_told()
        self._pass_time(now)
        return tuple(unseen)

    def begin_base(self, now: float) -> Collection[Sstable]:
        """Begin a base of what is live now, and return what it holds."""
        epoch = self._epochs[-1]
        epoch.next = Base(
            set(self._live.values()),
            self._position,
            self._last_at,
            now,
            waits=tuple(epoch.waits),
            behind=self._flushes.behind if self._has_rows() else Counter(),
        )
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

    def view(self, now: float, by: datetime | None = None) -> View | None:
        """Return the view; None while no base is stored. With *by* it is what the view was at that moment."""
        self._pass_time(now)
        epoch = self._epochs[0]
        if epoch.base is None or (by is not None and epoch.base.taken_at > by):
            return None
        joined = list(self._joined(epoch, by))
        behind = epoch.base.behind
        for waiting in (*epoch.base.waits, *(addition.waiting for addition in joined)):
            behind = waiting.behind(behind)
        return View(
            sstables=frozenset(epoch.base.sstables.union(*(addition.sstables for addition in joined))),
            taken_at=max([epoch.base.taken_at, *(addition.at for addition in joined)]),
            behind=_spell(behind),
        )

    def is_ending(self, now: float) -> bool:
        """Say whether the view is the last of its epoch: nothing more joins it, and it is not recorded yet."""
        self._pass_time(now)
        return len(self._epochs) > 1 and not self._epochs[0].recorded and self._is_finished(self._epochs[0])

    def is_present(self, now: float) -> bool:
        """Say whether the view holds every row there is: nothing is on its way, nothing was lost."""
        self._pass_time(now)
        epoch = self._epochs[0]
        return (
            len(self._epochs) == 1
            and not self._told
            and epoch.base is not None
            and sum(1 for _ in self._joined(epoch)) == len(epoch.additions)
        )

    def lacks_since(self, now: float, by: datetime | None = None) -> datetime | None:
        """Return when the first commit came that the view does not hold, of all that were told; None: there is none.

        With *by* it is about what the view was at that moment. Replacements and removals are none: without them the
        view reads the same.
        """
        self._pass_time(now)
        epoch = self._epochs[0]
        told = [commit.at for commit in self._told if commit.kind in (Kind.ADDITION, Kind.TRUNCATION)]
        joined = 0 if epoch.base is None else sum(1 for _ in self._joined(epoch, by))
        waiting = epoch.additions[joined:]
        if epoch.base is None:  # what stands for a view then holds all additions but those that were lost
            waiting = [addition for addition in waiting if addition.sstables & self._lost]
        later = [base.taken_at for epoch in self._epochs[1:] for base in (epoch.base, epoch.next) if base is not None]
        later += [addition.at for epoch in self._epochs[1:] for addition in epoch.additions]
        return min([*told, *later, *(addition.at for addition in waiting)], default=None)

    def is_settled(self, now: float) -> bool:
        """Say whether time alone changes nothing any more."""
        self._pass_time(now)
        return not (self._told or any(epoch.waits for epoch in self._epochs))

    @property
    def is_up_to_date(self) -> bool:
        """Say whether all that was told is taken in."""
        return not self._told

    @property
    def commits(self) -> Iterable[datetime]:
        """The moments of the additions since the base, also of those that are not stored yet."""
        yield from (addition.at for epoch in self._epochs for addition in epoch.additions)
        yield from (commit.at for commit in self._told if commit.kind is Kind.ADDITION)

    @property
    def late(self) -> tuple[Late, ...]:
        """The flushes of secondary indexes that came after restore points without them."""
        return self._flushes.late

    def unfinished(self) -> View | None:
        """Return what a restore point without a base would hold, all of it stored or not; None if there is a view."""
        epoch = self._epochs[0]
        if epoch.base is not None:
            return None
        behind = self._flushes.behind + Counter(index for waiting in epoch.waits for index in waiting.awaited)
        since = {one for addition in epoch.additions for one in addition.sstables} - self._lost
        return View(
            frozenset(since.union(epoch.next.sstables if epoch.next else ())),
            self._last_at,
            _spell(behind if self._has_rows() else Counter()),
        )

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
        if epoch.base is None:
            return "there is none"
        if epoch.again or any(self._lost & addition.sstables for addition in epoch.additions):
            return "the last one was given up, or an sstable was lost"
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

    def _has_rows(self) -> bool:
        """Say whether anything of the table itself is live."""
        return any(not self._is_index(directory) for directory, _ in self._live)

    def _begin_epoch(self, at: datetime, now: float, indexes: frozenset[str] = frozenset()) -> None:
        self._last_at = max(self._last_at, at)
        last = self._epochs[-1]
        last.next = None  # it would say what was live at a moment of the epoch; the additions up to its end say more
        if last.base is None:
            self._epochs.pop()  # no view came of it, and none will
        found = self._flushes.wait(indexes, at=self._last_at, now=now, is_flush=False)
        waits = [waiting for waiting in (*last.waits, found) if not waiting.over] if self._has_rows() else []
        self._epochs.append(_Epoch(waits=waits))
        self.begin_base(now)

    def _add(self, commit: _Commit) -> None:
        if not commit.new:
            return
        self._last_at = max(self._last_at, commit.at)
        brought = index_names(one.directory for one in commit.new if self._is_index(one.directory))
        is_index = all(self._is_index(one.directory) for one in commit.new)
        if is_index and self._join(commit.new, brought):
            return
        epoch = self._epochs[-1]
        place = len(epoch.additions)
        if commit.since is not None:
            place = next((n for n, one in enumerate(epoch.additions) if one.seen >= commit.since), place)
        at = min([self._last_at, *(one.at for one in epoch.additions[place:])])
        if is_index:
            waiting = self._flushes.come_alone(brought, at=at, now=commit.told)
        elif commit.waits:
            waiting = self._flushes.wait(commit.indexes, at=at, now=commit.told)
        else:
            waiting = self._flushes.let_pass(commit.indexes - brought, at=at, since=commit.since)
        epoch.additions.insert(place, Addition(set(commit.new), self._position, at, commit.told, waiting))
        if not waiting.over:
            epoch.waits.append(waiting)

    def _join(self, new: Collection[Sstable], brought: frozenset[str]) -> bool:
        """Have a flush of indexes join the first that waits for it; say whether there is one."""
        waits = self._epochs[-1].waits
        if not waits:
            return False
        rivals = [waiting for waiting in waits if waiting.awaited & brought] or waits[-1:]
        rivals[0].awaited -= brought
        return [epoch.take_in(new, rivals[0], rivals[-1]) for epoch in self._epochs][-1]

    def _pass_time(self, now: float) -> None:
        """Have all end that has waited for flushes of indexes for long enough.

        Not while something that was told is not taken in: that may be such a flush.
        """
        if self._told:
            return
        ended = 0
        for epoch in self._epochs:
            ended += sum(self._flushes.end(waiting, now) for waiting in epoch.waits)
            epoch.waits = [waiting for waiting in epoch.waits if not waiting.over]
        if ended:
            self._advance()

    def _joined(self, epoch: _Epoch, by: datetime | None = None) -> Iterator[Addition]:
        """Yield the additions that the view holds: in order, and none after one that is missing, or later than *by*."""
        group = []
        for addition in epoch.additions:
            if by is not None and addition.at > by:
                return
            if not addition.is_closed or not addition.sstables <= self._stored:
                return
            group.append(addition)
            if not addition.joins_with_next:
                yield from group
                group.clear()

    def _is_finished(self, epoch: _Epoch) -> bool:
        known = self._stored | self._lost
        return all(addition.is_closed and addition.sstables <= known for addition in epoch.additions)

    def _advance(self) -> None:
        """Have bases that are stored take their places, and epochs that are over end."""
        moved = False
        for epoch in self._epochs:
            if epoch.next is not None and epoch.next.is_whole(self._stored):
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


def _spell(behind: Counter[str]) -> tuple[str, ...]:
    return tuple(sorted(behind.elements()))
