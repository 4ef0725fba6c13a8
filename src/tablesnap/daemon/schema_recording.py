"""Records the tables of system_schema together, so that there are moments at which all of them are known.

Cassandra does not start where these tables are of different moments. So none is recorded by itself when it changes.
Once the schema has not changed for a second, and all is stored, all of them are looked at and recorded. While changes
do not pause, what the tables held at the end of one change is recorded. A table that has not changed is written again
too, as its newest restore point does not say that it was true so long.
"""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime

from tablesnap.daemon.settings import Settings
from tablesnap.daemon.table import Table
from tablesnap.daemon.table_recording import TableRecorder, stretched
from tablesnap.daemon.tables import Tables
from tablesnap.rules.joint import Span, apart
from tablesnap.rules.system_schema import ends_of_changes, is_schema

log = logging.getLogger(__name__)


class SchemaRecorder:
    """Says when the tables of system_schema are recorded. Used by the daemon's one thread alone."""

    def __init__(self, settings: Settings, tables: Tables, recorder: TableRecorder) -> None:
        self._settings = settings
        self._tables = tables
        self._recorder = recorder
        self._timing = tables.timing
        self._last: float | None = None  # when they were recorded together
        self._again = 0.0  # not before then

    def keeps_back(self, table: Table, now: float) -> bool:
        """Say whether *table*, which has changed, is not to be recorded by itself."""
        if not is_schema(table.name) or table.changed_since is None or not self._settings.with_index:
            return False
        is_waited_for = now - table.changed_since < self._timing.schema_patience and not table.history.is_ending(now)
        return is_waited_for and table.history.view(now) is not None and len(self._members()) > 1

    def tick(self, now: float) -> None:
        """Record the tables together if it is time."""
        if now < self._again or not self._settings.with_index:
            return
        members = self._members()
        if not self._may_be_recorded(members, now):
            return
        if self._is_quiet(members, now):
            interval = stretched(self._settings.index_interval, max(table.index_size for table in members))
            if self._last is None or now - self._last >= interval:
                self._record(members, now, None)
            return
        changed = min((table.changed_since for table in members if table.changed_since is not None), default=now)
        if now - max(changed, self._last or changed) < self._timing.schema_busy:
            return
        end = self._end_of_a_change(members, now)
        if end is not None:
            self._record(members, now, end)

    def record_now(self) -> None:
        """Record the tables together if they can be: the daemon stops."""
        now, members = self._tables.now(), self._members()
        if self._settings.with_index and self._may_be_recorded(members, now):
            end = None if self._is_quiet(members, now) else self._end_of_a_change(members, now)
            if end is not None or self._is_quiet(members, now):
                self._record(members, now, end)

    def _members(self) -> Sequence[Table]:
        return [table for table in self._tables.tables.values() if is_schema(table.name)]

    def _may_be_recorded(self, members: Sequence[Table], now: float) -> bool:
        if len(members) < 2:
            return False
        if all(table.changed_since is None for table in members):
            # Once a minute at most, lest a clock that went back have them written again and again.
            is_soon = self._last is not None and now - self._last < self._timing.schema_patience
            if is_soon or _are_joint(members):
                return False
        return all(_is_ready(table, now) for table in members)

    def _is_quiet(self, members: Iterable[Table], now: float) -> bool:
        """Say whether all that was committed is stored, and nothing came for a while."""
        return all(
            now - max(table.committed_at, table.looked_at) >= self._timing.schema_quiet
            and table.history.lacks_since(now) is None
            for table in members
        )

    def _end_of_a_change(self, members: Sequence[Table], now: float) -> datetime | None:
        """Return the last end of a change of which all is stored, and which is not recorded yet."""
        commits = [(at, table.name) for table in members for at in table.history.commits]
        for end in reversed(ends_of_changes(commits)):
            if all(_is_known_at(table, end, now) for table in members):
                news = any(table.history.view(now, end) != table.recorded for table in members)
                return end if news else None
        return None

    def _record(self, members: Sequence[Table], now: float, end: datetime | None) -> None:
        """Look at all *members*, and write what each held at the *end* of a change, or holds now."""
        self._again = now + self._timing.record_again
        found = []
        for table in members:
            looked = self._recorder.look(table)
            if looked is None or (end is None and looked.is_flushing):
                return  # something was committed that is not told yet, or is about to be
            found.append((table, looked))
        views = [(table, looked, table.history.view(looked.now, end)) for table, looked in found]
        known_at = max(self._recorder.taken_at(table, view, looked.seen_at) for table, looked, view in views if view)
        for table, looked in found:
            self._recorder.write(table, looked, by=end, known_at=known_at)
        self._last = now
        log.debug("recorded system_schema as of %s", known_at)


def _is_ready(table: Table, now: float) -> bool:
    is_stopped = table.index_in_flight or table.absent or table.leaving or now < table.record_at
    if is_stopped or not table.begun or table.history.view(now) is None or table.history.is_ending(now):
        return False
    return not any(directory.pending for directory in table.directories.values())


def _are_joint(members: Iterable[Table]) -> bool:
    """Say whether the newest restore points have a joint moment."""
    newest = [table.newest for table in members if table.newest is not None]
    spans = [Span(one.taken_at, one.until) for one in newest if one.taken_at is not None and one.until is not None]
    return len(spans) == len(newest) and not apart(spans)


def _is_known_at(table: Table, moment: datetime, now: float) -> bool:
    """Say whether the history can tell what *table* held at *moment*, and no later restore point was recorded."""
    lacks_since = table.history.lacks_since(now)
    if lacks_since is not None and lacks_since <= moment:
        return False
    newest = table.newest.taken_at if table.newest is not None else None
    return table.history.view(now, moment) is not None and (newest is None or newest <= moment)
