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
from tablesnap.rules import sstable
from tablesnap.rules.incarnation import Incarnation
from tablesnap.rules.index import Owner
from tablesnap.store.port import Content

TICK_NS = 20_000_000  # more than the step of the clock that a kernel stamps files with: 1, 4 or 10 ms

IN_MEMORY = 4 << 20  # bytes; a smaller file is read whole, which costs less than two passes over a descriptor


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
    if size <= IN_MEMORY:
        _spend(pace, size)
        # One byte more is asked for, so that a file that has grown is not taken for the shorter one.
        data = _read(descriptor, size + 1, path)
        if len(data) != size:
            raise FileChanged(f"{path} changed while it was read; it will be stored again")
        yield Content.of(data)
        return
    # By reading, not through the map: what a bad disk cannot read is an error here, and there the end of the process.
    checksum = _checksum(descriptor, size, path, pace)
    mapped = _map(descriptor, size, path) if sstable.may_be_mapped(os.path.basename(path)) else None
    if mapped is None:
        yield Content(size=size, checksum=checksum, descriptor=descriptor)
        return
    try:
        yield Content(size=size, checksum=checksum, buffer=mapped)
    finally:
        with suppress(BufferError):  # a client that failed may still hold on to it; it goes when the client lets go
            mapped.close()


def _map(descriptor: int, size: int, path: str) -> mmap.mmap | None:
    """Map the file; None where its file system, or a lack of address space, does not allow that."""
    try:
        return mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
    except ValueError as error:
        raise FileChanged(f"{path} became shorter while it was read; it will be stored again") from error
    except OSError:
        return None


def _checksum(descriptor: int, size: int, path: str, pace: Pace | None) -> int:
    checksum = 0
    try:
        for chunk in Content(size=size, checksum=0, descriptor=descriptor).chunks():
            _spend(pace, len(chunk))
            checksum = crc64nvme(chunk, checksum)
    except OSError as error:
        raise _cannot_read(path, error) from error
    return checksum


def _read(descriptor: int, length: int, path: str) -> bytes:
    pieces: list[bytes] = []
    offset = 0
    while offset < length:
        try:
            piece = os.pread(descriptor, length - offset, offset)
        except OSError as error:
            raise _cannot_read(path, error) from error
        if not piece:
            break
        pieces.append(piece)
        offset += len(piece)
    return b"".join(pieces)


def _cannot_read(path: str, error: OSError) -> CannotRead:
    return CannotRead(f"{path} cannot be read: {error.strerror}; {advice_on(error)}")


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
