"""What is left for the operator to do after a restore; docs/guide/restore.md says why, and has it in full."""

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tablesnap.restore.plan import Plan
from tablesnap.restore.request import Request
from tablesnap.rules.place import SYSTEM_KEYSPACES

_TABLE = re.compile(r"(?P<name>\w+)-(?P<id>[0-9a-f]{32})", re.ASCII)
_WHOLE_NODE = frozenset({"system", "system_schema"})
# Of a node, or of what all nodes agree on: what another node, or another time, had of these does harm on one that runs.
_SHOWN = 5  # tables, before the rest is counted
_LONGEST_NAME = 48  # that Cassandra takes for a table
_BESIDE = "_restored"
_PLAIN = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
# Words that CQL takes for a name only in quotes. Source: ``o.a.c.cql3.ReservedKeywords``.
_RESERVED = re.compile(
    "add|allow|alter|and|apply|asc|authorize|batch|begin|between|by|columnfamily|create|default|"
    "delete|desc|describe|drop|entries|execute|from|full|grant|if|in|index|inet|infinity|insert|"
    "into|is|keyspace|limit|materialized|mbean|mbeans|modify|nan|norecursive|not|null|of|on|or|"
    "order|password|primary|rename|replace|revoke|schema|select|set|table|to|token|truncate|"
    "unlogged|unset|update|use|using|view|where|with"
)


@dataclass(frozen=True)
class _Table:
    """A table of which something is restored."""

    keyspace: str
    name: str
    directory: str  # that has its files
    lagging: Sequence[str] = ()  # secondary indexes that may lack entries

    @property
    def cql(self) -> str:
        """Its name as CQL takes it."""
        return f"{_identifier(self.keyspace)}.{_identifier(self.name)}"

    @property
    def importable(self) -> str:
        """Where its directory must be for ``nodetool import`` to take anything from it: it may be there already.

        Source: ``o.a.c.db.Directories.SSTableLister``, which goes by the names of the directory and the one above it.
        """
        above, name = os.path.split(self.directory)
        if name.partition("-")[0] == self.name and os.path.basename(above) == self.keyspace:
            return self.directory
        return os.path.join(above, self.keyspace, self.name)

    @property
    def beside(self) -> "_Table":
        """A table with the same columns, to hold what is restored beside what the table has now."""
        name = f"{self.name[: _LONGEST_NAME - len(_BESIDE)]}{_BESIDE}"
        return _Table(self.keyspace, name, os.path.join(os.path.dirname(self.importable), name))


def next_steps(plan: Plan, request: Request) -> Iterator[str]:
    """Yield what to do, a line each; nothing where no table was restored."""
    if emptied := list(_emptied(plan)):
        more = f" and {len(emptied) - _SHOWN} more" if len(emptied) > _SHOWN else ""
        yield f"restored EMPTY: {', '.join(emptied[:_SHOWN])}{more}; the plan says what is not, and how to take it"
    tables = _tables_of(plan, request)
    if not tables:
        return
    yield "next, as docs/guide/restore.md has it:"
    users = [table for table in tables if table.keyspace not in SYSTEM_KEYSPACES]
    is_node = {table.keyspace for table in tables} >= _WHOLE_NODE
    if is_node:
        yield "* A whole node: it starts on what was restored, with its tokens, host id and schema of then."
        yield "  Make TARGET its data directory, with commit log, hints and saved caches empty, and start it."
        yield "  Never let two nodes run that have the same system tables."
    else:
        if len(users) < len(tables):
            yield "* Never import a system keyspace into a node that runs. To have the schema, start a scratch node on"
            yield "  system_schema; the others are of use with all of a node alone."
        if users:
            yield from _import_steps(users)
    for directory in _segments_of(plan, request.commitlogs):
        yield from _replay_steps(directory if is_node else _after_moving(directory, users[:_SHOWN]))
    yield from _rebuild_steps(tables)
    yield "* nodetool repair, where other nodes have replicas."


def _import_steps(tables: Sequence[_Table]) -> Iterator[str]:
    """Yield how *tables* come into a node that runs. What an import cannot do comes before its command."""
    yield "* First of all: WHAT WAS DELETED STAYS DELETED if you only import, and what was overwritten stays so. Both"
    yield "  are newer than what you restore, and Cassandra keeps the newer. For such rows take a. or b. below."
    yield from _comparing(tables[0])
    yield from _beside(tables[0])
    yield "* b. The whole table as it was, without what was written since: restore what every node had of it. Then"
    yield "  TRUNCATE it once, WHICH EMPTIES IT IN THE WHOLE CLUSTER, and import on every node, as below:"
    yield f"    cqlsh -e {_quoted(f'TRUNCATE {tables[0].cql}')}"
    yield "* Import, on a running node (4.0 or later); the user it runs as must be able to write there. The id in the"
    yield "  directory's name may be another than the table has; in a data directory it wants --table-dir OLD=NEW."
    for table in tables[:_SHOWN]:
        if table != tables[0]:
            yield from _moving(table)
        yield f"    nodetool import --copy-data {table.keyspace} {table.name} {shlex.quote(table.importable)}"
    if len(tables) > _SHOWN:
        yield f"    and so on, for {len(tables) - _SHOWN} more"
    yield "  or, where TARGET is in the data directory of a node that is stopped: start it."


