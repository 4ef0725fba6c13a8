"""The page that ``--report`` writes: what can be restored, to look at, to print and to send."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from importlib.resources import files

from tablesnap import __version__
from tablesnap.catalog.summary import Detail, Outline, Summary
from tablesnap.cli.console.spelling import spell_minute, spell_second
from tablesnap.cli.tablelist.report.command import Source, restore_commands
from tablesnap.cli.tablelist.report.filter import Filter
from tablesnap.cli.tablelist.report.markup import Markup, element, name, together
from tablesnap.cli.tablelist.report.timeline import Axis, draw, sample
from tablesnap.cli.tablelist.report.title import title_of
from tablesnap.cli.tablelist.text import heading_of, point_notes, spell_gap, spell_whole
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
    style = Markup(f"<style>{(files('tablesnap.cli.tablelist.report') / 'report.css').read_text('utf-8')}</style>")
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


def overview(summaries: Sequence[Summary], shown: Filter) -> Markup:
    """Return a table of all that the page is about, Cassandra's own folded away, below what filters it."""
    unsound = sum(not one.is_sound for one in summaries)
    stored = spell_size(sum(one.stored for one in summaries))
    total = f"{stored} are stored. "
    if unsound:
        total += f"Of {unsound} of these {len(summaries)} the newest restore point is not whole."
    else:
        total += "Of all of these the newest restore point is whole."
    rows = list(enumerate(summaries))
    own = [row for row in rows if not title_of(row[1].name).is_system]
    system = [row for row in rows if title_of(row[1].name).is_system]
    parts = [element("p", total), shown.draw(), _overview_table(own, shown)]
    if system:
        parts.append(fold([one for _, one in system], _overview_table(system, shown), shown))
    return together((*parts, Markup("\n")))


def fold(summaries: Sequence[Summary], what: Markup, shown: Filter) -> Markup:
    """Return what the page says of Cassandra's own tables, folded away if all of them are whole."""
    unsound = sum(not one.is_sound for one in summaries)
    how = f"{unsound} of them not whole" if unsound else "all whole"
    label = element("summary", f"{spell_count(len(summaries), 'system table')}, {how}")
    marks = " ".join(sorted({shown.mark(title_of(one.name).keyspace) for one in summaries}))
    attributes = {"open": "open"} if unsound else {"data_whole": ""}
    return element("details", label, what, class_="fold", data_of=marks, **attributes)


def _overview_table(rows: Iterable[tuple[int, Summary]], shown: Filter) -> Markup:
    head = element("tr", element("th", "what"), *(element("th", title, class_=kind) for title, kind in _FIGURES))
    body = (_overview_row(one, place, shown) for place, one in rows)
    return element("table", element("thead", head), element("tbody", *body), class_="overview")


def _overview_row(summary: Summary, place: int, shown: Filter) -> Markup:
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
    return element("tr", element("td", link), *cells, **_marks(summary, shown))


def _marks(summary: Summary, shown: Filter) -> dict[str, str]:
    """Return the attributes by which what is said of one table is filtered."""
    marks = {"data_of": shown.mark(title_of(summary.name).keyspace)}
    return marks | {"data_whole": ""} if summary.is_sound else marks


def section(detail: Detail, place: int, axis: Axis, now: datetime, source: Source, shown: Filter) -> Markup:
    """Return what the page says of one table."""
    summary, gaps = detail.summary, detail.gaps(now)
    commands = list(restore_commands(source, summary, detail.points))
    newest = summary.newest
    figures = {
        "newest": spell_second(newest.taken_at) if newest else "-",
        "still true": spell_minute(newest.until) if newest else "-",
        "oldest": spell_minute(summary.oldest) if summary.oldest else "-",
        "restore points": str(summary.count),
        "live": spell_size(newest.size) if newest else "-",
        "stored": spell_size(summary.stored),
    }
    title = title_of(summary.name)
    heading = element("h3", name(title.name), *([" ", element("small", title.id)] if title.id else []))
    top = element("div", heading, _state(newest), class_="top")
    parts = [
        top,
        element("p", name(heading_of(summary.name, summary.directories)), class_="where"),
        element("dl", *(element("div", element("dt", key), element("dd", value)) for key, value in figures.items())),
        draw(detail.points, gaps, axis, f"w{place}"),
        axis.labels(),
        _notes(detail, gaps),
        _newest_command(detail.points, commands),
        _points(detail.points, commands),
    ]
    return together((element("article", *parts, id=f"t{place}", **_marks(summary, shown)), Markup("\n")))


def _newest_command(points: Sequence[Outline], commands: Sequence[str]) -> Markup:
    """Return what restores the newest that is whole; if none is, nothing: that wants a look at the restore points."""
    whole = next((place for place, point in enumerate(points) if point.is_sound), None)
    if whole is None or not commands[whole]:
        return Markup("")
    label = (
        "restore the newest"
        if whole == 0
        else f"restore the newest whole one, of {spell_second(points[whole].taken_at)}"
    )
    return element("div", element("span", label), _copied(commands[whole]), class_="restore")


def _copied(command: str) -> Markup:
    return element("code", name(command), title="one click selects it all")


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


def _points(points: Sequence[Outline], commands: Sequence[str]) -> Markup:
    if not points:
        return Markup("")
    titles = (("taken", "moment"), ("still true", "optional"), ("files", "number optional"), ("size", "number"))
    head = element("tr", *(element("th", title, class_=kind) for title, kind in titles), element("th", "state"))
    rows = (_point_rows(point, command) for point, command in zip(points[:_POINTS], commands, strict=False))
    shown = "restore points" if len(points) <= _POINTS else f"the newest {_POINTS} of {len(points)} restore points"
    table = element("table", element("thead", head), *rows, class_="points")
    return element("details", element("summary", f"{shown}, and the command that restores each"), table)


def _point_rows(point: Outline, command: str) -> Markup:
    figures = element(
        "tr",
        element("td", spell_second(point.taken_at), class_="moment"),
        element("td", spell_minute(point.until), class_="moment optional"),
        element("td", str(point.files), class_="number optional"),
        element("td", spell_size(point.size), class_="number"),
        element("td", _state(point)),
    )
    below = [element("tr", element("td", _copied(command), colspan="5", class_="command"))] if command else []
    return element("tbody", figures, *below)
