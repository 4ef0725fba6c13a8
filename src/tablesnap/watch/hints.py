"""What the watcher has to say."""

from dataclasses import dataclass
from enum import Enum


class Happening(Enum):
    """What the kernel said of a name."""

    MOVED_TO = "IN_MOVED_TO"
    CLOSED = "IN_CLOSE_WRITE"
    CREATED = "IN_CREATE"
    GONE = "gone"  # deleted, or moved away


@dataclass(frozen=True)
class FileHint:
    """Something happened to the file *name* in *directory*."""

    directory: str
    name: str
    happening: Happening


@dataclass(frozen=True)
class DirectoryHint:
    """*directory* is worth a look: it is new, or nobody can say what happened in it."""

    directory: str
    at_start: bool = False


@dataclass(frozen=True)
class DirectoryGone:
    """*directory* is not there any more under this name."""

    directory: str


@dataclass(frozen=True)
class Started:
    """Every directory that was there at start has been hinted at."""

    directories: int
    unwatched: int = 0  # of these, how many have no watch and are looked at instead
    contested: tuple[tuple[str, ...], ...] = ()  # of each directory that several links reach: its paths, none watched


@dataclass(frozen=True)
class LookEverywhere:
    """Events were lost; only a look at every directory makes it good."""

    reason: str


Hint = FileHint | DirectoryHint | DirectoryGone | Started | LookEverywhere
