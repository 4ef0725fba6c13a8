"""What a restore as of a moment takes of each table, or other directory."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from tablesnap.catalog.summary import Outline, judged, one_after_the_other
from tablesnap.catalog.timeline import Timeline
from tablesnap.rules.keys import Keys
from tablesnap.store.port import Store

_AT_ONCE = 4  # tables of which all objects are known at a time


@dataclass(frozen=True)
class AsOf:
    """The newest complete restore point of one history that is not later than a moment."""

    node: str
    name: str  # as `Summary.name`
    directories: tuple[str, ...]
    taken: Outline | None  # None: there is none
    passed: tuple[Outline, ...]  # later ones, not later than the moment, that are not whole; the newest first
    oldest: datetime | None  # of all that there are
    objects: int

    @property
    def is_sound(self) -> bool:
        """Say whether the restore point that was current at the moment is the one that is taken."""
        return self.taken is not None and not self.passed


def as_of(store: Store, keys: Keys, found: list[Timeline], moment: datetime) -> Iterator[AsOf]:
    """Yield what is taken of each timeline of one node, in their order; *found* is emptied.

    It is what a restore chooses, by the same rule. What a restore point names is looked for in a listing that begins
    after the newest index was read. Memory grows with what is stored of the largest tables. Raises what the store
    raises.
    """
    yield from one_after_the_other(partial(_as_of, store, keys, moment), found, threads=_AT_ONCE)


def _as_of(store: Store, keys: Keys, moment: datetime, timeline: Timeline) -> AsOf:
    taken: Outline | None = None
    passed: list[Outline] = []
    for point in judged(store, timeline, timeline.backward(moment)):
        if point.is_sound:
            taken = point
            break
        passed.append(point)
    oldest = None if taken or passed else timeline.oldest()
    return AsOf(
        node=keys.node,
        name=timeline.name,
        directories=tuple(sorted(timeline.directories)),
        taken=taken,
        passed=tuple(passed),
        oldest=oldest.taken_at if oldest is not None else None,
        objects=sum(part.objects for part in timeline.directories.values()),
    )
