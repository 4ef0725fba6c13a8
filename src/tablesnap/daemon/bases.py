"""Take bases: what is live at one commit, whole."""

import logging
import os

from tablesnap.capture.listing import look_at_file
from tablesnap.daemon.holding import Doing, Holder
from tablesnap.daemon.reconciling import Reconciler, reborn
from tablesnap.daemon.settings import Settings
from tablesnap.daemon.table import Part, Parts, Table
from tablesnap.live.witness import BASE_RANK
from tablesnap.rules import sstable
from tablesnap.rules.view import Sstable
from tablesnap.units import spell_count

log = logging.getLogger(__name__)

ASKED_SECONDS = 10.0  # how often is asked whether one is due while nothing happens


class Bases:
    """Begins bases that are due. Used by the daemon's one thread alone."""

    def __init__(self, settings: Settings, holder: Holder, reconciler: Reconciler, doing: Doing) -> None:
        self._settings = settings
        self._holder = holder
        self._reconciler = reconciler
        self._doing = doing

    def settle(self, table: Table, now: float) -> None:
        """Take in what time has shown to be lost, and begin a base that is due."""
        for directory, stem in table.history.settle(now):
            path = os.path.join(directory, stem[:-1])
            log.error(
                "%s came and went unseen: there is no restore point of %s until its next base is stored",
                path,
                table.name,
            )
            self._holder.stir(table)
        if now < table.base_at or not (table.stirred or table.base_wanted or now >= table.base_asked_at):
            return
        table.base_asked_at = now + ASKED_SECONDS
        reason = table.base_wanted or table.history.base_reason(
            now, interval=self._settings.base_interval, size_of=lambda one: self._size_of(table, one)
        )
        if reason:
            table.base_at = table.base_asked_at = now + self._doing.timing.base_again
            self._begin_base(table, reason)

    def _size_of(self, table: Table, one: Sstable) -> int:
        parts = table.parts.get(one)
        if parts is None or not parts.parts:
            parts = table.parts[one] = self._on_disk(one) or Parts(one)
        return parts.size

    def _on_disk(self, one: Sstable) -> Parts | None:
        """Return what is known of a live sstable by its Data.db alone, enough to compare sizes."""
        path = os.path.join(one.directory, one.stem + sstable.DATA)
        here = look_at_file(path)
        return Parts(one, {one.stem + sstable.DATA: Part(one.stem + sstable.DATA, here)}) if here else None

    def _begin_base(self, table: Table, reason: str) -> None:
        looked = self._reconciler.look(table)
        if looked is None:
            return
        look, _ = looked
        live = {one.name: one for one in table.history.live}
        if not live.keys() <= look.live.keys() or reborn(table, look) or table.absent:
            table.base_at = self._doing.now() + self._doing.timing.suspect
            self._reconciler.misses_something(table, look)
            return  # a transaction is being told just now: what is live is not what the disk has
        table.base_wanted = ""
        log.debug("%s: beginning a base of %s, because %s", table.name, spell_count(len(live), "sstable"), reason)
        base = table.history.begin_base(self._doing.now())
        self._holder.expect(table)
        for one in base:
            if table.history.is_stored(one):
                continue
            parts = table.parts.setdefault(one, Parts(one))
            for name, incarnation in look.live[one.name].items():
                part = parts.parts.setdefault(name, Part(name, incarnation))
                if part.stored is None and not part.queued:
                    part.incarnation = incarnation
            if not parts.left_alone:
                self._holder.pin(table, parts, BASE_RANK)
            self._holder.store(table, parts)
