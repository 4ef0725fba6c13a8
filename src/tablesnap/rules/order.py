"""The order of the restore points of one timeline, and which of them was current at a moment.

**Order.** Each index has a ``serial``, one more than the highest that its writer knew of the table. An index without
one (of 1.x, or of an early 2.x) counts as the milliseconds since 1970 at which it was stored, and the serial of the
index after it goes on from that number. So one order holds for all indexes of a directory, whatever any clock says.

The store's dates tell the same order without an index being read, so readers go by them to *find* an index. A copied
bucket has the dates of the copy. Where the dates contradict the indexes, the indexes are believed.

**The moment T.** Of the restore points taken by T, the last in this order counts. Several may have the same
`taken_at`: their rows are the same, but a later one may lack the files of a secondary index that was dropped. Of these
the latest that was recorded by T counts; if there is none, the earliest.

A purge keeps the restore point that is current at its cutoff C, and all that were taken or recorded after C. Then no
moment since C is lost. Proof: let the rule choose P for a moment T after C. If P was taken or recorded after C, it is
kept. Otherwise P was taken and recorded by C. No restore point taken by C comes after P, for it would also be taken by
T; and none of the same `taken_at` that was recorded by C is later, for it would also be recorded by T. So the rule
chooses P for C.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from tablesnap.rules.keys import moment_in
from tablesnap.rules.taken import LatestName, is_free, later_of, name_of_index

# How much later than the store's date of an index a moment in it may be; and how much later its writer may stamp one.
AHEAD = timedelta(minutes=5)
# An index is stored within moments of being recorded. A later date is that of a copy, or of an upload that waited.
LATE = timedelta(minutes=10)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FAR = 32  # places that have only restore points without moments of their own
_TIE = timedelta(seconds=1)  # a moment in a key is later than `seen_at` by as many microseconds as keys were taken


class Stamped(Protocol):
    """What places a restore point among those of its timeline."""

    @property
    def key(self) -> str:
        """The key of its index."""

    @property
    def serial(self) -> int | None:
        """What its index says, if it says it."""

    @property
    def taken_at(self) -> datetime:
        """The moment it is of, as far as it is believed."""

    @property
    def seen_at(self) -> datetime:
        """When it was recorded, as far as it is believed."""

    @property
    def stored_at(self) -> datetime:
        """The store's date of its index."""

    @property
    def covers(self) -> Iterable[str]:
        """The directories it speaks of."""

    @property
    def is_dated(self) -> bool:
        """Whether its moments are those of its index; else they come from the store's date."""


Point = TypeVar("Point", bound=Stamped)


def believed(moment: datetime, stored_at: datetime) -> datetime:
    """Return *moment*, which an index says that was stored at *stored_at*, but none of the future.

    A clock that was once a year ahead must not hold up the moments of all later restore points.
    """
    return moment if moment - AHEAD <= stored_at else stored_at + AHEAD


def serial_of(serial: int | None, seen_at: datetime | None, stored_at: datetime) -> int:
    """Return the *serial* of an index, or the number that stands for it in one that has none.

    The earlier of the two moments counts, because a copy has a later date.
    """
    if serial is not None:
        return serial
    return (min(seen_at or stored_at, stored_at) - _EPOCH) // timedelta(milliseconds=1)


def _rank(point: Stamped) -> tuple[int, datetime, datetime, str]:
    return serial_of(point.serial, point.seen_at, point.stored_at), point.taken_at, point.seen_at, point.key


def is_late(seen_at: datetime, stored_at: datetime) -> bool:
    """Say whether the store received an index long after it was recorded."""
    return stored_at - seen_at > LATE


@dataclass
class KeysSeen:
    """The latest that the keys of one directory's indexes say, by a listing alone."""

    moment: datetime | None = None
    name: LatestName = field(default="")  # of those that have no moment

    def note(self, key: str) -> None:
        """Take in the key of an index."""
        moment = moment_in(key)
        if moment is None:
            self.name = later_of(self.name, name_of_index(key))
        elif self.moment is None or moment > self.moment:
            self.moment = moment

    def contradicts(self, seen_at: datetime, latest_name: LatestName) -> bool:
        """Say whether an index was written after the one that the store dates last, which was recorded at *seen_at*.

        *latest_name* is the latest of all names of indexes that this one knew. An index whose key has a moment was
        recorded at that moment, and one whose key has none comes after all names before it (`rules.taken`).
        """
        if self.moment is not None and self.moment > seen_at + _TIE:
            return True
        return bool(self.name) and latest_name is not None and is_free(self.name or "", latest_name)


def are_dates_wrong(points: Iterable[Stamped]) -> bool:
    """Say whether the store's dates of *all* indexes of a timeline are not those at which they were written.

    They contradict the order in a directory, or each is later than its index by a time of its own.
    """
    found = [point for point in points if point.is_dated]
    by_directory: defaultdict[str, list[Stamped]] = defaultdict(list)
    for point in sorted(found, key=lambda point: (point.stored_at, _rank(point))):
        for directory in point.covers:
            by_directory[directory].append(point)
    if any(are_out_of_order(chain) for chain in by_directory.values()):
        return True
    delays = [point.stored_at - point.seen_at for point in found]
    # A clock that is wrong by the same time throughout is no copy.
    return bool(delays) and min(delays) > LATE and (len(delays) == 1 or max(delays) - min(delays) > LATE)


