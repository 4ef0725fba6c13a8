"""Compare a table's history with its disk, and act on what no transaction explains."""

import logging
import os
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from tablesnap.capture.listing import Listing
from tablesnap.daemon.holding import Doing, Holder
from tablesnap.daemon.settings import Settings
from tablesnap.daemon.table import Part, Parts, Table
from tablesnap.live.look import Listings, TableLook, look_at_table
from tablesnap.live.witness import ADDITION_RANK, Witness
from tablesnap.rules import sstable
from tablesnap.rules.incarnation import Incarnation
from tablesnap.rules.place import place_of
from tablesnap.rules.txnlog import REPLACING, TAKES_ROWS_AWAY, Kind, dead
from tablesnap.rules.view import Name, Sstable
from tablesnap.units import spell_count

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 60.0  # at most between two looks at an sstable that does not become complete


class Reconciler:
    """Finds what came and went without a transaction. Used by the daemon's one thread alone."""

    def __init__(self, settings: Settings, witness: Witness, holder: Holder, doing: Doing) -> None:
        self._settings = settings
        self._witness = witness
        self._holder = holder
        self._doing = doing
        self._tries: dict[Name, int] = {}

    def look(self, table: Table) -> tuple[TableLook, Listings] | None:
        """Look at the directories of *table* that are there; None if one cannot be listed, or is not the right one."""
        gone = table.absent | table.leaving
        looked = look_at_table(
            [path for path in table.directories if path not in gone],
            lambda path: self._doing.list_directory(table.directories[path]),
            self._witness,
            self._settings.selection,
        )
        for path, listing in looked[1].items() if looked is not None else ():
            if not self._is_on_its_disk(table, path, listing):
                self.miss(table, path)
                looked = None
        if looked is not None:
            table.seen = _data_of(looked[1])
        return looked

    def _is_on_its_disk(self, table: Table, path: str, listing: Listing) -> bool:
        """Say whether *path* is on the disk it was on, or on another one with the same sstables: they were moved."""
        if table.disks.get(path, listing.disk) == listing.disk:
            return True
        live = [one for one in table.history.live if one.directory == path]
        if not live or not all(_is_moved(table, one, listing) for one in live):
            return False
        log.info("%s: the sstables of %s are in %s now", table.name, path, listing.disk.real)
        table.disks[path] = listing.disk
        for one in live:
            # They are other inodes, and the same lives.
            for part in table.parts[one].parts.values() if one in table.parts else ():
                here = listing.files.get(part.name)
                if here is not None and here.same_as(replace(part.incarnation, inode=None)):
                    part.incarnation = here
        return True

    def note_disks(self, table: Table, listings: Listings) -> None:
        """Remember where each directory was."""
        for path, listing in listings.items():
            table.disks.setdefault(path, listing.disk)

    def question_suspects(self, table: Table, now: float) -> None:
        """Ask the logs, and if they do not know the disk, about what nothing explained in time."""
        due = [name for name, since in table.suspects.items() if now - since >= self._doing.timing.suspect]
        if not due:
            return
        if not table.begun:
            table.look_at = now
            table.suspects.clear()
            return
        written = dead(self._witness.look(dict.fromkeys(table.directories, ())).transactions)
        for name in due:
            if name in written:
                del table.suspects[name]  # an open transaction is at it
        if any(name not in written for name in due):
            self.reconcile(table)

    def misses_something(self, table: Table, look: TableLook) -> bool:
        """Note what the disk has and the history has not, and the other way; return whether something is missed."""
        now = self._doing.now()
        live = {one.name for one in table.history.live}
        gone = (live - look.live.keys()) | reborn(table, look)
        for name in gone | (look.live.keys() - live):
            table.suspects.setdefault(name, now)
        if gone:
            table.doubt(min(now, *(table.suspects[name] for name in gone)))
        elif not table.absent and not table.missed:
            table.doubted = None
        return bool(gone)

    def reconcile(self, table: Table) -> None:
        """Compare the disk with the history, and act on what has stood still for long enough."""
        now, before = self._doing.now(), self._doing.stamps()
        if not table.history.is_up_to_date:
            table.look_at = now + self._doing.timing.suspect  # a transaction is told that is not taken in yet
            return
        self._find_again(table)
        looked = self.look(table)
        if looked is None:
            table.look_at = now + self._doing.timing.suspect
            return
        look, listings = looked
        at = look.moment(before, self._doing.stamps())
        self.misses_something(table, look)
        others = reborn(table, look)
        live = {one.name for one in table.history.live}
        ripe = {name for name, since in table.suspects.items() if now - since >= self._doing.timing.suspect}
        lacking = {name for name in (live - look.live.keys()) | others if name[0] not in table.absent}
        if table.missed and not lacking <= ripe:
            # What was missed explains what is gone, and is forgotten with it: so all of that must have stood still.
            table.look_at = now + self._doing.timing.suspect
            return
        for name in ripe - others:
            if (name in live) == (name in look.live):
                self._put_off(table, name, look, now)
        gone = lacking & ripe
        new = (look.live.keys() - live) & ripe
        missed, table.missed = table.missed, []
        truncated, table.truncated = table.truncated, set()
        unknown = [operation for operation in missed if operation not in REPLACING]
        if gone and missed and not unknown and not others:
            self._infer_replacement(table, look, new, gone, at)
        elif gone and not others and {name[0] for name in gone} <= truncated and failing_disk(table, gone) is None:
            additions = [operation for operation in unknown if operation not in TAKES_ROWS_AWAY]
            self._infer_truncation(table, look, gone, at, unseen=len(additions) > len(new))
        elif gone or len(unknown) > len(new):
            self._heed_gone(table, look, gone, at)
        elif new:
            self._import(table, look, new, at)
        if missed:
            self.misses_something(table, look)  # what was missed is taken in: is there a doubt left?
        self._holder.note_moved(table, look)
        self.note_disks(table, listings)

    def _put_off(self, table: Table, name: Name, look: TableLook, now: float) -> None:
        del table.suspects[name]
        if name in look.arriving:
            tries = self._tries[name] = self._tries.get(name, 0) + 1
            table.suspects[name] = now + min(2.0**tries, PATIENCE_SECONDS)
        else:
            self._tries.pop(name, None)

    def _import(self, table: Table, look: TableLook, new: Collection[Name], at: datetime) -> None:
        """Take in sstables that came without a transaction, as ``nodetool import`` brings them."""
        log.info("%s: %s without a transaction, as by nodetool import", table.name, spell_count(len(new), "sstable"))
        now = self._doing.now()
        # What was flushed since they were there must not be in a view without them; but what is recorded stays.
        since = max(min([now, *(table.suspects[name] for name in new)]), table.last_index or 0.0)
        if table.doubted is not None:
            since = min(since, table.doubted)
        for name in new:
            del table.suspects[name]
        indexes = [] if all(place_of(directory).index for directory, _ in new) else table.indexes
        brought = table.history.commit(
            sorted(new), (), Kind.ADDITION, at=at, now=now, indexes=indexes, waits=False, since=since
        )
        self._holder.expect(table)
        for one in brought:
            parts = table.parts[one] = Parts(one)
            parts.parts = {name: Part(name, incarnation) for name, incarnation in look.live[one.name].items()}
            self._holder.pin(table, parts, ADDITION_RANK)
            self._holder.store(table, parts)

    def _infer_replacement(
        self, table: Table, look: TableLook, new: Collection[Name], gone: Collection[Name], at: datetime
    ) -> None:
        """Take in compactions whose logs were missed: rows only changed places.

        What is new joins as an addition. That brings no row into the view, for its rows are those of what is gone; and
        if one of them came by an import, it is not lost.
        """
        log.warning("%s: going by the directory, as the log of a compaction was missed", table.name)
        if new:
            self._import(table, look, new, at)
        for name in gone:
            table.suspects.pop(name, None)
        table.history.commit((), gone, Kind.REMOVAL, at=at, now=self._doing.now())
        self._holder.stir(table)

    def _infer_truncation(
        self, table: Table, look: TableLook, gone: Collection[Name], at: datetime, *, unseen: bool
    ) -> None:
        """Take in a truncate or drop whose log was missed: there was one, so no disk was lost."""
        log.warning(
            "%s: %s removed by a truncate or drop, going by the directory, as its log was missed",
            table.name,
            spell_count(len(gone), "sstable"),
        )
        if unseen:
            log.error("%s: sstables came and went unseen: there is no restore point with their rows", table.name)
        for name in table.suspects.keys() & {*gone, *look.live}:
            del table.suspects[name]
        self.look_anew(table, look.live, anew=(), at=at)

    def note_truncated(self, table: Table, directories: Collection[str]) -> None:
        """Note that a transaction which cannot be taken in has taken rows from these *directories* of *table*."""
        table.truncated |= set(directories)
        for directory in table.absent & table.truncated:
            self._take_up(table, directory)  # it was missed, and this is why

    def _heed_gone(self, table: Table, look: TableLook, gone: Collection[Name], at: datetime) -> None:
        """Sstables went without a transaction."""
        emptied = {directory for directory, _ in gone} - {directory for directory, _ in look.live}
        for directory in emptied:
            self.miss(table, directory)
        if not gone or any(directory not in emptied for directory, _ in gone):
            self.say_unexplained(table, [name for name in gone if name[0] not in emptied])
            kept = [one.name for one in table.history.live if one.directory in emptied]
            self.look_anew(table, [*look.live, *kept], anew=reborn(table, look), at=at)
            table.base_wanted = "sstables went without a transaction"
        for name in gone:
            table.suspects.pop(name, None)
        self._holder.stir(table)

    def look_anew(self, table: Table, live: Collection[Name], *, anew: Collection[Name], at: datetime) -> None:
        """Go on from what is on the disk. What was added since something was gone is in the base that follows."""
        if table.doubted is not None:
            table.history.take_back(table.doubted)
        table.doubted = None
        table.history.look(live, at=at, now=self._doing.now(), anew=anew, indexes=table.indexes)
        self._holder.stir(table)

    def say_unexplained(self, table: Table, names: Collection[Name]) -> None:
        """Say that sstables went without a transaction."""
        table.unexplained.update(os.path.join(directory, stem) for directory, stem in names)
        log.error(
            "%s: %s without a transaction that could be read%s; was something restored or copied by hand? "
            "There is no restore point until a base is stored",
            table.name,
            f"{spell_count(len(names), 'sstable')} went" if names else "sstables came or went",
            f" ({', '.join(stem[:-1] for _, stem in sorted(names)[:5])})" if names else "",
        )

    def miss(self, table: Table, directory: str) -> None:
        """Say that sstables are gone without a transaction; no restore point is taken of that."""
        if directory in table.absent:
            return
        table.absent.add(directory)
        table.doubt(self._doing.now())
        lost = sum(one.directory == directory for one in table.history.live)
        log.error(
            "%s: %s gone from %s without a transaction; was it unmounted, removed, lost with its disk, truncated "
            "unseen, or another disk mounted, or does a link lead elsewhere? No restore point is taken until they are "
            "back, or others are there; the last one stays. If the new disk or the link is right, send HUP",
            table.name,
            spell_count(lost, "live sstable") if lost else "all sstables of the newest restore point are",
            directory,
        )

    def _find_again(self, table: Table) -> None:
        for directory in list(table.absent):
            if directory not in table.directories:
                continue
            listing = self._doing.list_directory(table.directories[directory])
            if listing is None or not self._is_on_its_disk(table, directory, listing):
                continue
            if any(sstable.parse(name) is not None for name in listing.files):
                self._take_up(table, directory)
                log.info("%s: there are sstables in %s again", table.name, directory)

    def _take_up(self, table: Table, directory: str) -> None:
        """Look at an absent *directory* again, and at once at what it lacks: no index may mix what was and what is."""
        table.absent.discard(directory)
        ripe = self._doing.now() - self._doing.timing.suspect
        table.suspects |= {one.name: ripe for one in table.history.live if one.directory == directory}


