"""What a purge may take: which restore points are forgotten, and which objects nothing needs.

Two rules, and whoever is in doubt keeps:

* **Restore points.** Kept is what the operator asked for (by age, by number, by hour, day, week and month), what was
  current at the cutoff (`tablesnap.rules.order`), so that this moment can be restored, and, for ever, the newest
  complete one and the newest of all, so that a table that went quiet does not lose its only backup. Each directory is
  asked for itself: one restore point may speak of all of a table's directories, or of one.
* **Objects.** One that a remaining index names is kept. Any other may be on its way into an index that is not written
  yet, so it is deleted only if it is older than the grace period, and an index of its directory was written a grace
  period after it, and does not name it. Where no index says so (a host that was lost between an upload and its index,
  a daemon told to write none) nobody knows, and it is kept and reported.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import islice

from tablesnap.rules import order
from tablesnap.rules.index import FORMAT, Index
from tablesnap.rules.keys import INDEX_ENDING


@dataclass(frozen=True, slots=True)
class Record:
    """What a purge must know of one restore point, to say whether it is kept."""

    key: str  # of the index that holds the files
    taken_at: datetime  # by the clock of the machine that was backed up
    stored_at: datetime  # by the store's clock
    seen_at: datetime  # by that clock, when it was recorded
    last_true: datetime  # the latest of all moments that are known of it: taken, seen, stored
    is_complete: bool
    covers: frozenset[str]  # the directories it speaks of
    serial: int | None = None
    size: int = 0  # bytes of its files
    is_dated: bool = True  # it is not of the future


@dataclass(frozen=True)
class Retention:
    """What the operator wants to keep, besides what is always kept."""

    cutoff: datetime  # whatever was true since then is kept
    settled: datetime  # by the store's clock: no index that is younger is forgotten, whatever was asked for
    last: int = 0  # how many of the newest
    hourly: int = 0  # of so many hours that have any, the newest of each
    daily: int = 0
    weekly: int = 0
    monthly: int = 0


_PERIODS: Mapping[str, Callable[[datetime], object]] = {
    "hourly": lambda moment: (moment.date(), moment.hour),
    "daily": lambda moment: moment.date(),
    "weekly": lambda moment: moment.isocalendar()[:2],
    "monthly": lambda moment: (moment.year, moment.month),
}


def plan_forgetting(records: Iterable[Record], retention: Retention) -> dict[str, list[str]]:
    """Return why each restore point of one table is kept, by its key; an empty list: it is to be forgotten."""
    found = order.in_order(records)
    reasons: dict[str, list[str]] = {record.key: [] for record in found}
    for directory in sorted({directory for record in found for directory in record.covers}):
        of_one = [record for record in found if directory in record.covers]
        for key, why in _reasons(of_one, retention):
            if why not in reasons[key]:
                reasons[key].append(why)
    return reasons


def _reasons(ordered: Sequence[Record], retention: Retention) -> Iterable[tuple[str, str]]:
    """Yield the keys of restore points of one directory, given in order, that are kept, each with a reason."""
    complete = [record for record in ordered if record.is_complete]
    yield ordered[-1].key, "the newest"
    for record in ordered:
        if record.stored_at > retention.settled:
            # A moment that comes twice, as a clock is set back, would be in the keys of this one and of a new one.
            yield record.key, "younger than the grace period"
    if complete:
        yield complete[-1].key, "the newest complete one"
    recent = [place for place, record in enumerate(ordered) if record.last_true >= retention.cutoff]
    for place in recent:
        yield ordered[place].key, "within the age"
    # By the order of the moments, not by their distance from the cutoff: the machine's clock may be another's.
    first = recent[0] if recent else len(ordered)
    current = [record for record in ordered[:first] if record.is_complete][-1:]
    # The very one that a restore as of the cutoff takes: by the same rule, or it might be forgotten.
    current += islice(order.as_of([[record] for record in complete], retention.cutoff), 1)
    for record in current:
        yield record.key, "current at the cutoff"
    for record in _last(complete, retention.last):
        yield record.key, f"among the last {retention.last}"
    for name, period in _PERIODS.items():
        newest_of = {period(record.taken_at.astimezone(UTC)): record for record in complete}
        for record in _last(list(newest_of.values()), getattr(retention, name)):
            yield record.key, name


def why_forgotten(record: Record) -> str:
    """Say why a restore point that nothing keeps is forgotten."""
    if not record.is_complete:
        return "older than the age, and not complete"
    return "older than the age, and a later one was current at the cutoff"


def _last(records: Sequence[Record], number: int) -> Sequence[Record]:
    return records[-number:] if number else ()


@dataclass(frozen=True, slots=True)
class Stored:
    """An object, as a listing shows it."""

    key: str
    size: int
    modified: datetime  # by the store's clock


class Fate(Enum):
    """What a purge does with an object, and why."""

    NEEDLESS = "needless"  # deleted
    NAMED = "named"
    YOUNG = "young"  # nobody names it, and it may be on its way into an index
    UNINDEXED = "unindexed"  # nobody names it, and no index is late enough to say that nothing needs it
    FOREIGN = "foreign"  # not of our layout


@dataclass(frozen=True)
class Proof:
    """How old an object that nothing names must be to be deleted. All moments are the store's."""

    now: datetime
    grace: timedelta
    unindexed_before: datetime | None = None  # what no index can speak for goes if it is older than that

    def fate_of(self, one: Stored, *, named: bool, indexed_at: datetime | None) -> Fate:
        """Say what becomes of *one*.

        *named* says whether any remaining index names it, *indexed_at* when the newest index of its directory that can
        be relied on (`is_trustworthy`) was stored.
        """
        if not is_ours(one.key):
            return Fate.FOREIGN
        if named:
            return Fate.NAMED
        if one.modified > self.now - self.grace:
            return Fate.YOUNG
        # An index that was written so late would name it, if anything needed it.
        if indexed_at is not None and indexed_at - one.modified >= self.grace:
            return Fate.NEEDLESS
        if self.unindexed_before is not None and one.modified < self.unindexed_before:
            return Fate.NEEDLESS
        return Fate.UNINDEXED


def is_trustworthy(index: Index, key: str) -> bool:
    """Say whether an object that the index under *key* does not name was not needed when it was written.

    1.x wrote its index for one file, which must be among the names. With ``-i`` and a pattern that matches directories
    it left out every name, and its own purge then took the whole table.
    """
    return index.format >= FORMAT or key.rpartition("/")[2].removesuffix(INDEX_ENDING) in index.names


def is_ours(key: str) -> bool:
    """Say whether a daemon could have stored an object under *key*: a console's folder marker, say, it could not."""
    return all(segment not in ("", ".", "..") for segment in key.split("/"))
