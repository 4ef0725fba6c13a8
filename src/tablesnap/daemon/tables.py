"""Cassandra's tables: which directories are whose, and what is due for each."""

import logging
import os
from collections.abc import Iterable, Mapping

from tablesnap.capture.pin import Pins
from tablesnap.daemon.bases import Bases
from tablesnap.daemon.beginning import Beginner
from tablesnap.daemon.directory import Directory
from tablesnap.daemon.following import Follower
from tablesnap.daemon.holding import Doing, Holder
from tablesnap.daemon.reconciling import Reconciler
from tablesnap.daemon.settings import Settings
from tablesnap.daemon.stamping import StampClock
from tablesnap.daemon.table import Table, new_history
from tablesnap.daemon.timing import Timing
from tablesnap.live.events import IndexLog, LogGone
from tablesnap.live.witness import Witness
from tablesnap.rules import history, sstable
from tablesnap.rules.keys import Keys
from tablesnap.rules.lifecycle import Lifecycle, lifecycle_of
from tablesnap.rules.place import is_copies_of, is_scratch, is_within, place_of
from tablesnap.rules.txnlog import REPLACING, TAKES_ROWS_AWAY
from tablesnap.rules.view import History

log = logging.getLogger(__name__)


class Tables:
    """Every table. Used by the daemon's one thread alone."""

    def __init__(self, settings: Settings, keys: Keys, witness: Witness, pins: Pins, doing: Doing) -> None:
        self._settings = settings
        self._doing = doing
        self.timing = doing.timing
        self._holder = Holder(settings, pins, doing)
        self._reconciler = Reconciler(settings, witness, self._holder, doing)
        self._bases = Bases(settings, self._holder, self._reconciler, doing)
        self.beginner = Beginner(settings, keys, self._holder, self._reconciler, self._gather, doing)
        self.follower = Follower(settings, pins, self._holder, self._reconciler, doing)
        self._left_out: set[str] = set()
        self._hidden: dict[str, set[str]] = {}
        self._watched: dict[str, dict[str, Directory]] = {}  # by the table that each would be one of, and path
        self._early: dict[str, History] = {}  # of tables whose indexes were heard of first
        self.tables: dict[str, Table] = {}

    def now(self) -> float:
        """Return monotonic seconds."""
        return self._doing.now()

    @property
    def stamps(self) -> StampClock:
        """The moments that restore points are stamped with."""
        return self._doing.stamps

    @property
    def holder(self) -> Holder:
        """Who has sstables stored."""
        return self._holder

    @property
    def reconciler(self) -> Reconciler:
        """Who looks at tables."""
        return self._reconciler

    def recognise(self, directory: Directory, names: Iterable[str]) -> None:
        """Make *directory* a table's if one of the *names* in it says that Cassandra keeps its transactions there."""
        place = place_of(directory.path)
        if place.copies:
            directory.listed, directory.strict = True, True
            directory.quiet = quiet_of_copies(directory.path, names, self.timing)
        elif is_scratch(directory.path) or not history.takes_sstables_of(directory.path, self._settings.selection):
            # A view of nothing would say that the table is empty, beside the daemon that backs it up.
            directory.listed = True
        if directory.table is not None or directory.listed:
            return
        names = list(names)
        directory.locked = any(name.endswith(".lockfile") and sstable.is_lock(name) for name in names)
        lifecycle = lifecycle_of(names)
        if lifecycle in (Lifecycle.SCYLLA, Lifecycle.UNLOGGED):
            directory.quiet, directory.strict = self.timing.suspect, True
            directory.listed = lifecycle is Lifecycle.SCYLLA
        if lifecycle is Lifecycle.LOGGED:
            directory.table = place.table
            if place.table not in self.tables:
                known = self._early.pop(place.table, None) or new_history(self.timing)
                self.tables[place.table] = Table(place.table, history=known)
            table = self.tables[place.table]
            table.hidden |= self._hidden.get(place.table, set())
            table.directories[directory.path] = directory
            table.leaving.discard(directory.path)
            if not table.begun and not directory.found_at:
                # The look at start. Where it finds nothing of Cassandra's, all that does later came after the start.
                table.found[directory.path] = frozenset(names)
            if table.begun and table.newest is not None:
                directory.named = table.first.named
            table.look_at = self._doing.now()

    def note_watched(self, directory: Directory) -> None:
        """Take in that *directory* is watched: an index's may see its first flush any moment."""
        path = directory.path
        place = place_of(path)
        if place.copies:
            return
        self._watched.setdefault(place.table, {})[path] = directory
        if place.index:
            self._hidden.setdefault(place.table, set()).add(path)
            if place.table in self.tables:
                self.tables[place.table].hidden.add(path)

    def _gather(self, table: Table) -> bool:
        """Look at the table's directories of which nothing was heard yet; return whether one is the table's now."""
        before = len(table.directories)
        for directory in list(self._watched.get(table.name, {}).values()):
            if directory.table is None and not directory.listed:
                self._doing.list_directory(directory)  # which recognises it
        return len(table.directories) > before

    def is_left_out(self, path: str, known: Mapping[str, Directory]) -> bool:
        """Say whether the directory at *path* holds copies, whose bytes are stored already, and nobody asked for it."""
        above = os.path.dirname(path)
        if not (above in self._left_out or is_copies_of(path, parent_holds_sstables=_holds_sstables(known.get(above)))):
            return False
        if history.takes_copies_in(path, self._settings.paths, self._settings.selection):
            return False
        self._left_out.add(path)
        return True

    def try_again(self, table: Table) -> None:
        """Try again what was given up, and believe the disks that are there now."""
        table.disks.clear()
        self._holder.expect(table)
        for parts in table.parts.values():
            if parts.sstable in table.needed and any(part.given_up for part in parts.parts.values()):
                self._holder.store(table, parts)

    def end_epoch(self, table: Table) -> None:
        """Take in that the last view of an epoch is recorded."""
        table.history.recorded()
        self._holder.stir(table)

    def table_of(self, directory: Directory | None) -> Table | None:
        """Return the table that *directory* is one of."""
        return self.tables.get(directory.table) if directory is not None and directory.table is not None else None

    def leave(self, directory: Directory) -> None:
        """Take in that *directory* is gone: a table that was dropped is forgotten, any other is missed."""
        place = place_of(directory.path)
        self._watched.get(place.table, {}).pop(directory.path, None)
        self._hidden.get(place.table, set()).discard(directory.path)
        if place.table in self.tables:
            self.tables[place.table].hidden.discard(directory.path)
        table = self.table_of(directory)
        if table is None:
            return
        holds = any(one.directory == directory.path for one in table.history.live) or not table.begun
        if not holds or directory.path in table.truncated:
            self._await_last_point(table, directory.path)
        elif table.begun:
            table.vanished.setdefault(directory.path, self._doing.now())
            table.doubt(self._doing.now())
        else:
            self._reconciler.miss(table, directory.path)

    def _await_last_point(self, table: Table, path: str) -> None:
        # What a truncate or drop has taken away is in the table's last restore point, and may yet be on its way there.
        table.leaving.add(path)
        self._holder.stir(table)

    def heed_index_log(self, log: IndexLog) -> None:
        """Take in that a secondary index is flushed: what its table flushed waits for it."""
        name = place_of(log.directory).table
        table = self.tables.get(name)
        if table is None and not log.is_open and name not in self._early:
            return  # of a table that was dropped
        history = table.history if table is not None else self._early.setdefault(name, new_history(self.timing))
        history.note_index_log(log.directory, log.name, is_open=log.is_open, now=self._doing.now())
        if table is not None:
            self._holder.stir(table)

    def heed_log_gone(self, table: Table, gone: LogGone) -> None:
        """Take in that a transaction ended unread: undone by Cassandra, or missed by us."""
        now = self._doing.now()
        table.look_at = now + self.timing.suspect
        if gone.opened or (table.begun and gone.seen_at < table.looked_at):
            return
        operation = sstable.operation_of(gone.name)
        if operation in TAKES_ROWS_AWAY:
            self._reconciler.note_truncated(table, {gone.directory})
        if not table.begun:
            return
        log.warning("%s was gone before it could be read", os.path.join(gone.directory, gone.name))
        table.missed.append(operation)
        if operation not in REPLACING:
            table.doubt(now)  # what is added from now on may come after rows that were missed

    def tick(self, now: float) -> None:
        """Do what has become due."""
        for table in list(self.tables.values()):
            if table.look_at is not None and now >= table.look_at and table.begun:
                table.look_at = None
                self._reconciler.reconcile(table)
            if table.absent and table.look_at is None:
                table.look_at = now + self.timing.absent_every  # nothing announces a disk that is mounted again
            if table.suspects:
                self._reconciler.question_suspects(table, now)
            if table.vanished:
                self._miss_the_vanished(table, now)
            if table.moved:
                self._holder.look_at_moved(table, now)
            if table.begun:
                self._bases.settle(table, now)
            if table.untidy:
                self._holder.tidy(table)
            if table.leaving:
                self._let_leave(table, now)

    def _miss_the_vanished(self, table: Table, now: float) -> None:
        """Look at the directories that are back, on another disk perhaps, and say which have been gone for too long."""
        live = {one.directory for one in table.history.live}
        for path, since in list(table.vanished.items()):
            if path in self._watched.get(table.name, {}):
                table.look_at = now
            elif path not in live or path in table.truncated:
                self._await_last_point(table, path)
            elif now - since >= self.timing.moved:
                self._reconciler.miss(table, path)
            else:
                continue
            del table.vanished[path]

    def _let_leave(self, table: Table, now: float) -> None:
        """Forget the directories that are gone, with the last of them the table.

        Only once it is recorded that they hold nothing, and not before the directories of indexes that are in them: a
        drop takes the table's rows away and then those of its indexes. A directory that left in between would have
        them in its newest index for ever.
        """
        if table.index_in_flight:
            return
        held = {one.directory for one in (*table.needed, *table.parts)}
        going = {path for path in table.leaving - held if _is_recorded_as_empty(table.directories[path])}
        staying = table.directories.keys() - going
        going = {path for path in going if not any(is_within(other, path) for other in staying)}
        untold = table.stirred or table.changed_since is not None or table.history.is_ending(now)
        if untold and going == table.directories.keys():
            return
        for path in going:
            table.leaving.discard(path)
            del table.directories[path]
            table.disks.pop(path, None)
        if not table.directories:
            for parts in table.parts.values():
                self._holder.release(parts)
            del self.tables[table.name]


def _is_recorded_as_empty(directory: Directory) -> bool:
    return directory.newest is None or not directory.newest.files


def _holds_sstables(directory: Directory | None) -> bool:
    if directory is None:
        return False
    names = (*directory.found, *directory.stored, *directory.pending, *directory.left_alone)
    return directory.table is not None or any(sstable.parse(name) is not None for name in names)


def quiet_of_copies(directory: str, names: Iterable[str], timing: Timing) -> float:
    """Return for how long nothing must come to a snapshot or to backups/ before it is one restore point.

    A snapshot's last file is ``schema.cql``, before 3.0 and in system tables ``manifest.json``.
    """
    held = set(names)
    if "schema.cql" in held:
        return timing.quiet
    if "manifest.json" in held or "/snapshots/" not in directory:
        return timing.suspect
    return timing.snapshot
