"""Witness Cassandra's transactions: read every log to its end, and hold what an addition brought.

A log can be read by its name for half a millisecond after its COMMIT, and compaction may delete a flushed sstable
within moments. So this runs in the watcher's thread, before anything else is done with an event.
"""

import logging
import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from tablesnap.capture.listing import real_path_of
from tablesnap.capture.log import OpenLog
from tablesnap.capture.pin import Pin, Pins
from tablesnap.errors import CannotRead, FileVanished
from tablesnap.live.events import Committed, IndexLog, LogGone
from tablesnap.rules import sstable
from tablesnap.rules.place import place_of
from tablesnap.rules.txnlog import CorruptLog, Kind, Outcome, Transaction, read_log
from tablesnap.watch.hints import DirectoryGone, DirectoryHint, FileHint, Happening, Hint

log = logging.getLogger(__name__)

ADDITION_RANK, BASE_RANK = 0, 1  # which pins are held longest
ADDING = frozenset({"flush", "stream"})  # the operations that bring rows of their own

_FINAL = (b"commit:", b"abort:")
_LINE_BYTES = 200  # more than the last record of a log takes

Name = tuple[str, str]


@dataclass(frozen=True)
class Look:
    """What the logs of some directories say."""

    transactions: tuple[Transaction, ...]
    vanished: bool  # a log was gone before it could be opened: what was listed with it is to be listed again


