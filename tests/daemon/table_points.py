"""What the store says of a table: its restore points, read back whole."""

import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from tests.daemon.fake_cassandra import Table, Written
from tests.daemon.in_process import BRISK, Running, indexes, newest, restored, running
from tests.stores import Around
from tests.waiting import wait_until

from tablesnap.checksum import crc64nvme
from tablesnap.daemon.service import utc_now
from tablesnap.daemon.timing import Timing
from tablesnap.rules.index import Index
from tablesnap.rules.keys import is_index
from tablesnap.store.port import Store

ID = "1b255f4def2540a60000000000000001"

Contents = dict[str, bytes]  # by absolute path


def directory_below(data: Path, table: str = "t") -> Path:
    """Return where a data directory has the table."""
    return data / "ks" / f"{table}-{ID}"


class Held(Around):
    """A store that keeps requests waiting: those that *holds* picks, until they are let through, one by one or all."""

    def __init__(self, store: Store, holds: Callable[[str], bool]) -> None:
        super().__init__(store)
        self._holds = holds
        self._changed = threading.Condition()
        self._through: float = 0  # how many
        self.waiting: list[str] = []  # those that were kept, in the order they came, with those let through meanwhile

    def before(self, request: str) -> None:
        super().before(request)
        if not self._holds(request):
            return
        with self._changed:
            self.waiting.append(request)
            place = len(self.waiting)
            assert self._changed.wait_for(lambda: place <= self._through, 60), "nobody let the request through"

    @property
    def kept(self) -> int:
        """How many are waiting now."""
        return int(max(0, len(self.waiting) - self._through))

    def let_one_through(self) -> None:
        self._let_through(self._through + 1)

    def let_through(self) -> None:
        self._let_through(math.inf)

    def _let_through(self, number: float) -> None:
        with self._changed:
            self._through = number
            self._changed.notify_all()


@contextmanager
def following(
    store: Store,
    *tables: Table,
    paths: tuple[Path, ...] = (),
    wall_clock: Callable[[], datetime] = utc_now,
    now: Callable[[], float] = time.monotonic,
    timing: Timing = BRISK,
    **settings: object,
) -> Iterator[Running]:
    """Run a daemon that writes an index after every commit, and have no log of *tables* vanish before it is opened.

    It watches the data directories of the tables; if *paths* are given, these in their place, and no transactions.
    """
    everything = [it for table in tables for it in (table, *table.indexes)]
    roots = {directory.parent.parent for table in tables for directory in table.directories}
    # The events of a daemon that was told of none: sstables must not need any.
    settings = {"index_interval": 0.0, "events": frozenset({"IN_MOVED_TO"}), **settings}
    with running(store, *(paths or sorted(roots)), wall_clock=wall_clock, now=now, timing=timing, **settings) as daemon:
        for it in everything:
            it.followed_by = None if paths else os.getpid()
        try:
            yield daemon
        finally:
            for it in everything:
                it.followed_by = None


@contextmanager
def held(store: Store, holds: Callable[[str], bool]) -> Iterator[Held]:
    """Hold requests for as long as the block lasts, or until they are let through."""
    it = Held(store, holds)
    try:
        yield it
    finally:
        it.let_through()


def creates(*stems: str) -> Callable[[str], bool]:
    """Pick the uploads of these sstables' components."""
    return lambda request: (
        request.startswith("create ") and not is_index(request) and any(f"/{stem}" in request for stem in stems)
    )


def contents_of(store: Store, index: Index) -> Contents:
    """Return what a restore of all directories gives, having checked every byte."""
    found: Contents = {}
    for directory, files in {index.directory: index.files, **index.others}.items():
        for name, file in files.items():
            body = b"".join(store.read(file.key))
            assert (len(body), crc64nvme(body)) == (file.size, file.checksum), f"{file.key} is not what the index says"
            found[os.path.join(directory, name)] = body
    return found


def expected(sstables: Iterable[Written], more: Mapping[Path, bytes] | None = None) -> Contents:
    """Return what a restore of *sstables* must give."""
    found = {str(one.directory / name): data for one in sstables for name, data in one.files.items()}
    return found | {str(path): data for path, data in (more or {}).items()}


def wait_for_view(store: Store, directory: Path, sstables: Iterable[Written]) -> Index:
    """Wait until the newest restore point is whole and holds exactly *sstables*, as they are."""
    wanted = expected(sstables)
    found: list[Index] = []

    def there() -> bool:
        index = newest(store, directory)
        if index is None or index.missing or contents_of(store, index) != wanted:
            return False
        found.append(index)
        return True

    try:
        wait_until(there, f"a restore point of {directory} with {sorted(wanted)}")
    except AssertionError as error:
        index = newest(store, directory)
        error.add_note(f"the newest has {sorted(contents_of(store, index)) if index else None}, and is {index}")
        raise
    return found[-1]


def wait_for_live(store: Store, table: Table) -> Index:
    """Wait until the newest restore point holds what is live in *table*, and in its indexes."""
    return wait_for_view(store, table.directories[0], [*table.live, *(one for it in table.indexes for one in it.live)])


def stems_of(index: Index) -> set[str]:
    """Return the sstables that an index names, by their stems."""
    everywhere = (index.files, *index.others.values())
    return {name[: name.rfind("-") + 1] for files in everywhere for name in files if name.endswith((".db", ".txt"))}


def history(store: Store, directory: Path) -> list[set[str]]:
    """Return the sstables of each restore point, the oldest first."""
    return [stems_of(index) for index in indexes(store, directory)]


def data_keys(store: Store) -> set[str]:
    """Return the keys of all that is no index."""
    return {listed.key for listed in store.list("") if not is_index(listed.key)}


def insist_all_are_whole(store: Store, directory: Path) -> None:
    """Insist that every restore point of *directory* is whole, and every byte of it right."""
    for index in indexes(store, directory):
        assert not index.missing
        contents_of(store, index)
        restored(store, index)
