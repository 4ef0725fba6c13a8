"""Write a page of what can be restored, whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TextIO

from tablesnap.catalog.summary import Summary, details, timelines_below
from tablesnap.catalog.timeline import Timeline
from tablesnap.cli.tablelist.report.command import Source
from tablesnap.cli.tablelist.report.filter import Filter
from tablesnap.cli.tablelist.report.markup import Markup, element, name, together
from tablesnap.cli.tablelist.report.page import fold, overview, page_begins, page_ends, section
from tablesnap.cli.tablelist.report.timeline import Axis
from tablesnap.cli.tablelist.report.title import title_of
from tablesnap.errors import TablesnapError
from tablesnap.rules.keys import Keys
from tablesnap.store.port import Store


class CannotWriteReport(TablesnapError):
    """The page cannot be written where it was asked for."""


def write_report(
    path: str, store: Store, address: str, wanted: Iterable[tuple[Keys, str]], *, flags: Sequence[str], now: datetime
) -> list[Summary]:
    """Write to *path* what is *wanted*, of each node what is stored at and below a directory; return what it was.

    *flags* are those by which a command finds the same in the bucket at *address*.

    A page that is there already is replaced by a whole one; by none where nothing is found. Memory does not grow with
    the page.
    """
    sections = _Sections(store, address, flags, now)
    with _new_file(path) as page, _spool(path) as spool:
        for keys, below in wanted:
            sections.write(spool, keys, timelines_below(store, keys, below))
        if sections.summaries:
            page.write(page_begins(address, now))
            page.write(overview(sections.summaries, sections.shown))
            spool.seek(0)
            shutil.copyfileobj(spool, page)
            page.write(page_ends())
            page.close()
            os.replace(page.name, path)
    return sections.summaries


class _Sections:
    """Writes what the page says of each table, and remembers what its overview is to say."""

    def __init__(self, store: Store, address: str, flags: Sequence[str], now: datetime) -> None:
        self.summaries: list[Summary] = []
        self.shown = Filter()
        self._store = store
        self._address = address
        self._flags = tuple(flags)
        self._now = now

    def write(self, spool: TextIO, keys: Keys, found: Sequence[Timeline]) -> None:
        """Write what was *found* of one node, Cassandra's own tables at the end and folded away."""
        if not found:
            return
        spool.write(element("h2", name(keys.node)))
        axis = _axis(found, self._now)
        system = [timeline for timeline in found if title_of(timeline.name).is_system]
        spool.writelines(self._each(keys, [timeline for timeline in found if timeline not in system], axis))
        if system:
            first = len(self.summaries)
            what = together(self._each(keys, system, axis))  # which are few, and none has many lines
            spool.write(fold(self.summaries[first:], what, self.shown))

    def _each(self, keys: Keys, found: list[Timeline], axis: Axis) -> Iterator[Markup]:
        source = Source(self._address, keys.node, self._flags)
        for detail in details(self._store, keys, found):
            yield section(detail, len(self.summaries), axis, self._now, source, self.shown)
            self.summaries.append(detail.summary)


def _axis(found: Iterable[Timeline], now: datetime) -> Axis:
    parts = (part for timeline in found for part in timeline.directories.values())
    return Axis.over((one.modified for part in parts for one in part.indexes), now)


@contextmanager
def _new_file(path: str) -> Iterator[TextIO]:
    """Open a file beside *path*, which is gone in the end unless it was renamed."""
    beside = f"{path}.{os.getpid()}.tmp"
    try:
        try:
            with open(beside, "x", encoding="utf-8") as file:
                yield file
        finally:
            with suppress(FileNotFoundError):
                os.unlink(beside)
    except OSError as error:
        raise CannotWriteReport(f"{path} cannot be written ({error.strerror or error}); try another FILE") from error


@contextmanager
def _spool(path: str) -> Iterator[TextIO]:
    with tempfile.TemporaryFile("w+", encoding="utf-8", dir=os.path.dirname(os.path.abspath(path))) as file:
        yield file
