"""What a test wrote, and so which rows a restore point of any moment has to hold: cell by cell, as Cassandra merges."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cassandra.cluster import ResponseFuture
from cassandra.query import PreparedStatement
from tests.cassandra.node import Node
from tests.cassandra.restore import Rows, Table
from tests.daemon.harness import wait_until

COLUMNS = "p int, c int, v text, w text, PRIMARY KEY (p, c)"
KEY = ("p", "c")
FOREVER = float("inf")
SHORT_SECONDS = 60  # a time to live below this has ended when a test reads back, one above has not


@dataclass(frozen=True)
class Cell:
    """A value, and until when it lives."""

    value: str
    until: float = FOREVER


@dataclass
class Row:
    """What is known of one primary key. A row is there while its marker or any of its cells lives."""

    marker: float = 0.0  # until when; an INSERT sets it, an UPDATE does not
    cells: dict[str, Cell] = field(default_factory=dict)

    def seen(self, now: float) -> tuple[str | None, ...] | None:
        """Return the columns v and w as a reader sees them, None if it sees no row."""
        live = {name: cell.value for name, cell in self.cells.items() if cell.until > now}
        return (live.get("v"), live.get("w")) if live or self.marker > now else None


State = dict[tuple[int, int], Row]


@dataclass(frozen=True)
class Moment:
    """A change of what is on disk: when it began at the earliest, was over at the latest, and what it left."""

    before: datetime
    after: datetime
    state: State


class Journal:
    """Writes to a table with `COLUMNS`, and remembers what it wrote and what of it is on disk since when."""

    def __init__(self, node: Node, table: Table, epoch: datetime | None = None) -> None:
        self.table = table
        self.moments = [Moment(epoch or now(), epoch or now(), {})]
        self._node = node
        self._state: State = {}
        self._clock = 0
        self._sent: list[ResponseFuture] = []
        self._statements: dict[str, PreparedStatement] = {}
        self._settled = 0.0

    # Writing

    def insert(self, p: int, c: int, v: str, w: str, ttl: int = 0) -> None:
        """Write a whole row."""
        until = self._until(ttl)
        self._send("INSERT INTO {} (p, c, v, w) VALUES (?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?", p, c, v, w, ttl, ...)
        self._state[p, c] = Row(until, {"v": Cell(v, until), "w": Cell(w, until)})

    def update(self, p: int, c: int, column: str, value: str, ttl: int = 0) -> None:
        """Write one cell of a row that may be there or not."""
        self._send(f"UPDATE {{}} USING TTL ? AND TIMESTAMP ? SET {column} = ? WHERE p = ? AND c = ?",
                   ttl, ..., value, p, c)  # fmt: skip
        old = self._state.get((p, c), Row())
        self._state[p, c] = Row(old.marker, old.cells | {column: Cell(value, self._until(ttl))})

    def delete_cell(self, p: int, c: int, column: str) -> None:
        """Delete one cell."""
        self._send(f"DELETE {column} FROM {{}} USING TIMESTAMP ? WHERE p = ? AND c = ?", ..., p, c)
        if old := self._state.get((p, c)):
            self._state[p, c] = Row(old.marker, {name: cell for name, cell in old.cells.items() if name != column})

    def delete_row(self, p: int, c: int) -> None:
        """Delete one row."""
        self._send("DELETE FROM {} USING TIMESTAMP ? WHERE p = ? AND c = ?", ..., p, c)
        self._state.pop((p, c), None)

    def delete_range(self, p: int, start: int, end: int) -> None:
        """Delete the rows of a partition from *start* on and before *end*."""
        self._send("DELETE FROM {} USING TIMESTAMP ? WHERE p = ? AND c >= ? AND c < ?", ..., p, start, end)
        self._state = {key: row for key, row in self._state.items() if key[0] != p or not start <= key[1] < end}

    def delete_partition(self, p: int) -> None:
        """Delete a partition."""
        self._send("DELETE FROM {} USING TIMESTAMP ? WHERE p = ?", ..., p)
        self._state = {key: row for key, row in self._state.items() if key[0] != p}

    def _send(self, statement: str, *values: object) -> None:
        if statement not in self._statements:
            self._statements[statement] = self._node.session.prepare(statement.format(self.table.full_name))
        # Our own timestamps, each later than the one before, so that it does not matter which statement arrives first.
        self._clock = max(self._clock + 1, time.time_ns() // 1000)
        bound = [self._clock if value is ... else value for value in values]
        self._sent.append(self._node.session.execute_async(self._statements[statement], bound))
        if len(self._sent) >= 256:
            self.wait()

    def _until(self, ttl: int) -> float:
        if not ttl:
            return FOREVER
        until = time.time() + ttl
        if ttl < SHORT_SECONDS:
            self._settled = max(self._settled, until)
        return until

    def wait(self) -> None:
        """Return once Cassandra has taken all writes."""
        for future in self._sent:
            future.result()
        self._sent.clear()

    # What is on disk

    def flush(self) -> Moment:
        """Have all that was written until now put on disk."""
        self.wait()
        before = now()
        self._node.nodetool("flush", self.table.keyspace, self.table.name)
        return self._remember(before)

    def truncate(self) -> Moment:
        """Take all rows away."""
        self.flush()  # TRUNCATE begins with a flush, which would be a moment of its own
        before = now()
        self._node.execute(f"TRUNCATE {self.table.full_name}")
        self._state = {}
        return self._remember(before)

    def adopt(self, other: "Journal", bring: Callable[[], object]) -> Moment:
        """Have *bring* put the rows of *other* that are on disk, and have other keys, into this table as well."""
        before = now()
        bring()
        self._state |= other.moments[-1].state
        return self._remember(before)

    def await_rest(self) -> None:
        """Return when no transaction of the table is under way."""
        directories = self._node.table_directories(self.table.keyspace, self.table.name)
        wait_until(lambda: not any(list(one.glob("*_txn_*.log")) for one in directories), "the end of compaction")

    def _remember(self, before: datetime) -> Moment:
        # Rows are replaced and never changed, so a copy of the dictionary is enough.
        self.moments.append(Moment(before, now(), dict(self._state)))
        return self.moments[-1]

    # What has to be restored

    def states_at(self, moment: datetime) -> Iterator[State]:
        """Yield what may have been on disk at *moment*: one state, or two while one follows on the other."""
        for one, following in zip(self.moments, [*self.moments[1:], None], strict=True):
            if one.before <= moment and (following is None or moment <= following.after):
                yield one.state

    def rows(self, state: State) -> Rows:
        """Return the rows that a reader finds in *state*, who comes when every short time to live has ended."""
        late = time.time() + SHORT_SECONDS
        seen = {key: row.seen(late) for key, row in state.items()}
        return {key: columns for key, columns in seen.items() if columns is not None}

    def await_expiry(self) -> None:
        """Return when everything that was written with a short time to live has expired."""
        # Cassandra counts whole seconds; nothing tells when one has passed but the clock.
        time.sleep(max(0.0, self._settled + 2 - time.time()))

    def complaint(self, moment: datetime, found: Rows) -> str:
        """Return what is wrong with the rows *found* in a restore point of *moment*; nothing if they are right."""
        wanted = [self.rows(state) for state in self.states_at(moment)]
        if found in wanted:
            return ""
        nearest = min(wanted, key=lambda rows: len(rows.items() ^ found.items()), default={})
        lost, back = nearest.items() - found.items(), found.items() - nearest.items()
        fits = [number for number, one in enumerate(self.moments) if self.rows(one.state) == found]
        return (
            f"at {moment}: lost {_some(lost)}, back from the dead {_some(back)}; "
            f"{f'it reads as after flush {fits}' if fits else 'no moment read so'}"
        )


def _some(rows: object) -> str:
    assert isinstance(rows, set)
    keys = sorted(key for key, _ in rows)
    return f"{len(keys)} rows {keys[:5]}"


def now() -> datetime:
    """Return this moment."""
    return datetime.now(UTC)
