"""Write a page of what can be restored, whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TextIO

from tablesnap.catalog.summary import Summary, details, timelines_below
from tablesnap.catalog.timeline import Timeline
from tablesnap.cli.markup import element, name
from tablesnap.cli.report_page import overview, page_begins, page_ends, section
from tablesnap.cli.report_timeline import Axis
from tablesnap.errors import TablesnapError
from tablesnap.rules.keys import Keys
from tablesnap.store.port import Store


class CannotWriteReport(TablesnapError):
    """The page cannot be written where it was asked for."""


def write_report(
    path: str, store: Store, address: str, wanted: Iterable[tuple[Keys, str]], *, now: datetime
) -> list[Summary]:
    """Write to *path* what is *wanted*, of each node what is stored at and below a directory; return what it was.

    A page that is there already is replaced by a whole one; by none where nothing is found. Memory does not grow with
    the page.
    """
    summaries: list[Summary] = []
    with _new_file(path) as page, _spool(path) as sections:
        for keys, below in wanted:
            found = timelines_below(store, keys, below)
            if found:
                sections.write(element("h2", name(keys.node)))
            axis = _axis(found, now)
            for detail in details(store, keys, found):
                sections.write(section(detail, len(summaries), axis, now))
                summaries.append(detail.summary)
        if summaries:
            page.write(page_begins(address, now))
            page.write(overview(summaries))
            sections.seek(0)
            shutil.copyfileobj(sections, page)
            page.write(page_ends())
            page.close()
            os.replace(page.name, path)
    return summaries


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
