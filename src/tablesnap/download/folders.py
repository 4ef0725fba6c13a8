"""Directories as a restore writes to them: by descriptor, and through no link but those that the operator named."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tablesnap.download.owner import NumericOwner
from tablesnap.rules.place import is_within

# A directory that is only passed through need not be readable.
_PASSING = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READING = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Roots:
    """The paths that the operator named, and what they led to when they were followed."""

    places: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def followed(cls, named: Iterable[str]) -> "Roots":
        """Follow the links in the paths that were *named*, now and never again."""
        return cls({path: os.path.realpath(path) for path in named})

    def above(self, path: str) -> str | None:
        """Return the nearest root that *path* is or is below."""
        return max((root for root in self.places if is_within(path, root)), key=len, default=None)

    def real(self, path: str) -> str:
        """Return where *path* is: nothing below its root was followed."""
        root = self.above(path)
        if root is None:
            return path
        return os.path.normpath(os.path.join(self.places[root], os.path.relpath(path, root)))


@contextmanager
def opened(path: str) -> Iterator[int]:
    """Yield a descriptor of the directory *path*.

    Whatever is done through it is done in that one directory, whatever becomes of its name meanwhile. Raises `OSError`,
    as well where any part of *path* is a link: so nothing is written or deleted where a link happens to lead.
    """
    folder = os.open("/", _PASSING)
    try:
        walked = ""
        for name in _parts(path):
            walked += f"/{name}"
            below = _open_below(folder, name, walked)
            os.close(folder)
            folder = below
        readable = os.open(".", _READING, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        yield readable
    finally:
        os.close(readable)


def _open_below(folder: int, name: str, path: str) -> int:
    try:
        return os.open(name, _PASSING, dir_fd=folder)
    except NotADirectoryError:
        if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, f"{path} is a link, and a restore follows none below TARGET") from None
        raise


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def make(path: str, owner: NumericOwner | None, mode: int | None = None) -> None:
    """Make the directory *path* in the one above it; raise `OSError`, and `FileExistsError` where it is there."""
    above, name = os.path.split(path)
    with opened(above) as folder:
        os.mkdir(name, 0o777 if mode is None else 0o700, dir_fd=folder)
        made = os.open(name, _READING, dir_fd=folder)
        try:
            if owner is not None:
                os.fchown(made, *owner)
            if mode is not None:
                os.fchmod(made, mode)
        finally:
            os.close(made)


def flush(path: str) -> None:
    """Flush the names in the directory *path* to disk."""
    with opened(path) as folder:
        sync(folder)


def sync(folder: int) -> None:
    """Flush the names in an open directory to disk."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot do this for directories, or has no need to
            raise
