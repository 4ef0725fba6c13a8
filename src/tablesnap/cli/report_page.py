"""The page that ``--report`` writes: what can be restored, to look at, to print and to send."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from importlib.resources import files

from tablesnap import __version__
from tablesnap.catalog.summary import Detail, Outline, Summary
from tablesnap.cli.listing_text import (
    heading_of,
    name_of,
    point_notes,
    spell_gap,
    spell_minute,
    spell_second,
    spell_whole,
)
from tablesnap.cli.markup import Markup, element, name, together
from tablesnap.cli.report_timeline import Axis, draw, sample
from tablesnap.rules.gaps import Gap
from tablesnap.units import spell_count, spell_size

_POINTS = 100  # restore points of a table that have a line of their own, the newest; all are drawn
_NOTES = 20  # gaps and faults of a table that are spelt out, the newest
# Of the overview: what stands above a figure, or on a phone before it, and what kind of figure it is.
_FIGURES = (("newest", "moment"), ("live", "number"), ("stored", "number"), ("state", ""))
_LEGEND = {
    "whole": "restore point, whole",
    "faulty": "restore point, not whole",
    "covered": "what was then can be restored",
    "gap": "gap",
}


def page_begins(store: str, now: datetime) -> Markup:
    """Return the page up to the first thing that is to be found out."""
    style = Markup(f"<style>{(files('tablesnap.cli') / 'report.css').read_text('utf-8')}</style>")
    head = together(
        (
            element("meta", charset="utf-8"),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            # Should any name ever come through as markup, it can load and run nothing.
            element(
                "meta", http_equiv="Content-Security-Policy", content="default-src 'none'; style-src 'unsafe-inline'"
            ),
            element("title", f"Restore points in {store}"),
            style,
        )
    )
    legend = (element("li", sample(kind), text) for kind, text in _LEGEND.items())
    top = together(
        (
            element("h1", "What can be restored from ", name(store)),
            element("p", f"As of {spell_second(now)}. All times are UTC.", class_="quiet"),
            element("ul", *legend, class_="legend"),
        )
    )
    return Markup(f'<!DOCTYPE html>\n<html lang="en">\n<head>{head}</head>\n<body>\n{top}\n')


def page_ends() -> Markup:
    """Return the end of the page."""
    foot = f"Written by tablelist {__version__}. Sizes of objects were compared with the indexes; no content was read."
    return Markup(f"{element('p', foot, class_='quiet')}\n</body>\n</html>\n")


def overview(summaries: Sequence[Summary]) -> Markup:
    """Return a table of all that the page is about."""
    head = element("tr", element("th", "what"), *(element("th", title, class_=kind) for title, kind in _FIGURES))
    unsound = sum(not one.is_sound for one in summaries)
    stored = spell_size(sum(one.stored for one in summaries))
    total = f"{stored} are stored. "
    if unsound:
        total += f"Of {unsound} of these {len(summaries)} the newest restore point is not whole."
    else:
        total += "Of all of these the newest restore point is whole."
    rows = (_overview_row(one, place) for place, one in enumerate(summaries))
    table = element("table", element("thead", head), element("tbody", *rows), class_="overview")
    return together((element("p", total), table, Markup("\n")))


def _overview_row(summary: Summary, place: int) -> Markup:
    newest = summary.newest
    link = element("a", name(f"{summary.node} {summary.name}"), href=f"#t{place}")
    figures = (
        spell_minute(newest.taken_at) if newest else "-",
        spell_size(newest.size) if newest else "-",
        spell_size(summary.stored),
        _state(newest),
    )
    cells = (
        element("td", figure, class_=kind, data_label=title)
        for figure, (title, kind) in zip(figures, _FIGURES, strict=True)
    )
    return element("tr", element("td", link), *cells)


def section(detail: Detail, place: int, axis: Axis, now: datetime) -> Markup:
    """Return what the page says of one table."""
    summary, gaps = detail.summary, detail.gaps(now)
    newest = summary.newest
    figures = {
        "newest": spell_second(newest.taken_at) if newest else "-",
        "still true": spell_minute(newest.until) if newest else "-",
        "oldest": spell_minute(summary.oldest) if summary.oldest else "-",
        "restore points": str(summary.count),
        "live": spell_size(newest.size) if newest else "-",
        "stored": spell_size(summary.stored),
    }
    top = element("div", element("h3", name(name_of(summary.name))), _state(newest), class_="top")
    parts = [
        top,
        element("p", name(heading_of(summary.name, summary.directories)), class_="where"),
        element("dl", *(element("div", element("dt", key), element("dd", value)) for key, value in figures.items())),
        draw(detail.points, gaps, axis, f"w{place}"),
        axis.labels(),
        _notes(detail, gaps),
        _points(detail.points),
    ]
    return together((element("article", *parts, id=f"t{place}"), Markup("\n")))


def _state(point: Outline | None) -> Markup:
    if point is None:
        return element("span", "no index", class_="state none")
    return element("span", point.state.value, class_=f"state {point.state.value}")


def _notes(detail: Detail, gaps: Sequence[Gap]) -> Markup:
    summary = detail.summary
    notes = [*_faults(summary), *_history(detail, gaps)]
    return element("ul", *notes, class_="notes") if notes else Markup("")


def _faults(summary: Summary) -> Iterator[Markup]:
    """Yield what keeps a restore from being whole now."""
    if summary.newest is None:
        yield element("li", f"{spell_count(summary.objects, 'object')}, and no index for them", class_="fault")
    elif not summary.newest.is_sound:
        for note in point_notes(summary.newest):
            yield element("li", "newest: ", name(note), class_="fault")
        yield element("li", spell_whole(summary), class_="fault")
    else:
        yield from (element("li", "newest: ", name(note)) for note in point_notes(summary.newest))


def _history(detail: Detail, gaps: Sequence[Gap]) -> Iterator[Markup]:
    """Yield the gaps, and what was wrong before, the newest first."""
    found = [(gap.since, spell_gap(gap)) for gap in gaps]
    for point in detail.points[1:]:
        found += [(point.taken_at, f"{spell_minute(point.taken_at)}: {note}") for note in point_notes(point)]
    found.sort(reverse=True)
    yield from (element("li", name(note)) for _, note in found[:_NOTES])
    if len(found) > _NOTES:
        yield element("li", f"and {len(found) - _NOTES} more before {spell_minute(found[_NOTES - 1][0])}")


def _points(points: Sequence[Outline]) -> Markup:
    if not points:
        return Markup("")
    titles = (("taken", "moment"), ("still true", "optional"), ("files", "number optional"), ("size", "number"))
    head = element("tr", *(element("th", title, class_=kind) for title, kind in titles), element("th", "state"))
    rows = (
        element(
            "tr",
            element("td", spell_second(point.taken_at), class_="moment"),
            element("td", spell_minute(point.until), class_="moment optional"),
            element("td", str(point.files), class_="number optional"),
            element("td", spell_size(point.size), class_="number"),
            element("td", _state(point)),
        )
        for point in points[:_POINTS]
    )
    shown = "restore points" if len(points) <= _POINTS else f"the newest {_POINTS} of {len(points)} restore points"
    table = element("table", element("thead", head), element("tbody", *rows), class_="points")
    return element("details", element("summary", shown), table)
