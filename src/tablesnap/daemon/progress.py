"""How a backlog's progress is told, whoever is watching."""

from typing import Protocol


class Progress(Protocol):
    """The upload of what was there before the start. All calls come from the daemon's one thread."""

    def begin(self, files: int, size: int) -> None:
        """Say how much there is to do: *files* and their *size* in bytes. Called again, it begins anew."""

    def advance(self, files: int, size: int) -> None:
        """Say that so many more files and bytes are done, since the last call."""

    def end(self) -> None:
        """Say that nothing is left, or that the daemon stops. Without a `begin` it does nothing."""
