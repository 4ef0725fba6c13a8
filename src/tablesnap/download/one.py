"""One file from the store to its place: under a name of its own until it is whole, verified and on the disk."""

import errno
import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tablesnap.download.content import RANGES_ABOVE, Damaged, Expected, Ranges, receive_whole
from tablesnap.download.directories import Directories
from tablesnap.download.line import Line
from tablesnap.download.owner import PERMISSIONS, SET_IDS, Attributes, NumericOwner, recorded
from tablesnap.download.same import holds
from tablesnap.download.temporary import Temporary, is_temporary, temporary
from tablesnap.errors import TablesnapError
from tablesnap.store.port import Head

_MD5 = re.compile("[0-9a-f]{32}")
_STATE_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Taken(TablesnapError):
    """Something else has the file's name."""


@dataclass(frozen=True)
class Fetch:
    """One file to bring."""

    key: str
    target: str  # the absolute path it gets when it is whole and verified
    size: int | None = None  # bytes; None (1.x): the object's own
    checksum: int | None = None  # CRC-64/NVME; None (1.x): what the object's metadata say is verified
    mtime_ns: int | None = None
    mode: int | None = None  # whose permission bits are set; None: those of any new file
    set_ids: bool = False  # as well as its set-user-ID, set-group-ID and sticky bits
    owner: NumericOwner | None = None  # -1 leaves the uid or gid as it is
    preserve_from_metadata: bool = False  # mode and owner are those in the object's metadata
    replace: bool = False  # a different file under this name may be overwritten


@dataclass(frozen=True)
class Failure:
    """A file that was not brought, or was *brought* and could not be verified because nothing was known of it."""

    fetch: Fetch
    why: str
    brought: bool = False


class Bringer:
    """Brings one file after the other. Safe to use from several threads.

    *shared* is entered with each object that comes in ranges, for as long as other threads may take some of them.
    """

    def __init__(
        self, line: Line, directories: Directories, shared: Callable[[Ranges], AbstractContextManager[None]]
    ) -> None:
        self._line = line
        self._directories = directories
        self._shared = shared

    def bring(self, fetch: Fetch) -> Failure | None:
        """Bring the file, and return what is wrong with it; nothing but a whole one ever has its name."""
        try:
            verified = self._bring(fetch)
        except TablesnapError as error:
            return Failure(fetch, str(error))
        except OSError as error:
            why = error.strerror or str(error)
            if error.errno in _STATE_OF_THE_DISK:
                # Every other file would fail so, and each that is tried takes what the one before it gave back.
                self._line.halt(f"{os.path.dirname(fetch.target)}: {why}")
            return Failure(fetch, why)
        if not verified:
            return Failure(fetch, "its size alone could be verified: no checksum of it was kept", brought=True)
        return None

    def _bring(self, fetch: Fetch) -> bool:
        directory, name = _split(fetch.target)
        head = self._head(fetch)
        expected = _expected(fetch, head)
        attributes = _attributes(fetch, head)
        with self._directories.opened(directory, attributes.owner) as folder:
            if not fetch.replace and _is_there(folder, name, expected):
                self._line.finished(expected.size)
                return True
            with temporary(folder, name, private=attributes.mode is not None) as new:
                self._receive(expected, new)
                attributes.apply(new.descriptor)
                # Flushed before it has its name, or a power cut could leave the name to a file that is not whole.
                os.fsync(new.descriptor)
                try:
                    new.publish(replace=fetch.replace)
                except FileExistsError:
                    # Somebody was faster. Another run of the same restore, if it is the same file.
                    if not _is_there(folder, name, expected):
                        raise
            self._directories.changed(directory)
            self._line.finished()
        return expected.can_be_verified

    def _head(self, fetch: Fetch) -> Head | None:
        """Ask the store of the object, if anything is not known of it."""
        if fetch.size is not None and fetch.checksum is not None and not fetch.preserve_from_metadata:
            return None
        return self._line.insist(fetch.key, lambda: self._line.store.head(fetch.key))

    def _receive(self, expected: Expected, new: Temporary) -> None:
        """Bring the content, again where it is damaged: that may have happened on the way."""
        for failures in range(1, self._line.patience.damaged + 1):
            try:
                if expected.size <= RANGES_ABOVE:
                    receive_whole(self._line, expected, new.descriptor)
                else:
                    ranges = Ranges(self._line, expected, new.descriptor)
                    with self._shared(ranges):
                        ranges.finish()
                return
            except Damaged:
                if failures == self._line.patience.damaged:
                    raise
                self._line.wait(failures)


def _split(target: str) -> tuple[str, str]:
    directory, name = os.path.split(target)
    if not os.path.isabs(target) or os.path.normpath(target) != target or "\0" in target or is_temporary(name):
        raise Taken("no file can be restored under such a name")
    return directory, name


def _expected(fetch: Fetch, head: Head | None) -> Expected:
    if head is None:
        assert fetch.size is not None
        return Expected(fetch.key, fetch.size, fetch.checksum, None)
    if fetch.size not in (None, head.size):
        raise Damaged(f"has {head.size} bytes in the store, and had {fetch.size}")
    if fetch.checksum is not None:
        return Expected(fetch.key, head.size, fetch.checksum, None)
    # Of the two, what 1.x wrote down comes from the file itself; what the store says, from what it received.
    md5 = head.metadata.get("md5sum", "").lower()
    if _MD5.fullmatch(md5):
        return Expected(fetch.key, head.size, None, md5)
    return Expected(fetch.key, head.size, head.checksum, None)


def _attributes(fetch: Fetch, head: Head | None) -> Attributes:
    mode, owner = fetch.mode, fetch.owner
    if fetch.preserve_from_metadata and head is not None:
        mode, owner = recorded(head.metadata)
    wanted = PERMISSIONS | SET_IDS if fetch.set_ids else PERMISSIONS
    return Attributes(None if mode is None else mode & wanted, owner, fetch.mtime_ns)


def _is_there(folder: int, name: str, expected: Expected) -> bool:
    """Say whether the file is there already; raise `Taken` if something else is."""
    # In this order, as another run may give the file its name at any moment: what is not there yet is not different.
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if holds(name, expected.size, expected.checksum, expected.md5, folder=folder):
        return True
    raise Taken("something different is there, and is only overwritten if that is asked for")
