"""What the signals of this process ask for."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Protocol

from tablesnap.cli.console.exit_codes import EXIT_INTERRUPTED, EXIT_OK


class Directed(Protocol):
    """What can be told to stop or to look again. Both may be called from a signal handler."""

    def stop(self) -> None:
        """Finish what is in flight, then return from running."""

    def rescan(self) -> None:
        """Look at every directory again."""


class Signals:
    """SIGTERM and SIGINT stop, a second one exits at once, SIGHUP rescans.

    The handlers neither log nor wait: the thread they interrupt may hold the lock of a log handler.
    """

    def __init__(self) -> None:
        self._directed: Directed | None = None
        self._before_exit: Callable[[], None] = lambda: None
        self._stopping = False
        self.exit_code = EXIT_OK
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, self._rescan)

    def direct(self, directed: Directed, *, before_exit: Callable[[], None]) -> None:
        """From now on signals go to *directed*. Before, there is nothing in flight: to stop is to exit."""
        self._before_exit = before_exit
        self._directed = directed

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if self._stopping:
            self._before_exit()
            # What is not in the log yet is lost: to wait for it could be to wait for a handler that is stuck.
            os._exit(EXIT_INTERRUPTED)
        self._stopping = True
        self.exit_code = EXIT_INTERRUPTED if number == signal.SIGINT else EXIT_OK
        if self._directed is None:
            sys.exit(self.exit_code)
        self._directed.stop()

    def _rescan(self, _number: int, _frame: FrameType | None) -> None:
        if self._directed is not None:
            self._directed.rescan()


def stop_on_signals(before_exit: Callable[[], None]) -> threading.Event:
    """Return what SIGINT and SIGTERM set from now on; the second of them ends the process at once."""
    stop = threading.Event()

    def heed(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            before_exit()
            os._exit(EXIT_INTERRUPTED)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, heed)
    return stop