def _comparing(table: _Table) -> Iterator[str]:
    """Yield how to see whether *table* has the columns of then: Cassandra does not look."""
    yield "* The table must be there, with the columns of then. Where it is gone, the guide has how to get its schema."
    yield f"  Compare, here for {table.keyspace}.{table.name}:"
    yield from _moving(table)
    data = f"{shlex.quote(table.importable)}/*-Data.db"
    yield f"    sstablemetadata {data} | grep -E 'KeyType|ClusteringTypes|Columns:' | sort -u"
    yield f"    cqlsh -e {_quoted(f'DESCRIBE TABLE {table.cql}')}"
    yield "  STOP where a column is of another type now: an import would succeed, and show wrong bytes. For that, and"
    yield '  for a column that was dropped, the guide has "What has changed meanwhile".'


def _beside(table: _Table) -> Iterator[str]:
    """Yield how to bring what is restored beside what *table* has now."""
    beside = table.beside
    create = f"/^CREATE TABLE/,/;$/{{s/^CREATE TABLE [^ ]* /CREATE TABLE {beside.cql} /;p}}"
    file, rows = shlex.quote(f"{beside.directory}.cql"), "'{}.csv'".format(beside.directory.replace("'", "''"))
    yield "* a. Rows that were deleted: put them into a table beside it, on every node, and copy those that you want:"
    yield f"    cp -rl {shlex.quote(table.importable)} {shlex.quote(beside.directory)}"
    yield f"    cqlsh -e {_quoted(f'DESCRIBE TABLE {table.cql}')} | sed -n {shlex.quote(create)} > {file}"
    yield f"    cqlsh -f {file}"
    yield f"    nodetool import --copy-data {beside.keyspace} {beside.name} {shlex.quote(beside.directory)}"
    yield f"    cqlsh -e {_quoted(f'COPY {beside.cql} TO {rows}')}"
    yield "  Take out of that file the rows that you do not want: the next line writes all of it anew."
    yield f"    cqlsh -e {_quoted(f'COPY {table.cql} FROM {rows}')}"


def _identifier(name: str) -> str:
    return name if _PLAIN.fullmatch(name) and not _RESERVED.fullmatch(name) else f'"{name}"'


def _quoted(statement: str) -> str:
    """Quote a word for the shell, so that single quotes in it can still be read."""
    return shlex.quote(statement) if re.search(r'["$`\\!]', statement) else f'"{statement}"'


def _moving(table: _Table) -> Iterator[str]:
    """Yield what puts the directory of *table* where an import takes it."""
    if table.importable != table.directory:
        yield f"    mkdir -p {shlex.quote(os.path.dirname(table.importable))}"
        yield f"    mv {shlex.quote(table.directory)} {shlex.quote(table.importable)}"


def _after_moving(directory: str, tables: Sequence[_Table]) -> str:
    """Return where *directory* is once the directories of the *tables* are where an import takes them."""
    for table in tables:
        if directory.startswith(f"{table.directory}/"):
            return table.importable + directory.removeprefix(table.directory)
    return directory


def _replay_steps(directory: str) -> Iterator[str]:
    yield f"* Then replay {directory}: restore_directories in commitlog_archiving.properties, and start."
    yield "  Take the line out as soon as the node is up, or each start replays it all. restore_point_in_time has two"
    yield "  dangers besides: left in the file it LOSES EVERY LATER WRITE AT THE NEXT CRASH, as Cassandra goes by it"
    yield "  for its own commit log too; and rows that were deleted after that moment are deleted all the same."


def _rebuild_steps(tables: Sequence[_Table]) -> Iterator[str]:
    """Yield how to rebuild all indexes that may lack entries: nobody else finds out which rows these do not show."""
    lagging = [(table, index) for table in tables for index in table.lagging]
    if lagging:
        yield "* Secondary indexes that may lack entries: a query by one does not find all rows. An import builds"
        yield "  them; on a node that starts on what was restored, rebuild them:"
    for table, index in lagging:
        yield f"    nodetool rebuild_index {table.keyspace} {table.name} {index}"


def _segments_of(plan: Plan, commitlogs: str) -> Iterable[str]:
    """Return the directories that have the segments archived from *commitlogs*, those that were there already too."""
    files = [file for choice in plan.choices if choice.timeline.name == commitlogs for file in choice.files]
    keys, names = {file.key for file in files}, {file.name for file in files}
    brought = {os.path.dirname(fetch.target) for group in plan.groups for fetch in group if fetch.key in keys}
    return sorted(brought | {os.path.dirname(path) for path in plan.there if os.path.basename(path) in names})


def _emptied(plan: Plan) -> Iterator[str]:
    """Yield the name of each table of the user's that holds nothing now, and held something before."""
    for choice in plan.choices:
        keyspace, _, table = choice.timeline.name.rpartition("/")
        if choice.is_emptied and keyspace not in SYSTEM_KEYSPACES:
            match = _TABLE.fullmatch(table)
            yield f"{keyspace}.{match['name']}" if match else choice.timeline.name


def _tables_of(plan: Plan, request: Request) -> Sequence[_Table]:
    """Return each table of which something is restored."""
    found: list[_Table] = []
    for choice in plan.choices:
        keyspace, _, directory = choice.timeline.name.rpartition("/")
        match = _TABLE.fullmatch(directory)
        if match is None or choice.timeline.name.startswith("/") or not choice.files:
            continue
        name = request.table_dirs.get(directory, directory)
        ends = (f"/{keyspace}/{name}", f"/{name}")
        places = [target for end in ends for target in plan.directories if target.endswith(end)]
        # Without -r TARGET itself has the files, whatever it is called.
        place = places[0] if places and request.recursive else request.target
        found.append(_Table(keyspace, match["name"], place, choice.lagging.indexes))
    return found
