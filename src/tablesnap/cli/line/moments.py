"""Moments as operators write them: ISO 8601, or how long ago."""

import re
from datetime import UTC, datetime, timedelta

from tablesnap.errors import UsageError

_AGO = re.compile(r"(?P<number>\d{1,9}(\.\d{1,6})?)\s*(?P<unit>[a-z]+)\s+ago", re.ASCII | re.IGNORECASE)
_DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d\S*", re.ASCII)
_UNITS = {  # spellings, and seconds
    ("s", "sec", "secs", "second", "seconds"): 1,
    ("m", "min", "mins", "minute", "minutes"): 60,
    ("h", "hr", "hrs", "hour", "hours"): 3600,
    ("d", "day", "days"): 24 * 3600,
    ("w", "week", "weeks"): 7 * 24 * 3600,
    ("month", "months"): 30 * 24 * 3600,
    ("y", "year", "years"): 365 * 24 * 3600,
}
_SECONDS = {spelling: seconds for spellings, seconds in _UNITS.items() for spelling in spellings}


def moment(text: str, now: datetime) -> datetime:
    """Understand a moment: ISO 8601, in UTC unless it has an offset, or ``2h ago``, ``3 days ago``; in UTC.

    A date alone is its first moment, as in ISO 8601; UTC, as that is what every command prints. Raises `UsageError`
    for what is neither, and for what is still to come.
    """
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago is not None:
            return now - timedelta(seconds=float(ago["number"]) * _SECONDS[ago["unit"].lower()])
        found = datetime.fromisoformat(text.strip())
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, KeyError, OverflowError):
        raise UsageError(
            f"{text!r} is no moment; write 2026-11-22T20:25:00Z, with another offset than Z if you like, or '2h ago'"
        ) from None
    if found > now:
        raise UsageError(f"{text!r} is still to come; it is {now:%Y-%m-%dT%H:%M:%SZ} now")
    return found


def is_moment_in_words(text: str) -> bool:
    """Say whether *text* looks like a moment that is written with spaces."""
    return bool(_AGO.fullmatch(text) or _DATE_AND_TIME.fullmatch(text))
