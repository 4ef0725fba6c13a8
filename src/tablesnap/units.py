"""Sizes, times and numbers as people read them."""

from datetime import UTC, datetime


def spell_size(size: float) -> str:
    """Spell a number of bytes: ``12.3 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def spell_seconds(seconds: float) -> str:
    """Spell a length of time: ``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def spell_count(number: int, thing: str) -> str:
    """Spell a number of things: ``1 file``, ``2 entries``, ``3 days``."""
    if number == 1:
        return f"{number} {thing}"
    changes = thing.endswith("y") and not thing.endswith(("ay", "ey", "oy", "uy"))
    return f"{number} {thing[:-1]}ies" if changes else f"{number} {thing}s"


def spell_utc(moment: datetime) -> str:
    """Spell a moment exactly, as ``--at`` takes it: ``2026-11-22T20:25:17.123456Z``."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
