"""Watch directories with inotify, and go on by looking where that cannot be had.

Source of the event semantics: inotify(7).
"""

import errno
import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress

from inotify_simple import Event, INotify, flags

from tablesnap.watch.hints import DirectoryGone, DirectoryHint, FileHint, Happening, Hint, LookEverywhere, Started

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

_HAPPENINGS = (
    (flags.MOVED_TO, Happening.MOVED_TO),
    (flags.CLOSE_WRITE, Happening.CLOSED),
    (flags.CREATE, Happening.CREATED),
    (flags.DELETE, Happening.GONE),
    (flags.MOVED_FROM, Happening.GONE),
)


class Watcher:
    """Watches the directories at *paths* and tells *hear*, from a thread of its own.

    With *recursive* also those below them that are there at start, or come back under a name that was; with *auto_add*
    every directory that appears in a watched one, with all below it. A PATH that is a symbolic link is followed, one
    below it is not.
    """

    def __init__(
        self,
        paths: tuple[str, ...],
        hear: Callable[[Hint], None],
        now: Callable[[], float],
        *,
        recursive: bool,
        auto_add: bool,
    ) -> None:
        self._paths = paths
        self._hear = hear
        self._now = now
        self._recursive = recursive
        self._auto_add = auto_add
        self._inotify: INotify | None = None
        self._path_of: dict[int, str] = {}
        self._descriptor_of: dict[str, int] = {}
        self._unwatched: set[str] = set()
        self._unlisted: set[str] = set()  # everything below these is to be watched once they can be listed
        self._wanted: set[str] = set(paths)
        self._left: set[str] = set()  # was there already and not asked for: no -r
        self._identity: dict[str, tuple[int, int]] = {}  # device and inode of each directory when it was watched
        self._lost: set[tuple[int, int]] = set()  # of the directories that are no more where they were
        self._moved_away: set[int] = set()  # cookies of watched directories that were renamed
        self._said: set[str] = set()
        self._next_look = 0.0
        self._rescan_asked = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin: every directory is watched and then hinted at, and `Started` follows."""
        self._thread.start()

    def rescan(self) -> None:
        """Hint at every directory, and watch those that were missed. May be called from any thread."""
        self._rescan_asked.set()

    def stop(self) -> None:
        """Say no more."""
        self._stopped.set()

    def _run(self) -> None:
        try:
            self._inotify = INotify()
        except OSError as error:
            log.error(
                "cannot watch with inotify (%s); looking at every directory each %.0f s instead. "
                "Raise sysctl fs.inotify.max_user_instances, or ulimit -n",
                error.strerror,
                UNWATCHED_EVERY_SECONDS,
            )
        try:
            self._watch_until_stopped()
        finally:
            if self._inotify is not None:
                self._inotify.close()

    def _watch_until_stopped(self) -> None:
        for path in self._paths:
            self._watch_tree(path, everything=self._recursive, at_start=True)
        self._hear(Started(directories=len(self._descriptor_of) + len(self._unwatched), unwatched=len(self._unwatched)))
        while not self._stopped.is_set():
            for event in self._events():
                self._heed(event)
            self._look_at_paths()
            if self._rescan_asked.is_set():
                self._rescan_asked.clear()
                self._look_at_all()
            if self._now() >= self._next_look:
                self._look_at_unwatched()

    def _events(self) -> list[Event]:
        if self._inotify is None:
            self._stopped.wait(POLL_MS / 1000)
            return []
        # Without a delay for more to come: a transaction log may live for 5 ms only, and must be opened meanwhile.
        return list(self._inotify.read(timeout=POLL_MS))

    def _heed(self, event: Event) -> None:
        if event.mask & flags.Q_OVERFLOW:
            self._hear(LookEverywhere("the kernel's queue of events overflowed (sysctl fs.inotify.max_queued_events)"))
            self._look_at_all()
            return
        directory = self._path_of.get(event.wd)
        if directory is None:
            return  # an event left over from a watch that was taken away
        if event.mask & (flags.IGNORED | flags.DELETE_SELF | flags.UNMOUNT):
            self._forget(directory)
        elif event.mask & flags.MOVE_SELF:
            if directory in self._paths:
                self._forget_tree(directory)
        elif event.mask & flags.ISDIR:
            self._heed_directory(event, os.path.join(directory, event.name))
        else:
            for flag, happening in _HAPPENINGS:
                if event.mask & flag:
                    self._hear(FileHint(directory, event.name, happening))

    def _heed_directory(self, event: Event, path: str) -> None:
        if event.mask & flags.MOVED_FROM:
            if path in self._descriptor_of or path in self._unwatched:
                self._moved_away.add(event.cookie)
            # The watches go with the inodes, so that they would tell of files under names that are no more.
            self._forget_tree(path)
        elif event.mask & flags.DELETE:
            self._forget_tree(path)
        elif event.mask & (flags.CREATE | flags.MOVED_TO):
            renamed = event.cookie in self._moved_away
            self._moved_away.discard(event.cookie)
            self._left.discard(path)
            if self._auto_add or renamed or path in self._wanted:
                self._watch_tree(path, everything=renamed or self._auto_add)

    def _watch_tree(self, path: str, *, everything: bool, at_start: bool = False) -> None:
        """Watch *path*, and below it *everything* or what belongs there, each before it is listed.

        In this order because what lands in a directory before its watch is found by looking after it is set, and what
        lands after it is announced: nothing falls between the two.
        """
        everything = everything or path in self._unlisted
        if not self._watch(path):
            if everything and path in self._unwatched:
                self._unlisted.add(path)
            return
        if not self._auto_add:
            self._wanted.add(path)
        self._hear(DirectoryHint(path, at_start=at_start))
        directories = self._directories_in(path)
        if directories is None:
            self._unwatched.add(path)  # what is below it is not known: look again
            if everything:
                self._unlisted.add(path)
            return
        self._unlisted.discard(path)
        for below in directories:
            if everything or self._belongs(below, at_start=at_start):
                self._watch_tree(below, everything=everything, at_start=at_start)
            else:
                self._left.add(below)

    def _belongs(self, path: str, *, at_start: bool) -> bool:
        """Say whether *path*, found by looking below a watched directory, is one to watch."""
        if path in self._wanted or path in self._descriptor_of or path in self._unwatched:
            return True
        if self._auto_add:
            return not at_start and path not in self._left
        return _identity_of(path) in self._lost  # renamed, and the event that said so was lost

    def _watch(self, path: str) -> bool:
        """Watch one directory; return False if there is none. One that cannot be watched is looked at instead."""
        try:
            status = os.stat(path)
        except OSError as error:
            if error.errno not in _NO_DIRECTORY:
                self._cannot_watch(path, error)
            return False
        # Before the watch, and where that fails too: a directory put in this one's place is known by its identity.
        self._identity[path] = (status.st_dev, status.st_ino)
        if self._inotify is None:
            self._unwatched.add(path)
            return True
        try:
            # A directory that is a link below a PATH is never followed; the PATH itself may be one.
            mask = MASK if path in self._paths else MASK | flags.DONT_FOLLOW
            descriptor = self._inotify.add_watch(path, mask)
        except OSError as error:
            if error.errno in _NO_DIRECTORY:
                del self._identity[path]
                return False
            self._cannot_watch(path, error)
            self._unwatched.add(path)
            return error.errno != errno.EACCES  # what may not be entered cannot be looked at, only tried again
        self._note_watch(path, descriptor)
        return True

    def _note_watch(self, path: str, descriptor: int) -> None:
        old_path = self._path_of.get(descriptor)
        if old_path is not None and old_path != path:
            self._descriptor_of.pop(old_path, None)
            self._hear(DirectoryGone(old_path))  # it was renamed, and the event that said so was lost
        old_descriptor = self._descriptor_of.get(path)
        if old_descriptor is not None and old_descriptor != descriptor:
            self._remove_watch(old_descriptor)  # another directory had this name, and its end was not heard
        self._path_of[descriptor] = path
        self._descriptor_of[path] = descriptor
        self._unwatched.discard(path)
        self._said.discard(path)

    def _remove_watch(self, descriptor: int) -> None:
        self._path_of.pop(descriptor, None)
        if self._inotify is not None:
            with suppress(OSError):  # where the directory is gone, its watch is too
                self._inotify.rm_watch(descriptor)

    def _cannot_watch(self, path: str, error: OSError) -> None:
        if path in self._unwatched or path in self._said:
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

    def _directories_in(self, path: str) -> list[str] | None:
        """Return the directories in *path*; None where it cannot be listed just now."""
        try:
            with os.scandir(path) as entries:
                return sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError as error:
            if error.errno in _NO_DIRECTORY:
                return []
            self._cannot_watch(path, error)
            return None

    def _forget(self, path: str) -> None:
        descriptor = self._descriptor_of.pop(path, None)
        if descriptor is not None and self._path_of.get(descriptor) == path:
            self._remove_watch(descriptor)
        self._unwatched.discard(path)
        self._unlisted.discard(path)
        self._identity.pop(path, None)
        self._hear(DirectoryGone(path))

    def _forget_tree(self, path: str) -> None:
        below = path.rstrip("/") + "/"
        self._left = {left for left in self._left if not left.startswith(below)}
        for known in [*self._descriptor_of, *self._unwatched]:
            if known == path or known.startswith(below):
                self._forget(known)

    def _look_at_paths(self) -> None:
        """Watch a PATH anew that is another directory than it was: re-created, mounted over, its link set elsewhere."""
        for path in self._paths:
            here = _identity_of(path)
            if here == self._identity.get(path):
                continue
            self._forget_tree(path)
            if here is not None:
                self._watch_tree(path, everything=self._recursive)

    def _look_at_all(self) -> None:
        self._lost = {identity for path, identity in self._identity.items() if _identity_of(path) != identity}
        for path in self._paths:
            self._watch_tree(path, everything=False)  # directories may have come and gone unheard
        self._lost = set()
        for path in [*self._descriptor_of, *self._unwatched]:
            if not os.path.isdir(path):
                self._forget_tree(path)

    def _look_at_unwatched(self) -> None:
        self._next_look = self._now() + UNWATCHED_EVERY_SECONDS
        for path in sorted(self._unwatched):
            if os.path.isdir(path):
                self._watch_tree(path, everything=False)
            else:
                self._forget(path)


def _identity_of(path: str) -> tuple[int, int] | None:
    """Return the device and inode at *path*, links followed; None if nothing can be seen there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino)
