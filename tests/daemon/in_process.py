"""A daemon in a thread of this process, over a store in memory, and what can be asked of what it left there."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tests.stores import Around
from tests.waiting import wait_until

from tablesnap.checksum import crc64nvme
from tablesnap.daemon.service import Daemon, utc_now
from tablesnap.daemon.settings import Settings
from tablesnap.daemon.timing import Timing
from tablesnap.errors import StoreError
from tablesnap.rules.index import Index
from tablesnap.rules.index_decoding import decode
from tablesnap.rules.keys import directory_of, is_index
from tablesnap.store.port import Store

# A test waits no longer than it takes to see that nothing moves. What the daemon allows to those who are late is as it
# is everywhere (`after_look`, `index_flushes`, `told_late`): less would be too little where a machine is busy.
BRISK = Timing(
    tick=0.05,
    announce_every=0.1,
    pins_every=0.1,
    quiet=0.2,
    snapshot=2.0,
    stand_still=0.5,
    rewritten_still=0.3,
    suspect=0.4,
    absent_every=1.0,
    record_again=0.1,
    base_again=0.1,
)

ALL_EVENTS = frozenset({"IN_MOVED_TO", "IN_CLOSE_WRITE", "IN_CREATE"})


@dataclass
class Counting:
    """Progress as numbers."""

    begun: tuple[int, int] | None = None
    done: int = 0
    ended: bool = False

    def begin(self, files: int, size: int) -> None:
        self.begun, self.ended = (files, size), False

    def advance(self, files: int, size: int) -> None:
        self.done += files

    def end(self) -> None:
        self.ended = True


@dataclass
class Running:
    """A daemon that runs."""

    daemon: Daemon
    thread: threading.Thread
    progress: Counting = field(default_factory=Counting)

    def stop(self) -> None:
        """Have it end in order."""
        self.daemon.stop()
        self.thread.join(60)
        assert not self.thread.is_alive(), "the daemon did not stop"


class Asked(Around):
    """A store that notes when the daemon first surveys it: by then all directories are watched."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.surveyed = threading.Event()

    def check(self, prefix: str = "") -> None:
        try:
            super().check(prefix)
        except StoreError:
            self.surveyed.set()  # it will not be, for now
            raise

    def before(self, request: str) -> None:
        if request.startswith("list"):
            self.surveyed.set()


@contextmanager
def running(
    store: Store,
    *paths: Path,
    wall_clock: Callable[[], datetime] = utc_now,
    now: Callable[[], float] = time.monotonic,
    timing: Timing = BRISK,
    **settings: object,
) -> Iterator[Running]:
    """Run a daemon for as long as the block lasts, once it watches, and stop it in order."""
    asked = Asked(store)
    wanted: dict[str, object] = {"recursive": True, "auto_add": True, "events": ALL_EVENTS} | settings
    progress = Counting()
    daemon = Daemon(
        Settings(paths=tuple(map(str, paths)), node="n", **wanted),  # type: ignore[arg-type] # a test's own keywords
        asked,
        progress,
        wall_clock,
        now=now,
        timing=timing,
    )
    it = Running(daemon, threading.Thread(target=daemon.run, name="daemon", daemon=True), progress)
    others = set(threading.enumerate())
    it.thread.start()
    assert asked.surveyed.wait(60), "the daemon did not start"
    watchers = [thread for thread in set(threading.enumerate()) - others if thread.name == "watch"]
    try:
        yield it
    finally:
        it.stop()
        # Else it may yet open a log that the next daemon of this process is to read, and be taken for that.
        for watcher in watchers:
            watcher.join(60)


def below(directory: Path) -> str:
    return f"n:{directory}/"


def indexes(store: Store, directory: Path) -> list[Index]:
    """Return the indexes of *directory*, the oldest first."""
    listed = [one for one in store.list(below(directory)) if is_index(one.key)]
    found = [
        (one.modified, decode(b"".join(store.read(one.key)), below(directory)))
        for one in listed
        if directory_of(one.key) == below(directory)
    ]
    return [index for _, index in sorted(found, key=lambda pair: pair[0])]


def newest(store: Store, directory: Path) -> Index | None:
    return next(reversed(indexes(store, directory)), None)


def restored(store: Store, index: Index) -> dict[str, bytes]:
    """Return what a restore by *index* gives, having checked every byte of it."""
    contents: dict[str, bytes] = {}
    for name, file in index.files.items():
        contents[name] = b"".join(store.read(file.key))
        assert len(contents[name]) == file.size
        assert crc64nvme(contents[name]) == file.checksum
    keys = {directory_of(file.key) + name for file, name in zip(index.files.values(), index.names, strict=True)}
    for key in keys:
        store.head(key)  # what 1.x would fetch is there
    return contents


def insist_all_restore(store: Store) -> int:
    """Insist that every index in the store names only what is there and right; return how many there are."""
    found = [one.key for one in store.list("") if is_index(one.key)]
    for key in found:
        restored(store, decode(b"".join(store.read(key)), directory_of(key)))
    return len(found)


def wait_for_index(store: Store, directory: Path, files: dict[str, bytes], missing: tuple[str, ...] = ()) -> Index:
    """Wait until the newest index of *directory* names exactly *files*, with these bytes, and *missing*."""

    def there() -> bool:
        index = newest(store, directory)
        return (
            index is not None
            and index.missing == missing
            and index.files.keys() == files.keys()
            and restored(store, index) == files
        )

    wait_until(there, f"an index of {directory} with {sorted(files)}")
    index = newest(store, directory)
    assert index is not None
    return index
