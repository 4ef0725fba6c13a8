"""What can be restored of a node, in figures: tables, their restore points, their sizes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from itertools import pairwise
from typing import TypeVar

from tablesnap.catalog.finding import timelines_at
from tablesnap.catalog.inventory import LISTERS
from tablesnap.catalog.sizes import Sizes
from tablesnap.catalog.timeline import FORMAT_OF_1X, Timeline
from tablesnap.rules.gaps import SILENT_AFTER, Gap, Record, gaps
from tablesnap.rules.keys import Keys
from tablesnap.rules.late import Lagging
from tablesnap.rules.points import Fault, RestorePoint, faults
from tablesnap.store.port import Listed, Store

EXAMPLES = 5  # faults that are kept of a restore point; the others are counted
_AT_ONCE = 4  # tables of which all is known at a time

_Result = TypeVar("_Result")


class State(Enum):
    """What a restore of one restore point would come to, as far as a listing can tell."""

    COMPLETE = "complete"
    EMPTY = "empty"
    INCOMPLETE = "incomplete"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Outline:
    """One restore point without its files, of which there may be many thousands."""

    key: str  # of its index
    directory: str  # of its index
    taken_at: datetime
    seen_at: datetime
    until: datetime
    since: datetime
    format: int
    files: int
    size: int  # bytes
    unexplained: tuple[str, ...]
    unreadable: str
    faults: int
    examples: tuple[Fault, ...]  # the first of the faults
    lagging: Lagging  # secondary indexes that may lack entries of it

    @property
    def state(self) -> State:
        """Say what a restore would come to."""
        if self.unreadable:
            return State.UNREADABLE
        if self.faults:
            return State.INCOMPLETE
        return State.COMPLETE if self.files else State.EMPTY

    @property
    def is_sound(self) -> bool:
        """Say whether nothing is wrong with it."""
        return not self.faults

    @property
    def record(self) -> Record:
        """Say what it tells of time."""
        return Record(self.taken_at, self.seen_at, whole=self.is_sound, daily=self.format > FORMAT_OF_1X)


@dataclass(frozen=True)
class Summary:
    """What is stored of one table, or of one directory outside Cassandra."""

    node: str
    name: str  # ``<keyspace>/<table>-<id>``, or the directory's path
    directories: tuple[str, ...]
    count: int  # of restore points, by the listing
    objects: int
    stored: int  # bytes, indexes included
    newest: Outline | None
    whole: datetime | None  # when the newest that is whole was taken; None: there is none
    oldest: datetime | None
    silences: tuple[tuple[datetime, datetime], ...] = ()  # in which a day went by without an index

    @property
    def is_sound(self) -> bool:
        """Say whether it can be restored as of its newest restore point."""
        return self.newest is not None and self.newest.is_sound


@dataclass(frozen=True)
class Detail:
    """A summary, and every restore point behind it."""

    summary: Summary
    points: tuple[Outline, ...]  # the newest first

    def gaps(self, now: datetime) -> list[Gap]:
        """Return when there was none."""
        return gaps((point.record for point in self.points), now)


def summaries(store: Store, keys: Keys, found: list[Timeline]) -> Iterator[Summary]:
    """Yield a summary of each timeline of one node, in their order; *found* is emptied.

    The newest and the oldest index of each are read, and what the newest names is looked for in a listing that begins
    afterwards: what a daemon stores meanwhile is there before an index that names it. Memory grows with the largest
    tables, not with their number. Raises what the store raises.
    """
    yield from one_after_the_other(lambda timeline: _summarize(store, keys, timeline), found, threads=LISTERS)


def outlines(store: Store, timeline: Timeline, readers: int = _AT_ONCE) -> Iterator[Outline]:
    """Yield every restore point of one timeline, the newest first; memory grows with what is stored of the table."""
    return judged(store, timeline, timeline.all(readers))


def judged(store: Store, timeline: Timeline, found: Iterable[RestorePoint]) -> Iterator[Outline]:
    """Yield of each restore point that was *found* on a timeline what is to be said of it.

    All that is stored of the table is listed, once the first of them is there.
    """
    faults_of = judge(store, timeline)
    return (outline(point, faults_of(point), timeline.lagging(point)) for point in found)


def judge(store: Store, timeline: Timeline) -> Callable[[RestorePoint], Sequence[Fault]]:
    """Return what says what is wrong with a restore point of *timeline*, of which all that is stored is listed once."""
    sizes = Sizes()
    is_listed = False

    def faults_of(point: RestorePoint) -> Sequence[Fault]:
        nonlocal is_listed
        if not is_listed:  # after the first index was read, for the same reason as in `summaries`
            keys = (part.key for part in timeline.directories.values())
            for one in _objects_of(store, keys):
                sizes.note(one.key, one.size)
            is_listed = True
        return faults(point, sizes.of)

    return faults_of


def outline(point: RestorePoint, found: Sequence[Fault], lagging: Lagging) -> Outline:
    """Return what is to be said of *point*, in which these faults were *found*."""
    return Outline(
        key=point.key,
        directory=point.directory,
        taken_at=point.taken_at,
        seen_at=point.seen_at,
        until=point.until,
        since=point.since,
        format=point.format,
        files=len(point.files),
        size=point.size,
        unexplained=point.unexplained,
        unreadable=point.unreadable,
        faults=len(found),
        examples=tuple(found[:EXAMPLES]),
        lagging=lagging,
    )


def timelines_below(store: Store, keys: Keys, path: str) -> list[Timeline]:
    """Return the timelines of one node that have a directory at or below *path*, those of tables first."""
    found = timelines_at(store, keys, path, recursive=True, with_copies=True)
    return sorted(found, key=lambda timeline: (timeline.name.startswith("/"), timeline.name))


def details(store: Store, keys: Keys, found: list[Timeline]) -> Iterator[Detail]:
    """Yield each timeline of one node with all its restore points, in their order; *found* is emptied.

    Every index is read. Memory grows with what is stored of the largest tables, and with the number of restore points
    of one. Raises what the store raises.
    """
    yield from one_after_the_other(lambda timeline: _detail(store, keys, timeline), found, threads=_AT_ONCE)


def _detail(store: Store, keys: Keys, timeline: Timeline) -> Detail:
    points = tuple(outlines(store, timeline))
    whole = next((point for point in points if point.is_sound), None)
    summary = _figures(keys, timeline, points[0] if points else None, whole, points[-1].taken_at if points else None)
    return Detail(summary, points)


def one_after_the_other(
    look: Callable[[Timeline], _Result], found: list[Timeline], *, threads: int
) -> Iterator[_Result]:
    """Yield what *look* returns of each timeline, in order, looking at several at a time; *found* is emptied."""
    found.reverse()
    with ThreadPoolExecutor(threads, thread_name_prefix="summary") as pool:
        # Taken from the list, because a timeline keeps what it has read.
        yield from pool.map(look, (found.pop() for _ in range(len(found))))


def _summarize(store: Store, keys: Keys, timeline: Timeline) -> Summary:
    point = next(timeline.backward(), None)
    newest = None
    if point is not None:
        newest = outline(point, faults(point, _sizes(store, point).of), timeline.lagging(point))
    whole = newest if newest is None or newest.is_sound else _newest_whole(store, timeline)
    oldest = timeline.oldest()
    summary = _figures(keys, timeline, newest, whole, oldest.taken_at if oldest is not None else None)
    # 1.x wrote nothing where nothing happened, so that its silences say nothing.
    if any(one is None or one.format <= FORMAT_OF_1X for one in (newest, oldest)):
        return summary
    moments = (one.modified for part in timeline.directories.values() for one in part.indexes)
    return replace(summary, silences=_silences(moments))


def _figures(
    keys: Keys, timeline: Timeline, newest: Outline | None, whole: Outline | None, oldest: datetime | None
) -> Summary:
    parts = timeline.directories.values()
    return Summary(
        node=keys.node,
        name=timeline.name,
        directories=tuple(sorted(timeline.directories)),
        count=timeline.count,
        objects=sum(part.objects for part in parts),
        stored=sum(part.size for part in parts),
        newest=newest,
        whole=whole.taken_at if whole is not None else None,
        oldest=oldest,
    )


def _newest_whole(store: Store, timeline: Timeline) -> Outline | None:
    return next((point for point in outlines(store, timeline) if point.is_sound), None)


def _sizes(store: Store, point: RestorePoint) -> Sizes:
    """Return the sizes of those objects that *point* names, from a listing."""
    sizes = Sizes()
    for file in point.files:
        sizes.want(file.key, file.name)
    for one in _objects_of(store, sorted(sizes.directory_keys)):
        sizes.note_wanted(one.key, one.size)
    return sizes


def _objects_of(store: Store, directory_keys: Iterable[str]) -> Iterator[Listed]:
    """Yield what is in these directories, and not what is below them: a table's may have many snapshots."""
    for key in directory_keys:
        yield from (one for one in store.level(key) if isinstance(one, Listed))


def _silences(moments: Iterable[datetime]) -> tuple[tuple[datetime, datetime], ...]:
    return tuple((before, after) for before, after in pairwise(sorted(moments)) if after - before > SILENT_AFTER)
