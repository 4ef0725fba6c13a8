"""The name that a file has in its directory until it is whole, and what keeps two runs from sharing one."""

import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b

from tablesnap.download.folders import opened
from tablesnap.errors import TablesnapError

_PREFIX = ".tablesnap-tmp-"  # `-tmp` is what a backup leaves out, ours and that of 1.x
_TEMPORARY = re.compile(re.escape(_PREFIX) + "[0-9a-f]{32}")
_TRIES = 100  # of making the file while somebody sweeps it away at each
# What says that a file system has no hard links, or none for this file.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)


class BeingWritten(TablesnapError):
    """Another run is bringing the same file at this moment."""


def temporary_name(name: str) -> str:
    """Return what the file *name* is called until it is whole: always the same, never too long, never an sstable's."""
    return _PREFIX + blake2b(os.fsencode(name), digest_size=16).hexdigest()


def is_temporary(name: str) -> bool:
    """Say whether *name* is one of those that `temporary_name` makes."""
    return _TEMPORARY.fullmatch(name) is not None


def remove_leftovers(directory: str) -> int:
    """Remove what runs that were killed left in *directory*, and return how many; what is in use stays.

    Raises `OSError` where the directory cannot be read; one that is not there has none.
    """
    try:
        with opened(directory) as folder:
            return sum(_remove_if_left(folder, name) for name in os.listdir(folder) if is_temporary(name))
    except FileNotFoundError:
        return 0


class Temporary:
    """A new file, locked, that nobody takes for what it will be. Made by `temporary`."""

    def __init__(self, folder: int, name: str, descriptor: int) -> None:
        self.descriptor = descriptor
        self._folder = folder
        self._name = name
        self._own_name = temporary_name(name)

    def publish(self, *, replace: bool) -> None:
        """Give the file its name. Raises `FileExistsError` where something has it, unless that is to be *replaced*.

        The name is never followed: a link under it is replaced, or in the way, like a file.
        """
        if replace:
            self._rename()
            return
        try:
            os.link(
                self._own_name,
                self._name,
                src_dir_fd=self._folder,
                dst_dir_fd=self._folder,
                follow_symlinks=False,
            )
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # Between this look and the renaming somebody may take the name; there is no better way on such a disk.
            if _status(self._folder, self._name) is not None:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), self._name) from None
            self._rename()

    def remove(self) -> None:
        """Take the temporary name away, if it still is there. The lock is held, so it can only be ours."""
        with suppress(OSError):  # what cannot be removed now is removed by a later run
            os.unlink(self._own_name, dir_fd=self._folder)

    def _rename(self) -> None:
        os.rename(self._own_name, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)


@contextmanager
def temporary(folder: int, name: str, *, private: bool) -> Iterator[Temporary]:
    """Make the file that will be *name* in the directory open as *folder*; it is gone at the end, unless published.

    Always a new file: what was left under the name may have another owner, another mode, or a second name. A *private*
    one can be read by nobody else while it is written; it gets its mode later.
    """
    made = Temporary(folder, name, _create(folder, temporary_name(name), 0o600 if private else 0o666))
    try:
        yield made
    finally:
        made.remove()
        os.close(made.descriptor)


def _create(folder: int, own_name: str, mode: int) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    for _ in range(_TRIES):
        try:
            descriptor = os.open(own_name, flags, mode, dir_fd=folder)
        except FileExistsError:
            _remove_if_left(folder, own_name, must_be=True)
            continue
        if _lock(descriptor) and os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # taken for a leftover between its making and its locking
    raise BeingWritten("another run is bringing it at this moment")


def _remove_if_left(folder: int, own_name: str, *, must_be: bool = False) -> bool:
    """Remove a temporary file that no run holds; if it *must_be* removed, say who holds it.

    Only its name goes: it may be the second name of a whole file, whose run died before it took this one away.
    """
    status = _status(folder, own_name)
    if status is None:
        return False
    if not stat.S_ISREG(status.st_mode):
        if not must_be:
            return False  # nothing that we made
        os.unlink(own_name, dir_fd=folder)
        return True
    try:
        descriptor = os.open(own_name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return False
    try:
        if not _lock(descriptor):
            if must_be:
                raise BeingWritten("another run is bringing it at this moment")
            return False
        status = _status(folder, own_name)
        # Whoever may take the name away holds the lock of the file that has it; so if it is this one, nobody else does.
        if status is None or not os.path.samestat(status, os.fstat(descriptor)):
            return False
        os.unlink(own_name, dir_fd=folder)
        return True
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _status(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
