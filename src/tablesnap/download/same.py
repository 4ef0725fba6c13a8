"""Whether a file that is there already is the one that is to be brought."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator

from tablesnap.checksum import crc64nvme
from tablesnap.errors import CannotRead

READ_SIZE = 1 << 20  # bytes


def is_same(path: str, size: int | None, checksum: int | None, md5: str | None = None) -> bool:
    """Say whether *path* is a file of this content, by its CRC-64/NVME or its MD5: it is read for that.

    No where it is not there, or a link, or where neither is known; raises `CannotRead` where it cannot be read.
    """
    try:
        return holds(path, size, checksum, md5)
    except OSError as error:
        raise CannotRead(f"{path} cannot be read: {error.strerror}") from error


def holds(
    path: str,
    size: int | None,
    checksum: int | None,
    md5: str | None,
    *,
    folder: int | None = None,
) -> bool:
    """Do what `is_same` does, for a *path* in a *folder* if there is one; what the system says goes through."""
    try:
        status = os.stat(path, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode) or size not in (None, status.st_size):
            return False
        # O_NONBLOCK, because it may have become a pipe since, and opening one waits for a writer.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags, dir_fd=folder)
    except FileNotFoundError:
        return False
    try:
        if checksum is not None:
            return checksum_of(descriptor) == checksum
        return md5 is not None and md5_of(descriptor) == md5
    finally:
        os.close(descriptor)


def checksum_of(descriptor: int) -> int:
    """Return the CRC-64/NVME of an open file."""
    checksum = 0
    for piece in pieces(descriptor):
        checksum = crc64nvme(piece, checksum)
    return checksum


def md5_of(descriptor: int, look_up: Callable[[], None] = lambda: None) -> str:
    """Return the MD5 of an open file in hex; *look_up* is called now and then, and may end it."""
    digest = hashlib.md5(usedforsecurity=False)
    for piece in pieces(descriptor):
        look_up()
        digest.update(piece)
    return digest.hexdigest()


def pieces(descriptor: int) -> Iterator[bytes]:
    """Yield an open file from its beginning."""
    offset = 0
    while piece := os.pread(descriptor, READ_SIZE, offset):
        yield piece
        offset += len(piece)
