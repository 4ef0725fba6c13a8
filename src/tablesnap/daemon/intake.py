"""Which files are to be stored, and when each is finished."""

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter

from tablesnap.capture.listing import Listing, advice_on, look_at_directory, look_at_file
from tablesnap.daemon.directory import Directory, Pending, Seen, Stored
from tablesnap.daemon.messages import Task
from tablesnap.daemon.settings import Settings
from tablesnap.daemon.timing import Timing
from tablesnap.rules import history, sstable
from tablesnap.rules.found import Verdict, judge
from tablesnap.rules.incarnation import Incarnation
from tablesnap.rules.keys import Keys
from tablesnap.watch.hints import FileHint, Happening

log = logging.getLogger(__name__)

FRESH, FOUND = 0, 2  # urgency: what arrives now goes before what was found at start


@dataclass(frozen=True)
class Judged:
    """What became of the files found at start in one directory: numbers of files, and bytes to store."""

    stored: int = 0
    left_alone: int = 0
    waiting: int = 0
    size: int = 0

    def __add__(self, other: "Judged") -> "Judged":
        return Judged(
            self.stored + other.stored,
            self.left_alone + other.left_alone,
            self.waiting + other.waiting,
            self.size + other.size,
        )


class Intake:
    """Turns hints and looks into tasks. Used by the daemon's one thread alone.

    Sstables are not its matter where Cassandra keeps transactions: *recognise* is told what is in a directory, and
    makes it a table's.
    """

    def __init__(
        self,
        settings: Settings,
        keys: Keys,
        submit: Callable[[Task, int], None],
        now: Callable[[], float],
        recognise: Callable[[Directory, Iterable[str]], None],
        timing: Timing,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._submit = submit
        self._now = now
        self._recognise = recognise
        self._timing = timing
        self._settling: set[tuple[str, str]] = set()
        self._links_told: set[str] = set()
        self._unlistable: set[str] = set()
        self.let_go: list[Pending] = []  # found at start, and gone or stored before their turn came

    def heed(self, directory: Directory, hint: FileHint) -> None:
        """Act on what the kernel said of a file."""
        name = hint.name
        if not history.is_backed_up(directory.path, name, self._settings.selection):
            return
        directory.last_event = self._now()
        if hint.happening is Happening.GONE:
            # What comes under this name now is another life, though it have the same size, mtime and inode.
            directory.found.pop(name, None)
            directory.stored.pop(name, None)
            if name in directory.own_deletions:
                directory.own_deletions.discard(name)
            else:
                directory.note_change(self._now())
        elif hint.happening.value in self._settings.events or directory.listed or sstable.parse(name) is not None:
            # Of an sstable every event counts: 3.0 and later, Scylla and hard links come without a rename; and so does
            # that of a snapshot's last file.
            self.take(directory, name, finished=hint.happening is not Happening.CREATED)
        elif name in directory.stored:
            directory.note_change(self._now())  # rewritten, perhaps: the look before the next index will tell

    def take(self, directory: Directory, name: str, *, finished: bool) -> None:
        """Have the file stored, at once where it is *finished*, else when it stands still."""
        pending = directory.pending.get(name)
        if pending is not None and pending.queued:
            pending.again = True
            return
        incarnation = look_at_file(os.path.join(directory.path, name))
        if incarnation is None or directory.recall(name, incarnation) is not None:
            self._drop(directory, name)
            return
        directory.left_alone.pop(name, None)
        directory.given_up.pop(name, None)
        now = self._now()
        if pending is None:
            pending = Pending(incarnation, since=now, still_since=now)
            directory.pending[name] = pending
        if finished:
            pending.incarnation = incarnation
            self._queue(directory, name, pending, FRESH)
        else:
            self._settling.add((directory.path, name))

    def await_stillness(self, directory: Directory, name: str, pending: Pending) -> None:
        """Have the file stored when it stands still, counted from when it was first seen so."""
        directory.pending[name] = pending
        self._settling.add((directory.path, name))

    def look(self, directory: Directory) -> Listing | None:
        """Look at *directory*, and take what is not stored. None: it cannot be listed."""
        listing = self.list_directory(directory)
        if listing is None:
            return None
        for name in self.unknown(directory, listing):
            self.take(directory, name, finished=False)
        known = {*directory.stored, *directory.left_alone, *directory.given_up}
        if not known <= listing.files.keys():
            directory.note_change(self._now())
        return listing

    def look_at_start(self, directory: Directory) -> None:
        """Look at *directory* for the first time; what it holds is judged once the store has been asked."""
        listing = self.list_directory(directory)
        if listing is not None:
            live = self._ordinary(directory, listing.files)
            directory.found = {name: one for name, one in live.items() if name not in directory.pending}
            self.note_unlooked(directory, listing)
        directory.found_at = self._now()

    def note_unlooked(self, directory: Directory, listing: Listing) -> None:
        """Remember the sstables in a table's directory, which wait from now on, though the look at them comes later."""
        if directory.table is None:
            return
        for name, one in listing.files.items():
            component = sstable.parse(name)
            if component is not None and history.is_backed_up(directory.path, name, self._settings.selection):
                directory.unlooked.setdefault(name, Seen(one.size, self._now()))

    def list_directory(self, directory: Directory) -> Listing | None:
        """List *directory*, and say which links to files are not followed. None: it cannot be listed."""
        try:
            listing = look_at_directory(directory.path)
        except (FileNotFoundError, NotADirectoryError):
            directory.changed_since = None
            return None
        except OSError as error:
            # Once, not at each try: it is tried again until it can be done.
            said = directory.path in self._unlistable
            log.log(
                logging.DEBUG if said else logging.ERROR,
                "cannot list %s, and will try again: %s; %s",
                directory.path,
                error.strerror,
                advice_on(error),
            )
            self._unlistable.add(directory.path)
            directory.changed_since = directory.last_event = self._now()
            return None
        self._unlistable.discard(directory.path)
        for link in listing.links:
            self._tell_of_link(os.path.join(directory.path, link))
        self._recognise(directory, listing.files)
        return listing

    def _tell_of_link(self, path: str) -> None:
        """Say that a link to a file is not followed. Of a directory the watcher says so, if it does not follow that."""
        if path in self._links_told:
            return
        self._links_told.add(path)
        if os.path.exists(path) and not os.path.isdir(path):
            log.warning(
                "%s is a symbolic link to a file and is not followed; to back that up, name its directory as a PATH",
                path,
            )

    def _ordinary(self, directory: Directory, files: Mapping[str, Incarnation]) -> dict[str, Incarnation]:
        """Return what of *files* is backed up one by one: in a table's directory, what is no sstable's."""
        live = history.live(directory.path, files, self._settings.selection)
        if directory.table is None:
            return live
        return {name: one for name, one in live.items() if sstable.parse(name) is None}

    def unknown(self, directory: Directory, listing: Listing) -> list[str]:
        """Return the files that are neither stored, nor on their way, nor let be."""
        return [
            name
            for name, one in self._ordinary(directory, listing.files).items()
            if name not in directory.pending
            and name not in directory.found
            and directory.recall(name, one) is None
            and not directory.is_let_be(name, one)
        ]

    def judge_found(self, directory: Directory, taken: frozenset[str]) -> Judged:
        """Decide what becomes of the files found at start, now that the newest index is known."""
        total = Judged()
        for name, one in directory.found.items():
            if name in directory.pending or directory.stored.get(name) is not None:
                continue  # an event was quicker
            verdict = judge(
                name,
                one,
                directory.newest,
                backup=self._settings.backup,
                key_taken=self._keys.plain(os.path.join(directory.path, name)) in taken,
                verify=self._settings.verify_on_start,
            )
            if verdict is Verdict.STORED and directory.newest is not None:
                directory.stored[name] = Stored(one, directory.newest.files[name])
                total += Judged(stored=1)
            elif verdict is Verdict.LEFT_ALONE:
                directory.left_alone[name] = one
                total += Judged(left_alone=1)
            else:
                pending = Pending(one, since=directory.found_at, still_since=directory.found_at, found=True)
                pending.expected = verdict is Verdict.COMPARED
                self.await_stillness(directory, name, pending)
                total += Judged(waiting=1, size=one.size)
        directory.found = {}
        return total

    def forget(self, directory: Directory) -> None:
        """Wait no longer for files of a directory that is gone."""
        self._settling -= {(directory.path, name) for name in directory.pending}

    def queue_the_still(self, directories: dict[str, Directory]) -> None:
        """Queue every file whose size and mtime have stood still for long enough."""
        now = self._now()
        still: list[tuple[int, Directory, str, Pending]] = []
        for path, name in list(self._settling):
            directory = directories.get(path)
            pending = directory.pending.get(name) if directory else None
            if directory is None or pending is None or pending.queued:
                self._settling.discard((path, name))
            elif now - pending.still_since >= self._timing.stand_still:
                still.append((pending.incarnation.mtime_ns, directory, name, pending))
        for _, directory, name, pending in sorted(still, key=itemgetter(0), reverse=True):  # newest risk first
            self._queue_if_still(directory, name, pending)

    def _queue_if_still(self, directory: Directory, name: str, pending: Pending) -> None:
        here = look_at_file(os.path.join(directory.path, name))
        recalled = None if here is None or pending.expected else directory.recall(name, here)
        if here is None or recalled is not None:
            self._drop(directory, name)
            directory.note_change(self._now())
        elif here == pending.incarnation:
            self._queue(directory, name, pending, FOUND if pending.found else FRESH)
        else:
            pending.incarnation, pending.still_since = here, self._now()

    def submit_anew(self, task: Task) -> None:
        """Have a file stored once more, as what was found of it in the store can be relied on no longer."""
        self._submit(task, FRESH)

    def _queue(self, directory: Directory, name: str, pending: Pending, urgency: int) -> None:
        self._settling.discard((directory.path, name))
        directory.pending[name] = replace(pending, queued=True, again=False)
        task = Task(
            directory=directory.path,
            name=name,
            found=pending.found,
            expected=pending.expected,
            is_named=lambda key: key in directory.named,
        )
        self._submit(task, urgency)

    def _drop(self, directory: Directory, name: str) -> None:
        pending = directory.pending.pop(name, None)
        if pending is not None and pending.found:
            self.let_go.append(pending)
        self._settling.discard((directory.path, name))
