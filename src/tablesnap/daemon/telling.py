"""Tell the log and the supervisor how the daemon fares: what was done, what waits, and what keeps it from the store."""

import logging
import os
from collections.abc import Callable, Iterable, Mapping

from tablesnap.daemon.announcing import Announcer, Recordings
from tablesnap.daemon.backlog import Backlog
from tablesnap.daemon.directory import Directory
from tablesnap.daemon.intake import Judged
from tablesnap.daemon.progress import Progress
from tablesnap.daemon.supervisor import Supervisor
from tablesnap.daemon.table import Table
from tablesnap.daemon.timing import Timing
from tablesnap.daemon.waiting import Waiting, is_anything_waiting, spell_unprotected, spell_waiting, waiting_in
from tablesnap.rules.index import Index
from tablesnap.units import spell_count, spell_seconds, spell_size
from tablesnap.upload.pool import Cause, Trouble, joined
from tablesnap.watch.links import Groups

log = logging.getLogger(__name__)

# Operators search for these words: the guide's table of alerts has them.
_WORDS = {
    Cause.OUTAGE: "the store has not answered for %s",
    Cause.REFUSAL: "the store has refused for %s",
    Cause.OTHER: "files could not be stored for %s",
}


class Teller:
    """Says how the daemon fares. Used by the daemon's one thread alone."""

    def __init__(
        self,
        directories: Mapping[str, Directory],
        tables: Callable[[], Iterable[Table]],
        troubles: Callable[[], Iterable[Trouble]],
        progress: Progress,
        supervisor: Supervisor,
        now: Callable[[], float],
        timing: Timing,
    ) -> None:
        self._directories = directories
        self._tables = tables
        self._troubles = troubles
        self._backlog = Backlog(progress)
        self._supervisor = supervisor
        self._now = now
        self._timing = timing
        self._announcer = Announcer(timing.announce_wait)
        self._recordings = Recordings()
        self._done = _Done()
        self._started = self._answered = False
        self.contested: Groups = ()  # until it is decided under which of its paths each of these directories is kept
        self._behind = False  # it was said that something waits, and not yet that all is stored
        self._begun = now()
        self._next_status = 0.0
        self._next_announcement = 0.0
        self._next_report = now() + timing.report_every
        self._next_summary = now() + timing.summary_every

    # What happened.

    def started(self) -> None:
        """Take in that every PATH is watched."""
        self._started = True
        self._next_status = 0.0  # it is another one now

    def answered(self) -> None:
        """Take in that the store answers, and will do."""
        self._answered = True

    def judged(self, judged: Judged) -> None:
        """Say what becomes of the files found at start."""
        self._backlog.begin(judged)
        self._behind = judged.stored + judged.waiting > 0

    def let_go(self, files: int, size: int) -> None:
        """Take in that so many *files* and bytes found at start are not waited for any more."""
        self._backlog.count(files, size)

    def stored(self, directory: Directory, name: str, size: int) -> None:
        """Take in that the file *name* of *size* bytes was stored."""
        self._done.files += 1
        self._done.size += size
        self._announcer.stored(directory, name, size, self._now())

    def recorded(self, name: str, index: Index) -> None:
        """Take in that a restore point of the table or directory *name* is stored; *index* has all its files."""
        self._done.points += 1
        self._recordings.recorded(name, index)

    # What is said of it.

    def tick(self, now: float) -> None:
        """Say what has become due."""
        if now >= self._next_status:
            self._next_status = now + self._timing.status_every
            self._supervisor.status(self._spell_status)
        if now >= self._next_announcement:
            self._next_announcement = now + self._timing.announce_every
            self._announcer.announce(self._directories, now)
            self._recordings.announce()
            self._say_if_all_is_stored()
        if now >= self._next_report:
            self._next_report = now + self._timing.report_every
            self._report(now)
        if now >= self._next_summary:
            self._next_summary = now + self._timing.summary_every
            self._done.say(self._timing.summary_every, spell_waiting(self._waiting(), now))
            self._done = _Done()

    def stopping(self) -> None:
        """Say that the daemon was told to stop."""
        log.info("stopping: finishing what is in flight")
        self._supervisor.stopping()
        self._supervisor.status(lambda: "finishing what is in flight")
        self._backlog.end()

    def stopped(self, unrecorded: int) -> bool:
        """Say what the daemon leaves undone; return whether that is because the store did not take it.

        *unrecorded* is the number of directories of which the newest index does not tell all.
        """
        self._announcer.announce(self._directories, self._now(), all_of_them=True)
        self._recordings.announce()
        if unrecorded:
            log.warning(
                "the last restore points of %s are not written; start again with -B to have all of them",
                spell_count(unrecorded, "directory"),
            )
        now, waiting = self._now(), self._waiting()
        troubles = self._joined()
        is_kept_back = bool((waiting or unrecorded) and troubles)
        level = logging.ERROR if is_kept_back else logging.WARNING
        why = "".join(f"; {_spell(one, now)}; last error: {one.error}" for one in troubles)
        if waiting:
            what = spell_waiting(waiting, now)
            log.log(level, "stopped; %s%s; start again with -B to store all of them", what, why)
        elif unrecorded:
            log.log(level, "stopped; all files are stored, but not their last restore points%s", why)
        else:
            given_up = spell_unprotected(self._directories.values(), self._tables(), left_alone=False)
            log.info("stopped; nothing is pending%s", f", but {given_up}" if given_up else "")
        return is_kept_back

    def _report(self, now: float) -> None:
        self._report_contested()
        waiting, troubles = self._waiting(), self._joined()
        self._behind = self._behind or waiting.files > 0
        for one in troubles:
            log.log(
                logging.ERROR if now - one.since >= self._timing.error_after else logging.WARNING,
                f"{_WORDS[one.cause]}; %s; last error: %s",  # noqa: G004 - of few kinds, which the journal keeps apart
                spell_seconds(now - one.since),
                spell_waiting(waiting, now),
                one.error,
            )
        if waiting and not troubles and not self._backlog.files:
            log.info("%s", spell_waiting(waiting, now))

    def _report_contested(self) -> None:
        contested = {path for group in self.contested for path in group}
        for group in self.contested:
            if os.path.dirname(group[0]) not in contested:
                log.error(
                    "%s: nothing below is backed up yet. These links lead to one directory, and the store has not said "
                    "which of them it knows",
                    " and ".join(group),
                )

    def _say_if_all_is_stored(self) -> None:
        if not self._behind or self._backlog.files or self._announcer.has_more or self.contested:
            return
        directories, tables = self._directories.values(), self._tables()
        if is_anything_waiting(directories, tables):
            return
        self._behind = False
        but = spell_unprotected(directories, tables)
        log.info("all files are stored%s", f", but {but}" if but else "")

    def _spell_status(self) -> str:
        directories = spell_count(len(self._directories), "directory")
        if not self._started:
            return f"beginning to watch; {directories} so far"
        now, troubles = self._now(), self._joined()
        said = [f"watching {directories}", *(_spell(one, now) for one in troubles)]
        said.append(spell_waiting(self._waiting(), now))
        said += [f"last error: {one.error}" for one in troubles]
        return "; ".join(said)

    def _waiting(self) -> Waiting:
        return waiting_in(self._directories.values(), self._tables())

    def _joined(self) -> list[Trouble]:
        troubles = list(self._troubles())
        now = self._now()
        if not self._answered and now - self._begun >= self._timing.first_answer:
            # A request that nobody answers may take minutes to fail.
            troubles.append(Trouble(Cause.OUTAGE, self._begun, "no answer since the start", failed_at=0.0))
        return joined(troubles)


class _Done:
    """What was done since the last summary."""

    def __init__(self) -> None:
        self.files = 0
        self.size = 0
        self.points = 0

    def say(self, seconds: float, waiting: str) -> None:
        log.info(
            "in the last %s: stored %s (%s), recorded %s; %s",
            spell_seconds(seconds),
            spell_count(self.files, "file"),
            spell_size(self.size),
            spell_count(self.points, "restore point"),
            waiting,
        )


def _spell(trouble: Trouble, now: float) -> str:
    return _WORDS[trouble.cause] % spell_seconds(now - trouble.since)
