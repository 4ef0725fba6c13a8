"""Standard error, shared by log lines and a progress bar."""

import os
import sys
from collections.abc import Callable

from rich.console import Console

_SHOW_CURSOR = b"\r\n\x1b[?25h"


class Screen:
    """Where lines go: straight to standard error, or above a bar while there is one."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.is_terminal = sys.stderr is not None and sys.stderr.isatty()  # None: it was closed before we began
        self._above_bar: Callable[[str], None] | None = None

    def print(self, line: str) -> None:
        """Write one line or several, unchanged."""
        above_bar = self._above_bar
        if above_bar is None:
            print(line, file=sys.stderr, flush=True)
        else:
            above_bar(line)

    def bar_begins(self) -> None:
        """From now on lines are written above the bar."""
        self._above_bar = self._print_above

    def bar_ended(self) -> None:
        """From now on lines are written as they come."""
        self._above_bar = None

    def rescue(self) -> None:
        """Give the terminal its cursor back, from a signal handler: no lock is taken, nothing is waited for."""
        if self._above_bar is not None:
            os.write(2, _SHOW_CURSOR)

    def _print_above(self, line: str) -> None:
        self.console.out(line, highlight=False)