def _data_of(listings: Listings) -> dict[str, Incarnation]:
    """Return the Data.db files that are listed, by path."""
    return {
        os.path.join(directory, name): one
        for directory, listing in listings.items()
        for name, one in listing.files.items()
        if name.endswith(sstable.DATA)
    }


def _is_moved(table: Table, one: Sstable, listing: Listing) -> bool:
    """Say whether the *listing* of another directory has this very sstable: by name, size and modification time."""
    name = one.stem + sstable.DATA
    here, parts = listing.files.get(name), table.parts.get(one)
    if parts is not None and name in parts.parts:
        known: Incarnation | None = parts.parts[name].incarnation
    else:
        known = table.seen.get(os.path.join(one.directory, name))  # compaction made it: it is not needed
    return here is not None and known is not None and here.same_as(replace(known, inode=None))


def reborn(table: Table, look: TableLook) -> set[Name]:
    """Return the names of live sstables under which the disk has others."""
    found = set()
    for one in table.history.live:
        parts, files = table.parts.get(one), look.live.get(one.name)
        if parts is not None and files is not None and not parts.is_of(files.get(one.stem + sstable.DATA)):
            found.add(one.name)
    return found


def failing_disk(table: Table, removed: Collection[Name]) -> str | None:
    """Return the one data directory of which all sstables were removed while others keep theirs.

    Cassandra lets go of a disk that it cannot read (``disk_failure_policy: best_effort``) by a transaction that
    looks like a truncate's; but a truncate takes from all data directories at once.
    """
    directories = {directory for directory, _ in removed}
    if len(directories) != 1 or any(place_of(directory).index for directory in directories):
        return None
    left = {one.name for one in table.history.live} - set(removed)
    elsewhere = {directory for directory, _ in left if not place_of(directory).index}
    return directories.pop() if elsewhere and not elsewhere & directories else None
