"""Moments, spans and notes as the commands print them."""

import textwrap
from datetime import UTC, datetime, timedelta

from tablesnap.cli.line.printable import printable
from tablesnap.units import spell_count


def spell_minute(moment: datetime) -> str:
    """Spell a moment to the minute: ``2026-11-22 20:25``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def spell_second(moment: datetime) -> str:
    """Spell a moment to the second: ``2026-11-22 20:25:17``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def spell_exact(moment: datetime) -> str:
    """Spell a moment so that ``--at`` with it takes the restore point of exactly then."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def spell_moment(moment: datetime | None) -> str | None:
    """Spell a moment; nothing where there is none."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def spell_span(span: timedelta) -> str:
    """Spell a long time: ``3 days``, ``5 hours``, ``12 minutes``."""
    seconds = span.total_seconds()
    for length, thing in ((24 * 3600, "day"), (3600, "hour")):
        if seconds >= 2 * length:
            return spell_count(round(seconds / length), thing)
    return spell_count(round(seconds / 60), "minute")


def wrapped(note: str, width: int, indent: int) -> list[str]:
    """Return a note on lines that fit *width*, but for words that are longer than a line."""
    front = " " * indent
    return textwrap.wrap(
        printable(note),
        max(width, 40),
        initial_indent=f"{front}! ",
        subsequent_indent=f"{front}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
