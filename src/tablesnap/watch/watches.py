"""The directories that are watched with inotify, each under one path, and those that are looked at instead."""

import errno
import logging
import os
import threading
from collections.abc import Callable, Collection
from contextlib import suppress

from inotify_simple import Event, INotify, flags

from tablesnap.watch.known import PathSet
from tablesnap.watch.links import Identity, already, identity_of, list_below

log = logging.getLogger(__name__)

MASK = (
    flags.CREATE
    | flags.CLOSE_WRITE
    | flags.MOVED_TO
    | flags.MOVED_FROM
    | flags.DELETE
    | flags.DELETE_SELF
    | flags.MOVE_SELF
    | flags.ONLYDIR
)
POLL_MS = 500  # how soon a PATH that came back is seen, and a stop
UNWATCHED_EVERY_SECONDS = 10.0  # how often directories without a watch are looked at

_NO_DIRECTORY = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class Watches:
    """The watches of one inotify instance. *gone* is told of a path that a directory no longer has. For one thread."""

    def __init__(self, gone: Callable[[str], None]) -> None:
        self._gone = gone
        self._inotify: INotify | None = None
        self._path_of: dict[int, str] = {}
        self._descriptor_of: dict[str, int] = {}
        self._path_at: dict[Identity, str] = {}
        self._said: set[str] = set()
        self.identity: dict[str, Identity] = {}  # of each directory when it was watched
        self.unwatched: set[str] = set()  # those that are looked at
        self.known = PathSet()  # those, and all that have a watch
        self.unlisted: set[str] = set()  # everything below these is to be watched once they can be listed
        self.second: Collection[str] = ()  # paths under which nothing is watched that can be under another

    def open(self) -> None:
        """Begin; without inotify, which is said, every directory is one that is looked at."""
        try:
            self._inotify = INotify()
        except OSError as error:
            log.error(
                "cannot watch with inotify (%s); looking at every directory each %.0f s instead. "
                "Raise sysctl fs.inotify.max_user_instances, or ulimit -n",
                error.strerror,
                UNWATCHED_EVERY_SECONDS,
            )

    def close(self) -> None:
        """End."""
        if self._inotify is not None:
            self._inotify.close()

    def events(self, stopped: threading.Event) -> list[Event]:
        """Return what has happened, and wait for it a little."""
        if self._inotify is None:
            stopped.wait(POLL_MS / 1000)
            return []
        # Without a delay for more to come: a transaction log may live for 5 ms only, and must be opened meanwhile.
        return list(self._inotify.read(timeout=POLL_MS))

    def path_of(self, descriptor: int) -> str | None:
        """Return the path of a watch, or None if it was taken away."""
        return self._path_of.get(descriptor)

    def has(self, path: str) -> bool:
        """Say whether *path* has a watch."""
        return path in self._descriptor_of

    def watch(self, path: str, *, follow: bool) -> bool:
        """Watch one directory, through a link if *follow*; return False if there is none to watch.

        One that cannot be watched is looked at instead.
        """
        try:
            status = os.stat(path)
        except OSError as error:
            if error.errno not in _NO_DIRECTORY:
                self._cannot_watch(path, error)
            return False
        here = (status.st_dev, status.st_ino)
        if self.is_elsewhere(path, here):
            return False
        # Before the watch, and where that fails too: a directory put in this one's place is known by its identity.
        self.identity[path] = here
        self._path_at[here] = path
        self.known.add(path)
        if self._inotify is None:
            self.unwatched.add(path)
            return True
        try:
            # What has become a link since it was seen as a directory is heard of as a link.
            mask = MASK if follow else MASK | flags.DONT_FOLLOW
            descriptor = self._inotify.add_watch(path, mask)
        except OSError as error:
            if error.errno in _NO_DIRECTORY:
                self.drop(path)
                return False
            self._cannot_watch(path, error)
            self.unwatched.add(path)
            return error.errno != errno.EACCES  # what may not be entered cannot be looked at, only tried again
        self._note_watch(path, descriptor)
        return True

    def is_elsewhere(self, path: str, here: Identity) -> bool:
        """Say whether the directory at *path* is watched under another path, or is to be."""
        if path in self.second:
            return True
        other = self._path_at.get(here, path)
        if other == path or other not in self.known or identity_of(other) != here:
            return False  # or it was renamed, and the event that said so was lost
        self.say_once(logging.INFO, path, f"{path} is not watched: {already(other).why}")
        return True

    def say_once(self, level: int, about: str, line: str) -> None:
        """Log *line*, which is *about* a path, once."""
        log.log(logging.DEBUG if about in self._said else level, "%s", line)
        self._said.add(about)

    def _note_watch(self, path: str, descriptor: int) -> None:
        old_path = self._path_of.get(descriptor)
        if old_path is not None and old_path != path:
            self._descriptor_of.pop(old_path, None)
            self._gone(old_path)  # it was renamed, and the event that said so was lost
        old_descriptor = self._descriptor_of.get(path)
        if old_descriptor is not None and old_descriptor != descriptor:
            self._remove_watch(old_descriptor)  # another directory had this name, and its end was not heard
        self._path_of[descriptor] = path
        self._descriptor_of[path] = descriptor
        self.unwatched.discard(path)
        self._said.discard(path)

    def _remove_watch(self, descriptor: int) -> None:
        self._path_of.pop(descriptor, None)
        if self._inotify is not None:
            with suppress(OSError):  # where the directory is gone, its watch is too
                self._inotify.rm_watch(descriptor)

    def _cannot_watch(self, path: str, error: OSError) -> None:
        if path in self.unwatched or path in self._said:
            return  # said before
        if error.errno == errno.ENOSPC:
            why, advice = "out of inotify watches", "raise sysctl fs.inotify.max_user_watches"
        elif error.errno in (errno.EMFILE, errno.ENFILE):
            why, advice = "out of file descriptors", "raise ulimit -n, or LimitNOFILE= of the service"
        elif error.errno == errno.EACCES:
            log.error("cannot watch %s: permission denied; let the user tablesnap runs as read and enter it", path)
            self._said.add(path)
            return
        else:
            why, advice = error.strerror or str(error), "look at the system's log (dmesg)"
        # Out of watches, thousands of directories may follow: the first is enough to say what to do.
        log.log(
            logging.DEBUG if why in self._said else logging.ERROR,
            "cannot watch %s: %s; looking at it, and at all that follow, each %.0f s instead. To be told at once, %s",
            path,
            why,
            UNWATCHED_EVERY_SECONDS,
            advice,
        )
        self._said.add(why)

    def look_into(self, path: str) -> tuple[list[str], list[str]] | None:
        """Return the directories in *path*, and the links; None where it cannot be listed just now."""
        try:
            return list_below(path)
        except OSError as error:
            if error.errno in _NO_DIRECTORY:
                return [], []
            self._cannot_watch(path, error)
            return None

    def drop(self, path: str) -> None:
        """Watch *path* no longer."""
        descriptor = self._descriptor_of.pop(path, None)
        if descriptor is not None and self._path_of.get(descriptor) == path:
            self._remove_watch(descriptor)
        self.unwatched.discard(path)
        self.unlisted.discard(path)
        self.known.discard(path)
        here = self.identity.pop(path, None)
        if here is not None and self._path_at.get(here) == path:
            del self._path_at[here]
