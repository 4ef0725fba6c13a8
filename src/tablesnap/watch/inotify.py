"""Watch directories with inotify, and go on by looking where that cannot be had.

Source of the event semantics: inotify(7).
"""

import logging
import os
import threading
from collections.abc import Callable, Collection
from heapq import heappop, heappush

from inotify_simple import Event, flags

from tablesnap.rules.place import is_within
from tablesnap.watch.hints import DirectoryGone, DirectoryHint, FileHint, Happening, Hint, LookEverywhere, Started
from tablesnap.watch.known import PathSet
from tablesnap.watch.links import Identity, Refusal, contested_by, identity_of, refusal_of
from tablesnap.watch.watches import POLL_MS, UNWATCHED_EVERY_SECONDS, Watches

log = logging.getLogger(__name__)

REMIND_SECONDS = 3600.0  # how often it is said which links lead to what is not backed up

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
        self._watches = Watches(self._forget)
        self._wanted: set[str] = set(paths)
        self._left = PathSet()  # was there already and not asked for: no -r
        self._lost: set[Identity] = set()  # of the directories that are no more where they were
        self._links: set[str] = set()  # those that are followed, or will be once there is a directory
        self._found: list[tuple[str, bool]] = []  # links that are to be followed next, and whether with everything
        self._refused: dict[str, str] = {}  # links to what is in no backup, as they are not followed, and why
        self._held: set[str] = set()  # links that share a directory: under which path it is to be decided
        self._moved_away: set[int] = set()  # cookies of watched directories that were renamed
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
        self._watches.second = second
        self._decided.set()

    def stop(self) -> None:
        """Say no more."""
        self._stopped.set()

    def _run(self) -> None:
        self._watches.open()
        try:
            self._watch_until_stopped()
        finally:
            self._watches.close()

    def _watch_until_stopped(self) -> None:
        self._watch_at_start()
        while not self._stopped.is_set():
            for event in self._watches.events(self._stopped):
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
        unwatched = len(self._watches.unwatched)
        self._hear(Started(directories=len(self._watches.known), unwatched=unwatched, contested=contested))

    def _heed(self, event: Event) -> None:
        if event.mask & flags.Q_OVERFLOW:
            self._hear(LookEverywhere("the kernel's queue of events overflowed (sysctl fs.inotify.max_queued_events)"))
            self._look_at_all()
            return
        directory = self._watches.path_of(event.wd)
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
            if path in self._watches.known:
                self._moved_away.add(event.cookie)
            # The watches go with the inodes, so that they would tell of files under names that are no more.
            self._forget_tree(path)
        elif event.mask & flags.DELETE:
            self._forget_tree(path)
        elif event.mask & (flags.CREATE | flags.MOVED_TO):
            renamed = self._is_renamed(event)
            self._left.discard(path)
            if self._watches.has(path) and self._watches.identity.get(path) == identity_of(path):
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
        if not os.path.isdir(link) or self._watches.is_elsewhere(link, here):
            return False
        refusal = refusal_of(link, self._paths, self._avoid)
        if refusal is not None:
            self._refuse(link, refusal, at_start=at_start)
        return refusal is None

    def _refuse(self, link: str, refusal: Refusal, *, at_start: bool) -> None:
        if refusal.harmless:
            self._watches.say_once(logging.INFO, link, f"{link} is a symbolic link and is not followed: {refusal.why}")
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
            self._watches.second = ()

    def _look_at_link(self, link: str) -> None:
        """Watch anew what is below *link* if it leads to another directory than it did.

        Nothing is told gone that is there again: whoever listens is to find out that it is on another disk.
        """
        if not os.path.islink(link):
            self._links.discard(link)
            self._forget_tree(link)
            return  # what has its name now is heard of
        here = identity_of(link)
        if here == self._watches.identity.get(link):
            return
        before = self._watches.known.at_or_below(link)
        for path in before:
            self._watches.drop(path)
        if here is not None:
            heappush(self._found, (link, True))
            self._follow_found()
        for path in before:
            if path not in self._watches.known:
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
        everything = everything or path in self._watches.unlisted
        if not self._watches.watch(path, follow=path in self._paths or path in self._links):
            if everything and path in self._watches.unwatched:
                self._watches.unlisted.add(path)
            return []
        if not self._auto_add:
            self._wanted.add(path)
        self._hear(DirectoryHint(path, at_start=at_start))
        listed = self._watches.look_into(path)
        if listed is None:
            self._watches.unwatched.add(path)  # what is below it is not known: look again
            if everything:
                self._watches.unlisted.add(path)
            return []
        self._watches.unlisted.discard(path)
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
        if path in self._wanted or path in self._watches.known:
            return True
        if self._auto_add:
            return not at_start and path not in self._left
        return identity_of(path) in self._lost  # renamed, and the event that said so was lost

    def _forget(self, path: str) -> None:
        self._watches.drop(path)
        self._hear(DirectoryGone(path))

    def _forget_tree(self, path: str) -> None:
        for left in self._left.at_or_below(path):
            if left != path:
                self._left.discard(left)
        for known in self._watches.known.at_or_below(path):
            self._forget(known)

    def _look_at_paths(self) -> None:
        """Watch a PATH anew that is another directory than it was: re-created, mounted over, its link set elsewhere."""
        for path in self._paths:
            here = identity_of(path)
            if here == self._watches.identity.get(path):
                continue
            self._forget_tree(path)
            if here is not None:
                self._watch_tree(path, everything=self._recursive)

    def _look_at_all(self) -> None:
        for link in sorted(self._links):
            self._look_at_link(link)
        self._lost = {identity for path, identity in self._watches.identity.items() if identity_of(path) != identity}
        for path in self._paths:
            self._watch_tree(path, everything=False)  # directories may have come and gone unheard
        self._lost = set()
        for path in self._watches.known.at_or_below("/"):
            if not os.path.isdir(path):
                self._forget_tree(path)

    def _look_at_unwatched(self) -> None:
        for path in sorted(self._watches.unwatched):
            if os.path.isdir(path):
                self._watch_tree(path, everything=False)
            else:
                self._forget(path)
