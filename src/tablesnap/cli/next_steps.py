"""What is left for the operator to do after a restore; docs/guide/restore.md says why, and has it in full."""

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping

from tablesnap.restore.plan import Plan
from tablesnap.rules.place import place_of

_TABLE = re.compile(r"(?P<name>\w+)-(?P<id>[0-9a-f]{32})", re.ASCII)
_SYSTEM = ("system", "system_schema")
_SHOWN = 5  # tables, before the rest is counted


def next_steps(plan: Plan, commitlogs: Iterable[str] = ()) -> Iterator[str]:
    """Yield what to do, a line each; nothing where no table was restored."""
    tables = _tables_of(plan)
    if not tables:
        return
    yield "next, as docs/guide/restore.md has it:"
    keyspaces = {keyspace for keyspace, _ in tables}
    if keyspaces >= set(_SYSTEM):
        yield "* A whole node: it starts on what was restored, with its tokens, host id and schema of then."
        yield "  Make TARGET its data directory, with commit log, hints and saved caches empty, and start it."
        yield "  Never let two nodes run that have the same system tables."
    else:
        yield "* The table must be there, as it was then; see the guide for its schema. Its id is in the directory's"
        yield "  name: one with another id wants --table-dir OLD=NEW, or nodetool import, which does not mind."
        yield "* On a running node (4.0 or later), as the user Cassandra runs as:"
        for (keyspace, table), directory in list(tables.items())[:_SHOWN]:
            yield f"    nodetool import --copy-data {keyspace} {table} {shlex.quote(directory)}"
        if len(tables) > _SHOWN:
            yield f"    and so on, for {len(tables) - _SHOWN} more"
        yield "  or, where TARGET is in the data directory of a node that is stopped: start it."
    for directory in commitlogs:
        yield f"* Then replay {directory}: restore_directories in commitlog_archiving.properties, and start."
    yield "* nodetool repair, where other nodes have replicas."


def _tables_of(plan: Plan) -> Mapping[tuple[str, str], str]:
    """Return the directory each table was restored into, by keyspace and name as Cassandra has them there."""
    found: dict[tuple[str, str], str] = {}
    for choice in plan.choices:
        keyspace, _, directory = choice.timeline.name.rpartition("/")
        match = _TABLE.fullmatch(directory)
        if match is None or choice.timeline.name.startswith("/"):
            continue
        for target in plan.directories:
            own = target if not place_of(target).index else os.path.dirname(target)
            named = _TABLE.fullmatch(os.path.basename(own))
            # Without -r, TARGET itself has the files, whatever it is called.
            if (named and named["name"] == match["name"]) or len(plan.choices) == 1:
                found.setdefault((keyspace, match["name"]), own)
    return found
