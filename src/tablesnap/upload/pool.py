"""Threads that store one file after another, the most urgent first, and never give up by themselves."""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from operator import attrgetter
from typing import Generic, TypeVar

from tablesnap.errors import StoreError, StoreUnavailable, TablesnapError, UnwritableIndex
from tablesnap.upload.backoff import CAP_SECONDS, delay

log = logging.getLogger(__name__)

OUTAGE_CAP_SECONDS = 15.0
NAMED_AT_MOST = 10  # items that fail at the same time; more are counted only, as a store may refuse every file there is

T = TypeVar("T")
R = TypeVar("R")

Urgency = tuple[int, ...]  # smaller is sooner


class Cancelled(TablesnapError):
    """When its turn came nobody wanted it any more; nothing was done."""


@dataclass(frozen=True)
class Outage:
    """The store does not answer."""

    since: float  # monotonic seconds
    error: str


class Cause(Enum):
    """Why items that could be done are not."""

    OUTAGE = "outage"
    REFUSAL = "refusal"  # the store answers, and says no
    OTHER = "other"  # a file that cannot be read, say


@dataclass(frozen=True)
class Trouble:
    """Items fail, and are tried again."""

    cause: Cause
    since: float  # monotonic seconds
    error: str  # of the latest failure, with the item's name unless it is an outage
    failed_at: float  # when that was


@dataclass
class _Job(Generic[T]):
    item: T
    urgency: Urgency
    tries: int = 0
    failures: int = 0  # those of its own, which are counted against the retries
    outages: int | None = None  # how many there had been when it was begun; None: one was going on


