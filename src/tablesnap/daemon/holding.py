"""Have stored what views are made of, and hold it until it is."""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tablesnap.capture.listing import Listing, look_at_file
from tablesnap.capture.pin import Pin, Pins
from tablesnap.daemon.directory import Directory
from tablesnap.daemon.messages import Protected, Task
from tablesnap.daemon.settings import Settings
from tablesnap.daemon.stamping import StampClock
from tablesnap.daemon.table import Part, Parts, Table
from tablesnap.daemon.timing import Timing
from tablesnap.errors import CannotRead, FileChanged, FileVanished, TablesnapError
from tablesnap.live.look import TableLook
from tablesnap.rules import history, sstable
from tablesnap.rules.view import Name, Sstable
from tablesnap.units import spell_size
from tablesnap.upload.pool import Cancelled

log = logging.getLogger(__name__)

# Which uploads go first.
ADDED, BASE, FOUND = 0, 1, 2


@dataclass(frozen=True)
class Doing:
    """What tables need of the daemon."""

    submit: Callable[[Task, tuple[int, ...]], None]
    turn: Callable[[str], int]
    list_directory: Callable[[Directory], Listing | None]
    now: Callable[[], float]
    stamps: StampClock
    announce: Callable[[Directory, str, int], None]
    let_go: Callable[[int], None]  # a file found at start, of so many bytes, is not waited for any more
    timing: Timing


