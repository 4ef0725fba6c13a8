"""The daemon: one thread decides, and owns all there is to know; the others watch, store, ask and record."""

import logging
import os
import queue
import sys
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from tablesnap.capture.limits import pins_within, raise_file_limit
from tablesnap.capture.listing import Disk
from tablesnap.capture.pin import Pins
from tablesnap.catalog.catalog import Catalog
from tablesnap.daemon import recording, table_recording
from tablesnap.daemon.deleting import delete_stored
from tablesnap.daemon.directory import Directory
from tablesnap.daemon.files import Files
from tablesnap.daemon.holding import Doing
from tablesnap.daemon.intake import FRESH, Intake, Judged
from tablesnap.daemon.messages import (
    Checked,
    Clocked,
    Finished,
    Protected,
    Recorded,
    Rescan,
    Stop,
    Surveyed,
    Surveying,
    Task,
)
from tablesnap.daemon.other_writers import OtherWriters, identify, is_beside
from tablesnap.daemon.progress import Progress
from tablesnap.daemon.questions import Questions
from tablesnap.daemon.schema_recording import SchemaRecorder
from tablesnap.daemon.settings import Settings
from tablesnap.daemon.stamping import StampClock
from tablesnap.daemon.supervisor import Supervisor, Unsupervised
from tablesnap.daemon.table import Table
from tablesnap.daemon.table_recording import TableRecorder
from tablesnap.daemon.tables import Tables, quiet_of_copies
from tablesnap.daemon.telling import Teller
from tablesnap.daemon.timing import Timing
from tablesnap.daemon.work import Protector
from tablesnap.errors import FileChanged, FileVanished, KeyRefused, TablesnapError
from tablesnap.live.events import Committed, IndexLog, LogGone
from tablesnap.live.witness import Witness
from tablesnap.rules import sstable
from tablesnap.rules.index import Index
from tablesnap.rules.index_parts import newest_of
from tablesnap.rules.lifecycle import Lifecycle, lifecycle_of
from tablesnap.rules.place import place_of
from tablesnap.store.port import Store
from tablesnap.units import spell_count, spell_size
from tablesnap.upload.one import Uploader
from tablesnap.upload.pool import Pool, Trouble
from tablesnap.upload.turns import Turns
from tablesnap.watch.hints import DirectoryGone, DirectoryHint, FileHint, Happening, Hint, LookEverywhere, Started
from tablesnap.watch.inotify import Watcher
from tablesnap.watch.links import second_choices

log = logging.getLogger(__name__)

SWITCH_SECONDS = 0.0005
LAST_INDEXES = 3  # at a stop: after one that is in flight the last one of an epoch that ends, and that of the next
FINISH_SECONDS = 30.0  # how long a stop waits for what is in flight
RECORD_SECONDS = 8.0  # and then for the last indexes; whoever kills the daemon 45 s after TERM must not cut them off
INBOX_LIMIT = 200_000  # hints; beyond it they are dropped, and every directory is looked at instead

Message = Hint | Committed | IndexLog | LogGone | Finished | Checked | Clocked | Surveyed | Recorded | Stop | Rescan


def utc_now() -> datetime:
    """Return the moment, by this machine's clock."""
    return datetime.now(UTC)


