"""When a table's restore point is due, and what it says."""

import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from tablesnap.daemon.directory import Directory
from tablesnap.daemon.intake import Intake
from tablesnap.daemon.messages import Recorded
from tablesnap.daemon.recording import AGAIN_SECONDS, AT_THE_LATEST_SECONDS, BACKLOG_SECONDS
from tablesnap.daemon.settings import Settings
from tablesnap.daemon.stamping import held_to
from tablesnap.daemon.table import Table
from tablesnap.daemon.tables import Tables
from tablesnap.live.look import Listings, Looked, fingerprint_of
from tablesnap.rules import history, sstable
from tablesnap.rules.index import FORMAT, Index, StoredFile, names_for_1x
from tablesnap.rules.index_parts import join, project
from tablesnap.rules.keys import Keys, plain_of
from tablesnap.rules.late import merged
from tablesnap.rules.retention import GRACE_SECONDS
from tablesnap.rules.view import View

log = logging.getLogger(__name__)

REST_SECONDS = 60.0  # how long nothing but compaction must happen before an index says what is live
NEXT_AGAIN_SECONDS = GRACE_SECONDS / 4  # how often is said what a base that is being stored has stored by then
SMALL_INDEX = 64 << 10  # bytes; a larger one is written less often
BYTES_PER_FILE = 55  # in an index, besides the name, which stands there twice
SHARE = 100  # an index is due once so many times its size was stored since the last one


def is_due(table: Table, now: float, index_interval: float) -> bool:
    """Say whether it is time to record *table*."""
    if not table.begun or table.index_in_flight or table.absent or now < table.record_at:
        return False
    if table.history.is_ending(now):
        return True
    if _is_next_due(table, now):
        return True
    if table.changed_since is None and table.live_moved is not None:
        # So that a start after a crash finds the same, and need not take a base.
        waited = now - max(table.live_moved, table.last_index or 0.0)
        return waited >= max(REST_SECONDS, stretched(index_interval, table.index_size))
    if table.changed_since is None:
        return table.last_index is not None and now - table.last_index >= AGAIN_SECONDS
    last = table.last_index
    if table.history.view(now) is None:
        patience = BACKLOG_SECONDS if table.has_backlog() else AT_THE_LATEST_SECONDS
        return now - max(table.changed_since, last or 0.0) >= patience
    if any(directory.pending for directory in table.directories.values()):
        return now - table.changed_since >= AT_THE_LATEST_SECONDS
    if last is None or now - last >= stretched(index_interval, table.index_size):
        return True
    return table.index_size > SMALL_INDEX and table.stored_bytes >= SHARE * table.index_size


def has_changed(table: Table, now: float) -> bool:
    """Say whether the view is another one than is recorded."""
    return table.changed_since is not None or table.history.is_ending(now)


def has_news(table: Table, now: float) -> bool:
    """Say whether a last index, at a stop, could tell anything that the newest does not.

    Where there is nothing, a look can be spared: with hundreds of tables they would take longer than a stop may.
    What came unheard, in the last moments, the next start finds, as its look does not agree with ``live`` then.
    """
    untold = has_changed(table, now) or table.live_moved is not None or table.history.next is not None
    doubtful = table.doubted is not None or bool(table.suspects)
    can_be_resumed = table.newest is not None and table.newest.live
    return untold or doubtful or not can_be_resumed


def _is_next_due(table: Table, now: float) -> bool:
    """Say whether an index must tell of the base that is being stored: a purge may take what no index names."""
    base = table.history.next
    if base is None or now - base.begun < AT_THE_LATEST_SECONDS:
        return False
    return table.next_at < base.begun or now - table.next_at >= NEXT_AGAIN_SECONDS


def stretched(interval: float, size: int) -> float:
    """Return how many seconds lie between two indexes of so many bytes: the larger, the longer, to five minutes."""
    return min(max(BACKLOG_SECONDS, interval), interval * max(1.0, size / SMALL_INDEX))


def size_of_index(names: Iterable[str]) -> int:
    """Return about how many bytes an index of files with these *names* has."""
    return sum(BYTES_PER_FILE + 2 * len(name) for name in names)


def stir(table: Table, now: float) -> None:
    """See whether the view is another one than was recorded."""
    if not table.stirred:
        return
    table.stirred = not table.history.is_settled(now)
    view = table.history.view(now)
    if view is None or view != table.recorded:
        table.note_change(now)


