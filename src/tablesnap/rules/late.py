"""Moments of which a secondary index may lack entries, as was learnt afterwards."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

LIMIT = 100  # for each index, in one restore point


@dataclass(frozen=True, order=True, slots=True)
class Late:
    """An index flush that came after restore points without it: those of *since*, and until before *until*."""

    index: str  # the name of its directory: ``.users_email_idx``
    since: datetime
    until: datetime

    def concerns(self, moment: datetime) -> bool:
        """Say whether a restore point of *moment* may lack entries of the index."""
        return self.since <= moment < self.until


def merged(found: Iterable[Late]) -> tuple[Late, ...]:
    """Return *found* in order, what overlaps as one.

    Beyond `LIMIT` the oldest of an index become one: it says too much rather than too little.
    """
    by_index: dict[str, list[Late]] = {}
    for one in sorted(set(found)):
        ranges = by_index.setdefault(one.index, [])
        if ranges and one.since <= ranges[-1].until:
            ranges[-1] = replace(ranges[-1], until=max(ranges[-1].until, one.until))
        else:
            ranges.append(one)
    for ranges in by_index.values():
        beyond = len(ranges) - LIMIT
        if beyond > 0:
            ranges[: beyond + 1] = [replace(ranges[0], until=ranges[beyond].until)]
    return tuple(one for ranges in by_index.values() for one in ranges)


@dataclass(frozen=True)
class Lagging:
    """The secondary indexes that may lack entries of a restore point, by the names of their directories."""

    behind: tuple[str, ...] = ()  # by its own words
    late: tuple[str, ...] = ()  # as was learnt afterwards

    @property
    def indexes(self) -> list[str]:
        """Their names, as CQL and nodetool have them."""
        return sorted({name.removeprefix(".") for name in (*self.behind, *self.late)})

    def notes(self) -> Iterator[str]:
        """Yield what is to be said of it."""
        for what, names, why in (
            ("behind", self.behind, "was still being built or flushed"),
            ("late", self.late, "was flushed late, as a later restore point says"),
        ):
            for name in names:
                index = name.removeprefix(".")
                yield f"{what}: index {index} may lack entries, as it {why}; rebuild it after a restore"
