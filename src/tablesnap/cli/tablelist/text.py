"""What can be restored, as a table for people: 80 columns, or as many as the terminal has."""

import posixpath
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from tablesnap.catalog.summary import Outline, Summary
from tablesnap.cli.console.spelling import spell_exact, spell_minute, spell_span, wrapped
from tablesnap.cli.line.printable import printable
from tablesnap.rules.gaps import SILENT_AFTER, Gap
from tablesnap.rules.place import place_of
from tablesnap.units import spell_count, spell_size

_FIGURES = "{:16}  {:16}  {:>6}  {:>9}  {:>9}  {}"
_FIGURES_WIDTH = 16 + 2 + 16 + 2 + 6 + 2 + 9 + 2 + 9 + 2 + len("incomplete")
_POINT = "{:26}  {:16}  {:>6}  {:>9}  {:10}"
_NAMES = 3  # of sstables, before the rest is counted


def name_of(summary_name: str) -> str:
    """Return what a timeline is called below its heading."""
    return posixpath.basename(summary_name) or summary_name


def heading_of(name: str, directories: Collection[str]) -> str:
    """Return what stands above a timeline: where its directories are."""
    if not name.startswith("/"):
        directories = [directory for directory in directories if not place_of(directory).index] or directories
    return ", ".join(sorted({posixpath.dirname(directory) for directory in directories}))


class Rows:
    """Lines that have a name and figures, one after the other, with headings that say where the names are."""

    def __init__(self, names: Collection[str], figures: str, figures_width: int, width: int) -> None:
        longest = max((len(printable(name_of(name))) for name in names), default=0)
        # Where a name does not fit beside its figures, it has a line to itself: no name is ever cut.
        self._name = longest if 2 + longest + 2 + figures_width <= width else 0
        self._figures = figures
        self._heading = ""

    def line(self, name: str, *figures: str) -> str:
        """Return one line, with its name if there is room for it."""
        front = f"  {name:{self._name}}  " if self._name else "    "
        return (front + self._figures.format(*figures)).rstrip()

    def lines(self, name: str, directories: Collection[str], *figures: str) -> Iterator[str]:
        """Yield the lines for one timeline, with what stands above it if that is new."""
        heading = heading_of(name, directories)
        if heading != self._heading:
            self._heading = heading
            yield ""
            yield printable(heading)
        short = printable(name_of(name))
        if not self._name:
            yield f"  {short}"
        yield self.line(short, *figures)


class SummaryTable:
    """Lines for the summaries of one node, one after the other."""

    def __init__(self, names: Collection[str], width: int, now: datetime) -> None:
        self._rows = Rows(names, _FIGURES, _FIGURES_WIDTH, width)
        self._width = width
        self._now = now

    def head(self) -> str:
        """Return the line above all."""
        return self._rows.line("", "NEWEST (UTC)", "OLDEST", "POINTS", "LIVE", "STORED", "STATE")

    def lines(self, summary: Summary) -> Iterator[str]:
        """Yield the lines for one timeline, with what stands above it if that is new."""
        newest = summary.newest
        yield from self._rows.lines(
            summary.name,
            summary.directories,
            spell_minute(newest.taken_at) if newest else "-",
            spell_minute(summary.oldest) if summary.oldest else "-",
            str(summary.count),
            spell_size(newest.size) if newest else "-",
            spell_size(summary.stored),
            newest.state.value if newest else "no index",
        )
        for note in _notes(summary, self._now):
            yield from wrapped(note, self._width, indent=4)


def _notes(summary: Summary, now: datetime) -> Iterator[str]:
    newest = summary.newest
    if newest is None:
        yield spell_no_index(summary.objects)
        return
    yield from point_notes(newest)
    if not newest.is_sound:
        yield spell_whole(summary)
    if summary.silences:
        since, until = summary.silences[-1]
        times = len(summary.silences)
        how_often = f"{spell_count(times, 'time')}, the last from" if times > 1 else "from"
        yield (f"no index was written for more than a day: {how_often} {spell_minute(since)} to {spell_minute(until)}")
    if newest.record.daily and now - newest.seen_at > SILENT_AFTER:
        yield f"nothing was recorded since {spell_minute(newest.seen_at)}, for {spell_span(now - newest.seen_at)}"


def point_notes(point: Outline) -> Iterator[str]:
    """Yield what is to be said of one restore point."""
    if point.unreadable:
        yield f"{posixpath.basename(point.key)} cannot be read: {point.unreadable}"
    elif point.faults:
        first = point.examples[0]
        more = f", and {point.faults - 1} more" if point.faults > 1 else ""
        yield f"{_near(first.path, point)} {first.what}{more}"
    if point.unexplained:
        names = ", ".join(_near(path, point) for path in point.unexplained[:_NAMES])
        more = f" and {len(point.unexplained) - _NAMES} more" if len(point.unexplained) > _NAMES else ""
        yield f"unexplained: {names}{more} went before it without a transaction of Cassandra"
    yield from point.lagging.notes()


def _near(path: str, point: Outline) -> str:
    """Return a path without what the heading says already."""
    return path.removeprefix(point.directory + "/")


def point_lines(points: Sequence[Outline], gaps: Sequence[Gap], width: int) -> Iterator[str]:
    """Yield a line for each restore point, the newest first, with the gaps between them."""
    titles = _POINT.format("TAKEN (UTC)", "STILL TRUE", "FILES", "SIZE", "STATE")
    yield f"{titles}  INDEX" if len(titles) + len("  INDEX") <= width else titles.rstrip()
    left = sorted(gaps, key=lambda gap: gap.since)
    for point in points:
        while left and left[-1].since >= point.taken_at:
            yield from wrapped(spell_gap(left.pop()), width, indent=2)
        line = _POINT.format(
            spell_exact(point.taken_at),
            spell_minute(point.until),
            str(point.files),
            spell_size(point.size),
            point.state.value,
        )
        name = printable(posixpath.basename(point.key))
        yield f"{line}  {name}" if len(line) + 2 + len(name) <= width else line.rstrip()
        for note in point_notes(point):
            yield from wrapped(note, width, indent=2)


def spell_whole(summary: Summary) -> str:
    """Spell what is left where the newest restore point is not whole."""
    return f"the newest whole one was taken at {spell_exact(summary.whole)}" if summary.whole else "none is whole"


def spell_no_index(objects: int) -> str:
    """Spell what is left where there are *objects* alone."""
    return (
        f"{spell_count(objects, 'object')}, and no index that says what belongs together; "
        "tableslurp --from-objects brings what is whole"
    )


def spell_gap(gap: Gap) -> str:
    """Spell a gap."""
    until = f"to {spell_minute(gap.until)}" if gap.until else "to this day"
    what = "nothing was recorded" if gap.silent else "there is no complete restore point"
    return f"gap: {what} from {spell_minute(gap.since)} {until}"
