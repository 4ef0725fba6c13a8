"""The times of which a table has no restore point: told from its restore points alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

# An unchanged table's index is written again once a day, and a daemon with much to do may be late by an hour or two.
SILENT_AFTER = timedelta(hours=26)


@dataclass(frozen=True)
class Record:
    """What one restore point says of time."""

    taken_at: datetime
    seen_at: datetime  # when it was recorded: somebody was watching then
    whole: bool = True  # all of it is stored, as far as we know
    daily: bool = True  # whoever wrote it would have written it again within a day; 1.x did not


@dataclass(frozen=True)
class Gap:
    """From *since*, until *until*, what was then cannot be restored."""

    since: datetime
    until: datetime | None  # None: to this day
    silent: bool  # nothing was recorded; else something was, and is not whole


def gaps(records: Iterable[Record], now: datetime) -> list[Gap]:
    """Return the gaps between the *records* of one table, and after the last of them, in the order of time.

    What was recorded is true until something else is: between two restore points there is a gap only where we cannot
    know that anybody was watching, or where the second of them is not whole.
    """
    ordered = sorted(records, key=lambda record: (record.taken_at, record.seen_at))
    return sorted([*_silences(ordered, now), *_unsound(ordered)], key=lambda gap: gap.since)


def _silences(ordered: Sequence[Record], now: datetime) -> list[Gap]:
    found = [
        Gap(record.seen_at, following.taken_at, silent=True)
        for record, following in pairwise(ordered)
        if record.daily and following.taken_at - record.seen_at > SILENT_AFTER
    ]
    if ordered and ordered[-1].daily and now - ordered[-1].seen_at > SILENT_AFTER:
        found.append(Gap(ordered[-1].seen_at, None, silent=True))
    return found


def _unsound(ordered: Sequence[Record]) -> list[Gap]:
    found = []
    since: datetime | None = None
    for record in ordered:
        if not record.whole:
            since = since or record.taken_at
        elif since is not None:
            if record.taken_at > since:
                found.append(Gap(since, record.taken_at, silent=False))
            since = None
    if since is not None:
        found.append(Gap(since, None, silent=False))
    return found
