"""What is in the directories a restore goes to, and whether it is what the restore would bring."""

import os
import re
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tablesnap.download.same import is_same
from tablesnap.download.temporary import is_temporary
from tablesnap.errors import CannotRead, TablesnapError
from tablesnap.rules.placing import Placed
from tablesnap.store.port import Store

NO_FILE = -1  # for a size
_MD5 = re.compile("[0-9a-f]{32}")


class Interrupted(TablesnapError):
    """The run was told to end."""


def look_into(directories: Iterable[str]) -> dict[str, dict[str, int]]:
    """Return the sizes of the files in *directories*, by directory and name; `NO_FILE` for anything else.

    One that is not there has none, nor has what is no directory. Raises `CannotRead`.
    """
    return {directory: _sizes_in(directory) for directory in directories}


def _sizes_in(directory: str) -> dict[str, int]:
    sizes: dict[str, int] = {}
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if is_temporary(entry.name):
                    continue
                is_file = entry.is_file(follow_symlinks=False)
                sizes[entry.name] = entry.stat(follow_symlinks=False).st_size if is_file else NO_FILE
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise CannotRead(f"{directory} cannot be looked into: {error.strerror}") from error
    return sizes


class Comparer:
    """Compares files with what would be brought in their place; each pair once, however often it is asked."""

    def __init__(self, store: Store, *, threads: int, stop: threading.Event) -> None:
        self._store = store
        self._threads = threads
        self._stop = stop
        self._known: dict[tuple[str, str], str] = {}

    def differences(self, placed: Sequence[Placed], present: dict[str, dict[str, int]]) -> dict[str, str]:
        """Return for each path that is taken by something else what that is.

        Whatever is there with the right size is read to its end. Raises what the store raises, and `Interrupted`.
        """
        there = [one for one in placed if one.name in present.get(one.directory, {})]
        unknown = [one for one in there if (one.path, one.file.key) not in self._known]
        with ThreadPoolExecutor(self._threads, thread_name_prefix="compare") as pool:
            try:
                for one, why in zip(
                    unknown,
                    pool.map(lambda one: self._difference(one, present[one.directory][one.name]), unknown),
                    strict=True,
                ):
                    self._known[one.path, one.file.key] = why
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return {one.path: why for one in there if (why := self._known[one.path, one.file.key])}

    def _difference(self, placed: Placed, size: int) -> str:
        """Say in what way the file that is there is not what would be brought; empty if it is the same."""
        if self._stop.is_set():
            raise Interrupted("interrupted while comparing what is there; nothing was changed")
        file = placed.file
        if size == NO_FILE:
            return "is no file"
        if file.size is not None and file.size != size:
            return f"has {size} bytes, and not {file.size}"
        checksum, md5 = file.checksum, None
        if checksum is None:
            checksum, md5 = sums_kept(self._store, file.key)
        if checksum is None and md5 is None:
            return "cannot be compared: no checksum of it was kept"
        try:
            return "" if is_same(placed.path, file.size, checksum, md5) else "has other content"
        except CannotRead as error:
            return f"cannot be compared: {error}"


def sums_kept(store: Store, key: str) -> tuple[int | None, str | None]:
    """Return the checksum, or else the MD5, that is kept of an object of which the index says none, as those of 1.x."""
    head = store.head(key)
    md5 = head.metadata.get("md5sum", "").lower()
    return (None, md5) if _MD5.fullmatch(md5) else (head.checksum, None)
