"""What ``tablelist`` does: say what can be restored."""

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime

from tablesnap.catalog.as_of import as_of, schema_as_of
from tablesnap.catalog.finding import timelines_at
from tablesnap.catalog.inventory import nodes
from tablesnap.catalog.summary import Outline, details, summaries, timelines_below
from tablesnap.catalog.timeline import Timeline
from tablesnap.cli.console.exit_codes import EXIT_FAULTY, EXIT_OK
from tablesnap.cli.console.meaning import directory_meant, nothing_found
from tablesnap.cli.line.printable import printable
from tablesnap.cli.tablelist.as_json import as_of_fields, gap_fields, outline_fields, summary_fields
from tablesnap.cli.tablelist.as_of import AsOfTable, spell_moments, spell_schema
from tablesnap.cli.tablelist.flags import Options
from tablesnap.cli.tablelist.text import SummaryTable, point_lines
from tablesnap.errors import TablesnapError
from tablesnap.rules.keys import Keys
from tablesnap.store.opening import open_store
from tablesnap.store.port import Store

_COLUMNS = 80


def list_stored(options: Options, now: datetime) -> int:
    """Print what can be restored, and return the exit code."""
    store = open_store(options.address, options.store)
    names = nodes(store, options.prefix, options.separator) if options.node is None else [options.node]
    if options.report is not None:
        return _report(options, options.report, store, names, now)
    sound = found = 0
    taken: list[Outline] = []
    for place, keys in enumerate(_keys(options, names)):
        if place and not options.json:
            print()
        path = _below(options, store, keys)
        if path is None:
            continue
        lister = Lister(store, keys, options, path, now)
        for is_sound in lister.print() if options.at is None else lister.print_as_of(options.at, taken):
            found += 1
            sound += is_sound
    if not found:
        raise _nothing(options)
    if not options.json:
        if moments := spell_moments(taken):
            print(f"tablelist: {moments} UTC", file=sys.stderr)
        what = "not whole" if options.at is None else "without a restore point, or not with the newest of then"
        print(f"tablelist: {found} listed, {found - sound} of them {what}", file=sys.stderr)
    return EXIT_OK if sound == found else EXIT_FAULTY


def _report(options: Options, path: str, store: Store, names: Sequence[str], now: datetime) -> int:
    # Not loaded for every listing.
    from tablesnap.cli.tablelist.report.writing import write_report

    wanted = [(keys, below) for keys in _keys(options, names) if (below := _below(options, store, keys)) is not None]
    found = write_report(path, store, str(options.address), wanted, flags=options.where, now=now)
    if not found:
        raise _nothing(options)
    sound = sum(one.is_sound for one in found)
    print(f"tablelist: {len(found)} listed in {path}, {len(found) - sound} of them not whole", file=sys.stderr)
    return EXIT_OK if sound == len(found) else EXIT_FAULTY


def _keys(options: Options, names: Sequence[str]) -> Iterator[Keys]:
    return (Keys(options.prefix, name, options.separator) for name in names)


def _below(options: Options, store: Store, keys: Keys) -> str | None:
    """Return the directory of which is listed what was at and below it; None if the node has none that is meant."""
    return "/" if options.path is None else directory_meant(store, keys, options.path)


def _nothing(options: Options) -> TablesnapError:
    begin = f"{options.prefix}{options.node or 'NODE'}{options.separator}"
    return nothing_found(options.address, begin, options.path)


class Lister:
    """Prints what is stored of one node."""

    def __init__(self, store: Store, keys: Keys, options: Options, path: str, now: datetime) -> None:
        self._store = store
        self._keys = keys
        self._options = options
        self._path = path
        self._now = now
        self._width = shutil.get_terminal_size((_COLUMNS, 24)).columns

    def print(self) -> Iterator[bool]:
        """Print it, and yield of each table, or restore point, whether it is whole."""
        found = timelines_below(self._store, self._keys, self._path)
        exactly = [timeline for timeline in found if self._path in timeline.directories]
        for timeline in exactly:
            found.remove(timeline)
            yield from self._print_points(timeline)
        if found:
            yield from self._print_summaries(found)

    def print_as_of(self, moment: datetime, taken: list[Outline]) -> Iterator[bool]:
        """Print what a restore takes as of *moment*, add it to *taken*, and yield of each table whether that is it."""
        # Snapshots and backups are left out unless PATH is one of them, as a restore leaves them out.
        found = timelines_at(self._store, self._keys, self._path, recursive=True)
        found.sort(key=lambda timeline: (timeline.name.startswith("/"), timeline.name))
        table = AsOfTable([timeline.name for timeline in found], self._width)
        if found and not self._options.json:
            print(printable(self._keys.node))
            print(table.head())
        schema = schema_as_of(self._store, found, moment)
        for one in as_of(self._store, self._keys, found, moment, schema):
            if self._options.json:
                print(json.dumps(as_of_fields(one, moment)))
            else:
                for line in table.lines(one):
                    print(line)
            if one.taken is not None:
                taken.append(one.taken)
            yield one.is_sound
        if schema is not None and not self._options.json:
            print(f"tablelist: {spell_schema(schema)}", file=sys.stderr)

    def _print_points(self, timeline: Timeline) -> Iterator[bool]:
        [detail] = details(self._store, self._keys, [timeline])
        points, missed = detail.points, detail.gaps(self._now)
        if self._options.json:
            for point in points:
                print(json.dumps({"node": self._keys.node, "name": timeline.name} | outline_fields(point)))
            for gap in missed:
                print(json.dumps({"node": self._keys.node, "name": timeline.name, "gap": gap_fields(gap)}))
        else:
            print(printable(f"{self._keys.node}  {', '.join(sorted(timeline.directories))}"))
            for line in point_lines(points, missed, self._width):
                print(line)
        yield from (point.is_sound for point in points)

    def _print_summaries(self, found: list[Timeline]) -> Iterator[bool]:
        table = SummaryTable([timeline.name for timeline in found], self._width, self._now)
        if not self._options.json:
            print(printable(self._keys.node))
            print(table.head())
        for summary in summaries(self._store, self._keys, found):
            if self._options.json:
                print(json.dumps(summary_fields(summary)))
            else:
                for line in table.lines(summary):
                    print(line)
            yield summary.is_sound
