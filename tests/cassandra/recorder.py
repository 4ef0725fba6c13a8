"""Take down what Cassandra does to its files, from the kernel's events."""

import os
import re
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from inotify_simple import Event, INotify, flags
from tests.cassandra.trace import Act, Step
from tests.waiting import wait_until

_MASK = flags.CREATE | flags.CLOSE_WRITE | flags.MODIFY | flags.MOVED_FROM | flags.MOVED_TO | flags.DELETE
_RECORD = re.compile(r"(\w+:\[.*\])\[\d+\]")


@dataclass
class _Log:
    descriptor: int
    text: str = ""
    closes: int = 0


class Recorder:
    """Takes down what happens below *keyspaces* in some data directories; `recording` runs it."""

    def __init__(self, disks: Sequence[Path], keyspaces: Collection[str], marks: Path) -> None:
        self._disks = [os.path.realpath(disk) for disk in disks]
        self._keyspaces = keyspaces
        self._marks = marks
        self._inotify = INotify()
        self._watched: dict[int, str] = {}
        self._inodes: dict[tuple[str, str], int] = {}
        self._seen: dict[tuple[str, str], tuple[int, int]] = {}  # size and time of last change
        self._logs: dict[tuple[str, str], _Log] = {}
        self._moving: dict[int, tuple[str, str]] = {}
        self._marked: dict[str, int] = {}
        self._steps: list[Step] = []
        self._texts: dict[tuple[str, str], list[str]] = {}
        self._began = time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        for disk in self._disks:
            self._watch(disk)
        self._watch(str(marks))

    def start(self) -> None:
        """Take down what happens from now on."""
        self._thread.start()

    def stop(self) -> tuple[Step, ...]:
        """Return what happened."""
        self._catch_up()
        self._stopped.set()
        self._thread.join()
        self._inotify.close()
        return tuple(self._with_records())

    def mark(self, name: str, live: Iterable[Path] = ()) -> None:
        """Note a moment of the scenario, and what was live then."""
        held = defaultdict(list)
        for path in sorted(live):
            held[self._place(str(path.parent))].append(path.name)
        position = self._catch_up()
        self._steps.insert(position, Step(self._now(), Act.MARKED, name=name, live=dict(held)))

    def events(self) -> int:
        """Return how many events there were until now."""
        return self._catch_up()

    def _catch_up(self) -> int:
        """Return how many steps there are of what happened until now: the kernel keeps the order."""
        name = f"mark-{len(self._marked)}"
        (self._marks / name).touch()
        wait_until(lambda: name in self._marked, "the events until now")
        return self._marked[name]

    def _now(self) -> int:
        return round((time.monotonic() - self._began) * 1000)

    def _place(self, path: str) -> str:
        for number, disk in enumerate(self._disks):
            if path == disk or path.startswith(disk + "/"):
                return str(number) + path[len(disk) :]
        return ""

    def _path(self, place: str, name: str = "") -> str:
        number, _, rest = place.partition("/")
        return os.path.join(self._disks[int(number)], rest, name)

    def _run(self) -> None:
        while not self._stopped.is_set():
            for event in self._inotify.read(timeout=100):
                assert not event.mask & flags.Q_OVERFLOW, "the kernel's queue of events overflowed"
                directory = self._watched.get(event.wd)
                if directory == str(self._marks):
                    self._marked.setdefault(event.name, len(self._steps))
                elif directory is not None and event.name:
                    self._take_down(self._place(directory), event)

    def _take_down(self, place: str, event: Event) -> None:
        if "/" not in place and event.name not in self._keyspaces:
            return
        if event.mask & flags.ISDIR:
            if event.mask & flags.CREATE:
                self._enter(place, event.name)
            elif event.mask & flags.DELETE:
                self._note(Act.REMOVED, place, event.name)
            return
        one = (place, event.name)
        if event.name.endswith(".log") and "_txn_" in event.name:
            self._take_down_log(one, event.mask)
        elif event.mask & flags.CREATE:
            self._create(one)
        elif event.mask & flags.CLOSE_WRITE:
            self._note(Act.CLOSED, *one, size=self._changed(one))
        elif event.mask & flags.MOVED_FROM:
            self._moving[event.cookie] = one
            self._note(Act.LEFT, *one)
        elif event.mask & flags.MOVED_TO:
            self._arrive(one, event.cookie)
        elif event.mask & flags.DELETE:
            self._inodes.pop(one, None)
            self._seen.pop(one, None)
            self._note(Act.DELETED, *one)

    def _note(self, act: Act, place: str, name: str, **more: object) -> None:
        self._steps.append(Step(self._now(), act, place, name, **more))  # type: ignore[arg-type] # fields of a step

    def _enter(self, place: str, name: str) -> None:
        """Watch a new directory; what was made there before the watch was set has no event, and is looked for."""
        path = self._path(place, name)
        if not self._watch(path):
            return
        self._note(Act.MADE, place, name)
        try:
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        except FileNotFoundError:
            return
        for entry in entries:
            if entry.is_dir():
                self._enter(self._place(path), entry.name)
            else:
                self._create((self._place(path), entry.name))

    def _watch(self, path: str) -> bool:
        """Watch a directory; return False if it is gone, or was found by a look before its event was read."""
        try:
            descriptor = self._inotify.add_watch(path, _MASK)
        except FileNotFoundError:
            return False
        is_new = self._watched.get(descriptor) != path
        self._watched[descriptor] = path
        return is_new

    def _create(self, one: tuple[str, str]) -> None:
        if one in self._inodes:
            return  # found by a look before its event was read
        try:
            status = os.stat(self._path(*one))
        except FileNotFoundError:
            self._note(Act.CREATED, *one)
            return
        source = next((other for other, inode in self._inodes.items() if inode == status.st_ino), None)
        self._inodes[one] = status.st_ino
        if status.st_nlink > 1 and source is not None:
            self._seen[one] = (status.st_size, status.st_mtime_ns)
            self._note(Act.LINKED, *one, source=source)
        else:
            self._note(Act.CREATED, *one)

    def _changed(self, one: tuple[str, str]) -> int | None:
        """Return the size of a file that is another than when it was last looked at."""
        try:
            status = os.stat(self._path(*one))
        except FileNotFoundError:
            return None
        now = (status.st_size, status.st_mtime_ns)
        before, self._seen[one] = self._seen.get(one), now
        return status.st_size if now != before else None

    def _arrive(self, one: tuple[str, str], cookie: int) -> None:
        source = self._moving.pop(cookie, None)
        if source is not None:
            # One rename, told of twice.
            index = max(i for i, s in enumerate(self._steps) if s.act is Act.LEFT and (s.directory, s.name) == source)
            del self._steps[index]
            self._inodes.pop(source, None)
            self._seen.pop(source, None)
        try:
            self._inodes[one] = os.stat(self._path(*one)).st_ino
        except FileNotFoundError:
            self._inodes.pop(one, None)
        self._note(Act.CAME, *one, source=source, size=self._changed(one))

    def _take_down_log(self, one: tuple[str, str], mask: int) -> None:
        log = self._logs.get(one)
        if log is None:
            try:
                log = self._logs[one] = _Log(os.open(self._path(*one), os.O_RDONLY))
            except FileNotFoundError:
                raise AssertionError(f"{one[1]} was gone before it could be opened: record again") from None
        while piece := os.pread(log.descriptor, 1 << 16, len(log.text)):
            log.text += piece.decode("ascii")
        if mask & flags.CREATE:
            self._note(Act.CREATED, *one)
        elif mask & flags.CLOSE_WRITE:
            log.closes += 1
            self._note(Act.LOGGED, *one)
        elif mask & flags.DELETE:
            self._note(Act.DELETED, *one)
            os.close(log.descriptor)
            self._texts[one] = log.text.splitlines()
            del self._logs[one]

    def _with_records(self) -> Iterator[Step]:
        """Give each close of a log the record that it appended.

        What is read of a log at an event may have been written after it; but a record is an append of its own, except
        that the first of a replica that came late are one.
        """
        for one, log in self._logs.items():
            self._texts[one] = log.text.splitlines()
        left = {one: [self._portable(line) for line in lines] for one, lines in self._texts.items()}
        closes: dict[tuple[str, str], int] = defaultdict(int)
        for step in self._steps:
            closes[step.directory, step.name] += step.act is Act.LOGGED
        for step in self._steps:
            one = (step.directory, step.name)
            if step.act is not Act.LOGGED:
                yield step
                continue
            count = max(len(left[one]) - closes[one] + 1, 0)
            closes[one] -= 1
            records, left[one] = left[one][:count], left[one][count:]
            yield replace(step, records=tuple(records))

    def _portable(self, line: str) -> str:
        match = _RECORD.fullmatch(line)
        assert match, f"{line} is no record"
        record = match[1]
        for number, disk in enumerate(self._disks):
            record = record.replace(f"[{disk}/", f"[{{{number}}}/")
        return record


@contextmanager
def recording(disks: Sequence[Path], keyspaces: Collection[str]) -> Iterator[Recorder]:
    """Take down what happens while the block lasts, or until the recorder is stopped."""
    with tempfile.TemporaryDirectory() as marks:
        recorder = Recorder(disks, keyspaces, Path(marks))
        recorder.start()
        yield recorder
