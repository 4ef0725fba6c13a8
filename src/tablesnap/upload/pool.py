"""Threads that store one file after another, the most urgent first, and never give up by themselves."""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tablesnap.errors import StoreUnavailable, TablesnapError
from tablesnap.upload.backoff import CAP_SECONDS, delay

log = logging.getLogger(__name__)

OUTAGE_CAP_SECONDS = 15.0

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Outage:
    """The store does not answer."""

    since: float  # monotonic seconds
    error: str


@dataclass
class _Job(Generic[T]):
    item: T
    urgency: int  # smaller is sooner
    failures: int = 0


class Pool(Generic[T, R]):
    """Works through items in order of urgency; *report* gets each one's result or its last error.

    While the store is away all workers wait together, so that an outage does not use up the patience of every single
    file; one that fails for a reason of its own waits alone.
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
    ) -> None:
        self._work = work
        self._report = report
        self._retries = retries
        self._final = final
        self._ready: list[tuple[int, int, _Job[T]]] = []
        self._later: list[tuple[float, int, _Job[T]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._busy = 0
        self._stopping = False
        self._outage: Outage | None = None
        self._outage_failures = 0
        self._closed_until = 0.0
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True) for number in range(threads)
        ]

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    def add(self, item: T, *, urgency: int) -> None:
        """Queue *item*."""
        with self._changed:
            heapq.heappush(self._ready, (urgency, next(self._order), _Job(item, urgency)))
            self._changed.notify()

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

    def _run(self) -> None:
        while (job := self._next()) is not None:
            try:
                result: R | TablesnapError = self._work(job.item)
            except TablesnapError as error:
                result = error
            except Exception as error:  # a defect of ours must not end the thread: say it, and try the file again
                log.exception("failed on %s by a defect in tablesnap; please report it", job.item)
                result = TablesnapError(f"{type(error).__name__}: {error}")
            self._finished(job, result)

    def _next(self) -> _Job[T] | None:
        with self._changed:
            while True:
                if self._stopping:
                    return None
                now = time.monotonic()
                while self._later and self._later[0][0] <= now:
                    job = heapq.heappop(self._later)[2]
                    heapq.heappush(self._ready, (job.urgency, next(self._order), job))
                if self._ready and now >= self._closed_until:
                    self._busy += 1
                    return heapq.heappop(self._ready)[2]
                waits = [self._later[0][0]] if self._later else []
                waits += [self._closed_until] if self._ready else []
                self._changed.wait(max(0.01, min(waits) - now) if waits else None)

    def _finished(self, job: _Job[T], result: R | TablesnapError) -> None:
        again = False
        with self._changed:
            self._note_outage(result)
            if isinstance(result, TablesnapError) and not isinstance(result, self._final):
                job.failures += 1
                again = self._retries is None or job.failures <= self._retries
                if again:
                    wait = delay(job.failures, cap=OUTAGE_CAP_SECONDS if self._outage else CAP_SECONDS)
                    heapq.heappush(self._later, (time.monotonic() + wait, next(self._order), job))
                    self._changed.notify()
                    if job.failures == 1 and not isinstance(result, StoreUnavailable):
                        log.warning("failed, and will be tried again: %s", result)
                    else:
                        log.debug("failed %d times: %s", job.failures, result)
            if not (self._ready or self._later):
                self._outage = None  # nothing is left that could find out how it ends
        try:
            if not again:
                self._report(job.item, result)
        finally:
            with self._changed:
                self._busy -= 1

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
            else:
                self._outage = Outage(since=self._outage.since, error=str(result))
            if now >= self._closed_until:
                self._outage_failures += 1
                self._closed_until = now + delay(self._outage_failures, cap=OUTAGE_CAP_SECONDS)
