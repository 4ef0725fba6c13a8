"""Follow Cassandra's transactions."""

import logging
import os
from collections.abc import Collection, Iterable, Mapping

from tablesnap.capture.listing import look_at_file
from tablesnap.capture.pin import Pin, Pins
from tablesnap.daemon.directory import Directory, Seen
from tablesnap.daemon.holding import Doing, Holder
from tablesnap.daemon.reconciling import Reconciler, failing_disk, reborn
from tablesnap.daemon.settings import Settings
from tablesnap.daemon.table import Part, Parts, Table
from tablesnap.live.events import Committed
from tablesnap.live.witness import ADDITION_RANK
from tablesnap.rules import history, sstable
from tablesnap.rules.place import place_of
from tablesnap.rules.txnlog import Kind
from tablesnap.rules.view import Name, Sstable
from tablesnap.units import spell_count, spell_utc
from tablesnap.watch.hints import FileHint, Happening

log = logging.getLogger(__name__)


class Follower:
    """Takes in what Cassandra does to its tables. Used by the daemon's one thread alone."""

    def __init__(self, settings: Settings, pins: Pins, holder: Holder, reconciler: Reconciler, doing: Doing) -> None:
        self._settings = settings
        self._pins = pins
        self._holder = holder
        self._reconciler = reconciler
        self._doing = doing

    def heed(self, table: Table, hint: FileHint) -> None:
        """Act on what the kernel said of a component."""
        component = sstable.parse(hint.name)
        if component is None or component.temporary:
            return
        name = (hint.directory, component.stem)
        now = self._doing.now()
        one = table.history.find(name)
        if hint.directory in table.absent and hint.happening is not Happening.GONE:
            table.look_at = now + self._doing.timing.suspect
        if not table.begun:
            self._note_unlooked(table.directories[hint.directory], hint)
        if one is None or not table.begun:
            if hint.happening is not Happening.GONE:
                table.suspects[name] = now
            return
        if hint.happening is Happening.GONE:
            table.suspects[name] = now
        elif one in table.needed and component.component not in sstable.WRITTEN_ONCE:
            table.moved[one, hint.name] = now

    def _note_unlooked(self, directory: Directory, hint: FileHint) -> None:
        """Keep what waits for the first look at the table: it may be long in coming, if the store does not answer."""
        if hint.happening is Happening.GONE:
            directory.unlooked.pop(hint.name, None)
        elif history.is_backed_up(directory.path, hint.name, self._settings.selection):
            here = look_at_file(os.path.join(directory.path, hint.name))
            known = directory.unlooked.get(hint.name)
            if here is not None:
                directory.unlooked[hint.name] = Seen(here.size, known.since if known else self._doing.now())

    def commit(self, table: Table, committed: Committed) -> None:
        """Take in a committed transaction."""
        transaction = committed.transaction
        if not table.begun:
            table.look_at = self._doing.now()
            if transaction.kind is Kind.TRUNCATION:
                self._reconciler.note_truncated(table, {directory for directory, _ in transaction.removed})
        if not table.begun or committed.read_at < table.looked_at or transaction.name in table.accounted:
            self._holder.release_all(committed.pins)
            return
        added = [one for one in transaction.added if self._is_ours(table, one) and _is_there(committed, one)]
        removed = [one for one in transaction.removed if self._is_ours(table, one)]
        if committed.read_at - table.look_ended < self._doing.timing.after_look:
            # It may have ended before the look, which has then not seen what it removed: nothing was lost.
            removed = [one for one in removed if table.history.find(one) is not None]
            added = [one for one in added if table.history.find(one) is None]
        if transaction.kind is Kind.TRUNCATION and (disk := failing_disk(table, removed)) is not None:
            self._reconciler.miss(table, disk)
            return
        others = self._expect_new(table, committed, added)
        if any(self._is_stuck(table, one) for one in removed):
            table.base_wanted = "what was left alone at start was compacted"
        kind = transaction.kind
        base, late = table.history.next, table.history.late
        new = table.history.commit(
            added,
            removed,
            kind,
            at=committed.at,
            now=self._doing.now(),
            indexes=() if place_of(committed.directory).index else table.indexes,
            waits=transaction.operation == "flush",
        )
        for one in set(table.history.late) - set(late):
            log.warning(
                "%s: index %s was flushed late: restore points from %s until %s may lack entries of it, and say so",
                table.name,
                one.index[1:],
                spell_utc(one.since),
                spell_utc(one.until),
            )
        for name in (*added, *removed):
            table.suspects.pop(name, None)
        if table.history.next is not None and table.history.next is not base:
            table.base_wanted = "what came before was taken away"
        if kind in (Kind.ADDITION, Kind.TRUNCATION):
            table.committed_at = self._doing.now()
        if kind is not Kind.ADDITION and table.live_moved is None:
            table.live_moved = self._doing.now()
        self._holder.expect(table)
        if kind is Kind.ADDITION:
            new = (*others, *new)
            self._take_in(table, new, committed.pins)
        self._holder.release_all(
            {name: pins for name, pins in committed.pins.items() if name not in {n.name for n in new}}
        )
        if kind is Kind.TRUNCATION:
            table.absent -= {directory for directory, _ in removed}  # this is why, though it was heard of late
            log.info("%s: %s removed by a truncate or drop", table.name, spell_count(len(removed), "sstable"))

    def _is_ours(self, table: Table, name: Name) -> bool:
        directory, stem = name
        return directory in table.directories and history.is_backed_up(
            directory, stem + sstable.DATA, self._settings.selection
        )

    def _expect_new(self, table: Table, committed: Committed, added: Collection[Name]) -> tuple[Sstable, ...]:
        """Where a name is live already, see whether another sstable has it now; return such, which are live then."""
        anew = {name for name in added if self._is_another(table, name, committed.pins.get(name, ()))}
        if not anew:
            return ()
        # What happened to one, on a node that was rebuilt say, has happened to more: only the disk tells to which.
        looked = self._reconciler.look(table)
        there = looked[0].live.keys() - reborn(table, looked[0]) if looked is not None else set()
        live = {one.name for one in table.history.live}
        self._reconciler.say_unexplained(table, anew | (live - there))
        self._reconciler.look_anew(table, anew | (live & there), anew=anew, at=committed.at)
        table.base_wanted = "an sstable was put in another's place"
        return tuple(one for one in table.history.live if one.name in anew)

    def _is_another(self, table: Table, name: Name, pins: Iterable[Pin]) -> bool:
        one = table.history.find(name)
        if one is None:
            return False
        directory, stem = name
        data = next((pin.incarnation for pin in pins if pin.path.endswith(sstable.DATA)), None)
        here = data or look_at_file(os.path.join(directory, stem + sstable.DATA))
        parts = table.parts.get(one)
        known = parts.parts.get(stem + sstable.DATA) if parts else None
        return here is not None and (known is None or not known.incarnation.same_as(here))

    def _is_stuck(self, table: Table, name: Name) -> bool:
        one = table.history.find(name)
        parts = table.parts.get(one) if one is not None else None
        return parts is not None and (parts.left_alone or any(part.given_up for part in parts.parts.values()))

    def _take_in(self, table: Table, new: Iterable[Sstable], pins: Mapping[Name, tuple[Pin, ...]]) -> None:
        """Store what an addition brought."""
        for one in new:
            parts = Parts(one)
            for pin in pins.get(one.name, ()):
                name = os.path.basename(pin.path)
                if history.is_backed_up(one.directory, name, self._settings.selection):
                    parts.parts[name] = Part(name, pin.incarnation, pin)
                else:
                    self._pins.release(pin)
            table.parts[one] = parts
            if parts.is_complete():
                self._holder.store(table, parts)
            else:
                self._complete(table, parts)

    def _complete(self, table: Table, parts: Parts) -> None:
        """Find the components of an addition that could not be held when it was committed."""
        one = parts.sstable
        listing = self._doing.list_directory(table.directories[one.directory])
        for name, incarnation in (listing.files if listing else {}).items():
            component = sstable.parse(name)
            if (
                component is not None
                and component.stem == one.stem
                and not component.temporary
                and history.is_backed_up(one.directory, name, self._settings.selection)
            ):
                parts.parts.setdefault(name, Part(name, incarnation))
        if not parts.is_complete():
            self._holder.lose(table, parts, "was gone before it could be read")
            return
        self._holder.pin(table, parts, ADDITION_RANK)
        self._holder.store(table, parts)


def _is_there(committed: Committed, one: Name) -> bool:
    """Say whether an sstable that was added ever had files: the log names those that turned out empty as well."""
    _, stem = one
    return sstable.is_complete([name[len(stem) :] for name in committed.brought.get(one, ())])