class Witness:
    """Keeps the logs open. Safe to use from several threads."""

    def __init__(
        self, pins: Pins, tell: Callable[[Committed | IndexLog | LogGone], None], now: Callable[[], float]
    ) -> None:
        self._pins = pins
        self._tell = tell
        self._now = now
        self._lock = threading.RLock()
        self._logs: dict[str, dict[str, OpenLog]] = {}  # by the log's name, which all data directories share
        self._beside: dict[str, int] = {}  # how many logs are open in a directory
        self._seen: dict[str, dict[str, set[str]]] = {}  # components that appeared there meanwhile, by their stem
        self._gone_unheard: set[tuple[str, str]] = set()  # logs found gone, though that may yet be said
        self._adding: set[Name] = set()  # what open additions are writing
        self._early: dict[Name, dict[str, Pin]] = {}  # and what is held of it already
        self._told: set[str] = set()
        self._named: dict[str, str] = {}  # Cassandra resolves links, and we go by the names the operator gave
        self._corrupt: set[str] = set()
        self._unreadable: set[str] = set()

    def see(self, hint: Hint) -> None:
        """Take note of what happened, in the watcher's thread."""
        match hint:
            case FileHint():
                if hint.name.endswith(".log") and sstable.is_transaction_log(hint.name):
                    self._see_log(hint)
                elif hint.directory in self._beside:
                    self._see_file(hint)
            case DirectoryHint():
                self._see_directory(hint.directory)
            case DirectoryGone():
                self._forget(hint.directory)
            case _:
                pass

    def look(self, logs: Mapping[str, Iterable[str]]) -> Look:
        """Read the *logs*, by directory, that a listing has, and all that are open in these directories."""
        vanished = False
        with self._lock:
            for directory, names in logs.items():
                for name in names:
                    vanished |= not self._open(directory, name)
            found = []
            for name in [name for name, replicas in self._logs.items() if replicas.keys() & logs.keys()]:
                transaction = self._read(name)
                if transaction is not None:
                    found.append(transaction)
        return Look(tuple(found), vanished)

    def _see_log(self, hint: FileHint) -> None:
        with self._lock:
            if (hint.directory, hint.name) in self._gone_unheard:
                return  # no log ever takes the name of another
            opened = self._open(hint.directory, hint.name)
            if opened:
                self._note_added(hint.name)
                if hint.name not in self._told and self._has_ended(hint.directory, hint.name):
                    self._tell_end(hint.directory, hint.name)
            if hint.happening is Happening.GONE:
                told = hint.name in self._told
                if opened and not told and (undone := self._read(hint.name)) is not None:
                    self._let_go(undone.added)
                self._close(hint.directory, hint.name)
                if not told:
                    self._tell(LogGone(hint.directory, hint.name, opened=opened, seen_at=self._now()))

    def _see_file(self, hint: FileHint) -> None:
        seen = self._seen.setdefault(hint.directory, {})
        stem = hint.name[: hint.name.rfind("-") + 1]
        with self._lock:
            if hint.happening is Happening.GONE:
                seen.get(stem, set()).discard(hint.name)
                return
            seen.setdefault(stem, set()).add(hint.name)
            if (hint.directory, stem) in self._adding:
                self._hold(hint, stem)

    def _note_added(self, name: str) -> None:
        """Know what an addition is about to write: its files are held as they appear, as there is no time after."""
        if name in self._told or sstable.operation_of(name) not in ADDING:
            return
        transaction = self._read(name)
        if transaction is not None:
            self._adding.update(transaction.added)

    def _hold(self, hint: FileHint, stem: str) -> None:
        held = self._early.setdefault((hint.directory, stem), {})
        pin = held.get(hint.name)
        if pin is not None and hint.happening is not Happening.MOVED_TO:
            return
        if pin is not None:
            self._pins.release(pin)  # another file was put in its place
            del held[hint.name]
        taken = self._take_one(hint.directory, hint.name)
        if taken is not None:
            held[hint.name] = taken

    def _see_directory(self, directory: str) -> None:
        """Take in a directory that is watched from now on, or of which events were lost.

        What was written and closed before now, nobody has heard of, and what follows may be enough to open the sstable:
        of a table's first flush that would lose whole files. So it is listed; after the watch was set, or something
        would fall between the two, and after the logs were read, as what one that has ended brought is all there then.
        """
        try:
            real = real_path_of(directory)
        except OSError:
            return  # it is gone
        with self._lock:
            if real != directory:
                self._named[real] = directory
            names = _names_in(directory)
            if names is None:
                return  # whoever looks at the directory next says so
            logs = [name for name in names if sstable.is_transaction_log(name) and self._open(directory, name)]
            for name in logs:
                self._note_added(name)
            ended = [name for name in logs if self._has_ended(directory, name)]
            for beside in self._added_to(directory):
                for name in _names_in(beside) or ():
                    self._note_written(beside, name)
            for name in ended:
                self._tell_end(directory, name)
            self._see_those_gone(directory)

    def _added_to(self, directory: str) -> set[str]:
        """Return all directories to which transactions that are open in this one are adding."""
        found = set()
        for name in [name for name, replicas in self._logs.items() if directory in replicas]:
            if sstable.operation_of(name) in ADDING and (transaction := self._read(name)) is not None:
                found |= {beside for beside, _ in transaction.added}
        return found

    def _note_written(self, directory: str, name: str) -> None:
        stem = name[: name.rfind("-") + 1]
        if (directory, stem) in self._adding:
            self._seen.setdefault(directory, {}).setdefault(stem, set()).add(name)
            self._hold(FileHint(directory, name, Happening.CREATED), stem)

    def _see_those_gone(self, directory: str) -> None:
        """Take in that logs are gone of which nobody said so: what they removed would be taken for dead for ever."""
        for name in [name for name, replicas in self._logs.items() if directory in replicas]:
            if not os.path.lexists(os.path.join(directory, name)):
                self._see_log(FileHint(directory, name, Happening.GONE))
                self._gone_unheard.add((directory, name))

    def _forget(self, directory: str) -> None:
        with self._lock:
            for name in [name for name, replicas in self._logs.items() if directory in replicas]:
                self._see_log(FileHint(directory, name, Happening.GONE))
            self._gone_unheard = {gone for gone in self._gone_unheard if gone[0] != directory}

    def _open(self, directory: str, name: str) -> bool:
        """Have the log open; return False if it is gone, or cannot be read."""
        if directory in self._logs.get(name, {}):
            return True
        path = os.path.join(directory, name)
        try:
            opened = OpenLog.open(path)
        except FileVanished:
            return False
        except CannotRead as error:
            if path not in self._unreadable:
                log.error("%s: without it nobody knows which sstables are live", error)
                self._unreadable.add(path)
            return False
        self._logs.setdefault(name, {})[directory] = opened
        self._beside[directory] = self._beside.get(directory, 0) + 1
        self._tell_of_index(directory, name, is_open=True)
        return True

    def _tell_of_index(self, directory: str, name: str, *, is_open: bool) -> None:
        """Tell of the flushes of secondary indexes: what the table flushed waits for them."""
        if sstable.operation_of(name) == "flush" and place_of(directory).index:
            self._tell(IndexLog(directory, name, is_open=is_open))

    def _close(self, directory: str, name: str) -> None:
        replicas = self._logs.get(name, {})
        opened = replicas.pop(directory, None)
        if opened is None:
            return
        opened.close()
        self._tell_of_index(directory, name, is_open=False)
        self._beside[directory] -= 1
        if not self._beside[directory]:
            del self._beside[directory]
            self._seen.pop(directory, None)
        if not replicas:
            del self._logs[name]
            self._told.discard(name)

    def _read(self, name: str) -> Transaction | None:
        try:
            transaction = read_log(name, [opened.read() for opened in self._logs[name].values()])
        except CorruptLog as error:
            if name not in self._corrupt:
                log.error("%s", error)
                self._corrupt.add(name)
            transaction = error.transaction
        except CannotRead as error:
            log.error("%s", error)
            return None
        if not self._named:
            return transaction
        return replace(transaction, added=self._ours(transaction.added), removed=self._ours(transaction.removed))

    def _ours(self, names: Iterable[Name]) -> tuple[Name, ...]:
        return tuple((self._named.get(directory, directory), stem) for directory, stem in names)

    def _has_ended(self, directory: str, name: str) -> bool:
        """Say whether the log's last line ends it: a compaction of thousands of sstables appends thousands of times."""
        try:
            return any(final in self._logs[name][directory].read()[-_LINE_BYTES:].lower() for final in _FINAL)
        except CannotRead as error:
            log.error("%s", error)
            return False

    def _tell_end(self, directory: str, name: str) -> None:
        if name in self._told:
            return
        transaction = self._read(name)
        if transaction is None or transaction.outcome is Outcome.OPEN:
            return
        self._told.add(name)
        self._adding.difference_update(transaction.added)
        written_ns = self._logs[name][directory].written_ns
        brought = {one: tuple(sorted(self._names(one))) for one in transaction.added}
        if transaction.outcome is Outcome.COMMITTED:
            # At once, and before anybody is told: from now on compaction may delete it.
            pins = {one: self._take(one, names) for one, names in brought.items()} if _adds(transaction) else {}
            moment = datetime.fromtimestamp(written_ns // 1000 / 1e6, UTC)
            self._tell(Committed(directory, transaction, moment, self._now(), brought, pins))
        self._let_go(transaction.added)
        for replica in self._logs[name]:
            self._tell_of_index(replica, name, is_open=False)

    def _names(self, one: Name) -> Collection[str]:
        """Return the components of an sstable: those that were seen to come, or a look where some were missed."""
        directory, stem = one
        names = self._seen.get(directory, {}).pop(stem, set())
        if sstable.is_complete([name[len(stem) :] for name in names]):
            return names
        listed = _names_in(directory)
        return names if listed is None else {name for name in listed if name.startswith(stem)}

    def _take(self, one: Name, names: Collection[str]) -> tuple[Pin, ...]:
        """Hold what an addition brought, where it is not held already."""
        held = self._early.pop(one, {})
        pins: list[Pin] = []
        for name in names:
            pin = held.pop(name, None) or self._take_one(one[0], name)
            if pin is not None:
                pin.refresh()
                pins.append(pin)
        for pin in held.values():
            self._pins.release(pin)
        return tuple(pins)

    def _take_one(self, directory: str, name: str) -> Pin | None:
        component = sstable.parse(name)
        if component is None or component.temporary:
            return None
        try:
            return self._pins.take(os.path.join(directory, name), rank=ADDITION_RANK)
        except CannotRead as error:
            if directory not in self._unreadable:
                log.error("%s; what compaction deletes before it is stored is lost meanwhile", error)
                self._unreadable.add(directory)
            return None

    def _let_go(self, added: Iterable[Name]) -> None:
        for one in added:
            self._adding.discard(one)
            for pin in self._early.pop(one, {}).values():
                self._pins.release(pin)


def _names_in(directory: str) -> list[str] | None:
    try:
        with os.scandir(directory) as entries:
            return [entry.name for entry in entries]
    except OSError:
        return None


def _adds(transaction: Transaction) -> bool:
    return transaction.kind is Kind.ADDITION
