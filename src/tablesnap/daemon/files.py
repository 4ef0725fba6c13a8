"""Ordinary files: what becomes of each, and the restore points of the directories they are in."""

import logging
import os
from collections.abc import Callable
from dataclasses import replace

from tablesnap.daemon.deleting import delete_stored
from tablesnap.daemon.directory import Directory, Stored
from tablesnap.daemon.holding import Doing
from tablesnap.daemon.intake import Intake
from tablesnap.daemon.messages import Protected, Recorded, Task
from tablesnap.daemon.recording import Recorder
from tablesnap.daemon.settings import Settings
from tablesnap.errors import FileChanged, FileVanished, TablesnapError
from tablesnap.rules.index import Index
from tablesnap.rules.keys import Keys

log = logging.getLogger(__name__)


class Files:
    """What is no sstable of a table with transactions. Used by the daemon's one thread alone."""

    def __init__(
        self, settings: Settings, keys: Keys, intake: Intake, doing: Doing, submit: Callable[[tuple[Index, ...]], None]
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._intake = intake
        self._recorder = Recorder(settings, keys)
        self._doing = doing
        self._submit = submit

    def adopt(self, directory: Directory, newest: Index | None) -> None:
        """Go on from the newest index that the store has of *directory*."""
        directory.surveyed = True
        self._set_newest(directory, newest)
        if newest is not None and newest.seen_at is not None:
            age = (self._doing.stamps() - newest.seen_at).total_seconds()
            directory.last_index = self._doing.now() - max(0.0, age)
            directory.note_change(self._doing.now())  # what came and went meanwhile shows when it is looked at

    def finish(self, directory: Directory | None, task: Task, result: Protected | TablesnapError) -> None:
        """Take in what became of a file's upload."""
        pending = directory.pending.get(task.name) if directory is not None else None
        if directory is None or pending is None or not pending.queued:
            return  # the directory went, or came anew, meanwhile
        if isinstance(result, FileChanged):
            log.debug("%s", result)
            now = self._doing.now()
            self._intake.await_stillness(
                directory, task.name, replace(pending, queued=False, again=False, still_since=now)
            )
            return
        if isinstance(result, Protected) and result.is_left(directory.named):
            self._intake.submit_anew(task)
            return
        del directory.pending[task.name]
        if task.found:
            self._doing.let_go(pending.incarnation.size)
        if isinstance(result, Protected):
            self._heed_protected(directory, task, result)
        elif isinstance(result, FileVanished):
            log.debug("%s", result)
            directory.note_change(self._doing.now())
        else:
            log.error("gave up on %s: %s", os.path.join(task.directory, task.name), result)
            directory.given_up[task.name] = pending.incarnation
            directory.note_change(self._doing.now())
        if pending.again:
            self._intake.take(directory, task.name, finished=True)

    def _heed_protected(self, directory: Directory, task: Task, result: Protected) -> None:
        directory.stored[task.name] = Stored(result.incarnation, result.file)
        directory.note_change(self._doing.now())
        if result.sent:
            self._doing.announce(directory, task.name, result.file.size)
        else:
            log.debug("%s was stored already as %s", os.path.join(task.directory, task.name), result.file.key)
        if not self._settings.with_index:
            directory.changed_since = None
            delete_stored(directory, self._settings)

    def record(self, directory: Directory, *, overdue: bool) -> None:
        """Look at *directory* and have its restore point written, unless something new is seen and there is time."""
        taken_at = self._doing.stamps()
        listing = self._intake.list_directory(directory)
        if listing is None:
            return
        unknown = self._intake.unknown(directory, listing)
        for name in unknown:
            self._intake.take(directory, name, finished=False)
        if directory.locked:
            directory.last_event = self._doing.now()
            return
        if directory.disk not in (None, listing.disk):
            self._miss_disk(directory)
            return
        directory.disk = listing.disk
        if unknown and not overdue:
            return
        latest = self._doing.stamps.latest()
        index = self._recorder.compose(directory, listing, taken_at, latest) if self._settings.with_index else None
        directory.stored = {name: one for name, one in directory.stored.items() if name in listing.files}
        directory.changed_since = None
        directory.last_index = self._doing.now()
        if index is not None:
            directory.index_in_flight = True
            self._submit((index,))

    def recorded(self, directory: Directory, recorded: Recorded) -> None:
        """Take in that the index of *directory* is stored."""
        index = recorded.indexes[0]
        directory.index_in_flight = False
        self._set_newest(directory, index)
        if index.missing:
            log.debug("recorded %s: %d files, %d missing", recorded.keys[0], len(index.files), len(index.missing))
        else:
            log.debug("recorded %s: %d files", recorded.keys[0], len(index.files))
        delete_stored(directory, self._settings)

    def _set_newest(self, directory: Directory, newest: Index | None) -> None:
        directory.newest = newest
        directory.named = frozenset(newest.keys(self._keys.below(directory.path)) if newest else ())

    def _miss_disk(self, directory: Directory) -> None:
        directory.changed_since = None
        log.error(
            "%s is on another file system than at its last index, or a link leads elsewhere now; was a disk unmounted, "
            "or another mounted? Nothing is recorded of it until the right one is back; if this one is right, send HUP",
            directory.path,
        )
