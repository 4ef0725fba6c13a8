"""Look at a table's directories: which sstables are live on disk, by Cassandra's own rule."""

import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tablesnap.capture.listing import Listing
from tablesnap.live.witness import Witness
from tablesnap.rules import history, sstable
from tablesnap.rules.incarnation import Incarnation, fingerprint
from tablesnap.rules.selection import Selection
from tablesnap.rules.txnlog import Outcome, dead
from tablesnap.rules.view import History, Name

log = logging.getLogger(__name__)

TRIES = 5

Listings = Mapping[str, Listing]
ListDirectory = Callable[[str], Listing | None]  # of a path; None: it cannot be listed


@dataclass
class TableLook:
    """The sstables of a table's directories, at one moment."""

    live: dict[Name, dict[str, Incarnation]] = field(default_factory=dict)  # complete ones, with their components
    arriving: set[Name] = field(default_factory=set)  # not all of their components are there
    finished: set[str] = field(default_factory=set)  # the transactions that had ended
    changed_ns: int = 0  # no later than this did the last of them end, or anything come or go

    def moment(self, before: datetime, after: datetime) -> datetime:
        """Return a moment at which exactly this was live, if the look was taken between *before* and *after*.

        What ended by *before* is in it, and so is all that ended by `changed_ns`, which is known by the logs that are
        still there and by the directory that another was deleted from; each before the listing. What is in it and ended
        later than both did so while the names were being read: for that long it may be dated too early, never too late.
        """
        changed = datetime.fromtimestamp(self.changed_ns // 1000 / 1e6, UTC)
        return max(before, min(changed, after))

    def has_more_than(self, history: History) -> bool:
        """Say whether there are sstables that the history has not heard of."""
        return any(history.find(name) is None for name in self.live)

    def keeps_all_of(self, history: History) -> bool:
        """Say whether each directory that should have live sstables has any."""
        return {one.directory for one in history.live} <= {directory for directory, _ in self.live}


@dataclass(frozen=True)
class Looked:
    """What was found in a table's directories: no less, and no more, than its history knows of."""

    look: TableLook
    listings: Listings
    seen_at: datetime  # before the look
    now: float  # the same, in monotonic seconds

    @property
    def is_flushing(self) -> bool:
        """Say whether a flush has begun that has not ended."""
        return any(
            sstable.operation_of(name) == "flush" and name not in self.look.finished
            for listing in self.listings.values()
            for name in listing.files
            if sstable.is_transaction_log(name)
        )


def look_at_table(
    directories: Iterable[str], list_directory: ListDirectory, witness: Witness, selection: Selection
) -> tuple[TableLook, Listings] | None:
    """Return what is live in a table's *directories*; None if it could not be found out just now.

    The listing first, the logs second, and the listing again where a log came or went in between: a transaction that
    ends between the two would be missed otherwise, and its files be taken for live. Source:
    ``o.a.c.db.lifecycle.LogAwareFileLister``, which has the same order.

    It is listed again, too, where a log has ended that had not when the logs were read before the listing: what it
    brought may have been half written when it was listed, and would be in neither the look nor, as the transaction
    counts as taken in, in what is told later.
    """
    directories = list(directories)
    listings = _list_all(directories, list_directory)
    ended: set[str] = set()  # before the listing
    for _ in range(TRIES):
        if listings is None:
            return None
        logs = _logs(listings)
        seen = witness.look(logs)
        finished = {one.name for one in seen.transactions if one.outcome is not Outcome.OPEN}
        again = _list_all(directories, list_directory)
        if again is None:
            return None
        if finished <= ended and not seen.vanished and _logs(again) == logs:
            look = sort_out(listings, dead(seen.transactions), selection)
            look.finished = finished
            look.changed_ns = _changed_ns(listings, finished)
            return look, listings
        listings, ended = again, finished
    return None


def sort_out(listings: Listings, dead_ones: Iterable[Name], selection: Selection) -> TableLook:
    """Sort the components in *listings* into sstables, without those that the logs say are dead."""
    gathered: dict[Name, dict[str, Incarnation]] = {}
    for directory, listing in listings.items():
        for name, one in listing.files.items():
            component = sstable.parse(name)
            if component is not None and not component.temporary:
                gathered.setdefault((directory, component.stem), {})[name] = one
    look = TableLook()
    excluded = frozenset(dead_ones)
    for (directory, stem), files in gathered.items():
        if (directory, stem) in excluded:
            continue
        chosen = {name: one for name, one in files.items() if history.is_backed_up(directory, name, selection)}
        if not chosen:
            continue
        if sstable.is_complete([name[len(stem) :] for name in files]):
            look.live[directory, stem] = chosen
        else:
            look.arriving.add((directory, stem))
    return look


def _list_all(directories: Iterable[str], list_directory: ListDirectory) -> dict[str, Listing] | None:
    listings: dict[str, Listing] = {}
    for directory in directories:
        listing = list_directory(directory)
        if listing is None:
            return None
        listings[directory] = listing
    return listings


def _changed_ns(listings: Listings, finished: Collection[str]) -> int:
    ended = [
        listing.files[name].mtime_ns for listing in listings.values() for name in finished if name in listing.files
    ]
    return max([*ended, *(listing.changed_ns for listing in listings.values())], default=0)


def _logs(listings: Listings) -> dict[str, list[str]]:
    return {
        directory: sorted(name for name in listing.files if name.endswith(".log") and sstable.is_transaction_log(name))
        for directory, listing in listings.items()
    }


def fingerprint_of(live: Mapping[Name, Mapping[str, Incarnation]]) -> str:
    """Return the fingerprint of what is live: by each Data.db, which is written once, whatever else is rewritten."""
    return fingerprint(
        {
            os.path.join(directory, stem): files[stem + sstable.DATA]
            for (directory, stem), files in live.items()
            if stem + sstable.DATA in files
        }
    )