class Daemon:
    """Watches the PATHs of *settings* and keeps them in *store*, until it is told to stop."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        progress: Progress,
        wall_clock: Callable[[], datetime] = utc_now,
        supervisor: Supervisor | None = None,
        now: Callable[[], float] = time.monotonic,
        timing: Timing | None = None,
    ) -> None:
        keys = settings.keys
        self._settings = settings
        self._stamps = StampClock(wall_clock, now)
        self._known_key = ""  # of an object that the store can be asked about
        self._supervisor = supervisor or Unsupervised()
        self._now = now
        self._timing = timing or Timing()
        self._keys = keys
        writer = identify()
        catalog = Catalog(store, keys, writer)
        self._other_writers = OtherWriters(catalog.strangers, writer, self._timing, now)
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._hints_lost = False
        self._directories: dict[str, Directory] = {}
        self._disks: dict[str, Disk] = {}  # where directories were that are gone, of those behind links
        self._watcher = Watcher(
            settings.paths,
            self._hear,
            self._now,
            recursive=settings.recursive,
            auto_add=settings.auto_add,
            avoid=settings.avoid,
        )
        self._pins = Pins(most=pins_within(raise_file_limit()))
        self._witness = Witness(self._pins, self._inbox.put, self._now)
        self._turns = Turns()
        protector = Protector(keys, Uploader(store, self._stamps, indexed=settings.with_index))
        self._uploads: Pool[Task, Protected] = Pool(
            protector,
            lambda task, result: self._inbox.put(Finished(task, result)),
            # One thread takes what is urgent only, so that an addition never waits behind hours of compaction output.
            threads=max(1, settings.threads - 1),
            reserved=1,
            is_urgent=lambda urgency: urgency[0] == FRESH,
            is_wanted=lambda task: task.is_wanted(),
            began=lambda task: self._turns.began(task.turn) if task.turn is not None else None,
            retries=settings.retries,
            final=(FileVanished, FileChanged, KeyRefused),
            name_of=lambda task: os.path.join(task.directory, task.name),
        )
        # Not among the uploads, which may all be busy with large files for hours.
        self._recordings: Pool[tuple[Index, ...], Recorded] = Pool(
            lambda indexes: Recorded(indexes, catalog.write_restore_point(indexes)),
            lambda _, result: self._deliver_recorded(result),
            threads=2,
            retries=None,
            name="record",
            name_of=lambda indexes: f"the restore point of {indexes[0].directory}",
        )
        self._questions = Questions(store, catalog, keys, self._inbox.put)
        self._intake = Intake(settings, keys, self._submit, self._now, self._recognise_names, self._timing)
        self._teller = Teller(
            self._directories,
            self._known_tables,
            self._troubles,
            progress,
            self._supervisor,
            self._now,
            self._timing,
        )
        doing = Doing(
            submit=lambda task, urgency: self._uploads.add(task, urgency=urgency),
            turn=self._turns.next,
            list_directory=self._intake.list_directory,
            now=self._now,
            stamps=self._stamps,
            announce=self._teller.stored,
            let_go=lambda size: self._teller.let_go(1, size),
            timing=self._timing,
        )
        self._tables = Tables(settings, keys, self._witness, self._pins, doing)
        self._files = Files(settings, keys, self._intake, doing, self._write)
        self._table_recorder = TableRecorder(settings, keys, self._tables, self._intake, self._write)
        self._schema_recorder = SchemaRecorder(settings, self._tables, self._table_recorder)
        self._next_look_at_pins = 0.0
        self._started = False
        self._next_tick = 0.0

    def run(self) -> bool:
        """Work until `stop` is called; return whether something is not stored because the store did not take it.

        Raises `StoreRefused` if the store will not do what it is needed for.
        """
        # The watcher's thread has milliseconds to open what Cassandra deletes, and each time it asks the system for
        # something another thread may take the interpreter, for 5 ms if nobody says less.
        sys.setswitchinterval(SWITCH_SECONDS)
        self._watcher.start()
        self._questions.start()
        stopping = False
        while not stopping:
            stopping = self._handle_waiting(self._timing.tick)
            if self._now() >= self._next_tick:
                self._tick()
                self._next_tick = self._now() + self._timing.tick
        return self._finish()

    def stop(self) -> None:
        """Finish what is in flight and end. May be called by a signal handler."""
        self._inbox.put(Stop())

    def rescan(self) -> None:
        """Look at every directory, and try again what was given up. May be called by a signal handler."""
        self._inbox.put(Rescan())

    # What other threads call.

    def _hear(self, hint: Hint) -> None:
        self._witness.see(hint)
        if self._inbox.qsize() < INBOX_LIMIT:
            self._inbox.put(hint)
        else:
            self._hints_lost = True

    def _submit(self, task: Task, urgency: int) -> None:
        if urgency == FRESH:
            task = replace(task, turn=self._turns.next(task.directory))
        self._uploads.add(task, urgency=(urgency, task.turn or 0))

    def _write(self, indexes: tuple[Index, ...]) -> None:
        self._recordings.add(indexes, urgency=0)

    def _deliver_recorded(self, result: Recorded | TablesnapError) -> None:
        assert not isinstance(result, TablesnapError), "this pool never gives up"
        self._inbox.put(result)

    # What the one thread does.

    def _handle_waiting(self, timeout: float) -> bool:
        """Handle what is in the inbox, waiting for the first; return whether it says to stop."""
        try:
            for number in range(10_000):
                self._supervisor.alive()
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
                self._heed_file(message)
            case Committed():
                self._heed_committed(message)
            case IndexLog():
                self._tables.heed_index_log(message)
            case LogGone():
                table = self._tables.table_of(self._directories.get(message.directory))
                if table is not None:
                    self._tables.heed_log_gone(table, message)
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
            case Clocked():
                self._stamps.heed(message.clock)
            case Surveyed():
                self._heed_surveyed(message)
            case Recorded():
                self._heed_recorded(message)
            case Rescan():
                self._disks.clear()
                for directory in self._directories.values():
                    directory.disk = None  # whoever asks has seen to it that the right disk is there
                    if directory.table is None:
                        directory.note_change(self._now())  # what was not recorded while it was on the wrong one
                for table in self._tables.tables.values():
                    self._tables.try_again(table)
                self._other_writers.look()
                self._rescan("that was asked for")
            case Stop():
                raise AssertionError("a stop is seen before it is handled")

    def _tick(self) -> None:
        now = self._now()
        if self._hints_lost:
            self._hints_lost = False
            self._rescan("more happens than can be followed")
        self._intake.queue_the_still(self._directories)
        while self._intake.let_go:
            self._teller.let_go(1, self._intake.let_go.pop().incarnation.size)
        self._ask_clock()
        self._tick_tables(now)
        self._other_writers.tick()
        for directory in [] if self._stamps.is_unsure else list(self._directories.values()):
            if directory.table is None and recording.is_due(directory, now):
                self._files.record(directory, overdue=recording.is_overdue(directory, now))
        self._teller.tick(now)

    def _tick_tables(self, now: float) -> None:
        if now >= self._next_look_at_pins:
            self._next_look_at_pins = now + self._timing.pins_every
            self._tables.holder.keep_within(self._tables.tables, self._settings.pin_limit)
        for table in list(self._tables.tables.values()):
            if not table.begun and table.look_at is not None and now >= table.look_at:
                self._begin_table(table, frozenset())
                self._supervisor.alive()
        self._tables.tick(now)
        for table in list(self._tables.tables.values()):
            if not table.begun:
                continue
            self._note_changes(table, now)
            is_due = table_recording.is_due(table, now, self._settings.index_interval)
            if is_due and not self._stamps.is_unsure and not self._schema_recorder.keeps_back(table, now):
                self._table_recorder.record(table)
                self._supervisor.alive()
        if not self._stamps.is_unsure:
            self._schema_recorder.tick(now)

    def _note_changes(self, table: Table, now: float) -> None:
        table_recording.stir(table, now)
        for directory in table.directories.values():
            if directory.changed_since is not None:
                directory.changed_since = None
                table.note_change(now)

    def _ask_clock(self) -> None:
        """Ask for the store's clock now and then: about an object, as there is no other way."""
        if self._known_key and self._stamps.is_ask_due():
            self._stamps.note_asked()
            self._questions.ask_clock(self._known_key)

    def _rescan(self, reason: str) -> None:
        log.info("looking at every directory, because %s", reason)
        for directory in self._directories.values():
            directory.given_up.clear()
        self._watcher.rescan()

    def _heed_file(self, hint: FileHint) -> None:
        directory = self._directories.get(hint.directory)
        if directory is None:
            return
        is_unknown = directory.table is None and not directory.listed and hint.happening is not Happening.GONE
        if is_unknown and lifecycle_of([hint.name]) in (Lifecycle.LOGGED, Lifecycle.SCYLLA):
            self._recognise(directory, hint.name)
        if directory.listed and place_of(directory.path).copies:
            directory.quiet = min(directory.quiet, quiet_of_copies(directory.path, [hint.name], self._timing))
        table = self._tables.table_of(directory)
        if table is not None and sstable.parse(hint.name) is not None:
            self._tables.follower.heed(table, hint)
        else:
            self._intake.heed(directory, hint)

    def _recognise_names(self, directory: Directory, names: Iterable[str]) -> None:
        self._tables.recognise(directory, names)

    def _recognise(self, directory: Directory, name: str) -> None:
        """Find out whether *directory*, in which Cassandra or Scylla made *name*, is one of a table."""
        listing = self._intake.list_directory(directory)
        self._tables.recognise(directory, [name])
        table = self._tables.table_of(directory)
        if listing is not None and table is not None and not table.begun:
            self._intake.note_unlooked(directory, listing)
        if directory.table is not None:
            for known in (directory.pending, directory.found, directory.stored):
                for name in [name for name in known if sstable.parse(name) is not None]:
                    del known[name]

    def _heed_committed(self, committed: Committed) -> None:
        directory = self._directories.get(committed.directory)
        if directory is not None and directory.table is None:
            self._recognise(directory, committed.transaction.name)
        # The log names all data directories. One of which nothing was heard yet must not be left out of the addition.
        for path in {path for path, _ in (*committed.transaction.added, *committed.transaction.removed)}:
            other = self._directories.get(path)
            if other is not None and other.table is None:
                self._recognise(other, committed.transaction.name)
        table = self._tables.table_of(directory)
        if table is not None:
            self._tables.follower.commit(table, committed)
        else:
            self._tables.holder.release_all(committed.pins)

    def _begin_table(self, table: Table, taken: frozenset[str]) -> Judged:
        points = [one.point for one in table.directories.values() if one.point is not None]
        table.newest = newest_of(points)
        return self._tables.beginner.begin(table, taken)

    def _heed_directory(self, hint: DirectoryHint) -> None:
        directory = self._directories.get(hint.directory)
        if directory is None and self._tables.is_left_out(hint.directory, self._directories):
            return
        if directory is None:
            directory = self._directories[hint.directory] = Directory(path=hint.directory, quiet=self._timing.quiet)
            directory.disk = self._disks.pop(hint.directory, None)
            self._tables.note_watched(directory)
            if hint.at_start:
                self._intake.look_at_start(directory)
                return
            log.info("watching %s", directory.path)
            if self._started:
                self._questions.survey(Surveying((directory.path,), (directory.path,)))
        listing = self._intake.look(directory)
        if listing is not None:
            directory.last_event = self._now()
        table = self._tables.table_of(directory)
        if table is not None:
            table.look_at = self._now()
            if listing is not None and not table.begun:
                self._intake.note_unlooked(directory, listing)

    def _heed_gone(self, path: str) -> None:
        directory = self._directories.pop(path, None)
        if directory is not None:
            if directory.disk is not None and directory.disk.real != path:
                self._disks[path] = directory.disk
            self._intake.forget(directory)
            self._tables.leave(directory)
            self._teller.let_go(sum(one.found for one in directory.pending.values()), 0)
            log.warning("%s is gone; its restore points stay in the store", path)

    def _heed_started(self, started: Started) -> None:
        found = [seen for directory in self._directories.values() for seen in directory.unjudged()]
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
        self._teller.contested = started.contested
        self._supervisor.ready()
        self._teller.started()
        self._questions.survey(
            Surveying(
                self._settings.paths,
                (*self._directories, *{path for group in started.contested for path in group}),
                frozenset(
                    self._keys.plain(os.path.join(directory.path, name))
                    for directory in self._directories.values()
                    for name in (*directory.found, *directory.unlooked)
                ),
                at_start=True,
            )
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

    def _heed_checked(self, checked: Checked) -> None:
        if checked.refusal is not None:
            raise checked.refusal
        log.debug("the store is ready")
        self._teller.answered()
        self._uploads.start()
        self._recordings.start()
        self._questions.go_on()

    def _heed_surveyed(self, surveyed: Surveyed) -> None:
        self._known_key = self._known_key or surveyed.survey.example
        judged = Judged()
        for path in surveyed.asked.directories:
            directory = self._directories.get(path)
            if directory is None or directory.surveyed:
                continue
            self._files.adopt(directory, surveyed.survey.newest.get(path))
            directory.point = surveyed.survey.points.get(path)
            judged += self._intake.judge_found(directory, surveyed.survey.taken)
            self._supervisor.alive()
        for table in list(self._tables.tables.values()):
            if not table.begun and table.directories.keys() & set(surveyed.asked.directories):
                judged += self._begin_table(table, surveyed.survey.taken)
                self._supervisor.alive()
        if surveyed.asked.at_start:
            self._decide_contested(surveyed.survey.newest)
            self._other_writers.begin(surveyed.survey.points.values())
            self._teller.judged(judged)
            for directory in self._directories.values():
                delete_stored(directory, self._settings)

    def _decide_contested(self, indexed: Collection[str]) -> None:
        """Have each directory that several links reach watched under one path: if it can be, one that has an index."""
        if self._teller.contested:
            self._watcher.decide(second_choices(self._teller.contested, indexed))
            self._teller.contested = ()

    def _heed_finished(self, finished: Finished) -> None:
        task, result = finished.task, finished.result
        if isinstance(result, Protected) and is_beside(result.file.key, task.name):
            self._other_writers.suspect(task.directory)
        if task.sstable is None:
            self._files.finish(self._directories.get(task.directory), task, result)
        elif self._tables.holder.finish(self._tables.tables.get(task.table), task, result):
            self._next_tick = 0.0  # an index may be due at once

    def _heed_recorded(self, recorded: Recorded) -> None:
        self._known_key = recorded.keys[0]
        path = recorded.indexes[0].directory
        table = next((one for one in self._tables.tables.values() if path in one.directories), None)
        if table is not None and table.index_in_flight:
            self._table_recorder.recorded(table, recorded)
            self._teller.recorded(table.name, recorded.indexes[0])
            for part in table.directories.values():
                delete_stored(part, self._settings)
        elif (directory := self._directories.get(path)) is not None:
            self._files.recorded(directory, recorded)
            self._teller.recorded(path, recorded.indexes[0])

    def _known_tables(self) -> Collection[Table]:
        return self._tables.tables.values()

    def _troubles(self) -> list[Trouble]:
        return [*self._questions.troubles, *self._uploads.troubles, *self._recordings.troubles]

    def _finish(self) -> bool:
        """End in order: what is in flight, then the indexes of what is stored; each has a time of its own.

        Return what `run` returns.
        """
        deadline = self._now() + FINISH_SECONDS
        self._teller.stopping()
        self._watcher.stop()
        self._uploads.stop()
        while self._now() < deadline and (self._uploads.busy or not self._inbox.empty() or self._awaits_survey()):
            self._handle_waiting(self._timing.tick)
        self._questions.stop()
        self._record_the_last(self._now() + RECORD_SECONDS)
        return self._teller.stopped(self._unrecorded())

    def _awaits_survey(self) -> bool:
        """Say whether something is stored in a directory whose newest index is being asked for: none can follow before.

        Without one the next start would not know that this run was responsible for it, and leave it alone.
        """
        return not self._questions.troubles and any(
            directory.table is None and not directory.surveyed and directory.stored
            for directory in self._directories.values()
        )

    def _record_the_last(self, deadline: float) -> None:
        """Have written what no index tells yet, until *deadline*."""
        for number in range(LAST_INDEXES):
            for directory in self._directories.values():
                if self._now() < deadline and self._has_news(directory) and not directory.index_in_flight:
                    self._files.record(directory, overdue=True)
                    self._supervisor.alive()
            self._schema_recorder.record_now()
            for table in self._recordable_tables():
                # Once it was looked at, only what has happened since is a reason to do it again.
                news = self._has_changed(table) or (number == 0 and table_recording.has_news(table, self._now()))
                if self._now() < deadline and news and not table.index_in_flight:
                    self._table_recorder.record(table, at_stop=True)
                    self._supervisor.alive()
            while self._now() < deadline and self._is_recording() and self._recordings.outage is None:
                self._handle_waiting(self._timing.tick)

    def _has_news(self, directory: Directory) -> bool:
        return directory.table is None and directory.surveyed and directory.changed_since is not None

    def _has_changed(self, table: Table) -> bool:
        self._note_changes(table, self._now())
        return table_recording.has_changed(table, self._now())

    def _recordable_tables(self) -> list[Table]:
        return [table for table in self._tables.tables.values() if table.begun and not table.absent]

    def _is_recording(self) -> bool:
        if any(table.index_in_flight for table in self._tables.tables.values()):
            return True
        return any(directory.index_in_flight for directory in self._directories.values())

    def _is_unrecorded(self, directory: Directory) -> bool:
        # Nothing can be recorded of one whose newest index is still being asked for.
        return (
            directory.index_in_flight or self._has_news(directory) or bool(directory.stored and not directory.surveyed)
        )

    def _unrecorded(self) -> int:
        """Return of how many directories the newest index does not tell all."""
        tables = [table for table in self._recordable_tables() if table.index_in_flight or self._has_changed(table)]
        ordinary = [one for one in self._directories.values() if one.table is None and self._is_unrecorded(one)]
        return sum(len(table.directories) for table in tables) + len(ordinary)
