"""Hold one file open, and know its bytes."""

import grp
import json
import mmap
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache

from tablesnap.capture.listing import advice_on, incarnation_of, look_at_file
from tablesnap.capture.pace import Pace
from tablesnap.checksum import crc64nvme
from tablesnap.errors import CannotRead, FileChanged, FileVanished
from tablesnap.rules import sstable
from tablesnap.rules.incarnation import Incarnation
from tablesnap.rules.index import Owner
from tablesnap.store.port import READ_SIZE, Content

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
        here = look_at_file(self.path)
        held = incarnation_of(os.fstat(self.descriptor))
        if held != self.incarnation or (here is not None and here != self.incarnation):
            raise FileChanged(f"{self.path} changed while it was read; it will be stored again")


@contextmanager
def captured(path: str, *, pace: Pace | None = None) -> Iterator[Captured]:
    """Open *path* and compute its checksum, reading no faster than *pace*.

    Raises `FileVanished`, `FileChanged`, or `CannotRead` with what to try.
    """
    descriptor = _open(path)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileVanished(f"{path} is not a file any more")
        with _content(descriptor, status.st_size, os.path.basename(path), pace) as content:
            yield Captured(
                path=path,
                incarnation=incarnation_of(status),
                content=content,
                mode=status.st_mode,
                owner=_owner(status.st_uid, status.st_gid),
                descriptor=descriptor,
            )
    finally:
        os.close(descriptor)


def _open(path: str) -> int:
    try:
        # Not through a link put in the file's place; and a FIFO in its place must not block us.
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileVanished(f"{path} was gone before it was read") from error
    except OSError as error:
        raise CannotRead(f"{path} cannot be opened: {error.strerror}; {advice_on(error)}") from error


@contextmanager
def _content(descriptor: int, size: int, name: str, pace: Pace | None) -> Iterator[Content]:
    if size <= IN_MEMORY:
        _spend(pace, size)
        # One byte more is asked for, so that a file that has grown is not taken for the shorter one.
        data = _read(descriptor, size + 1, name)
        if len(data) != size:
            raise FileChanged(f"{name} changed while it was read; it will be stored again")
        yield Content.of(data)
    elif sstable.may_be_mapped(name):
        mapped = mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
        checksum = 0
        with memoryview(mapped) as view:
            for start in range(0, size, READ_SIZE):
                with view[start : start + READ_SIZE] as piece:
                    _spend(pace, len(piece))
                    checksum = crc64nvme(piece, checksum)
        try:
            yield Content(size=size, checksum=checksum, buffer=mapped)
        finally:
            with suppress(BufferError):  # a client that failed may still hold on to it; it goes when the client lets go
                mapped.close()
    else:
        unread = Content(size=size, checksum=0, descriptor=descriptor)
        checksum = 0
        for chunk in unread.chunks():
            _spend(pace, len(chunk))
            checksum = crc64nvme(chunk, checksum)
        yield Content(size=size, checksum=checksum, descriptor=descriptor)


def _read(descriptor: int, length: int, name: str) -> bytes:
    pieces: list[bytes] = []
    offset = 0
    while offset < length:
        try:
            piece = os.pread(descriptor, length - offset, offset)
        except OSError as error:
            raise CannotRead(f"{name} cannot be read: {error.strerror}; {advice_on(error)}") from error
        if not piece:
            break
        pieces.append(piece)
        offset += len(piece)
    return b"".join(pieces)


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
