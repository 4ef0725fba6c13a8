"""Threads that bring many files at once, and a few large ones together."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from tablesnap.download.content import Ranges
from tablesnap.download.directories import Directories
from tablesnap.download.folders import Roots
from tablesnap.download.line import Line, Patience, Progress
from tablesnap.download.one import Bringer, Failure, Fetch
from tablesnap.store.port import Store

__all__ = ["Failure", "Fetch", "Progress", "fetch_all"]

_LOOK_SECONDS = 0.2  # how soon a stop that was asked for is acted upon
_STOP_SECONDS = 10.0  # how long threads that wait for the store are waited for, once the run has ended


def fetch_all(
    store: Store,
    groups: Iterable[Sequence[Fetch]],
    *,
    threads: int,
    progress: Progress,
    stop: threading.Event,
    patience: Patience | None = None,
    roots: Roots | None = None,
) -> list[Failure]:
    """Bring every file of every group, and return those that were not brought, or could not be verified.

    The last of a group is begun once all the others are there, and not at all if one is not: so the components of an
    sstable are given with Data.db last. When *stop* is set, the disk is full or the store does not answer any more,
    what has not been brought is returned with that as the reason. All that was brought is on the disk on return.
    No link is followed but in the paths of *roots*.
    """
    line = Line(store, progress, patience or Patience(), stop)
    crew = _Crew(line, groups, Directories(roots or Roots()))
    workers = [threading.Thread(target=crew.run, name=f"fetch-{number}", daemon=True) for number in range(threads)]
    for worker in workers:
        worker.start()
    try:
        _await(workers, line)
    except BaseException:
        line.halt("it was interrupted")
        raise
    return crew.result()


def _await(workers: Sequence[threading.Thread], line: Line) -> None:
    """Return when all *workers* have ended, or when those still waiting for the store have had time to."""
    deadline = 0.0
    for worker in workers:
        while worker.is_alive():
            worker.join(_LOOK_SECONDS)
            if line.why_halted:
                deadline = deadline or time.monotonic() + _STOP_SECONDS
                if time.monotonic() > deadline:
                    return  # what they leave is a temporary file, or a whole one


@dataclass
class _Group:
    """The files of a group that come before its last."""

    others: int  # that have not ended
    closing: Fetch
    directories: frozenset[str]
    failed: bool = False


@dataclass(frozen=True, eq=False)
class _Task:
    fetch: Fetch
    group: _Group | None = None  # that waits for it
    after: frozenset[str] = frozenset()  # directories to be flushed before


class _Crew:
    """What is to be done, and who does it: everybody, the ranges of a large file before all else.

    So few files are unfinished at any time, and little is lost when the run is killed.
    """

    def __init__(self, line: Line, groups: Iterable[Sequence[Fetch]], directories: Directories) -> None:
        self._line = line
        self._groups = iter(groups)
        self._directories = directories
        self._bringer = Bringer(line, self._directories, self._shared)
        self._changed = threading.Condition()
        self._ready: deque[_Task] = deque()
        self._under_way: set[_Task] = set()
        self._ranges: list[Ranges] = []
        self._targets: set[str] = set()
        self._brought: list[Fetch] = []
        self._failures: list[Failure] = []
        self._defect: BaseException | None = None

    def run(self) -> None:
        """Work until nothing is left; one thread's life."""
        try:
            while (work := self._next()) is not None:
                work()
        except BaseException as defect:  # noqa: BLE001 - not lost: the caller's thread raises it
            self._defect = self._defect or defect
            self._line.halt(f"a defect in tablesnap; please report it: {defect!r}")

    def result(self) -> list[Failure]:
        """Return everything that was not brought, whether it was begun or not."""
        if self._defect is not None:
            raise self._defect
        why = f"not brought, because the run ended: {self._line.why_halted}"
        with self._changed:
            unfinished = [*self._under_way, *self._ready]
        for task in unfinished:
            self._ended(task, Failure(task.fetch, why))
        with self._changed:
            never = [Failure(task.fetch, why) for task in self._ready]  # the last of groups that were whole till then
            never += [Failure(fetch, why) for group in self._groups for fetch in group]
            unflushed = self._directories.flush_changed()
            lost = [
                Failure(fetch, f"could not be flushed to disk: {unflushed[directory]}")
                for fetch in self._brought
                if (directory := os.path.dirname(fetch.target)) in unflushed
            ]
            return [*self._failures, *never, *lost]

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._line.why_halted:
                for ranges in self._ranges:
                    number = ranges.claim()
                    if number is not None:
                        return partial(ranges.receive, number)
                if self._ready:
                    task = self._ready.popleft()
                    self._under_way.add(task)
                    return partial(self._bring, task)
                if self._take_group():
                    continue
                if not self._under_way:
                    return None
                self._changed.wait(_LOOK_SECONDS)
        return None

    def _take_group(self) -> bool:
        """Make the next group's files ready, but for its last; say whether there was one."""
        fetches = next(self._groups, None)
        if fetches is None:
            return False
        if fetches:
            *others, closing = fetches
            group = _Group(len(others), closing, frozenset(os.path.dirname(fetch.target) for fetch in others))
            self._ready.extend(_Task(fetch, group) for fetch in others)
            if not others:
                self._ready.append(_Task(closing))
        return True

    def _bring(self, task: _Task) -> None:
        try:
            self._directories.flush(task.after)
        except OSError as error:
            failure: Failure | None = Failure(task.fetch, f"not begun: {error.strerror} in flushing its directory")
        else:
            failure = self._bring_once(task.fetch)
        self._ended(task, failure)

    def _bring_once(self, fetch: Fetch) -> Failure | None:
        with self._changed:
            if fetch.target in self._targets:
                return Failure(fetch, "another file of this run has the same name")
            self._targets.add(fetch.target)
        return self._bringer.bring(fetch)

    def _ended(self, task: _Task, failure: Failure | None) -> None:
        with self._changed:
            self._under_way.discard(task)
            if failure is not None:
                self._failures.append(failure)
            if failure is None or failure.brought:
                self._brought.append(task.fetch)
            elif task.group is not None:
                task.group.failed = True
            if task.group is not None:
                self._count_down(task.group)
            self._changed.notify_all()

    def _count_down(self, group: _Group) -> None:
        group.others -= 1
        if group.others == 0 and group.failed:
            self._failures.append(Failure(group.closing, "not begun, because what belongs to it was not brought"))
        elif group.others == 0:
            self._ready.appendleft(_Task(group.closing, after=group.directories))

    @contextmanager
    def _shared(self, ranges: Ranges) -> Iterator[None]:
        with self._changed:
            self._ranges.append(ranges)
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._ranges.remove(ranges)
