"""Hold files open, so that what Cassandra unlinks can still be read."""

import errno
import itertools
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tablesnap.capture.listing import advice_on, incarnation_of
from tablesnap.errors import CannotRead, FileVanished
from tablesnap.rules.pinning import Burden, FileSystem, plan_letting_go

_NO_FILE = (errno.ELOOP, errno.ENXIO)  # a symbolic link or a socket has its name now


@contextmanager
def opened(path: str) -> Iterator[int]:
    """Open the regular file at *path* for reading; raise `FileVanished` or `CannotRead`."""
    descriptor = _open(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class Pin:
    """One life of a file, held open: its bytes stay readable when its name is gone. Made by `Pins`."""

    def __init__(self, path: str, descriptor: int, *, rank: int, number: int) -> None:
        status = os.fstat(descriptor)
        self.path = path
        self.descriptor = descriptor
        self.incarnation = incarnation_of(status)
        self.device = status.st_dev
        self.rank = rank
        self.number = number
        self._lock = threading.Lock()
        self._readers = 0
        self._let_go = False
        self._closed = False

    @property
    def size(self) -> int:
        """How many bytes the file had when it was pinned."""
        return self.incarnation.size

    def refresh(self) -> None:
        """Take the file as it is now: it may have been pinned before all of it was written."""
        with self._lock:
            if not self._closed:
                self.incarnation = incarnation_of(os.fstat(self.descriptor))

    @property
    def closed(self) -> bool:
        """Whether nothing is held any more."""
        return self._closed

    def is_deleted(self) -> bool:
        """Say whether the file has no name left anywhere, so that only this pin keeps its bytes on the disk."""
        return self.deleted_bytes() is not None

    def deleted_bytes(self) -> int | None:
        """Return how many bytes the pin keeps on the disk; None if it keeps none that others do not."""
        with self._lock:
            if self._closed:
                return None
            try:
                status = os.fstat(self.descriptor)
            except OSError:
                return None  # its file system is gone: letting go of the file would give nothing back
            return status.st_size if status.st_nlink == 0 else None

    def file_system(self) -> FileSystem | None:
        """Measure the file system the file is on; None where that cannot be done."""
        with self._lock:
            if self._closed:
                return None
            try:
                status = os.fstatvfs(self.descriptor)
            except OSError:
                return None
        # As df counts: the blocks kept back for root are nobody's.
        blocks = status.f_blocks - status.f_bfree + status.f_bavail
        return FileSystem(size=blocks * status.f_frsize, free=status.f_bavail * status.f_frsize)

    @contextmanager
    def reading(self) -> Iterator[int]:
        """Lend the descriptor, which is not closed meanwhile; raise `FileVanished` if the pin was let go before."""
        with self._lock:
            if self._let_go:
                raise FileVanished(f"{self.path} was let go before it was read")
            self._readers += 1
        try:
            yield self.descriptor
        finally:
            with self._lock:
                self._readers -= 1
                self._close_if_unused()

    def close(self) -> None:
        """Let go of the file, as soon as nobody reads it."""
        with self._lock:
            self._let_go = True
            self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._let_go and self._readers == 0 and not self._closed:
            self._closed = True
            os.close(self.descriptor)


class Pins:
    """Every pin there is. Safe to use from several threads."""

    def __init__(self, *, most: int | None = None) -> None:
        self._most = most  # pins; descriptors beyond them are needed to list, to map and to talk to the store
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._pins: set[Pin] = set()
        self._leaving: set[Pin] = set()  # let go, and still being read

    def take(self, path: str, *, rank: int) -> Pin | None:
        """Pin the file at *path*; None if there is no such file any more. A smaller *rank* is held longer, 0 longest.

        Raises `CannotRead`, with what to try, if the system will not let us, or no descriptor can be spared.
        """
        with self._lock:
            if self._most is not None and len(self._pins) + len(self._leaving) >= self._most:
                advice = advice_on(OSError(errno.EMFILE, ""))
                raise CannotRead(f"{path} cannot be pinned: {self._most} files are held open already; {advice}")
        try:
            pin = Pin(path, _open(path), rank=rank, number=next(self._numbers))
        except FileVanished:
            return None
        with self._lock:
            self._pins.add(pin)
        return pin

    def release(self, pin: Pin) -> None:
        """Let go of *pin*; one that is being read is closed when its reader is done. Twice is no harm."""
        with self._lock:
            self._pins.discard(pin)
            pin.close()
            self._leaving = {one for one in (*self._leaving, pin) if not one.closed}

    def held(self) -> int:
        """Return the bytes that are on the disk for our sake alone, with those let go that are still being read."""
        with self._lock:
            pins = [*self._pins, *self._leaving]
        return sum(pin.deleted_bytes() or 0 for pin in pins)

    def to_let_go(self, limit: int | None) -> list[Pin]:
        """Plan which pins to release, so that deleted files take no more than *limit* bytes.

        None means a tenth of each file system. Nothing is released here: whoever took a pin knows what is lost with
        it. What was let go and is still being read is not counted, or others would have to go in its place.
        """
        with self._lock:
            pins = {pin.number: pin for pin in self._pins}
        burdens: list[Burden] = []
        file_systems: dict[int, FileSystem] = {}
        for pin in pins.values():
            size = pin.deleted_bytes()
            if size is None:
                continue
            burdens.append(Burden(number=pin.number, rank=pin.rank, size=size, device=pin.device))
            if pin.device not in file_systems and (file_system := pin.file_system()) is not None:
                file_systems[pin.device] = file_system
        return [pins[burden.number] for burden in plan_letting_go(burdens, file_systems, limit=limit)]

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            pins = list(self._pins)
        for pin in pins:
            self.release(pin)


def _open(path: str) -> int:
    try:
        # Not through a link put in the file's place; and a FIFO in its place must not block us.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileVanished(f"{path} was gone before it was read") from error
    except OSError as error:
        if error.errno in _NO_FILE:
            raise FileVanished(f"{path} is not a file any more") from error
        raise CannotRead(f"{path} cannot be opened: {error.strerror}; {advice_on(error)}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileVanished(f"{path} is not a file any more")
    return descriptor
