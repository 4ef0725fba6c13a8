"""The directories that a run writes to: made where they lack, cleared of what killed runs left, and flushed to disk."""

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from tablesnap.download import folders
from tablesnap.download.folders import Roots
from tablesnap.download.owner import NumericOwner
from tablesnap.download.temporary import remove_leftovers


class Directories:
    """Safe to use from several threads. Links are followed to *roots*, and never below them."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._lock = threading.Lock()
        self._prepared: set[str] = set()
        self._changed: set[str] = set()
        self._failed: dict[str, str] = {}

    @contextmanager
    def opened(self, path: str, owner: NumericOwner | None) -> Iterator[int]:
        """Yield a descriptor of the directory, which is made where it is not there, and then *owner*'s."""
        place = self._roots.real(path)
        with self._lock:
            if path not in self._prepared:
                _make(place, owner)
                remove_leftovers(place)
                self._prepared.add(path)
        with folders.opened(place) as folder:
            yield folder

    def changed(self, path: str) -> None:
        """Note that the directory has a new name in it, which is not surely on the disk before it is flushed."""
        with self._lock:
            self._changed.add(path)

    def flush(self, paths: Iterable[str]) -> None:
        """Flush these directories to disk. One that ever fails counts as failed: asked again, the system forgets."""
        for path in paths:
            try:
                folders.flush(self._roots.real(path))
            except OSError as error:
                with self._lock:
                    self._failed[path] = error.strerror or str(error)
                raise

    def flush_changed(self) -> dict[str, str]:
        """Flush every directory that has changed, and return those that could not be, with the reason."""
        with self._lock:
            changed, self._changed = self._changed, set()
        for path in changed:
            with suppress(OSError):  # noted, and returned
                self.flush([path])
        return dict(self._failed)


def _make(path: str, owner: NumericOwner | None) -> None:
    """Make the directory and those above it, each on disk before it is used."""
    above = os.path.dirname(path)
    if not os.path.isdir(above):
        _make(above, owner)
    with suppress(FileExistsError):  # or it is a file, which opening it says
        folders.make(path, owner)
    # Even if it was there: whoever made it may have died before this.
    with suppress(PermissionError):  # who may not read the directory above has not made this one
        folders.flush(above)