def are_out_of_order(by_date: Sequence[Stamped]) -> bool:
    """Say whether restore points of one directory contradict the store's dates, by which they are given in order."""
    serial, taken_at, seen_at = -1, datetime.min.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)
    for point in by_date:
        if point.serial is not None:
            if point.serial < serial:
                return True
            serial = point.serial
        elif point.taken_at < taken_at or point.seen_at + LATE < seen_at:
            return True
        taken_at, seen_at = max(taken_at, point.taken_at), max(seen_at, point.seen_at)
    return False


def by_dates(points: Iterable[Point]) -> list[Point]:
    """Return *points* in order, the first recorded at the front, where the store's dates are believed.

    A store may date its objects in whole seconds: within one of these the serials count.
    """
    return sorted(points, key=lambda point: (point.stored_at, _rank(point)))


def by_serials(points: Iterable[Point]) -> list[Point]:
    """Return *points* in order, the first recorded at the front, by what they say of themselves alone.

    Two daemons, each for a disk, count each for itself. So a restore point comes after those of a lower serial that
    speak of one of its directories; for the rest the moments count at which they were recorded.
    """
    reached: dict[str, datetime] = {}  # by directory, the latest moment at which it was recorded so far
    ordered: list[tuple[datetime, Point]] = []
    for point in sorted(points, key=_rank):
        directories = list(point.covers)
        moment = max([point.seen_at, *(reached[one] for one in directories if one in reached)])
        reached |= dict.fromkeys(directories, moment)
        ordered.append((moment, point))
    return [point for _, point in sorted(ordered, key=lambda pair: (pair[0], _rank(pair[1])))]


def in_order(points: Iterable[Point]) -> list[Point]:
    """Return *all* restore points of a timeline in order, the first recorded at the front."""
    found = list(points)
    return by_serials(found) if are_dates_wrong(found) else by_dates(found)


def as_of(places: Sequence[Sequence[Point]], moment: datetime) -> Iterator[Point]:
    """Yield the restore points taken by *moment*, those first that count first: see above.

    *places* are in order, and within a place the newest comes first; one may be empty. Few of them are looked at,
    because reading one may take a while: from place to place neither `taken_at` nor `seen_at` decreases. A restore
    point that is not dated is yielded where the store's date puts it.
    """
    end = _bisect(places, 0, len(places), lambda points: any(point.taken_at <= moment for point in points))
    below: datetime | None = None  # groups of one `taken_at` come from the latest down
    undated = len(places)  # from this place on those that are not dated were yielded
    while end > 0:
        moments = [
            point.taken_at
            for point in places[end - 1]
            if point.is_dated and point.taken_at <= moment and (below is None or point.taken_at < below)
        ]
        if moments:
            below = max(moments)
            begin = _begin(places, end, below)
            yield from _of_one_moment(places, begin, end, below, moment)
        else:
            begin = end - 1
        for place in range(min(end, undated) - 1, begin - 1, -1):
            yield from (one for one in places[place] if not one.is_dated and one.taken_at <= moment)
        undated = min(undated, begin)
        end = begin + 1 if moments else begin  # the first place may hold some of the group before as well


def _of_one_moment(
    places: Sequence[Sequence[Point]], begin: int, end: int, taken_at: datetime, moment: datetime
) -> Iterator[Point]:
    """Yield those of one `taken_at`: the latest recorded by *moment* and back, then those recorded later, in order."""
    late = _bisect(places, begin, end, lambda points: any(point.seen_at <= moment for point in points))
    for place in range(late - 1, begin - 1, -1):
        yield from (one for one in _dated(places[place], taken_at) if one.seen_at <= moment)
    # The last place with one that was recorded by then may have others, recorded later; those in between have none.
    partly = next((place for place in range(late - 1, begin, -1) if _dated(places[place], taken_at)), begin)
    for place in range(partly, end):
        yield from (one for one in reversed(_dated(places[place], taken_at)) if one.seen_at > moment)


def _dated(points: Sequence[Point], taken_at: datetime) -> list[Point]:
    return [point for point in points if point.is_dated and point.taken_at == taken_at]


def _begin(places: Sequence[Sequence[Point]], end: int, taken_at: datetime) -> int:
    """Return the first place of the group of *taken_at* that ends before *end*. Most groups have one member."""

    def is_before(points: Sequence[Point]) -> bool:
        return all(point.taken_at < taken_at for point in points)

    high, step = end - 1, 1
    while high > 0:
        probe = max(0, high - step)
        if is_before(_nearest(places, probe, 0)):
            return _bisect(places, probe + 1, high, is_before)
        high, step = probe, 2 * step
    return high


def _bisect(
    places: Sequence[Sequence[Point]], low: int, high: int, is_before: Callable[[Sequence[Point]], bool]
) -> int:
    """Return the first place from *low* on of which *is_before* is false; *high* if there is none."""
    while low < high:
        middle = (low + high) // 2
        points = _nearest(places, middle, low)
        if not points or is_before(points):
            low = middle + 1
        else:
            high = middle
    return low


def _nearest(places: Sequence[Sequence[Point]], place: int, low: int) -> Sequence[Point]:
    """Return the dated restore points at *place*, or where there are none those a little before, not before *low*.

    Where there are none either, those that are not dated; nothing if all these places are empty.
    """
    undated: list[Sequence[Point]] = []
    for earlier in range(place, low - 1, -1):
        points = places[earlier]
        if dated := [point for point in points if point.is_dated]:
            return dated
        undated += [points] if points else []
        if len(undated) > _FAR:
            break
    return undated[0] if undated else ()
