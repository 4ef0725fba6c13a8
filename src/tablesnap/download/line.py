"""What all downloads of a run share: the store, how it goes on, and when it ends."""

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from tablesnap.errors import StoreUnavailable, TablesnapError
from tablesnap.store.port import Store

log = logging.getLogger(__name__)

_OUTAGE = 3  # objects that were given up, while nothing arrived, are an outage

T = TypeVar("T")


class Progress(Protocol):
    """How a run is seen to go on. Called from several threads at once."""

    def advance(self, files: int, size: int) -> None:
        """Say that so many more files and bytes are there; less than none where they have to be brought again."""


class Halted(TablesnapError):
    """The run has come to its end, for the reason it gives."""


@dataclass(frozen=True)
class Patience:
    """How often a request is tried that brings nothing, and how long is waited in between."""

    tries: int = 8  # while the store does not answer: three quarters of a minute
    damaged: int = 3  # where other bytes arrive than were stored
    first_seconds: float = 0.5
    cap_seconds: float = 15.0

    def delay(self, failures: int) -> float:
        """Return the seconds to wait after so many *failures* in a row: with jitter, lest threads come in step."""
        longest = min(self.cap_seconds, self.first_seconds * 2.0 ** min(failures - 1, 20))
        jitter: float = random.uniform(0.5, 1.0)
        return longest * jitter


class Line:
    """The connection of a run to its *store*. Safe to use from several threads."""

    def __init__(self, store: Store, progress: Progress, patience: Patience, stop: threading.Event) -> None:
        self.store = store
        self.patience = patience
        self._progress = progress
        self._given_up: set[str] = set()  # keys, since anything arrived
        self._stop = stop
        self._halted = threading.Event()
        self._why = ""
        self._lock = threading.Lock()

    def arrived(self, size: int) -> None:
        """Count bytes that came; raise `Halted` where no more are wanted."""
        if self._given_up:
            with self._lock:
                self._given_up.clear()
        self._progress.advance(0, size)
        self.go_on()

    def retract(self, size: int) -> None:
        """Take back bytes that came and are of no use."""
        if size:
            self._progress.advance(0, -size)

    def finished(self, size: int = 0) -> None:
        """Count one more file, and those of its bytes that did not have to come."""
        self._progress.advance(1, size)

    def halt(self, why: str) -> None:
        """End the run; the first reason stands."""
        with self._lock:
            self._why = self._why or why
        self._halted.set()

    @property
    def why_halted(self) -> str:
        """Why the run was ended before its time; empty while it goes on."""
        if self._stop.is_set():
            self.halt("it was interrupted")
        return self._why if self._halted.is_set() else ""

    def go_on(self) -> None:
        """Raise `Halted` if the run has been ended."""
        if why := self.why_halted:
            raise Halted(f"not brought, because the run ended: {why}")

    def wait(self, failures: int) -> None:
        """Wait before the next try; raise `Halted` where there is to be none."""
        self._halted.wait(self.patience.delay(failures))
        self.go_on()

    def insist(self, key: str, request: Callable[[], T], *, since: Callable[[], int] = lambda: 0) -> T:
        """Return what *request* for the object *key* does, which is tried again while the store does not answer.

        It has as many tries again whenever *since* has grown: a transfer that is broken off again and again, and goes
        on where it was, will end.
        """
        failures, reached = 0, since()
        while True:
            self.go_on()
            try:
                return request()
            except StoreUnavailable as error:
                if since() > reached:
                    failures, reached = 0, since()
                failures += 1
                if failures >= self.patience.tries:
                    self._give_up(key, error)
                    raise
                log.debug("failed %d times, and will be tried again: %s", failures, error)
                self.wait(failures)

    def _give_up(self, key: str, error: StoreUnavailable) -> None:
        """End the run where the store, and not this one object, is to blame: all others would take as long to fail."""
        with self._lock:
            self._given_up.add(key)
            hopeless = len(self._given_up) >= _OUTAGE
        if hopeless:
            self.halt(f"the store does not answer: {error}")
