"""The keyspace ``system_schema``, which holds the schema of a node: its tables must be of one moment.

Cassandra does not start on a table that has no columns. With each change of the schema it flushes these tables one
after another: all others first, then ``tables``, ``views`` and ``keyspaces``. Source:
``o.a.c.schema.SchemaKeyspaceTables.ALL``, CASSANDRA-12213.
"""

KEYSPACE = "system_schema"
# Cassandra's own keyspaces are in them, so they are never empty on a node that runs.
_NEVER_EMPTY = ("keyspaces", "tables", "columns")


def is_schema(table: str) -> bool:
    """Say whether *table*, ``<keyspace>/<table>-<id>``, is one of system_schema."""
    return table.startswith(f"{KEYSPACE}/")


def may_be_empty(table: str) -> bool:
    """Say whether a *table* of system_schema may have been empty before its first restore point."""
    return _base_name(table) not in _NEVER_EMPTY


def _base_name(table: str) -> str:
    return table.rpartition("/")[2].partition("-")[0]
