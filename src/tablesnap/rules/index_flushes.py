"""Which flushes of its secondary indexes belong to a flush of their table, and when all of them have come.

A row without its index entry is hidden from queries by the index, and Cassandra does not notice; an entry without its
row is harmless. So a flush of the table may join the view only together with the index entries of its rows. Cassandra
flushes the memtable of the table and then those of its indexes, one after another, each in a transaction with a log of
its own in the index's directory; an index with an empty memtable is not flushed and leaves no trace. Nobody can know
from outside how many are to come. So:

* A flush of the table *waits* while a flush log is open in a directory of its indexes, and until some seconds after the
  last event of such a log: Cassandra makes the next log as soon as the flush before it has ended. It waits no more once
  a flush of each index has come and no log is open.
* What a look at the disk finds waits likewise: the look may fall between the flush of the table and that of an index.
* A flush of an index that comes meanwhile joins the first that waits for it. If several do, nobody can tell whose it
  is, and it may delete the entries of rows that a later one writes anew: so these join the view together.
* After a minute nothing waits any more. Indexes of which no flush has come, or with an open log, are *behind* then.
* After a stream or an import Cassandra builds the index entries when the sstable is live already, for hours maybe. It
  does not wait: its indexes are behind at once, until they flush, or the table's next flush waits no more.
* A flush of an index for which nothing waits is *late*, if restore points said nothing of it: they lack its entries
  from the moment of the first flush that waited for it in vain, until its own. After a build that is the first flush of
  the table since the build began, as that made an end of *behind*.

Thus each entry is in the view with its row, or the restore point says that it may not be, or a later one does.
"""

import posixpath
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from tablesnap.rules.late import Late, merged

_NEVER = float("-inf")


@dataclass(eq=False)
class Waiting:
    """What waits for the flushes of secondary indexes; and what it means for those once it does not any more."""

    at: datetime  # the moment of what waits
    since: float = _NEVER  # monotonic seconds
    indexes: frozenset[str] = frozenset()  # all that there are
    awaited: set[str] = field(default_factory=set)  # those of which no flush has come
    is_flush: bool = False  # of the table: it makes an end of what was behind before
    over: bool = True
    lacks: frozenset[str] = frozenset()  # those that are behind from then on

    def behind(self, before: Counter[str]) -> Counter[str]:
        """Return how many flushes of which indexes are to come after it, if those were *before*."""
        after = before - Counter(self.indexes - self.awaited)
        if self.is_flush:
            after = Counter({index: number for index, number in after.items() if index not in self.indexes})
        return after + Counter(self.lacks)


class IndexFlushes:
    """The flushes of one table's secondary indexes, as far as they were heard of.

    *quiet* is for how many seconds nothing must be heard, *patience* how long anything waits at most.
    """

    def __init__(self, quiet: float, patience: float) -> None:
        self._quiet = quiet
        self._patience = patience
        self._open: set[tuple[str, str]] = set()  # directory and name of each flush log
        self._heard = _NEVER
        self._alone: dict[str, float] = {}  # when each index flushed without anything that waited for it
        self._behind: Counter[str] = Counter()  # how many flushes are to come
        # Since when restore points do not say so any more, though that many may come.
        self._silent: dict[str, tuple[datetime, int]] = {}
        self._in_vain: dict[str, datetime] = {}  # the first moment that waited for it in vain, since its last flush
        self._late: tuple[Late, ...] = ()

    @property
    def behind(self) -> Counter[str]:
        """How many flushes of which indexes are to come, after all that was told."""
        return +self._behind

    @property
    def late(self) -> tuple[Late, ...]:
        """The index flushes that were late."""
        return self._late

    def resume(self, indexes: Iterable[str], at: datetime) -> None:
        """Go on from a restore point of *at*: whether more was to come when it was written is not known."""
        self._in_vain = dict.fromkeys(indexes, at)

    def note_behind(self, indexes: Iterable[str]) -> None:
        """Take in that these are behind, as the newest restore point says."""
        self._behind = Counter(indexes)

    def note_log(self, directory: str, name: str, *, is_open: bool, now: float) -> None:
        """Take in that a flush log of an index is there, or has ended."""
        self._heard = now
        if is_open:
            self._open.add((directory, name))
        else:
            self._open.discard((directory, name))

    def wait(self, indexes: Collection[str], *, at: datetime, now: float, is_flush: bool = True) -> Waiting:
        """Return what a flush of the table waits for, or a look at it."""
        over = not indexes and not self._open
        return Waiting(at, now, frozenset(indexes), set(indexes), is_flush, over)

    def let_pass(self, indexes: Collection[str], *, at: datetime, since: float | None) -> Waiting:
        """Return what a stream or an import means: its indexes are built afterwards.

        One that was found late may have been there *since* an earlier moment, and an index may be built already.
        """
        built = [one for one in indexes if since is not None and self._alone.get(one, _NEVER) > since]
        waiting = Waiting(at, lacks=frozenset(indexes).difference(built))
        self._behind = waiting.behind(self._behind)
        return waiting

    def come_alone(self, indexes: Collection[str], *, at: datetime, now: float) -> Waiting:
        """Return what a flush of *indexes* means that nothing waited for."""
        for index in indexes:
            self._alone[index] = now
            since = None if self._behind[index] else self._in_vain.get(index)
            self._in_vain.pop(index, None)
            if index in self._silent:
                since, number = self._silent.pop(index)
                if number > 1:
                    self._silent[index] = at, number - 1
            if since is not None and since < at:
                self._late = merged([*self._late, Late(index, since, at)])
        waiting = Waiting(at, indexes=frozenset(indexes))
        self._behind = waiting.behind(self._behind)
        return waiting

    def end(self, waiting: Waiting, now: float) -> bool:
        """Have *waiting* end if it has waited for all or for long enough; return whether it has ended just now."""
        if waiting.over:
            return False
        is_quiet = not self._open and now - max(waiting.since, self._heard) >= self._quiet
        has_all = not self._open and not waiting.awaited
        if not (is_quiet or has_all or now - waiting.since >= self._patience):
            return False
        waiting.over = True
        if self._open:
            waiting.lacks = frozenset(waiting.awaited).union(posixpath.basename(path) for path, _ in self._open)
        self._note_ended(waiting)
        return True

    def _note_ended(self, waiting: Waiting) -> None:
        before, self._behind = self._behind, waiting.behind(self._behind)
        for index in waiting.indexes - waiting.lacks:
            if index not in waiting.awaited:
                self._in_vain.pop(index, None)
            elif not before[index]:
                self._in_vain.setdefault(index, waiting.at)
            if waiting.is_flush and before[index]:
                self._silent[index] = waiting.at, before[index]  # what is being built may still come


def index_names(directories: Iterable[str]) -> frozenset[str]:
    """Return the names of the indexes: one flush of an index may write to any of its directories, one on each disk."""
    return frozenset(posixpath.basename(directory) for directory in directories)
