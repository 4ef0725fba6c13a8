"""What a restore as of a moment takes of each table, or other directory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from tablesnap.catalog.spans import known_of
from tablesnap.catalog.summary import Outline, judge, judged, one_after_the_other
from tablesnap.catalog.timeline import Timeline
from tablesnap.rules.joint import joint_moment
from tablesnap.rules.keys import Keys
from tablesnap.rules.points import RestorePoint
from tablesnap.rules.system_schema import is_schema
from tablesnap.store.port import Store

_AT_ONCE = 4  # tables of which all objects are known at a time


@dataclass(frozen=True)
class AsOf:
    """The newest complete restore point of one history that is not later than a moment."""

    node: str
    name: str  # as `Summary.name`
    moment: datetime  # that was asked for; of a table of system_schema, the one as of which all of them are restored
    directories: tuple[str, ...]
    taken: Outline | None  # None: there is none
    passed: tuple[Outline, ...]  # later ones, not later than the moment, that are not whole; the newest first
    oldest: datetime | None  # of all that there are
    objects: int

    @property
    def is_sound(self) -> bool:
        """Say whether the restore point that was current at the moment is the one that is taken."""
        return self.taken is not None and not self.passed


@dataclass(frozen=True, slots=True)
class SchemaAsOf:
    """As of when the tables of system_schema are restored."""

    moment: datetime | None  # None: at no moment all of them are known


def schema_as_of(store: Store, found: Sequence[Timeline], moment: datetime) -> SchemaAsOf | None:
    """Return when the tables of system_schema among those *found* are of; None where there are not several.

    A restore as of *moment* takes them as of the greatest joint moment not later. Raises what the store raises.
    """
    tables = [known_of(one, _is_whole(store, one)) for one in found if is_schema(one.name)]
    return SchemaAsOf(joint_moment(tables, moment)) if len(tables) > 1 else None


def as_of(
    store: Store, keys: Keys, found: list[Timeline], moment: datetime, schema: SchemaAsOf | None = None
) -> Iterator[AsOf]:
    """Yield what is taken of each timeline of one node, in their order; *found* is emptied.

    It is what a restore chooses, by the same rule. What a restore point names is looked for in a listing that begins
    after the newest index was read. Memory grows with what is stored of the largest tables. Raises what the store
    raises.
    """

    def taken(timeline: Timeline) -> AsOf:
        joint = schema.moment if schema is not None and is_schema(timeline.name) else None
        return _as_of(store, keys, joint or moment, timeline)

    yield from one_after_the_other(taken, found, threads=_AT_ONCE)


def _is_whole(store: Store, timeline: Timeline) -> Callable[[RestorePoint], bool]:
    faults_of = judge(store, timeline)
    return lambda point: not faults_of(point)


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
        moment=moment,
        directories=tuple(sorted(timeline.directories)),
        taken=taken,
        passed=tuple(passed),
        oldest=oldest.taken_at if oldest is not None else None,
        objects=sum(part.objects for part in timeline.directories.values()),
    )
