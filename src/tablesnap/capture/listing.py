"""Look at a directory, or at one file."""

import errno
import os
import stat
from dataclasses import dataclass, field

from tablesnap.rules.incarnation import Incarnation

_ADVICE = {
    errno.EACCES: "let the user tablesnap runs as read it",
    errno.EPERM: "let the user tablesnap runs as read it",
    errno.EMFILE: "raise the limit of open files (ulimit -n, or LimitNOFILE= of the service)",
    errno.ENFILE: "raise sysctl fs.file-max",
}


def advice_on(error: OSError) -> str:
    """Say what to try where the system will not let us read something."""
    return _ADVICE.get(error.errno or 0, "look at the disk (dmesg)")


@dataclass(frozen=True)
class Disk:
    """Where a directory really is: on another disk as soon as either differs."""

    device: int = 0  # the file system
    real: str = ""  # its path with all links resolved


@dataclass(frozen=True)
class Listing:
    """What a directory held when it was looked at."""

    files: dict[str, Incarnation] = field(default_factory=dict)  # regular files, by name
    links: tuple[str, ...] = ()  # symbolic links
    disk: Disk = field(default_factory=Disk)
    changed_ns: int = 0  # when a name last came or went before it was listed, in nanoseconds since the epoch


def incarnation_of(status: os.stat_result) -> Incarnation:
    """Return the incarnation a stat result speaks of."""
    return Incarnation(size=status.st_size, mtime_ns=status.st_mtime_ns, inode=status.st_ino)


def look_at_file(path: str) -> Incarnation | None:
    """Return the incarnation of the regular file at *path*, or None if there is no such file."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return incarnation_of(status) if stat.S_ISREG(status.st_mode) else None


def real_path_of(directory: str) -> str:
    """Return the path of *directory* with all links resolved; raise `OSError` if it is not there.

    The kernel is asked once. ``os.path.realpath`` asks for each name in the path, which in deep trees takes minutes.
    """
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        return _real_path(descriptor)
    finally:
        os.close(descriptor)


def look_at_directory(path: str) -> Listing:
    """List *path*; raise `OSError` if it cannot be listed."""
    # Opened once, so that all that is said is of one directory, whatever the links in its path lead to meanwhile.
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return _look_at(descriptor)
    finally:
        os.close(descriptor)


def _look_at(descriptor: int) -> Listing:
    files: dict[str, Incarnation] = {}
    links: list[str] = []
    status = os.fstat(descriptor)
    if not status.st_nlink:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))  # removed since it was opened
    disk = Disk(status.st_dev, _real_path(descriptor))
    with os.scandir(descriptor) as entries:
        for entry in entries:
            try:
                if entry.is_symlink():
                    links.append(entry.name)
                elif entry.is_file(follow_symlinks=False):
                    files[entry.name] = incarnation_of(entry.stat(follow_symlinks=False))
            except FileNotFoundError:
                continue  # deleted between the listing and the look: it is not there
    return Listing(files, tuple(sorted(links)), disk=disk, changed_ns=status.st_mtime_ns)


def _real_path(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")
