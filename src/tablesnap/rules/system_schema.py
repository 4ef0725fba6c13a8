"""The keyspace ``system_schema``, which holds the schema of a node: its tables must be of one moment.

Cassandra does not start on a table that has no columns. With each change of the schema it flushes these tables one
after another, always in the same order. Source: ``o.a.c.schema.SchemaKeyspaceTables.ALL`` of 5.0.6, CASSANDRA-12213.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter

KEYSPACE = "system_schema"
# Cassandra's own keyspaces are in them, so they are never empty on a node that runs.
_NEVER_EMPTY = ("keyspaces", "tables", "columns")
_ORDER = (
    "column_masks",
    "columns",
    "dropped_columns",
    "triggers",
    "types",
    "functions",
    "aggregates",
    "indexes",
    "tables",
    "views",
    "keyspaces",
)


def is_schema(table: str) -> bool:
    """Say whether *table*, ``<keyspace>/<table>-<id>``, is one of system_schema."""
    return table.startswith(f"{KEYSPACE}/")


def may_be_empty(table: str) -> bool:
    """Say whether a *table* of system_schema may have been empty before its first restore point."""
    return _base_name(table) not in _NEVER_EMPTY


def ends_of_changes(commits: Iterable[tuple[datetime, str]]) -> list[datetime]:
    """Return the moments after which a change of the schema was over, the earliest first.

    *commits* are the moments of the flushes, each with its table. Changes come one after another, and each flushes
    tables in their order, none twice. So one is over where the next flush is not of a table that comes later in the
    order, and after a flush of the last one. Nothing is said of commits at one moment, or of tables that are not known.
    """
    ends: list[datetime] = []
    before: tuple[datetime, int | None] | None = None
    for moment, found in groupby(sorted(commits), key=itemgetter(0)):
        place = _place([table for _, table in found])
        if before is not None and place is not None and before[1] is not None and place <= before[1]:
            ends.append(before[0])
        before = moment, place
    if before is not None and before[1] == len(_ORDER) - 1:
        ends.append(before[0])
    return ends


def _place(tables: Sequence[str]) -> int | None:
    """Return where the one table that was flushed stands in the order."""
    name = _base_name(tables[0])
    return _ORDER.index(name) if len(tables) == 1 and name in _ORDER else None


def _base_name(table: str) -> str:
    return table.rpartition("/")[2].partition("-")[0]
