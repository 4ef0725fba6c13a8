"""Joint moments: moments at which several tables are all known.

A restore point of a table is true from its `taken_at` to its `until`. What the table held between its `until` and the
`taken_at` of the next one nobody knows. So a moment is joint if each table has a restore point that was true then.
Restored as of such a moment, the tables fit together.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

ENOUGH = 1000  # looks, before the search for a joint moment is given up
_BEFORE = timedelta(microseconds=1)  # the finest a moment is told


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which a table is known to have held what one restore point has."""

    taken_at: datetime
    until: datetime


# Given a moment, returns the last span of a table that began by then; None if there is none.
Known = Callable[[datetime], Span | None]


def joint_moment(tables: Sequence[Known], latest: datetime, *, enough: int = ENOUGH) -> datetime | None:
    """Return the greatest joint moment of *tables* that is not after *latest*; None if none is found.

    A later restore point knows better than the `until` of an earlier one, so of a table only the last span counts that
    began by a moment. If it ended before that moment, no moment after its end is joint as long as it is the last: the
    search goes on at its end, or where it ended before it began, just before its beginning, as the span before it
    counts there. *tables* are asked *enough* times at most.
    """
    moment = latest
    spans: dict[int, Span] = {}
    while True:
        for place, known in enumerate(tables):
            if place in spans and spans[place].taken_at <= moment:
                continue
            enough -= 1
            span = known(moment) if enough >= 0 else None
            if span is None:
                return None
            spans[place] = span
        ended = [_go_on_at(span) for span in spans.values() if span.until < moment]
        if not ended:
            return moment
        moment = min(ended)


def _go_on_at(ended: Span) -> datetime:
    # The earliest moment there is begins a span that has no beginning, and nothing comes before it.
    return ended.until if ended.until >= ended.taken_at else ended.taken_at - _BEFORE


def apart(spans: Iterable[Span]) -> timedelta:
    """Return how long after the end of the first of *spans* the last one began; nothing if they have a joint moment."""
    found = list(spans)
    if not found:
        return timedelta(0)
    return max(timedelta(0), max(span.taken_at for span in found) - min(span.until for span in found))
