"""All that can come between a daemon and its store, at random: `tests/faults` has each of it by itself."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from tests.endpoint import S3Server
from tests.faults.lies import LIES_ABOUT_ALL, Told
from tests.faults.proxy import Answer, Fate, Lie, Line, Reply, Request, Stop, Way

SHARES = (0.0, 0.02, 0.1, 0.3, 0.8)  # of the requests that something happens to, while the weather stays as it is
RATES = (64 << 10, 512 << 10)  # bytes a second of a slow line
LENGTHS = (0, 1, 100, 5_000, 200_000)  # bytes that pass before a line breaks
# A clock that is behind by five minutes and more is to be followed: the moments of restore points are held to it, and
# rows could not be told by them. One that is ahead changes none.
SKEWS = (timedelta(minutes=-4), timedelta(minutes=30), timedelta(days=2))
# How often one of these comes for one of another kind; a request that stalls keeps one uploader busy for 50 s.
_OFTEN, _SELDOM = 8, 1

_NO_LINE = Line()
_REPLIES = (
    Reply(503, "SlowDown"),
    Reply(429, "TooManyRequests"),
    Reply(500, "InternalError"),
    Reply(500, "InternalError", is_done=True),
    Reply(502, text=b"<html>Bad Gateway</html>", headers={"Content-Type": "text/html"}),
    Reply(504, text=b"", is_done=True),
    Reply(403, "AccessDenied"),
)


def _skewed(by: timedelta) -> Lie:
    def change(answer: Answer) -> Answer:
        kept = {name: value for name, value in answer.headers.items() if name.lower() != "date"}
        return replace(answer, headers=kept | {"Date": format_datetime(datetime.now(UTC) + by, usegmt=True)})

    return Lie(change)


class Weather:
    """Decides what becomes of each request. The steps of a run are drawn from one source, this from another.

    Which request meets with what depends on the machine as well: they come from several threads.
    """

    def __init__(self, server: S3Server, pick: random.Random) -> None:
        self._server = server
        self._pick = pick
        self._lock = threading.Lock()  # the requests come side by side
        self._share = 0.0
        self._stalls = True
        self._left: int | None = None  # requests until the end that somebody asked for
        self._end: Callable[[], object] = lambda: None
        self.met: Counter[str] = Counter()  # how many requests met with what

    def change(self) -> float:
        """Have another weather, and return the share of the requests that something happens to."""
        with self._lock:
            self._share = self._pick.choice(SHARES)
            return self._share

    @contextmanager
    def without_stalls(self) -> Iterator[None]:
        """Have nobody wait for a request that stalls, which takes most of a minute."""
        self._stalls = False
        try:
            yield
        finally:
            self._stalls = True

    def clear(self) -> None:
        """Let everything pass from now on, and call nobody."""
        self.call_nobody()
        with self._lock:
            self._share = 0.0

    def call_at(self, number: int, end: Callable[[], object]) -> None:
        """Call *end* when that many requests have come from now on, before the last is answered."""
        with self._lock:
            self._left, self._end = number, end

    def call_nobody(self) -> None:
        """Forget whom to call."""
        with self._lock:
            self._left = None

    def meddle(self, request: Request) -> Told:
        """Say what becomes of *request*, as `Faults.meddle` does."""
        with self._lock:
            self._count()
            if self._pick.random() >= self._share:
                return None
            name, told = self._drawn(request)
            self.met[name] += 1
            return told

    def line(self, _request: Request) -> Line:
        """Say how a request travels, as `Faults.line` does."""
        with self._lock:
            if self._pick.random() >= self._share / 3:
                return _NO_LINE
            name, line = self._drawn_line()
            self.met[name] += 1
            return line

    def _count(self) -> None:
        if self._left is None:
            return
        self._left -= 1
        if self._left <= 0:
            self._left = None
            self._end()

    def _drawn(self, request: Request) -> tuple[str, Told]:
        def lie() -> tuple[str, Told]:
            tell = self._pick.choice(LIES_ABOUT_ALL)
            return tell.__name__, tell(self._server, request)

        def reply() -> tuple[str, Told]:
            given = self._pick.choice(_REPLIES)
            return f"{given.status}{' done' if given.is_done else ''}", given

        def reset() -> tuple[str, Told]:
            fate = self._pick.choice((Fate.RESET_UNHEARD, Fate.RESET_DONE))
            return fate.name.lower(), fate

        def stall() -> tuple[str, Told]:
            fate = self._pick.choice((Fate.STALLED_UNHEARD, Fate.STALLED_DONE))
            return fate.name.lower(), fate

        def skew() -> tuple[str, Told]:
            return "skewed", _skewed(self._pick.choice(SKEWS))

        weights = {lie: _OFTEN, reply: _OFTEN, reset: _OFTEN, skew: _OFTEN, stall: _SELDOM if self._stalls else 0}
        return self._pick.choices(list(weights), weights=list(weights.values()))[0]()

    def _drawn_line(self) -> tuple[str, Line]:
        if self._pick.random() < 0.5:
            way = Way(rate=self._pick.choice(RATES))
            name = "slow"
        else:
            stop = self._pick.choice((Stop.RESET, Stop.END))
            way = Way(length=self._pick.choice(LENGTHS), stop=stop)
            name = f"cut by {stop.name.lower()}"
        # An upload that ends in good order after a part is a server that reads no further: the proxy would hand on a
        # body that is cut and call it all, which no server could notice but by its checksum.
        if self._pick.random() < 0.5 and way.stop is not Stop.END:
            return f"{name} up", Line(up=way)
        return f"{name} down", Line(down=way)
