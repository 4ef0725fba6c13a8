"""How the types in some sstables differ from those in others: Cassandra compares none of them.

By an import it takes over what was written, and reads it as the table has its columns now: an int that became a text
shows as four bytes, without an error.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tablesnap.rules.column_types import reads, spell_types
from tablesnap.rules.sstable_header import Column, Header


@dataclass(frozen=True)
class Differing:
    """Something that has another type now."""

    what: str  # ``column city``
    then: str
    now: str


def merged(headers: Iterable[Header]) -> Header | None:
    """Return what several sstables of one table say together, the newest first: it is right where they differ.

    None without any. Each has only the columns that it has values of, so that only all of them have all.
    """
    together = list(headers)
    if not together:
        return None
    columns: dict[str, Column] = {}
    for one in reversed(together):
        columns |= one.columns
    return Header(together[0].key, together[0].clusterings, columns)


def differing(then: Header, now: Header) -> Iterator[Differing]:
    """Yield what was written as *then* says, and would be read as something else by a table as of *now*."""
    yield from _differing("the partition key", then.key, now.key, ordered=True)
    counts = len(then.clusterings), len(now.clusterings)
    if counts[0] != counts[1]:
        yield Differing("the number of clustering columns", *map(str, counts))
    else:
        for place, (old, new) in enumerate(zip(then.clusterings, now.clusterings, strict=True), start=1):
            yield from _differing(f"clustering column {place}", old, new, ordered=True)
    for name in sorted(then.columns.keys() & now.columns.keys()):
        before, after = then.columns[name], now.columns[name]
        if before.is_static == after.is_static:
            yield from _differing(f"column {name}", before.type, after.type, ordered=False)
        else:
            yield Differing(f"column {name}", *("static" if one.is_static else "not static" for one in (before, after)))


def _differing(what: str, then: str, now: str, *, ordered: bool) -> Iterator[Differing]:
    if not reads(now, then, ordered=ordered):
        spelt_now, spelt_then = spell_types(now, then)
        yield Differing(what, spelt_then, spelt_now)
