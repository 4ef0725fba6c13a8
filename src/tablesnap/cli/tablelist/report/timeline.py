"""One table's restore points and gaps as a drawing, and the same in words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tablesnap.catalog.summary import Outline
from tablesnap.cli.console.spelling import spell_minute, spell_second
from tablesnap.cli.tablelist.report.markup import Markup, element, together
from tablesnap.rules.gaps import Gap
from tablesnap.units import spell_count

_WIDTH = 1000  # of a drawing, in units of its own: more restore points than that cannot be told apart
_HEIGHT = 24
_SHORTEST = timedelta(minutes=1)
_MARGIN = 0.02  # of an axis, before the first restore point, so that its mark is not at the edge
_TO_THE_SECOND = timedelta(hours=3)  # labels of a shorter axis tell seconds apart


@dataclass(frozen=True)
class Axis:
    """The time that all timelines of a node are drawn on."""

    start: datetime
    end: datetime

    @classmethod
    def over(cls, moments: Iterable[datetime], now: datetime) -> "Axis":
        """Return an axis from the earliest of *moments* to *now*."""
        start = min(moments, default=now)
        # No longer than it must be: a backup that began a minute ago is to fill it.
        return cls(min(start - (now - start) * _MARGIN, now - _SHORTEST), now)

    def place(self, moment: datetime) -> int:
        """Return where *moment* is drawn."""
        share = (moment - self.start) / (self.end - self.start)
        return round(_WIDTH * min(1.0, max(0.0, share)))

    def labels(self) -> Markup:
        """Return the moments at its beginning, in its middle and at its end."""
        span = self.end - self.start
        spell = spell_second if span < _TO_THE_SECOND else spell_minute
        return element(
            "div",
            element("span", spell(self.start)),
            element("span", spell(self.start + span / 2), class_="middle"),
            element("span", spell(self.end)),
            class_="axis",
            aria_hidden="true",
        )


def draw(points: Sequence[Outline], gaps: Sequence[Gap], axis: Axis, identity: str) -> Markup:
    """Draw the restore points of one table, the newest first, on a time *axis*."""
    parts = [element("title", _in_words(points, gaps), id=identity)]
    if points:
        parts.append(_band("covered", axis.place(points[-1].taken_at), _WIDTH, 8, 8))
    # No gap is too short to be seen: each is drawn at least three units wide.
    parts += [_band("gap", axis.place(gap.since), axis.place(gap.until or axis.end), 0, _HEIGHT) for gap in gaps]
    whole = {axis.place(point.taken_at) for point in points if point.is_sound}
    faulty = {axis.place(point.taken_at) for point in points if not point.is_sound}
    parts.append(element("path", class_="whole", d=_marks(whole, 5, _HEIGHT - 10)))
    parts.append(element("path", class_="faulty", d=_marks(faulty, 0, _HEIGHT)))
    return element(
        "svg",
        together(part for part in parts if 'd=""' not in part),
        class_="timeline",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_labelledby=identity,
    )


def sample(kind: str) -> Markup:
    """Return what the legend shows of one *kind* of mark."""
    drawn = {
        "covered": _band("covered", 0, _WIDTH, 8, 8),
        "gap": _band("gap", 0, _WIDTH, 0, _HEIGHT),
        "whole": element("path", class_="whole", d=_marks({200, 500, 800}, 5, _HEIGHT - 10)),
        "faulty": element("path", class_="faulty", d=_marks({500}, 0, _HEIGHT)),
    }
    return element(
        "svg",
        drawn[kind],
        class_="timeline sample",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def _band(kind: str, left: int, right: int, top: int, height: int) -> Markup:
    width = max(3, right - left)
    return element(
        "rect", class_=kind, x=str(min(left, _WIDTH - width)), y=str(top), width=str(width), height=str(height)
    )


def _marks(places: Iterable[int], top: int, height: int) -> str:
    return "".join(f"M{place} {top}v{height}" for place in sorted(places))


def _in_words(points: Sequence[Outline], gaps: Sequence[Gap]) -> str:
    if not points:
        return "No restore points."
    faulty = sum(not point.is_sound for point in points)
    return (
        f"{spell_count(len(points), 'restore point')} from {spell_minute(points[-1].taken_at)} "
        f"to {spell_minute(points[0].taken_at)}, {faulty or 'none'} of them not whole; {spell_count(len(gaps), 'gap')}."
    )