class Pool(Generic[T, R]):
    """Works through items in order of urgency; *report* gets each one's result or its last error.

    While the store is away all workers wait together, so that an outage does not use up the patience of every single
    file; one that fails for a reason of its own waits alone.

    Besides the *threads* there are *reserved* ones that take only what *is_urgent*, which must sort before all else.
    When an item's turn comes, *began* is told, and one that not *is_wanted* any more is reported as `Cancelled`.
    *name_of* says what the log calls an item.
    """

    def __init__(
        self,
        work: Callable[[T], R],
        report: Callable[[T, R | TablesnapError], None],
        *,
        threads: int,
        retries: int | None,
        final: tuple[type[TablesnapError], ...] = (),
        name: str = "upload",
        reserved: int = 0,
        is_urgent: Callable[[Urgency], bool] = lambda _: True,
        is_wanted: Callable[[T], bool] = lambda _: True,
        began: Callable[[T], None] = lambda _: None,
        name_of: Callable[[T], str] = str,
    ) -> None:
        self._work = work
        self._report = report
        self._retries = retries
        self._final = final
        self._is_urgent = is_urgent
        self._is_wanted = is_wanted
        self._began = began
        self._name_of = name_of
        self._ready: list[tuple[Urgency, int, _Job[T]]] = []
        self._later: list[tuple[float, int, _Job[T]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._busy = 0
        self._stopping = False
        self._outage: Outage | None = None
        self._outages = 0
        self._failing: dict[int, Trouble] = {}  # by the job's id: those that fail for a reason of their own
        self._outage_failures = 0
        self._closed_until = 0.0
        self._threads = [
            threading.Thread(target=self._run, args=(number < reserved,), name=f"{name}-{number}", daemon=True)
            for number in range(reserved + threads)
        ]

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    def add(self, item: T, *, urgency: int | Urgency) -> None:
        """Queue *item*. Of equal urgency the first to come is the first to go; a number is a tuple of one."""
        job = _Job(item, (urgency,) if isinstance(urgency, int) else urgency)
        with self._changed:
            self._make_ready(job)

    def stop(self) -> None:
        """Begin no more items; what is in flight goes on."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    @property
    def busy(self) -> int:
        """How many items are in flight."""
        with self._changed:
            return self._busy

    @property
    def outage(self) -> Outage | None:
        """The outage that is going on, if one is."""
        with self._changed:
            return self._outage

    @property
    def troubles(self) -> list[Trouble]:
        """What keeps items from being done: one for each cause."""
        with self._changed:
            found = list(self._failing.values())
            if self._outage is not None:
                found.append(Trouble(Cause.OUTAGE, self._outage.since, self._outage.error, time.monotonic()))
        return joined(found)

    def _run(self, urgent_only: bool) -> None:
        while (job := self._next(urgent_only)) is not None:
            self._finished(job, self._outcome(job.item))

    def _outcome(self, item: T) -> R | TablesnapError:
        try:
            self._began(item)
            return self._work(item) if self._is_wanted(item) else Cancelled("nobody wants it any more")
        except TablesnapError as error:
            return error
        except Exception as error:  # a defect of ours must not end the thread: say it, and try the file again
            log.exception("failed on %s by a defect in tablesnap; please report it", item)
            return TablesnapError(f"{type(error).__name__}: {error}")

    def _next(self, urgent_only: bool) -> _Job[T] | None:
        with self._changed:
            while True:
                if self._stopping:
                    return None
                now = time.monotonic()
                while self._later and self._later[0][0] <= now:
                    self._make_ready(heapq.heappop(self._later)[2])
                for_us = bool(self._ready) and (not urgent_only or self._is_urgent(self._ready[0][0]))
                if for_us and now >= self._closed_until:
                    self._busy += 1
                    job = heapq.heappop(self._ready)[2]
                    job.outages = None if self._outage else self._outages
                    return job
                waits = [self._later[0][0]] if self._later else []
                waits += [self._closed_until] if for_us else []
                self._changed.wait(max(0.01, min(waits) - now) if waits else None)

    def _make_ready(self, job: _Job[T]) -> None:
        heapq.heappush(self._ready, (job.urgency, next(self._order), job))
        self._changed.notify_all()  # the one thread a plain notify wakes may be reserved for others

    def _finished(self, job: _Job[T], result: R | TablesnapError) -> None:
        again = False
        with self._changed:
            # An outage is no fault of the files it holds up. Only the one whose failure begins it is charged, or a
            # file that the store breaks off at each time, while it takes others, would be tried for ever.
            charged = not isinstance(result, StoreUnavailable) or job.outages == self._outages
            self._note_outage(result)
            if isinstance(result, TablesnapError) and not isinstance(result, (Cancelled, *self._final)):
                job.tries += 1
                job.failures += charged
                again = self._retries is None or job.failures <= self._retries
                if again:
                    self._note_failing(job, result)
                    self._put_off(job)
            if not again:
                self._note_done(job, result)
            if not (self._ready or self._later):
                self._outage = None  # nothing is left that could find out how it ends
        try:
            if not again:
                self._report(job.item, result)
        finally:
            with self._changed:
                self._busy -= 1

    def _put_off(self, job: _Job[T]) -> None:
        wait = delay(job.tries, cap=OUTAGE_CAP_SECONDS if self._outage else CAP_SECONDS)
        heapq.heappush(self._later, (time.monotonic() + wait, next(self._order), job))
        self._changed.notify()

    def _note_failing(self, job: _Job[T], error: TablesnapError) -> None:
        name = self._name_of(job.item)
        known = self._failing.get(id(job))
        if isinstance(error, StoreUnavailable) or known is not None or len(self._failing) >= NAMED_AT_MOST:
            log.debug("%s failed %d times: %s", name, job.tries, error)
        else:
            # Of what nobody could restore there is no restore point: that does not mend itself, as an outage does.
            level = logging.ERROR if isinstance(error, UnwritableIndex) else logging.WARNING
            log.log(level, "failed, and will be tried again: %s: %s", name, error)
        if not isinstance(error, StoreUnavailable):
            now = time.monotonic()
            cause = Cause.REFUSAL if isinstance(error, StoreError) else Cause.OTHER
            self._failing[id(job)] = Trouble(cause, known.since if known else now, f"{name}: {error}", now)

    def _note_done(self, job: _Job[T], result: R | TablesnapError) -> None:
        had_failed = self._failing.pop(id(job), None)
        if had_failed and not self._failing and not isinstance(result, TablesnapError):
            log.info(
                "nothing fails any more; %s did for %.0f s",
                self._name_of(job.item),
                time.monotonic() - had_failed.since,
            )

    def _note_outage(self, result: R | TablesnapError) -> None:
        now = time.monotonic()
        if not isinstance(result, TablesnapError):
            if self._outage:
                log.info("the store answers again, after %.0f s", now - self._outage.since)
            self._outage, self._outage_failures, self._closed_until = None, 0, 0.0
            self._changed.notify_all()
        elif isinstance(result, StoreUnavailable):
            if self._outage is None:
                log.warning("the store does not answer; going on to watch, and trying again: %s", result)
                self._outage = Outage(since=now, error=str(result))
                self._outages += 1
            else:
                self._outage = Outage(since=self._outage.since, error=str(result))
            if now >= self._closed_until:
                self._outage_failures += 1
                self._closed_until = now + delay(self._outage_failures, cap=OUTAGE_CAP_SECONDS)


def joined(troubles: Iterable[Trouble]) -> list[Trouble]:
    """Return one trouble for each cause, an outage first: since the first of them began, with the latest error."""
    found: dict[Cause, Trouble] = {}
    for one in troubles:
        other = found.setdefault(one.cause, one)
        latest = max(one, other, key=attrgetter("failed_at"))
        found[one.cause] = replace(latest, since=min(one.since, other.since))
    return [found[cause] for cause in Cause if cause in found]
