"""What is left for the operator to do after a restore; docs/guide/restore.md says why, and has it in full."""

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence

from tablesnap.restore.plan import Plan
from tablesnap.restore.request import Request

_TABLE = re.compile(r"(?P<name>\w+)-(?P<id>[0-9a-f]{32})", re.ASCII)
_SYSTEM = ("system", "system_schema")
_SHOWN = 5  # tables, before the rest is counted


def next_steps(plan: Plan, request: Request) -> Iterator[str]:
    """Yield what to do, a line each; nothing where no table was restored."""
    tables = _tables_of(plan, request)
    if not tables:
        return
    yield "next, as docs/guide/restore.md has it:"
    keyspaces = {keyspace for keyspace, _, _ in tables}
    if keyspaces >= set(_SYSTEM):
        yield "* A whole node: it starts on what was restored, with its tokens, host id and schema of then."
        yield "  Make TARGET its data directory, with commit log, hints and saved caches empty, and start it."
        yield "  Never let two nodes run that have the same system tables."
    else:
        yield "* The table must be there, as it was then; see the guide for its schema. Its id is in the directory's"
        yield "  name: one with another id wants --table-dir OLD=NEW, or nodetool import, which does not mind."
        yield "* On a running node (4.0 or later); the user it runs as must be able to write there:"
        for keyspace, table, directory in tables[:_SHOWN]:
            place = _importable(directory, keyspace, table)
            if place != directory:
                yield f"    mkdir -p {shlex.quote(os.path.dirname(place))}"
                yield f"    mv {shlex.quote(directory)} {shlex.quote(place)}"
            yield f"    nodetool import --copy-data {keyspace} {table} {shlex.quote(place)}"
        if len(tables) > _SHOWN:
            yield f"    and so on, for {len(tables) - _SHOWN} more"
        yield "  or, where TARGET is in the data directory of a node that is stopped: start it."
    for directory in _segments_of(plan, request.commitlogs):
        yield f"* Then replay {directory}: restore_directories in commitlog_archiving.properties, and start."
    yield "* nodetool repair, where other nodes have replicas."


def _importable(directory: str, keyspace: str, table: str) -> str:
    """Return where *directory* must be for ``nodetool import`` to take anything from it: it may be there already.

    Source: ``o.a.c.db.Directories.SSTableLister``, which goes by the names of the directory and the one above it.
    """
    above, name = os.path.split(directory)
    if name.partition("-")[0] == table and os.path.basename(above) == keyspace:
        return directory
    return os.path.join(above, keyspace, table)


def _segments_of(plan: Plan, commitlogs: str) -> Iterable[str]:
    """Return the directories that have the segments archived from *commitlogs*, those that were there already too."""
    files = [file for choice in plan.choices if choice.timeline.name == commitlogs for file in choice.files]
    keys, names = {file.key for file in files}, {file.name for file in files}
    brought = {os.path.dirname(fetch.target) for group in plan.groups for fetch in group if fetch.key in keys}
    return sorted(brought | {os.path.dirname(path) for path in plan.there if os.path.basename(path) in names})


def _tables_of(plan: Plan, request: Request) -> Sequence[tuple[str, str, str]]:
    """Return keyspace and name of each table of which something is restored, and the directory."""
    found: list[tuple[str, str, str]] = []
    for choice in plan.choices:
        keyspace, _, directory = choice.timeline.name.rpartition("/")
        match = _TABLE.fullmatch(directory)
        if match is None or choice.timeline.name.startswith("/") or not choice.files:
            continue
        name = request.table_dirs.get(directory, directory)
        ends = (f"/{keyspace}/{name}", f"/{name}")
        places = [target for end in ends for target in plan.directories if target.endswith(end)]
        # Without -r TARGET itself has the files, whatever it is called.
        found.append((keyspace, match["name"], places[0] if places and request.recursive else request.target))
    return found
