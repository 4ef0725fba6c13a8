"""Say what is still to be stored."""

from collections.abc import Iterable

from tablesnap.daemon.directory import Directory
from tablesnap.daemon.table import Table
from tablesnap.units import spell_count, spell_seconds, spell_size

Waiting = list[tuple[int, float]]  # of each file its size in bytes, and since when, in monotonic seconds


def waiting_in(directories: Iterable[Directory], tables: Iterable[Table]) -> Waiting:
    """Return the files on their way into the store."""
    waiting = [(one.incarnation.size, one.since) for directory in directories for one in directory.pending.values()]
    return waiting + [(part.incarnation.size, part.since) for table in tables for part in table.pending()]


def spell_waiting(waiting: Waiting, now: float) -> str:
    """Spell how much waits, and for how long."""
    if not waiting:
        return "nothing waits to be stored"
    size = spell_size(sum(size for size, _ in waiting))
    oldest = spell_seconds(now - min(since for _, since in waiting))
    return f"waiting to be stored: {spell_count(len(waiting), 'file')} ({size}), the oldest for {oldest}"
