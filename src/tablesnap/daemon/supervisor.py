"""How the daemon tells whoever started it how it fares."""

from collections.abc import Callable
from typing import Protocol


class Supervisor(Protocol):
    """What starts the daemon again if it dies or hangs. All calls come from the daemon's one thread; none raises."""

    def ready(self) -> None:
        """Say that every PATH is watched."""

    def alive(self) -> None:
        """Say that the daemon's one thread is not stuck. It is called often, and costs next to nothing."""

    def status(self, spell: Callable[[], str]) -> None:
        """Say what *spell* spells in a line; it looks at every file, so it is called only to tell somebody."""

    def stopping(self) -> None:
        """Say that the daemon was told to stop, and is finishing."""


class Unsupervised:
    """There is nobody to tell."""

    def ready(self) -> None:
        """Say nothing."""

    def alive(self) -> None:
        """Say nothing."""

    def status(self, spell: Callable[[], str]) -> None:
        """Say nothing."""

    def stopping(self) -> None:
        """Say nothing."""
