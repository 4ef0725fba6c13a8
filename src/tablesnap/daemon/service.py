"""The daemon: one thread decides, and owns all there is to know; the others watch, store, ask and record."""

import logging
import os
import queue
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from tablesnap.capture.listing import look_at_file
from tablesnap.catalog.catalog import Catalog, Survey
from tablesnap.daemon import recording
from tablesnap.daemon.announcing import Announcer
from tablesnap.daemon.directory import Directory, Pending, Stored
from tablesnap.daemon.intake import FRESH, Intake, Judged
from tablesnap.daemon.messages import (
    Checked,
    Finished,
    Protected,
    Recorded,
    Rescan,
    Stop,
    Surveyed,
    Surveying,
    Task,
)
from tablesnap.daemon.progress import Progress
from tablesnap.daemon.recording import Recorder
from tablesnap.daemon.settings import Settings
from tablesnap.daemon.units import spell_count, spell_seconds, spell_size
from tablesnap.daemon.work import Protector
from tablesnap.errors import FileChanged, FileVanished, KeyRefused, StoreRefused, TablesnapError
from tablesnap.rules.index import Index
from tablesnap.rules.keys import Keys
from tablesnap.store.port import Store
from tablesnap.upload.one import Uploader
from tablesnap.upload.pool import Pool
from tablesnap.watch.hints import DirectoryGone, DirectoryHint, FileHint, Hint, LookEverywhere, Started
from tablesnap.watch.inotify import Watcher

log = logging.getLogger(__name__)

TICK_SECONDS = 0.1
ANNOUNCE_SECONDS = 0.5  # how often is said what was stored
REPORT_SECONDS = 60.0  # how often is said what is still to be done
FINISH_SECONDS = 30.0  # how long a stop waits for what is in flight
INBOX_LIMIT = 200_000  # hints; beyond it they are dropped, and every directory is looked at instead

Message = Hint | Finished | Checked | Surveyed | Recorded | Stop | Rescan


def utc_now() -> datetime:
    """Return the moment, by this machine's clock."""
    return datetime.now(UTC)


