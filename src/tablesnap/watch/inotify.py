"""Watch directories with inotify, and go on by looking where that cannot be had.

Source of the event semantics: inotify(7).
"""

import errno
import logging
import os
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from heapq import heappop, heappush

from inotify_simple import Event, INotify, flags

from tablesnap.rules.place import is_within
from tablesnap.watch.hints import DirectoryGone, DirectoryHint, FileHint, Happening, Hint, LookEverywhere, Started
from tablesnap.watch.known import PathSet
from tablesnap.watch.links import Identity, Refusal, already, contested_by, identity_of, list_below, refusal_of

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
REMIND_SECONDS = 3600.0  # how often it is said which links lead to what is not backed up

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
    every directory that appears in a watched one, with all below it. A symbolic link to a directory is followed as if
    the directory were there, but never into what is, or holds, one of *avoid*. Each directory is watched under one
    path. Those that several links reach at start are told by `Started`, and not watched before `decide`.
    """

    def __init__(
        self,
        paths: tuple[str, ...],
        hear: Callable[[Hint], None],
        now: Callable[[], float],
        *,
        recursive: bool,
        auto_add: bool,
        avoid: tuple[str, ...] = (),
    ) -> None:
        self._paths = paths
        self._avoid = avoid
        self._hear = hear
        self._now = now
        self._recursive = recursive
        self._auto_add = auto_add
        self._inotify: INotify | None = None
        self._path_of: dict[int, str] = {}
        self._descriptor_of: dict[str, int] = {}
        self._unwatched: set[str] = set()
        self._known = PathSet()  # those of which one or the other is true
        self._unlisted: set[str] = set()  # everything below these is to be watched once they can be listed
        self._wanted: set[str] = set(paths)
        self._left = PathSet()  # was there already and not asked for: no -r
        self._identity: dict[str, Identity] = {}  # of each directory when it was watched
        self._path_at: dict[Identity, str] = {}
        self._lost: set[Identity] = set()  # of the directories that are no more where they were
        self._links: set[str] = set()  # those that are followed, or will be once there is a directory
        self._found: list[tuple[str, bool]] = []  # links that are to be followed next, and whether with everything
        self._refused: dict[str, str] = {}  # links to what is in no backup, as they are not followed, and why
        self._held: set[str] = set()  # links that share a directory: under which path it is to be decided
        self._second: Collection[str] = ()  # paths under which nothing is watched that can be under another
        self._moved_away: set[int] = set()  # cookies of watched directories that were renamed
        self._said: set[str] = set()
        self._next_look = 0.0
        self._next_look_at_links = 0.0
        self._next_reminder = 0.0
        self._rescan_asked = threading.Event()
        self._decided = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin: every directory is watched and then hinted at, and `Started` follows."""
        self._thread.start()

    def rescan(self) -> None:
        """Hint at every directory, and watch those that were missed. May be called from any thread."""
        self._rescan_asked.set()

    def decide(self, second: Collection[str]) -> None:
        """Watch what several links reach, under a path of *second* only where no other leads to it. From any thread."""
        self._second = second
        self._decided.set()

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
        self._watch_at_start()
        while not self._stopped.is_set():
            for event in self._events():
                self._heed(event)
            self._look_at_paths()
            if self._decided.is_set():
                self._decided.clear()
                self._follow_held()
            if self._rescan_asked.is_set():
                self._rescan_asked.clear()
                self._look_at_all()
            now = self._now()
            if now >= self._next_look_at_links:
                self._next_look_at_links = now + POLL_MS / 1000
                for link in sorted(self._links):
                    self._look_at_link(link)
            if now >= self._next_reminder:
                self._remind()
            if now >= self._next_look:
                self._next_look = now + UNWATCHED_EVERY_SECONDS
                self._look_at_unwatched()

    def _watch_at_start(self) -> None:
        # What has a path without a link is watched under it, so that links come last.
        for path in self._paths:
            self._watch_below(path, everything=self._recursive, at_start=True)
        links = [link for link, _ in self._found]
        contested = contested_by(links, self._paths, self._avoid)
        reached = {path for group in contested for path in group}
        self._held = {link for link in links if any(is_within(path, link) for path in reached)}
        self._follow_found(at_start=True)
        self._remind()
        directories, unwatched = len(self._descriptor_of) + len(self._unwatched), len(self._unwatched)
        self._hear(Started(directories=directories, unwatched=unwatched, contested=contested))

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
            if directory in self._paths or directory in self._links:
                self._forget_tree(directory)
        elif event.mask & flags.ISDIR:
            self._heed_directory(event, os.path.join(directory, event.name))
        else:
            for flag, happening in _HAPPENINGS:
                if event.mask & flag:
                    self._hear(FileHint(directory, event.name, happening))
            self._heed_link(event, os.path.join(directory, event.name))

    def _heed_directory(self, event: Event, path: str) -> None:
        if event.mask & flags.MOVED_FROM:
            if path in self._descriptor_of or path in self._unwatched:
                self._moved_away.add(event.cookie)
            # The watches go with the inodes, so that they would tell of files under names that are no more.
            self._forget_tree(path)
        elif event.mask & flags.DELETE:
            self._forget_tree(path)
        elif event.mask & (flags.CREATE | flags.MOVED_TO):
            renamed = self._is_renamed(event)
            self._left.discard(path)
            if path in self._descriptor_of and self._identity.get(path) == identity_of(path):
                return  # found by looking: else each of many nested ones would have all below it looked at again
            if self._auto_add or renamed or path in self._wanted:
                self._watch_tree(path, everything=renamed or self._auto_add)

    def _is_renamed(self, event: Event) -> bool:
        renamed = event.cookie in self._moved_away
        self._moved_away.discard(event.cookie)
        return renamed

    def _heed_link(self, event: Event, path: str) -> None:
        """Take in that a link may have come or gone: it is no directory to the kernel."""
        if event.mask & (flags.MOVED_FROM | flags.DELETE):
            if path in self._links:
                if event.mask & flags.MOVED_FROM:
                    self._moved_away.add(event.cookie)
                self._links.discard(path)
                self._forget_tree(path)
        elif event.mask & (flags.CREATE | flags.MOVED_TO) and os.path.islink(path):
            renamed = self._is_renamed(event)
            self._left.discard(path)
            if path in self._links:
                self._look_at_link(path)
            elif self._auto_add or renamed or path in self._wanted:
                heappush(self._found, (path, True))
                self._follow_found()

    def _follow_found(self, *, at_start: bool = False) -> None:
        """Follow the links that were found, in the order of their names, and those that are found then."""
        while self._found:
            link, everything = heappop(self._found)
            if link in self._held:
                continue
            here = identity_of(link)
            if here is not None and not self._may_follow(link, here, at_start=at_start):
                self._links.discard(link)
                continue
            self._links.add(link)  # also where there is nothing yet: it is looked at again
            if not self._auto_add:
                self._wanted.add(link)
            self._watch_below(link, everything=everything, at_start=at_start)

    def _may_follow(self, link: str, here: Identity, *, at_start: bool) -> bool:
        if not os.path.isdir(link) or self._is_elsewhere(link, here):
            return False
        refusal = refusal_of(link, self._paths, self._avoid)
        if refusal is not None:
            self._refuse(link, refusal, at_start=at_start)
        return refusal is None

    def _refuse(self, link: str, refusal: Refusal, *, at_start: bool) -> None:
        if refusal.harmless:
            self._say_once(logging.INFO, link, f"{link} is a symbolic link and is not followed: {refusal.why}")
        elif link not in self._refused:
            self._refused[link] = refusal.why
            if not at_start:
                self._remind_of(link)

    def _remind(self) -> None:
        """Say what is in no backup because of a link: at the start, and now and then."""
        self._next_reminder = self._now() + REMIND_SECONDS
        self._refused = {link: why for link, why in self._refused.items() if os.path.islink(link)}
        for link in sorted(self._refused):
            self._remind_of(link)
        for link in sorted(self._links):
            if not os.path.exists(link):
                log.error(
                    "%s is a symbolic link to what is not there, so that nothing is backed up there; is a disk not "
                    "mounted?",
                    link,
                )

    def _remind_of(self, link: str) -> None:
        log.error(
            "%s is a symbolic link and is not followed, so that what it leads to is in no backup: %s; "
            "give it another target, or name that as a PATH",
            link,
            self._refused[link],
        )

    def _follow_held(self) -> None:
        links, self._held = self._held, set()
        for _ in range(2):  # then also what was left for a path that is not there after all
            self._found = [(link, True) for link in sorted(links)]
            self._follow_found()
            self._second = ()

    def _look_at_link(self, link: str) -> None:
        """Watch anew what is below *link* if it leads to another directory than it did.

        Nothing is told gone that is there again: whoever listens is to find out that it is on another disk.
        """
        if not os.path.islink(link):
            self._links.discard(link)
            self._forget_tree(link)
            return  # what has its name now is heard of
        here = identity_of(link)
        if here == self._identity.get(link):
            return
        before = self._known.at_or_below(link)
        for path in before:
            self._drop(path)
        if here is not None:
            heappush(self._found, (link, True))
            self._follow_found()
        for path in before:
            if path not in self._known:
                self._hear(DirectoryGone(path))

    def _watch_tree(self, path: str, *, everything: bool) -> None:
        """Watch *path*, what belongs below it, and what the links there lead to."""
        self._watch_below(path, everything=everything)
        self._follow_found()

    def _watch_below(self, path: str, *, everything: bool, at_start: bool = False) -> None:
        """Watch *path*, and below it *everything* or what belongs there, but for what links lead to."""
        stack = [(path, everything)]
        while stack:
            stack += reversed(self._watch_one(*stack.pop(), at_start=at_start))

    def _watch_one(self, path: str, everything: bool, *, at_start: bool) -> list[tuple[str, bool]]:
        """Watch *path*, and then list it; return what to watch in it, and whether with *everything* below.

        In this order because what lands in a directory before its watch is found by looking after it is set, and what
        lands after it is announced: nothing falls between the two.
        """
        everything = everything or path in self._unlisted
        if not self._watch(path):
            if everything and path in self._unwatched:
                self._unlisted.add(path)
            return []
        if not self._auto_add:
            self._wanted.add(path)
        self._hear(DirectoryHint(path, at_start=at_start))
        listed = self._list(path)
        if listed is None:
            self._unwatched.add(path)  # what is below it is not known: look again
            if everything:
                self._unlisted.add(path)
            return []
        self._unlisted.discard(path)
        directories, links = listed
        for link in self._those_to_watch(links, everything=everything, at_start=at_start):
            heappush(self._found, (link, everything))
        below = self._those_to_watch(directories, everything=everything, at_start=at_start)
        return [(one, everything) for one in below]

    def _those_to_watch(self, paths: list[str], *, everything: bool, at_start: bool) -> list[str]:
        wanted = []
        for path in paths:
            if everything or self._belongs(path, at_start=at_start):
                wanted.append(path)
            else:
                self._left.add(path)
        return wanted

    def _belongs(self, path: str, *, at_start: bool) -> bool:
        """Say whether *path*, found by looking below a watched directory, is one to watch."""
        if path in self._wanted or path in self._known:
            return True
        if self._auto_add:
            return not at_start and path not in self._left
        return identity_of(path) in self._lost  # renamed, and the event that said so was lost

    def _watch(self, path: str) -> bool:
        """Watch one directory; return False if there is none. One that cannot be watched is looked at instead."""
        try:
            status = os.stat(path)
        except OSError as error:
            if error.errno not in _NO_DIRECTORY:
                self._cannot_watch(path, error)
            return False
        here = (status.st_dev, status.st_ino)
        if self._is_elsewhere(path, here):
            return False
        # Before the watch, and where that fails too: a directory put in this one's place is known by its identity.
        self._identity[path] = here
        self._path_at[here] = path
        self._known.add(path)
        if self._inotify is None:
            self._unwatched.add(path)
            return True
        try:
            # What has become a link since it was seen as a directory is heard of as a link.
            mask = MASK if path in self._paths or path in self._links else MASK | flags.DONT_FOLLOW
            descriptor = self._inotify.add_watch(path, mask)
        except OSError as error:
            if error.errno in _NO_DIRECTORY:
                self._drop(path)
                return False
            self._cannot_watch(path, error)
            self._unwatched.add(path)
            return error.errno != errno.EACCES  # what may not be entered cannot be looked at, only tried again
        self._note_watch(path, descriptor)
        return True

    def _is_elsewhere(self, path: str, here: Identity) -> bool:
        """Say whether the directory at *path* is watched under another path, or is to be."""
        if path in self._second:
            return True
        other = self._path_at.get(here, path)
        if other == path or other not in self._known or identity_of(other) != here:
            return False  # or it was renamed, and the event that said so was lost
        self._say_once(logging.INFO, path, f"{path} is not watched: {already(other).why}")
        return True

    def _say_once(self, level: int, about: str, line: str) -> None:
        log.log(logging.DEBUG if about in self._said else level, "%s", line)
        self._said.add(about)

    def _note_watch(self, path: str, descriptor: int) -> None:
        old_path = self._path_of.get(descriptor)
        if old_path is not None and old_path != path:
            self._descriptor_of.pop(old_path, None)
            self._forget(old_path)  # it was renamed, and the event that said so was lost
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

    def _list(self, path: str) -> tuple[list[str], list[str]] | None:
        """Return the directories in *path*, and the links; None where it cannot be listed just now."""
        try:
            return list_below(path)
        except OSError as error:
            if error.errno in _NO_DIRECTORY:
                return [], []
            self._cannot_watch(path, error)
            return None

    def _forget(self, path: str) -> None:
        self._drop(path)
        self._hear(DirectoryGone(path))

    def _drop(self, path: str) -> None:
        descriptor = self._descriptor_of.pop(path, None)
        if descriptor is not None and self._path_of.get(descriptor) == path:
            self._remove_watch(descriptor)
        self._unwatched.discard(path)
        self._unlisted.discard(path)
        self._known.discard(path)
        here = self._identity.pop(path, None)
        if here is not None and self._path_at.get(here) == path:
            del self._path_at[here]

    def _forget_tree(self, path: str) -> None:
        for left in self._left.at_or_below(path):
            if left != path:
                self._left.discard(left)
        for known in self._known.at_or_below(path):
            self._forget(known)

    def _look_at_paths(self) -> None:
        """Watch a PATH anew that is another directory than it was: re-created, mounted over, its link set elsewhere."""
        for path in self._paths:
            here = identity_of(path)
            if here == self._identity.get(path):
                continue
            self._forget_tree(path)
            if here is not None:
                self._watch_tree(path, everything=self._recursive)

    def _look_at_all(self) -> None:
        for link in sorted(self._links):
            self._look_at_link(link)
        self._lost = {identity for path, identity in self._identity.items() if identity_of(path) != identity}
        for path in self._paths:
            self._watch_tree(path, everything=False)  # directories may have come and gone unheard
        self._lost = set()
        for path in [*self._descriptor_of, *self._unwatched]:
            if not os.path.isdir(path):
                self._forget_tree(path)

    def _look_at_unwatched(self) -> None:
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
