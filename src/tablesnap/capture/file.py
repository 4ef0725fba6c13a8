"""Hold one file open, and know its bytes."""

import grp
import json
import mmap
import os
import pwd
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache

from tablesnap.capture.listing import advice_on, incarnation_of, look_at_file
from tablesnap.capture.pace import Pace
from tablesnap.capture.pin import Pin, opened
from tablesnap.checksum import crc64nvme
from tablesnap.errors import CannotRead, FileChanged
from tablesnap.rules.incarnation import Incarnation
from tablesnap.rules.index import Owner
from tablesnap.store.port import READ_SIZE, Content

TICK_NS = 20_000_000  # more than the step of the clock that a kernel stamps files with: 1, 4 or 10 ms

IN_MEMORY = 32 << 20  # bytes; a smaller file is read whole, so each thread that uploads holds up to so many
LARGE_MEMORY = 2 << 20  # bytes: one huge page of most machines


@dataclass(frozen=True)
class Captured:
    """An open file whose bytes are known. Good for as long as the `captured` that made it is open."""

    path: str
    incarnation: Incarnation
    content: Content
    mode: int
    owner: Owner
    descriptor: int
    pinned: bool = False  # what its name leads to now, if to anything, may be another life

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of the data object, as 1.x wrote it."""
        owner = self.owner
        fields: dict[str, int | str | None] = {"uid": owner.uid, "gid": owner.gid, "mode": self.mode}
        fields |= {"user": owner.user, "group": owner.group}
        return {"stat": json.dumps({name: value for name, value in fields.items() if value is not None})}

    def insist_unchanged(self) -> None:
        """Raise `FileChanged` unless the file is what it was when it was opened.

        Called after the upload: bytes read before and after a write are nobody's file, and no index may name them. A
        file deleted meanwhile is no harm, as the open descriptor kept its bytes.
        """
        here = None if self.pinned else look_at_file(self.path)
        held = incarnation_of(os.fstat(self.descriptor))
        if held != self.incarnation or (here is not None and here != self.incarnation):
            raise FileChanged(f"{self.path} changed while it was read; it will be stored again")


@contextmanager
def captured(path: str, *, pace: Pace | None = None, pin: Pin | None = None) -> Iterator[Captured]:
    """Open *path*, or read it through its *pin*, and compute its checksum, reading no faster than *pace*.

    Raises `FileVanished`, `FileChanged`, or `CannotRead` with what to try.
    """
    with opened(path) if pin is None else pin.reading() as descriptor:
        status = os.fstat(descriptor)
        _let_the_clock_tick(status.st_mtime_ns)
        with _content(descriptor, status.st_size, path, pace) as content:
            yield Captured(
                path=path,
                incarnation=incarnation_of(status),
                content=content,
                mode=status.st_mode,
                owner=_owner(status.st_uid, status.st_gid),
                descriptor=descriptor,
                pinned=pin is not None,
            )


def _let_the_clock_tick(mtime_ns: int) -> None:
    """Wait until a file written to from now on gets another mtime than *mtime_ns*.

    Else a file written, read by us and written again within one tick would keep its incarnation with other bytes in it.
    """
    age_ns = time.time_ns() - mtime_ns
    if 0 <= age_ns < TICK_NS:
        time.sleep((TICK_NS - age_ns) / 1e9)  # no event tells that a clock has ticked


@contextmanager
def _content(descriptor: int, size: int, path: str, pace: Pace | None) -> Iterator[Content]:
    """Read the file into memory if it is not too large for that, else once for its checksum alone.

    It is never mapped. Where a mapped file becomes shorter, or its disk cannot read it, whoever touches the map gets
    SIGBUS, and Python cannot survive that. By reading, the same is an error of this file.
    """
    buffer = _memory(size) if size <= IN_MEMORY else None
    if buffer is None:
        yield Content(size=size, checksum=_checksum(descriptor, size, path, pace), descriptor=descriptor)
        return
    try:
        try:
            checksum = _fill(buffer, descriptor, path, pace)
        except OSError as error:
            raise CannotRead(f"{path} cannot be read: {error.strerror}; {advice_on(error)}") from error
        yield Content(size=size, checksum=checksum, buffer=buffer)
    finally:
        if isinstance(buffer, mmap.mmap):
            with suppress(BufferError):  # a client that failed may still hold on to it; it goes when the client lets go
                buffer.close()


def _memory(size: int) -> bytearray | mmap.mmap | None:
    """Return *size* bytes of memory, or None where the system does not give so much.

    Much of it comes in huge pages, where the kernel has them: small ones cost more than all the reading.
    """
    if size < LARGE_MEMORY:
        return bytearray(size)
    try:
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError:
        return None
    with suppress(OSError):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def _fill(buffer: bytearray | mmap.mmap, descriptor: int, path: str, pace: Pace | None) -> int:
    """Read the file into *buffer*, which has its size, and return the checksum of what was read."""
    checksum, offset = 0, 0
    with memoryview(buffer) as whole:
        while offset < len(whole):
            with whole[offset : offset + READ_SIZE] as piece:
                _spend(pace, len(piece))
                count = os.preadv(descriptor, [piece], offset)
                checksum = crc64nvme(piece[:count], checksum)
            if not count:
                raise FileChanged(f"{path} changed while it was read; it will be stored again")
            offset += count
    if os.pread(descriptor, 1, offset):
        raise FileChanged(f"{path} changed while it was read; it will be stored again")
    return checksum


def _checksum(descriptor: int, size: int, path: str, pace: Pace | None) -> int:
    checksum = 0
    for chunk in Content(size=size, checksum=0, descriptor=descriptor).chunks():
        _spend(pace, len(chunk))
        checksum = crc64nvme(chunk, checksum)
    return checksum


def _spend(pace: Pace | None, size: int) -> None:
    if pace is not None:
        pace.spend(size)


@cache
def _owner(uid: int, gid: int) -> Owner:
    try:
        user: str | None = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = None
    try:
        group: str | None = grp.getgrgid(gid).gr_name
    except KeyError:
        group = None
    return Owner(uid=uid, gid=gid, user=user, group=group)