class Daemon:
    """Watches the PATHs of *settings* and keeps them in *store*, until it is told to stop."""

    def __init__(
        self, settings: Settings, store: Store, progress: Progress, wall_clock: Callable[[], datetime] = utc_now
    ) -> None:
        keys = Keys(prefix=settings.prefix, node=settings.node, separator=settings.separator)
        self._settings = settings
        self._store = store
        self._progress = progress
        self._wall_clock = wall_clock
        self._now = time.monotonic
        self._keys = keys
        self._catalog = Catalog(store, keys)
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._hints_lost = False
        self._directories: dict[str, Directory] = {}
        self._watcher = Watcher(
            settings.paths, self._hear, self._now, recursive=settings.recursive, auto_add=settings.auto_add
        )
        protector = Protector(keys, Uploader(store, wall_clock, indexed=settings.with_index))
        self._uploads: Pool[Task, Protected] = Pool(
            protector,
            lambda task, result: self._inbox.put(Finished(task, result)),
            threads=settings.threads,
            retries=settings.retries,
            final=(FileVanished, FileChanged, KeyRefused),
        )
        # Not among the uploads, which may all be busy with large files for hours.
        self._recordings: Pool[Index, Recorded] = Pool(
            lambda index: Recorded(index, self._catalog.write(index)),
            lambda _, result: self._deliver(result),
            threads=2,
            retries=None,
            name="record",
        )
        self._questions: Pool[Surveying, Checked | Surveyed] = Pool(
            self._ask, lambda _, result: self._deliver(result), threads=1, retries=None, name="ask"
        )
        self._intake = Intake(settings, keys, lambda task, urgency: self._uploads.add(task, urgency=urgency), self._now)
        self._recorder = Recorder(settings, keys)
        self._announcer = Announcer()
        self._started = False
        self._ready = False
        self._unasked: list[Surveying] = []
        self._backlog = 0
        self._next_report = self._now() + REPORT_SECONDS
        self._next_announcement = 0.0
        self._next_tick = 0.0

    def run(self) -> None:
        """Work until `stop` is called. Raises `StoreRefused` if the store will not do what it is needed for."""
        self._watcher.start()
        self._questions.start()
        self._questions.add(Surveying(), urgency=0)
        stopping = False
        while not stopping:
            stopping = self._handle_waiting(TICK_SECONDS)
            if self._now() >= self._next_tick:
                self._tick()
                self._next_tick = self._now() + TICK_SECONDS
        self._finish()

    def stop(self) -> None:
        """Finish what is in flight and end. May be called by a signal handler."""
        self._inbox.put(Stop())

    def rescan(self) -> None:
        """Look at every directory, and try again what was given up. May be called by a signal handler."""
        self._inbox.put(Rescan())

    # What other threads call.

    def _hear(self, hint: Hint) -> None:
        if self._inbox.qsize() < INBOX_LIMIT:
            self._inbox.put(hint)
        else:
            self._hints_lost = True

    def _deliver(self, result: Checked | Surveyed | Recorded | TablesnapError) -> None:
        assert not isinstance(result, TablesnapError), "these pools never give up"
        self._inbox.put(result)

    def _ask(self, asked: Surveying) -> Checked | Surveyed:
        if asked.directories:
            return Surveyed(asked, self._catalog.survey(asked.roots, asked.directories, asked.keys))
        if asked.at_start:
            return Surveyed(asked, Survey())
        try:
            self._store.check(self._keys.below("/"))
        except (StoreRefused, KeyRefused) as refusal:
            return Checked(refusal)
        return Checked(None)

    # What the one thread does.

    def _handle_waiting(self, timeout: float) -> bool:
        """Handle what is in the inbox, waiting for the first; return whether it says to stop."""
        try:
            for number in range(10_000):
                message = self._inbox.get_nowait() if number else self._inbox.get(timeout=timeout)
                if isinstance(message, Stop):
                    return True
                self._handle(message)
        except queue.Empty:
            pass
        return False

    def _handle(self, message: Message) -> None:
        match message:
            case FileHint():
                directory = self._directories.get(message.directory)
                if directory is not None:
                    self._intake.heed(directory, message)
            case DirectoryHint():
                self._heed_directory(message)
            case DirectoryGone():
                self._heed_gone(message.directory)
            case Started():
                self._heed_started(message)
            case LookEverywhere():
                log.warning("events were lost: %s; looking at every directory instead", message.reason)
            case Finished():
                self._heed_finished(message)
            case Checked():
                self._heed_checked(message)
            case Surveyed():
                self._heed_surveyed(message)
            case Recorded():
                self._heed_recorded(message)
            case Rescan():
                self._rescan("that was asked for")
            case Stop():
                raise AssertionError("a stop is seen before it is handled")

    def _tick(self) -> None:
        now = self._now()
        if self._hints_lost:
            self._hints_lost = False
            self._rescan("more happens than can be followed")
        self._intake.queue_the_still(self._directories)
        self._count_let_go()
        for directory in list(self._directories.values()):
            if recording.is_due(directory, now):
                self._record(directory, overdue=recording.is_overdue(directory, now))
        if now >= self._next_announcement:
            self._announcer.announce(self._directories, now)
            self._next_announcement = now + ANNOUNCE_SECONDS
        if now >= self._next_report:
            self._next_report = now + REPORT_SECONDS
            self._report_what_waits()

    def _rescan(self, reason: str) -> None:
        log.info("looking at every directory, because %s", reason)
        for directory in self._directories.values():
            directory.given_up.clear()
        self._watcher.rescan()

    def _heed_directory(self, hint: DirectoryHint) -> None:
        directory = self._directories.get(hint.directory)
        if directory is None:
            directory = self._directories[hint.directory] = Directory(path=hint.directory)
            if hint.at_start:
                self._intake.look_at_start(directory)
                return
            log.info("watching %s", directory.path)
            if self._started:
                self._survey((directory.path,), (directory.path,))
        if self._intake.look(directory) is not None:
            directory.last_event = self._now()

    def _heed_gone(self, path: str) -> None:
        directory = self._directories.pop(path, None)
        if directory is not None:
            self._intake.forget(directory)
            self._count_backlog(sum(one.found for one in directory.pending.values()), 0)
            log.warning("%s is gone; its restore points stay in the store", path)

    def _heed_started(self, started: Started) -> None:
        found = [one for directory in self._directories.values() for one in directory.found.values()]
        log.info(
            "watching %s below %s; found %s, %s",
            spell_count(started.directories, "directory"),
            ", ".join(self._settings.paths),
            spell_count(len(found), "file"),
            spell_size(sum(one.size for one in found)),
        )
        if started.unwatched:
            log.warning(
                "%s without a watch: what happens there is seen late", spell_count(started.unwatched, "directory")
            )
        if not self._settings.recursive:
            self._warn_of_what_is_below()
        self._started = True
        self._survey(
            self._settings.paths,
            tuple(self._directories),
            frozenset(
                self._keys.plain(os.path.join(directory.path, name))
                for directory in self._directories.values()
                for name in directory.found
            ),
            at_start=True,
        )

    def _warn_of_what_is_below(self) -> None:
        for path in self._settings.paths:
            below = sum(len(directories) for _, directories, _ in os.walk(path))
            if below:
                log.warning(
                    "%s has %s below it, and nothing in there is backed up; use -r to include what is there, "
                    "and -a for what will be made",
                    path,
                    spell_count(below, "directory"),
                )

    def _survey(
        self,
        roots: tuple[str, ...],
        directories: tuple[str, ...],
        keys: frozenset[str] = frozenset(),
        *,
        at_start: bool = False,
    ) -> None:
        self._unasked.append(Surveying(roots, directories, keys, at_start))
        self._ask_the_store()

    def _ask_the_store(self) -> None:
        """Have the store surveyed; not before it is known to be the right one, as it might refuse that too."""
        while self._ready and self._unasked:
            self._questions.add(self._unasked.pop(0), urgency=0)

    def _heed_checked(self, checked: Checked) -> None:
        if checked.refusal is not None:
            raise checked.refusal
        log.debug("the store is ready")
        self._ready = True
        self._uploads.start()
        self._recordings.start()
        self._ask_the_store()

    def _heed_surveyed(self, surveyed: Surveyed) -> None:
        judged = Judged()
        for path in surveyed.asked.directories:
            directory = self._directories.get(path)
            if directory is None or directory.surveyed:
                continue
            self._adopt(directory, surveyed.survey.newest.get(path))
            judged += self._intake.judge_found(directory, surveyed.survey.taken)
        if surveyed.asked.at_start:
            self._say_what_was_found(judged)

    def _adopt(self, directory: Directory, newest: Index | None) -> None:
        """Go on from the newest index that the store has of *directory*."""
        directory.surveyed = True
        self._set_newest(directory, newest)
        if newest is not None and newest.seen_at is not None:
            age = (self._wall_clock() - newest.seen_at).total_seconds()
            directory.last_index = self._now() - max(0.0, age)
            directory.note_change(self._now())  # what came and went meanwhile shows when it is looked at

    def _say_what_was_found(self, judged: Judged) -> None:
        if judged.stored or judged.waiting:
            log.info(
                "of the files found at start, stored already: %d; still to be stored or compared: %d (%s)",
                judged.stored,
                judged.waiting,
                spell_size(judged.size),
            )
        if judged.left_alone:
            log.warning(
                "left unprotected, because -B was not given: %s found at start; with -B they are stored too",
                spell_count(judged.left_alone, "file"),
            )
        if judged.waiting:
            self._backlog = judged.waiting
            self._progress.begin(judged.waiting, judged.size)
        for directory in self._directories.values():
            self._delete_stored(directory)

    def _heed_finished(self, finished: Finished) -> None:
        task, result = finished.task, finished.result
        directory = self._directories.get(task.directory)
        pending = directory.pending.get(task.name) if directory else None
        if directory is None or pending is None or not pending.queued:
            return  # the directory went, or came anew, meanwhile
        if isinstance(result, FileChanged):
            log.debug("%s", result)
            now = self._now()
            self._intake.await_stillness(
                directory, task.name, replace(pending, queued=False, again=False, still_since=now)
            )
            return
        if isinstance(result, Protected) and result.because_named and result.file.key not in directory.named:
            # The index that kept a purge off that object has been followed by one that does not: store it anew.
            self._uploads.add(task, urgency=FRESH)
            return
        del directory.pending[task.name]
        if task.found:
            self._count_backlog(1, pending.incarnation.size)
        if isinstance(result, Protected):
            self._heed_protected(directory, task, result)
        elif isinstance(result, FileVanished):
            log.debug("%s", result)
            directory.note_change(self._now())
        else:
            log.error("gave up on %s: %s", os.path.join(task.directory, task.name), result)
            directory.given_up[task.name] = pending.incarnation
            directory.note_change(self._now())
        if pending.again:
            self._intake.take(directory, task.name, finished=True)

    def _heed_protected(self, directory: Directory, task: Task, result: Protected) -> None:
        directory.stored[task.name] = Stored(result.incarnation, result.file)
        directory.note_change(self._now())
        if result.sent:
            self._announcer.stored(directory, task.name, result.file.size, self._now())
        else:
            log.debug("%s was stored already as %s", os.path.join(task.directory, task.name), result.file.key)
        if not self._settings.with_index:
            directory.changed_since = None
            self._delete_stored(directory)

    def _count_backlog(self, files: int, size: int) -> None:
        if self._backlog and files:
            self._backlog -= files
            self._progress.advance(files, size)
            if self._backlog <= 0:
                self._progress.end()

    def _count_let_go(self) -> None:
        while self._intake.let_go:
            self._count_backlog(1, self._intake.let_go.pop().incarnation.size)

    def _record(self, directory: Directory, *, overdue: bool) -> None:
        """Look at *directory* and have its restore point written, unless something new is seen and there is time."""
        taken_at = self._wall_clock()
        listing = self._intake.list_directory(directory)
        if listing is None:
            return
        unknown = self._intake.unknown(directory, listing)
        for name in unknown:
            self._intake.take(directory, name, finished=False)
        if unknown and not overdue:
            return
        index = self._recorder.compose(directory, listing, taken_at) if self._settings.with_index else None
        directory.stored = {name: one for name, one in directory.stored.items() if name in listing.files}
        directory.changed_since = None
        directory.last_index = self._now()
        if index is not None:
            directory.index_in_flight = True
            self._recordings.add(index, urgency=0)

    def _heed_recorded(self, recorded: Recorded) -> None:
        index = recorded.index
        directory = self._directories.get(index.directory)
        if directory is None:
            return
        directory.index_in_flight = False
        self._set_newest(directory, index)
        if index.missing:
            log.debug("recorded %s: %d files, %d missing", recorded.key, len(index.files), len(index.missing))
        else:
            log.debug("recorded %s: %d files", recorded.key, len(index.files))
        self._delete_stored(directory)

    def _set_newest(self, directory: Directory, newest: Index | None) -> None:
        directory.newest = newest
        directory.named = frozenset(newest.keys(self._keys.below(directory.path)) if newest else ())

    def _delete_stored(self, directory: Directory) -> None:
        """With ``--delete-on-backup``: delete what the newest index names as stored; without indexes, what is stored.

        In this order because a file that no restore point names could not be found again once it is gone here.
        """
        if not self._settings.delete_on_backup:
            return
        for name, stored in list(directory.stored.items()):
            named = directory.newest is not None and directory.newest.files.get(name) == stored.file
            if name in directory.pending or not (named or not self._settings.with_index):
                continue
            path = os.path.join(directory.path, name)
            here = look_at_file(path)
            if here is None or not here.same_as(stored.incarnation):
                continue  # another life of the name, which is not stored
            try:
                directory.own_deletions.add(name)
                os.unlink(path)
            except OSError as error:
                directory.own_deletions.discard(name)
                log.error("cannot delete %s after its backup: %s", path, error.strerror)
            else:
                del directory.stored[name]
                log.debug("deleted %s after its backup", path)

    def _report_what_waits(self) -> None:
        waiting = self._waiting()
        outage = self._questions.outage or self._uploads.outage or self._recordings.outage
        if outage is not None:
            log.warning(
                "the store has not answered for %s; %s; last error: %s",
                spell_seconds(self._now() - outage.since),
                _spell_waiting(waiting, self._now()),
                outage.error,
            )
        elif waiting and not self._backlog:
            log.info("%s", _spell_waiting(waiting, self._now()))

    def _waiting(self) -> list[Pending]:
        return [one for directory in self._directories.values() for one in directory.pending.values()]

    def _finish(self) -> None:
        """End in order: what is in flight, then the indexes of what is stored, `FINISH_SECONDS` at most."""
        log.info("stopping: finishing what is in flight")
        deadline = self._now() + FINISH_SECONDS
        self._watcher.stop()
        self._questions.stop()
        self._uploads.stop()
        self._progress.end()
        while self._now() < deadline and (self._uploads.busy or not self._inbox.empty()):
            self._handle_waiting(TICK_SECONDS)
        for directory in self._directories.values():
            if directory.surveyed and directory.changed_since is not None and not directory.index_in_flight:
                self._record(directory, overdue=True)
        while self._now() < deadline and self._is_recording() and self._recordings.outage is None:
            self._handle_waiting(TICK_SECONDS)
        self._announcer.announce(self._directories, self._now(), all_of_them=True)
        waiting = self._waiting()
        if waiting:
            log.warning("stopped; %s; start again with -B to store all of them", _spell_waiting(waiting, self._now()))
        else:
            log.info("stopped; nothing is pending")

    def _is_recording(self) -> bool:
        return any(directory.index_in_flight for directory in self._directories.values())


def _spell_waiting(waiting: list[Pending], now: float) -> str:
    if not waiting:
        return "nothing waits to be stored"
    size = spell_size(sum(one.incarnation.size for one in waiting))
    oldest = spell_seconds(now - min(one.since for one in waiting))
    return f"waiting to be stored: {spell_count(len(waiting), 'file')} ({size}), the oldest for {oldest}"
