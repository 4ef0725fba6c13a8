"""What the daemon's one thread is told, besides the watcher's hints."""

from collections.abc import Callable
from dataclasses import dataclass

from tablesnap.catalog.catalog import Survey
from tablesnap.errors import StoreError, TablesnapError
from tablesnap.rules.incarnation import Incarnation
from tablesnap.rules.index import Index, StoredFile


@dataclass(frozen=True)
class Task:
    """Store one file."""

    directory: str
    name: str
    found: bool
    expected: bool
    is_named: Callable[[str], bool]


@dataclass(frozen=True)
class Protected:
    """One file is stored."""

    incarnation: Incarnation
    file: StoredFile
    sent: bool
    because_named: bool


@dataclass(frozen=True)
class Finished:
    """A worker is done with a task."""

    task: Task
    result: Protected | TablesnapError


@dataclass(frozen=True)
class Checked:
    """The store was asked whether it will do what it is needed for."""

    refusal: StoreError | None


@dataclass(frozen=True)
class Surveying:
    """Find out what the store holds of these directories; both None: check the store."""

    roots: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()
    keys: frozenset[str] = frozenset()
    at_start: bool = False


@dataclass(frozen=True)
class Surveyed:
    """What the store holds is known."""

    asked: Surveying
    survey: Survey


@dataclass(frozen=True)
class Recorded:
    """An index is stored."""

    index: Index
    key: str


@dataclass(frozen=True)
class Stop:
    """Finish what is in flight, and end."""


@dataclass(frozen=True)
class Rescan:
    """Look at every directory."""
