"""Progress: a bar on a terminal, a log line a minute elsewhere."""

import logging
import threading
import time
from collections.abc import Callable

from rich.progress import (
    BarColumn,
    DownloadColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bar

from tablesnap.cli.console.screen import Screen
from tablesnap.daemon.progress import Progress
from tablesnap.units import spell_seconds, spell_size

log = logging.getLogger(__name__)

LINE_EVERY = 60.0  # seconds


def progress_for(screen: Screen, what: str = "backlog") -> Progress:
    """Choose how progress is shown, of *what*."""
    return BarProgress(screen, what) if screen.is_terminal else LineProgress(what=what)


class SharedProgress:
    """A progress that several threads advance at once."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()

    def turn_to(self, progress: Progress) -> None:
        """Count on another progress from now on."""
        with self._lock:
            self._progress = progress

    def advance(self, files: int, size: int) -> None:
        """Count."""
        with self._lock:
            self._progress.advance(files, size)


class LineProgress:
    """A log line a minute at most, and one at the end."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, what: str = "backlog") -> None:
        self._clock = clock
        self._what = what
        self._under_way = False

    def begin(self, files: int, size: int) -> None:
        """Remember how much there is to do."""
        self._files, self._size = files, size
        self._files_done = self._size_done = 0
        self._began = self._said = self._clock()
        self._under_way = files > 0

    def advance(self, files: int, size: int) -> None:
        """Count, and say so if the last line is old enough."""
        if not self._under_way:
            return
        self._files_done += files
        self._size_done += size
        now = self._clock()
        if now - self._said >= LINE_EVERY:
            self._said = now
            log.info("%s: %s, %s", self._what, self._done(), self._left(now - self._began))

    def end(self) -> None:
        """Say how it ended."""
        if not self._under_way:
            return
        self._under_way = False
        took = spell_seconds(self._clock() - self._began)
        whole = self._files_done >= self._files
        log.info("%s: %s after %s: %s", self._what, "done" if whole else "stopped", took, self._done())

    def _done(self) -> str:
        sizes = f"{spell_size(self._size_done)} of {spell_size(self._size)}"
        return f"{self._files_done} of {self._files} files, {sizes}"

    def _left(self, elapsed: float) -> str:
        # Bytes foretell the time better than files do, unless the files are empty.
        done, total = (self._size_done, self._size) if self._size else (self._files_done, self._files)
        if not done:
            return "time left not known yet"
        return f"about {spell_seconds(max(0.0, elapsed * (total - done) / done))} left"


class BarProgress:
    """A bar at the foot of the terminal: files, bytes, rate, time left."""

    def __init__(self, screen: Screen, what: str = "backlog") -> None:
        self._screen = screen
        self._what = what
        self._bar: Bar | None = None

    def begin(self, files: int, size: int) -> None:
        """Draw the bar."""
        self.end()
        if not files:
            return
        self._files_done = self._size_done = 0
        self._bar = Bar(
            TextColumn("{task.description} {task.fields[files]}/{task.fields[of]} files", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._screen.console,
            refresh_per_second=4,
            # Lines come through the screen; what else writes to standard output is none of the bar's business.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task(self._what, total=size, files=0, of=files)
        self._screen.bar_begins()
        self._bar.start()

    def advance(self, files: int, size: int) -> None:
        """Move the bar on."""
        if self._bar is None:
            return
        self._files_done += files
        self._size_done += size
        self._bar.update(self._task, completed=self._size_done, files=self._files_done)

    def end(self) -> None:
        """Leave the bar as it is, and the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        self._screen.bar_ended()
