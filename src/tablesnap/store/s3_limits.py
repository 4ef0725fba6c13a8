"""How long a store may take, and how fast a line is known to be."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Limits:
    """How long we wait for a store. Tests wait less."""

    connect: float = 10.0  # seconds
    operation: float = 50.0  # seconds for one operation of a socket: so soon a line that stands still is noticed
    # A request that is sent at once may take so many seconds, and more for its bytes. obstore measures no progress:
    # in an upload each of its time limits is for the whole request.
    start: float = 15.0
    rate: float = 1 << 20  # bytes a second
    slow_part: int = 8 << 20  # bytes; what goes slowly goes in parts of this size
    telling: float = 60.0  # seconds between two lines in the log on one slow upload
    resumable: timedelta = timedelta(days=1)  # the age of an upload that may be gone on with

    def whole(self, size: int) -> float:
        """Return the seconds that a request with *size* bytes may take."""
        return self.start + size / self.rate


class Throughput:
    """How fast the latest uploads went that took their time. Safe to use from several threads."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._rate: float | None = None  # bytes a second, as far as one upload among others got; None: fast enough

    def is_enough_for(self, size: int) -> bool:
        """Say whether a request with *size* bytes can be expected to end within half its time limit."""
        rate = self._rate
        return rate is None or size / rate <= self._limits.whole(size) / 2

    def fell_short(self, size: int) -> float:
        """Note that a request with *size* bytes ran out of time; return the rate it was slower than."""
        self._rate = size / self._limits.whole(size)
        return self._rate

    def measured(self, size: int, seconds: float) -> float:
        """Note how long *size* bytes took, and return their rate."""
        self._rate = size / max(seconds, 1e-6)
        return self._rate
