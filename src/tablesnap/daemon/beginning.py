"""Begin with a table: go on from its newest index, or from what is on disk."""

import os
from collections.abc import Callable
from datetime import datetime

from tablesnap.daemon.directory import Directory
from tablesnap.daemon.holding import Doing, Holder
from tablesnap.daemon.intake import Judged
from tablesnap.daemon.reconciling import Reconciler
from tablesnap.daemon.settings import Settings
from tablesnap.daemon.table import Part, Parts, Table
from tablesnap.live.look import TableLook, fingerprint_of
from tablesnap.live.witness import ADDITION_RANK, BASE_RANK
from tablesnap.rules import history, sstable
from tablesnap.rules.found import Verdict, judge
from tablesnap.rules.keys import Keys
from tablesnap.rules.view import Name


class Beginner:
    """Looks at a table for the first time. Used by the daemon's one thread alone."""

    def __init__(
        self,
        settings: Settings,
        keys: Keys,
        holder: Holder,
        reconciler: Reconciler,
        gather: Callable[[Table], bool],
        doing: Doing,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._holder = holder
        self._reconciler = reconciler
        self._gather = gather
        self._doing = doing

    def begin(self, table: Table, taken: frozenset[str]) -> Judged:
        """Go on from the newest index and what is on disk.

        A directory on another disk, of which nothing was heard yet, may hold its share of what one flush wrote: it is
        asked after before the look, and again after it. What the look takes in was committed by then, and so written.
        """
        now, before = self._doing.now(), self._doing.stamps()
        self._gather(table)
        if not all(directory.surveyed for directory in table.directories.values()):
            table.look_at = now + self._doing.timing.suspect
            return Judged()
        absent, table.absent = table.absent, set()
        looked = self._reconciler.look(table)
        if looked is None or self._gather(table):
            table.look_at = now + self._doing.timing.suspect
            return Judged()
        look, listings = looked
        for directory in table.directories.values():
            directory.unlooked.clear()
        if not look.live and self._had_sstables(table) and not table.directories.keys() <= table.truncated:
            table.absent = absent
            for path in table.directories:
                self._reconciler.miss(table, path)
            return Judged()
        table.begun, table.looked_at, table.accounted = True, now, look.finished
        table.truncated.clear()
        table.look_ended = self._doing.now()
        if table.newest is not None and table.newest.seen_at is not None:
            table.last_index = now - max(0.0, (before - table.newest.seen_at).total_seconds())
        self._reconciler.note_disks(table, listings)
        if self._may_resume(table, look):
            judged = self._resume(table, look)
        else:
            judged = self._begin_anew(table, look, taken, look.moment(before, self._doing.stamps()))
        self._holder.stir(table)
        return judged

    def _had_sstables(self, table: Table) -> bool:
        """Say whether the newest restore point holds sstables of those that are backed up now."""
        newest = table.newest
        files = {newest.directory: newest.files, **newest.others} if newest is not None else {}
        return any(
            sstable.parse(name) is not None and history.is_backed_up(directory, name, self._settings.selection)
            for directory, names in files.items()
            for name in names
        )

    def _may_resume(self, table: Table, look: TableLook) -> bool:
        newest = table.newest
        return (
            newest is not None
            and bool(newest.live)
            and not newest.missing
            and not self._settings.verify_on_start
            and {newest.directory, *newest.others} <= table.directories.keys()
            and newest.live == fingerprint_of(look.live)
        )

    def _resume(self, table: Table, look: TableLook) -> Judged:
        assert table.newest is not None
        assert table.newest.taken_at is not None
        files = {table.newest.directory: table.newest.files, **table.newest.others}
        view: dict[Name, dict[str, Part]] = {}
        for directory, stored in files.items():
            for name, file in stored.items():
                component = sstable.parse(name)
                if component is not None:
                    part = Part(name, file.incarnation, stored=file)
                    view.setdefault((directory, component.stem), {})[name] = part
        table.history.resume(
            view,
            table.newest.taken_at,
            look.live,
            now=self._doing.now(),
            indexes=table.indexes,
            behind=table.newest.behind,
        )
        for one in table.history.needed():
            table.parts[one] = Parts(one, view[one.name])
            table.history.stored(one)
        self._holder.expect(table)  # before the look at what was rewritten, which is at what is needed
        self._holder.note_moved(table, look)
        return Judged(stored=sum(len(parts) for parts in view.values()))

    def _begin_anew(self, table: Table, look: TableLook, taken: frozenset[str], at: datetime) -> Judged:
        now = self._doing.now()
        behind = table.newest.behind if table.newest is not None else ()
        table.history.look(look.live, at=at, now=now, indexes=table.indexes, behind=behind)
        total = Judged()
        for one in table.history.live:
            directory = table.directories[one.directory]
            # A new directory is looked at for all there is in it: it was not there at start.
            found = table.found.get(one.directory, frozenset()) if directory.found_at else frozenset()
            parts = table.parts[one] = Parts(one, fresh=one.stem + sstable.DATA not in found)
            for name, incarnation in look.live[one.name].items():
                total += self._judge(directory, parts, Part(name, incarnation), taken)
        table.found.clear()
        self._holder.expect(table)
        for parts in sorted(table.parts.values(), key=_newest_mtime, reverse=True):
            if not parts.left_alone:
                self._holder.pin(table, parts, ADDITION_RANK if parts.fresh else BASE_RANK)
            self._holder.store(table, parts)
        return total

    def _judge(self, directory: Directory, parts: Parts, part: Part, taken: frozenset[str]) -> Judged:
        """Decide what becomes of a component that was there before its table was looked at."""
        parts.parts[part.name] = part
        newest = directory.newest
        verdict = judge(
            part.name,
            part.incarnation,
            newest,
            backup=self._settings.backup or parts.fresh,
            key_taken=self._keys.plain(os.path.join(directory.path, part.name)) in taken,
            verify=self._settings.verify_on_start,
        )
        if verdict is Verdict.STORED and newest is not None:
            part.stored = newest.files[part.name]
            return Judged(stored=1)
        if verdict is Verdict.LEFT_ALONE:
            parts.left_alone = True
            return Judged(left_alone=1)
        part.found, part.expected = not parts.fresh, verdict is Verdict.COMPARED
        part.since = directory.found_at if part.found else self._doing.now()
        return Judged(waiting=1, size=part.incarnation.size) if part.found else Judged()


def _newest_mtime(parts: Parts) -> int:
    return max((part.incarnation.mtime_ns for part in parts.parts.values()), default=0)