class Holder:
    """Turns sstables into tasks, and takes in what became of them. Used by the daemon's one thread alone."""

    def __init__(self, settings: Settings, pins: Pins, doing: Doing) -> None:
        self._settings = settings
        self._pins = pins
        self._doing = doing

    def finish(self, table: Table | None, task: Task, result: Protected | TablesnapError) -> bool:
        """Take in what became of a component's upload; return whether all of its sstable is stored."""
        parts = table.parts.get(task.sstable) if table is not None and task.sstable is not None else None
        part = parts.parts.get(task.name) if parts is not None else None
        if table is None or parts is None or part is None or not part.queued:
            if task.pin is not None:
                self._pins.release(task.pin)
            return False
        directory = table.directories[task.directory]
        part.queued = False
        if isinstance(result, Protected) and result.is_left(directory.named):
            part.expected = False
            self._submit(table, parts, part)
            return False
        if isinstance(result, FileChanged):
            log.debug("%s", result)
            table.moved[parts.sstable, task.name] = self._doing.now()
            return False
        if part.pin is not None:
            self._pins.release(part.pin)
            part.pin = None
        if task.found:
            self._doing.let_go(part.incarnation.size)
            part.found = False
        if isinstance(result, Protected) and not _is_anothers(task, parts, part, result):
            self._note_stored(table, parts, part, result)
        elif isinstance(result, Protected | FileVanished):
            self._note_vanished(table, parts, part)
        elif not isinstance(result, Cancelled):
            log.error("gave up on %s: %s", os.path.join(task.directory, task.name), result)
            part.given_up = True
            if table.history.is_addition(parts.sstable):
                self.lose(table, parts, "could not be stored")
        self.stir(table)
        return table.history.is_stored(parts.sstable)

    def _note_stored(self, table: Table, parts: Parts, part: Part, result: Protected) -> None:
        part.stored, part.incarnation, part.since = result.file, result.incarnation, 0.0
        if result.sent:
            table.stored_bytes += result.file.size
            self._doing.announce(table.directories[parts.sstable.directory], part.name, result.file.size)
        if parts.is_stored():
            table.history.stored(parts.sstable)
        if table.recorded is None or parts.sstable in table.recorded.sstables:
            table.note_change(self._doing.now())

    def _note_vanished(self, table: Table, parts: Parts, part: Part) -> None:
        component = part.name[len(parts.sstable.stem) :]
        if part.stored is not None:
            return  # it was to be rewritten, and what is stored of it will do
        if component not in sstable.INDISPENSABLE and table.history.find(parts.sstable.name) == parts.sstable:
            del parts.parts[part.name]  # an index that was dropped; or it is being rewritten, and comes again
            if parts.is_stored():
                table.history.stored(parts.sstable)
            return
        self.lose(table, parts, "was gone before it could be read")

    def lose(self, table: Table, parts: Parts, what: str) -> None:
        """Take in that an sstable cannot be stored any more."""
        one = parts.sstable
        if table.history.is_addition(one):
            log.error(
                "%s %s: there is no restore point of %s from then until its next base is stored",
                os.path.join(one.directory, one.stem[:-1]),
                what,
                table.name,
            )
        else:
            log.info("%s %s; a base will be begun again", os.path.join(one.directory, one.stem[:-1]), what)
        table.history.lost(one)
        self.release(parts)

    def store(self, table: Table, parts: Parts) -> None:
        """Have stored what is not yet."""
        if parts.is_stored():
            table.history.stored(parts.sstable)
        elif not parts.left_alone:
            for part in parts.parts.values():
                if part.stored is None and not part.queued:
                    self._submit(table, parts, part)

    def _submit(self, table: Table, parts: Parts, part: Part) -> None:
        one = parts.sstable
        directory = table.directories[one.directory]
        part.queued, part.given_up, part.since = True, False, part.since or self._doing.now()
        turn: int | None = None
        if (parts.fresh or table.history.is_addition(one)) and part.stored is None:
            turn = self._doing.turn(table.name)
            urgency: tuple[int, ...] = (ADDED, turn)
        elif part.found:
            urgency = (FOUND, -part.incarnation.mtime_ns)
        else:
            urgency = (BASE, part.incarnation.size)
        task = Task(
            directory=one.directory,
            name=part.name,
            found=part.found,
            expected=part.expected,
            is_named=lambda key: key in directory.named,
            turn=turn,
            table=table.name,
            sstable=one,
            pin=part.pin,
            is_wanted=lambda: one in table.needed,
        )
        self._doing.submit(task, urgency)

    def pin(self, table: Table, parts: Parts, rank: int) -> None:
        """Hold open what is not stored yet."""
        for part in parts.parts.values():
            if part.stored is None and part.pin is None:
                try:
                    part.pin = self._pins.take(os.path.join(parts.sstable.directory, part.name), rank=rank)
                except CannotRead as error:
                    log.debug("%s", error)  # it is read by its name; if it is gone by then, that is said
                    return

    def release(self, parts: Parts) -> None:
        """Let go of what is held."""
        for part in parts.parts.values():
            if part.pin is not None:
                self._pins.release(part.pin)
                part.pin = None

    def release_all(self, pins: Mapping[Name, tuple[Pin, ...]]) -> None:
        """Let go of *pins*."""
        for some in pins.values():
            for pin in some:
                self._pins.release(pin)

    def keep_within(self, tables: Mapping[str, Table], limit: int | None) -> None:
        """Let go of what deleted files hold beyond *limit* bytes (None: a tenth of the file system)."""
        going = self._pins.to_let_go(limit)
        if not going:
            return
        lost: dict[tuple[str, Sstable], int] = {}
        owners = {
            id(part.pin): (table, parts)
            for table in tables.values()
            for parts in table.parts.values()
            for part in parts.parts.values()
            if part.pin is not None
        }
        for pin in going:
            self._pins.release(pin)
            if (owner := owners.get(id(pin))) is not None:
                table, parts = owner
                lost[table.name, parts.sstable] = lost.get((table.name, parts.sstable), 0) + pin.size
        for (name, one), size in lost.items():
            table = tables[name]
            self.lose(table, table.parts[one], f"was let go with {spell_size(size)}, for --pin-limit or a full disk")
            self.stir(table)

    def expect(self, table: Table) -> None:
        """Note what is needed now. Before anything is put in the queue, or it would be cancelled there."""
        table.needed = frozenset(table.history.needed())
        table.stirred = table.untidy = True

    def stir(self, table: Table) -> None:
        """Note that the history moved: what follows is worked out soon, once for many moves."""
        table.stirred = table.untidy = True

    def tidy(self, table: Table) -> None:
        """Work out what is needed, and let go of the rest."""
        table.untidy = False
        table.needed = frozenset(table.history.needed())
        held = table.needed.union(table.history.live)
        for one in [one for one in table.parts if one not in held]:
            parts = table.parts.pop(one)
            self.release(parts)
            for part in parts.parts.values():
                if part.queued and part.found:
                    self._doing.let_go(part.incarnation.size)

    def note_moved(self, table: Table, look: TableLook) -> None:
        """Note components that are not what was stored of them, and forget those that were taken away."""
        now = self._doing.now()
        for one in table.history.live:
            parts = table.parts.get(one)
            files = look.live.get(one.name)
            if files is None or parts is None or one not in table.needed or parts.left_alone:
                continue
            if not parts.is_of(files.get(one.stem + sstable.DATA)):
                continue
            for name, incarnation in files.items():
                part = parts.parts.get(name)
                if part is None or (
                    not part.queued and not part.given_up and not part.incarnation.same_as(incarnation)
                ):
                    table.moved.setdefault((one, name), now)
            for name in parts.parts.keys() - files.keys():
                component = name[len(one.stem) :]
                if component in sstable.INDISPENSABLE | sstable.REWRITTEN or parts.parts[name].queued:
                    continue
                if _was_dropped(parts, name):
                    del parts.parts[name]
                    table.note_change(now)

    def look_at_moved(self, table: Table, now: float) -> None:
        """Have stored what was rewritten and stands still."""
        for (one, name), since in list(table.moved.items()):
            if now - since < self._doing.timing.rewritten_still:
                continue
            parts = table.parts.get(one)
            del table.moved[one, name]
            if parts is None or one not in table.needed:
                continue
            self._take_moved(table, parts, name)

    def _take_moved(self, table: Table, parts: Parts, name: str) -> None:
        one = parts.sstable
        part = parts.parts.get(name)
        if part is not None and part.queued:
            table.moved[one, name] = self._doing.now()
            return
        if not history.is_backed_up(one.directory, name, self._settings.selection):
            return
        data = look_at_file(os.path.join(one.directory, one.stem + sstable.DATA))
        here = look_at_file(os.path.join(one.directory, name)) if parts.is_of(data) else None
        if here is None and (part is None or part.stored is not None):
            return
        if part is None:
            assert here is not None
            part = parts.parts[name] = Part(name, here)
        elif part.stored is not None and here is not None and part.incarnation.same_as(here):
            return
        elif here is not None and part.pin is None:
            part.incarnation = here
        self._submit(table, parts, part)


def _was_dropped(parts: Parts, name: str) -> bool:
    """Say whether a component went while its sstable lives on, as that of a secondary index that was dropped does.

    A listing does not tell: what a compaction that begins and ends meanwhile deletes may be in it by halves. Here the
    component is found gone first, and Data.db there after it; Cassandra deletes Data.db before the others. Source:
    ``o.a.c.io.sstable.SSTable.delete``.
    """
    one = parts.sstable
    if look_at_file(os.path.join(one.directory, name)) is not None:
        return False
    data = look_at_file(os.path.join(one.directory, one.stem + sstable.DATA))
    return data is not None and parts.is_of(data)


def _is_anothers(task: Task, parts: Parts, part: Part, result: Protected) -> bool:
    """Say whether a component was read by its name when that was another sstable's, as on a node that was rebuilt."""
    component = part.name[len(parts.sstable.stem) :]
    known = part.incarnation
    return task.pin is None and component in sstable.WRITTEN_ONCE and not known.same_as(result.incarnation)
