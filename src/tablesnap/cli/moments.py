"""Moments as operators write them: ISO 8601, or how long ago."""

import re
from datetime import UTC, datetime, timedelta

from tablesnap.errors import UsageError

_AGO = re.compile(r"(?P<number>\d{1,9}(\.\d{1,6})?)\s*(?P<unit>[smhdw])\s+ago", re.ASCII | re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}


def moment(text: str, now: datetime) -> datetime:
    """Understand a moment: ISO 8601, in UTC unless it has an offset, or ``2h ago``; in UTC.

    A date alone is its first moment, as in ISO 8601; UTC, as that is what every command prints. Raises `UsageError`
    for what is neither, and for what is still to come.
    """
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago is not None:
            return now - timedelta(seconds=float(ago["number"]) * _SECONDS[ago["unit"].lower()])
        found = datetime.fromisoformat(text.strip())
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is no moment; write 2026-11-22T20:25:00Z, with another offset than Z if you like, or '2h ago'"
        ) from None
    if found > now:
        raise UsageError(f"{text!r} is still to come; it is {now:%Y-%m-%dT%H:%M:%SZ} now")
    return found
