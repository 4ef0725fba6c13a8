"""A node at work: tables under every strategy come, change and go, and what was written to them is remembered."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cassandra.journal import COLUMNS, KEY, Journal, Moment, now
from tests.cassandra.node import Node
from tests.cassandra.restore import Table
from tests.cassandra.test_compaction import STRATEGIES
from tests.cassandra.workload import Workload

KEYSPACE = "soak"
FEWEST, MOST = 3, 7  # tables that are there at a time
REMEMBERED = 60  # moments of a table: each has all its rows


def say(what: str) -> None:
    """Print a step that is taken: a run of hours has to say where it is."""
    print(f"{now():%H:%M:%S} {what}", flush=True)  # noqa: T201 - shown by make soak, and with a failure


@dataclass
class Grown:
    """A table, what was written to it, and where it is on the disk."""

    journal: Journal
    workload: Workload
    directories: Sequence[Path]
    is_dropped: bool = False

    @property
    def name(self) -> str:
        """What its directory is called, which no other table's ever is."""
        return self.directories[0].name

    def forget(self) -> None:
        """Keep the last moments alone, so that memory does not grow with the time."""
        del self.journal.moments[:-REMEMBERED]


class AtWork:
    """Does to a node what is drawn. All tables are flushed only where their journals know of it."""

    def __init__(self, node: Node, pick: random.Random) -> None:
        self._node = node
        self._pick = pick
        self._number = 0  # of names that must be new
        self.tables: list[Grown] = []
        for _ in range(FEWEST):
            self._create()

    @property
    def data(self) -> list[Path]:
        """The data directories of the node."""
        return self._node.data

    @property
    def steps(self) -> Mapping[Callable[[], None], int]:
        """Return what can be done to the node now, and how often one comes for one of the others."""
        return {
            self._write: 40,
            self._write_without_a_flush: 8,
            self._compact: 6,
            self._truncate: 2,
            self._alter: 4,
            self._create: 3 if len(self.living) < MOST else 0,
            self._drop: 2 if len(self.living) > FEWEST else 0,
            self._snapshot: 1,
        }

    def come_to_rest(self) -> dict[str, Moment]:
        """Have everything flushed and nothing under way; return the moments of the tables' last flushes."""
        self._node.nodetool("disableautocompaction", KEYSPACE)
        for table in self.living:
            table.workload.batch()  # or there may be nothing to flush, and no new restore point to wait for
        flushed = {table.name: table.journal.flush() for table in self.living}
        for table in self.living:
            table.journal.await_rest()
        return flushed

    @property
    def living(self) -> list[Grown]:
        """Return the tables that are there."""
        return [one for one in self.tables if not one.is_dropped]

    def _some(self, what: str) -> Grown:
        table = self._pick.choice(self.living)
        say(f"{what} {table.journal.table.full_name}")
        return table

    def _write(self) -> None:
        table = self._some("write and flush")
        for _ in range(self._pick.randint(1, 3)):
            table.workload.batch()
        table.journal.flush()
        table.forget()

    def _write_without_a_flush(self) -> None:
        self._some("write").workload.batch()

    def _compact(self) -> None:
        self._node.nodetool("compact", KEYSPACE, self._some("compact").journal.table.name)

    def _truncate(self) -> None:
        self._some("truncate").journal.truncate()

    def _alter(self) -> None:
        table = self._some("alter")
        table.journal.flush()  # a change may flush, which would be a moment that nobody knows
        change = self._pick.choice((
            f"WITH compaction = {self._pick.choice(list(STRATEGIES.values()))}",
            f"ADD extra{self._new_number()} int",
            "WITH compression = {'class': 'ZstdCompressor'}",
        ))  # fmt: skip
        self._node.execute(f"ALTER TABLE {table.journal.table.full_name} {change}")

    def _create(self) -> None:
        dropped = {one.journal.table.name for one in self.tables} - {one.journal.table.name for one in self.living}
        fresh = f"t{len(self.tables)}"
        name = self._pick.choice((fresh, *sorted(dropped)))
        strategy = list(STRATEGIES)[len(self.tables) % len(STRATEGIES)]
        table = Table(KEYSPACE, name, COLUMNS, KEY)
        has_index = len(self.tables) == 0 or self._pick.random() < 0.3
        say(f"create {table.full_name}, {strategy}{', with an index' if has_index else ''}")
        table.create(self._node, f"gc_grace_seconds = 0 AND compaction = {STRATEGIES[strategy]}")
        if has_index:
            self._node.execute(f"CREATE INDEX ON {table.full_name} (v)")
        journal = Journal(self._node, table)
        grown = Grown(
            journal, Workload(journal, self._pick.randrange(2**32)), self._node.table_directories(KEYSPACE, name)
        )
        self.tables.append(grown)
        grown.workload.fill()
        journal.flush()

    def _drop(self) -> None:
        table = self._some("drop")
        table.journal.flush()
        dropped = now()
        self._node.execute(f"DROP TABLE {table.journal.table.full_name}")
        table.journal.moments.append(Moment(dropped, now(), {}))
        table.is_dropped = True

    def _snapshot(self) -> None:
        say("snapshot")
        # Without a flush, of which the journals would not know.
        self._node.nodetool("snapshot", "-sf", "-t", f"s{self._new_number()}", KEYSPACE)

    def _new_number(self) -> int:
        self._number += 1
        return self._number
