"""What is still to be stored, and what will not be."""

from collections.abc import Iterable
from dataclasses import dataclass

from tablesnap.daemon.directory import Directory, Seen
from tablesnap.daemon.table import Table
from tablesnap.units import spell_count, spell_seconds, spell_size


@dataclass(frozen=True)
class Waiting:
    """How much is on its way into the store."""

    files: int = 0
    size: int = 0  # bytes
    since: float = 0.0  # monotonic seconds: of the file that has waited for longest
    unjudged: int = 0  # of the files: the store was not asked yet whether it has them
    restore_points: int = 0  # that are being written

    def __bool__(self) -> bool:
        return self.files > 0 or self.restore_points > 0


def waiting_in(directories: Iterable[Directory], tables: Iterable[Table]) -> Waiting:
    """Return what is on its way. A file found waits from that moment on, whether or not the store can be asked."""
    directories, tables = list(directories), list(tables)
    unjudged = [seen for directory in directories for seen in directory.unjudged()]
    pending = [Seen(one.incarnation.size, one.since) for directory in directories for one in directory.pending.values()]
    pending += [Seen(part.incarnation.size, part.since) for table in tables for part in table.pending()]
    return Waiting(
        files=len(unjudged) + len(pending),
        size=sum(seen.size for seen in (*unjudged, *pending)),
        since=min((seen.since for seen in (*unjudged, *pending)), default=0.0),
        unjudged=len(unjudged),
        restore_points=sum(one.index_in_flight for one in directories) + sum(one.index_in_flight for one in tables),
    )


def is_anything_waiting(directories: Iterable[Directory], tables: Iterable[Table]) -> bool:
    """Say whether a file is on its way; it costs next to nothing while there is one."""
    if any(directory.pending or directory.unjudged() for directory in directories):
        return True
    return any(True for table in tables for _ in table.pending())


def spell_waiting(waiting: Waiting, now: float) -> str:
    """Spell how much waits, and for how long."""
    said = []
    if waiting.files:
        what = "waiting to be stored or compared" if waiting.unjudged else "waiting to be stored"
        oldest = spell_seconds(now - waiting.since)
        said.append(
            f"{what}: {spell_count(waiting.files, 'file')} ({spell_size(waiting.size)}), the oldest for {oldest}"
        )
    if waiting.restore_points:
        said.append(f"waiting to be written: {spell_count(waiting.restore_points, 'restore point')}")
    return "; ".join(said) or "nothing waits to be stored"


def spell_unprotected(directories: Iterable[Directory], tables: Iterable[Table], *, left_alone: bool = True) -> str:
    """Spell how many files are in no backup and wait for none; empty if there are none.

    Without *left_alone* those do not count that were there at start and that nobody has asked for.
    """
    given_up = alone = 0
    for directory in directories:
        given_up += len(directory.given_up)
        alone += len(directory.left_alone)
    for table in tables:
        for parts in table.parts.values():
            given_up += sum(part.given_up for part in parts.parts.values())
            alone += len(parts.parts) if parts.left_alone else 0
    were = [f"{spell_count(given_up, 'file')} given up"] if given_up else []
    were += [f"{spell_count(alone, 'file')} left unprotected, because -B was not given"] if alone and left_alone else []
    return " and ".join(were)
