"""The moments that restore points are stamped with: this machine's clock, but never far ahead of the store's.

A clock that is ahead, if only once, would date restore points into the future, where neither a restore as of today nor
a purge by age looks for them.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from tablesnap.rules.order import AHEAD
from tablesnap.units import spell_seconds

log = logging.getLogger(__name__)

ASK_SECONDS = 3600.0  # how often the store is asked for its clock
JUMP = timedelta(seconds=60)  # by so much must this machine's clock go another way than time, to be asked about

_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


class StampClock:
    """The clock of this machine, held to the store's. The daemon's one thread changes it; any may ask it."""

    def __init__(self, wall_clock: Callable[[], datetime], now: Callable[[], float]) -> None:
        self._wall_clock = wall_clock
        self._now = now
        self._anchor: tuple[datetime, float] | None = None  # the store's clock, and when it said so
        self._last = wall_clock(), now()
        self._next_ask = 0.0
        self._is_ahead = False
        self.is_unsure = False  # this machine's clock has jumped, and the store has not said yet which is right

    def __call__(self) -> datetime:
        """Return the moment: by this machine's clock, but not more than 5 minutes later than by the store's."""
        return min(self._wall_clock(), self.latest())

    def latest(self) -> datetime:
        """Return the latest moment that a restore point may be stamped with; the end of time while nobody knows."""
        anchor = self._anchor
        if anchor is None:
            return _END_OF_TIME
        clock, said = anchor
        return clock + timedelta(seconds=self._now() - said) + AHEAD

    def is_ask_due(self) -> bool:
        """Say whether the store must be asked for its clock: hourly, and after this machine's has jumped."""
        wall, now = self._wall_clock(), self._now()
        before, then = self._last
        self._last = wall, now
        drift = wall - before - timedelta(seconds=now - then)
        if abs(drift) > JUMP:
            self._next_ask = now
            self.is_unsure = self._anchor is not None
        return now >= self._next_ask

    def note_asked(self) -> None:
        """Take in that the store is asked."""
        self._next_ask = self._now() + ASK_SECONDS

    def heed(self, store_clock: datetime | None) -> None:
        """Take in what the store's clock says now; None: it could not be asked."""
        self.is_unsure = False
        if store_clock is None:
            return
        self._anchor = store_clock, self._now()
        ahead = self._wall_clock() - store_clock
        if ahead > AHEAD:
            log.error(
                "this machine's clock is %s ahead of the store's; restore points are dated no later than the store's "
                "clock and 5 minutes; set the clock, and see that it stays right (chronyc tracking, timedatectl)",
                spell_seconds(ahead.total_seconds()),
            )
        elif self._is_ahead:
            log.info("this machine's clock agrees with the store's again")
        self._is_ahead = ahead > AHEAD


def held_to(moment: datetime, latest: datetime, stamp: datetime) -> datetime:
    """Return *moment*; or *stamp*, the present, if it is later than *latest*, as a clock was ahead when it came."""
    return moment if moment <= latest else stamp