class TableRecorder:
    """Says what a table's next restore point holds. Used by the daemon's one thread alone."""

    def __init__(
        self,
        settings: Settings,
        keys: Keys,
        tables: Tables,
        intake: Intake,
        submit: Callable[[tuple[Index, ...]], None],
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._tables = tables
        self._intake = intake
        self._submit = submit

    def record(self, table: Table, *, at_stop: bool = False) -> None:
        """Look at *table* and have its restore point written."""
        looked = self.look(table, at_stop=at_stop)
        if looked is not None:
            self.write(table, looked, at_stop=at_stop)

    def look(self, table: Table, *, at_stop: bool = False) -> Looked | None:
        """Look at *table*; return what a restore point may be made of, or None if none can be made now."""
        now, seen_at = self._tables.now(), self._tables.stamps()
        table.record_at = now + self._tables.timing.record_again
        looked = self._tables.reconciler.look(table)
        if looked is None:
            return None
        look, listings = looked
        # What is missed may be gone without a cause, and what there is more a flush whose log nobody could read, with
        # later ones in the view already: it is looked into first. At a stop there is no time, and nobody hears what
        # Cassandra goes on to do; but a directory may not be empty then either.
        differs = self._tables.reconciler.misses_something(table, look) or look.has_more_than(table.history)
        differs = differs or bool(table.missed)
        if differs and not (at_stop and look.keeps_all_of(table.history)):
            return None
        if table.doubted is not None:
            # Only at a stop: what came after sstables had gone is not of one view with them.
            table.history.take_back(table.doubted)
        if look.has_more_than(table.history):
            # Only at a stop, too: what was added after those came would be in a view without them, and nobody knows
            # when that was. What is recorded stays.
            table.history.take_back(table.last_index or 0.0)
        for path, listing in listings.items():
            directory = table.directories[path]
            for name in self._intake.unknown(directory, listing):
                self._intake.take(directory, name, finished=False)
        return Looked(look, listings, seen_at, now)

    def write(
        self,
        table: Table,
        looked: Looked,
        *,
        by: datetime | None = None,
        known_at: datetime | None = None,
        at_stop: bool = False,
    ) -> None:
        """Have the restore point of *table* written; with *by* what was its view at that moment.

        With *known_at* it is written, though it says nothing new, where the newest is not known to be true until then.
        """
        now = looked.now
        at_rest = at_stop or (table.changed_since is None and table.live_moved is not None)
        indexes = self.compose(table, looked, by=by, known_at=known_at, at_rest=at_rest)
        table.next_at, table.record_at = now, 0.0
        ending = table.history.is_ending(now)
        table.recorded = table.history.view(now, by)
        table.stirred |= by is not None  # there may be more in the view
        table.changed_since, table.live_moved, table.stored_bytes = None, None, 0
        if indexes or table.newest is not None:  # the first restore point of a table that was empty waits for nothing
            table.last_index = now
        if indexes and self._settings.with_index:
            table.index_in_flight, table.ending = True, ending
            self._submit(indexes)
        elif ending:
            self._tables.end_epoch(table)

    def recorded(self, table: Table, recorded: Recorded) -> None:
        """Take in that a restore point of *table* is stored."""
        first = recorded.indexes[0]
        table.index_in_flight = False
        table.newest = first
        table.unexplained -= {os.path.join(first.directory, stem) for stem in first.unexplained}
        table.index_size = size_of_index(name for files in (first.files, *first.others.values()) for name in files)
        named = frozenset(first.keys(self._keys.below(first.directory)))
        for index in recorded.indexes:
            directory = table.directories.get(index.directory)
            if directory is not None:
                part = project(first, index.directory) if first.others else first
                directory.newest, directory.named = replace(part, names=index.names), named
        log.debug("recorded %s: %d files, %d missing", recorded.keys[0], len(first.files), len(first.missing))
        if table.ending:
            table.ending = False
            self._tables.end_epoch(table)

    def taken_at(self, table: Table, chosen: View, seen_at: datetime) -> datetime:
        """Return the moment that a restore point of the *chosen* view is of."""
        newest, latest = table.newest, self._tables.stamps.latest()
        taken_at = held_to(chosen.taken_at, latest, seen_at)
        if newest is not None and newest.taken_at is not None and newest.taken_at <= latest:
            # It does not go back where the clock does. But a clock that was ahead once must not hold it up for ever.
            taken_at = max(taken_at, newest.taken_at)
        return taken_at

    def compose(
        self, table: Table, looked: Looked, *, by: datetime | None, known_at: datetime | None, at_rest: bool
    ) -> tuple[Index, ...]:
        """Return the indexes of all directories, the first with the files of all; none if there is nothing new.

        Each sstable of a view is stored: whoever sees an index can restore all it names.
        """
        look, listings, seen_at, now = looked.look, looked.listings, looked.seen_at, looked.now
        view = table.history.view(now, by)
        chosen = view or table.history.unfinished()
        assert chosen is not None, "there is a view, or one on its way"
        directories = sorted(table.directories.values(), key=lambda one: (one is not table.first, one.path))
        newest = table.newest
        taken_at = self.taken_at(table, chosen, seen_at)
        parts = [self._part(table, directory, chosen, listings, is_view=view is not None) for directory in directories]
        live = {one.name for one in table.history.live}
        # A start that finds the same goes on from this view: not if there is a doubt that it is all there is.
        is_present = table.history.is_present(now) and live == look.live.keys() and table.doubted is None
        is_present = is_present and view == table.history.view(now)
        until = known_until(
            taken_at,
            seen_at,
            table.history.lacks_since(now, by),
            holds_all=live == look.live.keys() and table.doubted is None,
        )
        parts = [replace(part, taken_at=taken_at, seen_at=seen_at, until=until) for part in parts]
        first = replace(
            join(parts),
            next=self._next(table, chosen),
            live=fingerprint_of(look.live) if is_present else "",
            covers=tuple(sorted(table.directories)),
            behind=chosen.behind,
            late=merged([*(newest.late if newest is not None else ()), *table.history.late]),
        )
        if not first.files and not any(first.others.values()) and (view is None or newest is None):
            return ()  # only after a restore point with something in it does one without say anything
        is_told = newest is not None and _says_the_same(first, newest, at_rest=at_rest)
        if newest is not None and is_told and not self._is_old(newest, seen_at, known_at):
            return ()
        return (first, *(replace(part, covers=first.covers) for part in parts[1:]))

    def _part(self, table: Table, directory: Directory, chosen: View, listings: Listings, *, is_view: bool) -> Index:
        """Return what one directory has of the restore point."""
        files: dict[str, StoredFile] = {}
        missing: list[str] = []
        pending: list[str] = []
        for one in sorted(chosen.sstables):
            if one.directory != directory.path:
                continue
            for name, part in sorted(table.parts[one].parts.items()):
                if part.stored is not None:
                    files[name] = part.stored
                elif not is_view:
                    missing.append(name)
                    pending += [name] if part.queued else []
        listing = listings.get(directory.path)
        for name, here in sorted((listing.files if listing else {}).items()):
            if sstable.parse(name) is not None or not history.is_backed_up(
                directory.path, name, self._settings.selection
            ):
                continue
            stored = directory.recall(name, here)
            if stored is not None and name not in directory.pending:
                files[name] = stored.file
            else:
                missing.append(name)
                pending += [name] if name in directory.pending else []
        return Index(
            directory=directory.path,
            names=names_for_1x(files, self._keys.below(directory.path), directory.newest),
            files=files,
            missing=tuple(missing),
            pending=tuple(pending),
            unexplained=tuple(
                sorted(stem for parent, stem in map(os.path.split, table.unexplained) if parent == directory.path)
            ),
            node=self._settings.node,
        )

    def _next(self, table: Table, chosen: View) -> tuple[str, ...]:
        """Return the keys that later restore points will name, as far as they are known: no purge may take them."""
        keys: set[str] = set()
        awaited: set[str] = set()
        for one in table.needed:
            parts = table.parts.get(one)
            for part in parts.parts.values() if parts is not None else ():
                if part.stored is None:
                    awaited.add(self._keys.plain(os.path.join(one.directory, part.name)))
                elif one not in chosen.sstables:
                    keys.add(part.stored.key)
        if awaited:
            named = frozenset().union(*(directory.named for directory in table.directories.values()))
            keys |= {key for key in named if {key, plain_of(key)} & awaited}
        return tuple(sorted(keys))

    def _is_old(self, newest: Index, seen_at: datetime, known_at: datetime | None) -> bool:
        if known_at is not None and (newest.until is None or newest.until < known_at):
            return True
        return newest.seen_at is None or (seen_at - newest.seen_at).total_seconds() >= AGAIN_SECONDS


def known_until(taken_at: datetime, seen_at: datetime, lacks_since: datetime | None, *, holds_all: bool) -> datetime:
    """Return up to when no commit is known that the view lacks.

    Up to the moment before the look (*seen_at*), as what was committed by then is on the disk, and the history knows of
    all that is there. With commits that the view still lacks, up to just before the first of them. Where the history
    does not know of all that is there, as may be at a stop, nobody knows since when.
    """
    if not holds_all:
        return taken_at
    before = lacks_since - timedelta(microseconds=1) if lacks_since is not None else seen_at
    return max(taken_at, min(before, seen_at))


def _says_the_same(index: Index, newest: Index, *, at_rest: bool) -> bool:
    # What is live changes with every compaction. It is written at rest and at a stop: the next start goes on from it.
    return (
        newest.format == FORMAT
        and index.files == newest.files
        and index.others == newest.others
        and index.missing == newest.missing
        and index.pending == newest.pending
        and index.next == newest.next
        and index.taken_at == newest.taken_at
        and index.behind == newest.behind
        and index.late == newest.late
        and (not at_rest or index.live in ("", newest.live))
    )
