"""What the daemon's one thread is told, besides the watcher's hints."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from tablesnap.capture.pin import Pin
from tablesnap.catalog.catalog import Survey
from tablesnap.errors import StoreError, TablesnapError
from tablesnap.rules.incarnation import Incarnation
from tablesnap.rules.index import Index, StoredFile
from tablesnap.rules.view import Sstable


@dataclass(frozen=True)
class Task:
    """Store one file."""

    directory: str
    name: str
    found: bool
    expected: bool
    is_named: Callable[[str], bool]
    turn: int | None = None
    table: str = ""  # of an sstable's component: its table,
    sstable: Sstable | None = None  # which sstable,
    pin: Pin | None = None  # and what holds it
    is_wanted: Callable[[], bool] = lambda: True


@dataclass(frozen=True)
class Protected:
    """One file is stored."""

    incarnation: Incarnation
    file: StoredFile
    sent: bool
    because_named: bool

    def is_left(self, named: frozenset[str]) -> bool:
        """Say whether nothing keeps a purge off the object any more, so that the file is to be stored anew.

        It was not sent, as the newest index named an object that holds the same; the one that names *named* does not.
        """
        return self.because_named and self.file.key not in named


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
    clock_of: str = ""  # the key of an object, of which only the store's clock is asked


@dataclass(frozen=True)
class Surveyed:
    """What the store holds is known."""

    asked: Surveying
    survey: Survey


@dataclass(frozen=True)
class Clocked:
    """What the store's clock says; None: the object that it was asked about is gone."""

    clock: datetime | None


@dataclass(frozen=True)
class Recorded:
    """A restore point is stored; its first index holds the files of all."""

    indexes: tuple[Index, ...]
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Stop:
    """Finish what is in flight, and end."""


@dataclass(frozen=True)
class Rescan:
    """Look at every directory."""
