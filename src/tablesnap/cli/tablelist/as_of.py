"""What a restore as of a moment takes, as a table for people."""

from collections.abc import Collection, Iterable, Iterator

from tablesnap.catalog.as_of import AsOf, SchemaAsOf
from tablesnap.catalog.summary import Outline
from tablesnap.cli.console.spelling import spell_exact, spell_minute, wrapped
from tablesnap.cli.tablelist.text import Rows, point_notes, spell_no_index
from tablesnap.units import spell_size

_FIGURES = "{:26}  {:16}  {:>6}  {:>9}  {}"
_FIGURES_WIDTH = 26 + 2 + 16 + 2 + 6 + 2 + 9 + 2 + len("incomplete")
_PASSED = 3  # restore points that are not whole, before the rest is counted


class AsOfTable:
    """Lines for what is taken of one node's tables, one after the other."""

    def __init__(self, names: Collection[str], width: int) -> None:
        self._rows = Rows(names, _FIGURES, _FIGURES_WIDTH, width)
        self._width = width

    def head(self) -> str:
        """Return the line above all."""
        return self._rows.line("", "TAKEN (UTC)", "STILL TRUE", "FILES", "SIZE", "STATE")

    def lines(self, found: AsOf) -> Iterator[str]:
        """Yield the lines for one timeline, with what stands above it if that is new."""
        taken = found.taken
        if taken is None:
            figures = ["-", "-", "-", "-", "none"]
        else:
            figures = [
                spell_exact(taken.taken_at),
                spell_minute(taken.until),
                str(taken.files),
                spell_size(taken.size),
                taken.state.value,
            ]
        yield from self._rows.lines(found.name, found.directories, *figures)
        for note in _notes(found):
            yield from wrapped(note, self._width, indent=4)


def spell_moments(taken: Iterable[Outline]) -> str:
    """Spell what moments were found; empty for none."""
    points = list(taken)
    if not points:
        return ""
    first, last = min(point.since for point in points), max(point.taken_at for point in points)
    if first == last:
        return f"taken at {spell_exact(last)}"
    return f"taken between {spell_exact(first)} and {spell_exact(last)}"


def spell_schema(schema: SchemaAsOf) -> str:
    """Spell as of when the tables of system_schema are restored."""
    if schema.moment is None:
        return "at no moment all tables of system_schema are known: tableslurp refuses without --allow-mixed-schema"
    return f"system_schema is as of {spell_exact(schema.moment)} UTC: all of its tables are known then"


def _notes(found: AsOf) -> Iterator[str]:
    taken = found.taken
    if taken is not None and taken.since != taken.taken_at:
        yield f"put together from restore points of several directories, the oldest of {spell_exact(taken.since)}"
    if taken is not None:
        yield from taken.lagging.notes()
    for point in found.passed[:_PASSED]:
        notes = "; ".join(point_notes(point))
        yield f"passed over, {point.state.value}: {spell_exact(point.taken_at)}: {notes}"
    if len(found.passed) > _PASSED:
        yield f"passed over as well: {len(found.passed) - _PASSED} before that"
    if taken is not None:
        return
    if found.passed:
        yield "none of then or before is whole"
    elif found.oldest is not None:
        yield f"there is none of then or before; the oldest is of {spell_exact(found.oldest)}"
    else:
        yield spell_no_index(found.objects)
