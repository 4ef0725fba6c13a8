"""Record the traces that `tests/daemon/test_traces.py` replays, by short runs of a real Cassandra.

``python -m tests.cassandra.record_traces [SCENARIO...]`` writes them anew; all take four minutes.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from cassandra import ReadFailure
from cassandra.concurrent import execute_concurrent_with_args
from tests.cassandra.jars import version
from tests.cassandra.journal import COLUMNS, KEY, Journal
from tests.cassandra.node import DA, OA, STOCK, Configuration, Format, Node, running_node
from tests.cassandra.recorder import Recorder, recording
from tests.cassandra.restore import Table, create_keyspace
from tests.cassandra.test_compaction import STRATEGIES
from tests.cassandra.trace import TRACES, Trace, save
from tests.cassandra.workload import Workload
from tests.waiting import wait_until

KEYSPACE = "ks"
TABLE = Table(KEYSPACE, "t", COLUMNS, KEY)
ASLEEP = "gc_grace_seconds = 0 AND compaction = {'class': 'SizeTieredCompactionStrategy', 'enabled': false}"
BESIDE_A_VIEW = ASLEEP.replace("gc_grace_seconds = 0 AND ", "")


class Scene:
    """A node whose files are watched."""

    def __init__(self, node: Node, recorder: Recorder) -> None:
        self.node = node
        self.recorder = recorder

    def flush(self, *rows: tuple[int, int]) -> None:
        """Write rows to all that has the columns of `TABLE`, and flush."""
        for p, c in rows:
            self.node.execute("INSERT INTO ks.t (p, c, v, w) VALUES (%s, %s, %s, %s)", (p, c, f"v{p}", "w" * 50))
        self.node.nodetool("flush", KEYSPACE)

    def nodetool(self, *arguments: object) -> None:
        """Run a command of nodetool."""
        self.node.nodetool(*arguments)

    def settle(self) -> None:
        """Wait until no transaction is under way."""
        wait_until(
            lambda: not any(list(disk.glob(f"{KEYSPACE}/**/*_txn_*.log")) for disk in self.node.data),
            "the end of transactions",
        )

    def mark(self, name: str, *tables: str) -> None:
        """Note a moment at which nothing happens, and what is live of *tables* by Cassandra's own account."""
        while True:
            self.settle()
            before = self.recorder.events()
            live = [self.node.sstableutil(KEYSPACE, table) for table in tables or ("t",)]
            if before == self.recorder.events():
                self.recorder.mark(name, set().union(*live))
                return


@contextmanager
def scene(name: str, configuration: Configuration | None = None) -> Iterator[Scene]:
    """Run a node, and keep as *name* what happens in its keyspace until the end of the block."""
    configuration = configuration or Configuration()
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "node"
        disks = configuration.data(home)
        for disk in disks:
            disk.mkdir(parents=True)
        with recording(disks, {KEYSPACE}) as recorder, running_node(home, configuration) as node:
            yield Scene(node, recorder)
            steps = recorder.stop()
    path = TRACES / f"{name}.json.gz"
    save(Trace(name, version(), len(disks), steps), path)
    print(  # noqa: T201 # it is a program
        f"{name}: {len(steps)} steps, {steps[-1].at / 1000:.0f} s, {path.stat().st_size} bytes", flush=True
    )


def record_flushes() -> None:
    """Write, flush, write, flush."""
    with scene("flushes", Configuration(settings={"incremental_backups": True})) as it:
        TABLE.create(it.node)
        for number in range(4):
            it.flush(*((number, c) for c in range(100)))
            it.mark(f"flush {number}")


def record_compaction(strategy: str) -> None:
    """Overwrites and deletes, with compaction running throughout."""
    with scene(f"compaction-{strategy.lower()}") as it:
        TABLE.create(it.node, f"gc_grace_seconds = 0 AND compaction = {STRATEGIES[strategy]}")
        journal = Journal(it.node, TABLE)
        workload = Workload(journal, seed=7)
        workload.fill()
        journal.flush()
        for number in range(12):
            workload.batch()
            journal.flush()
            if number in (3, 7):
                it.mark(f"flush {number}")
            if number == 9:
                it.nodetool("compact", KEYSPACE, "t")
        it.mark("end")


def record_format(form: Format) -> None:
    """Indexes of all kinds, and a materialized view."""
    with scene(f"format-{form.version}", Configuration(form)) as it:
        node = it.node
        TABLE.create(node, BESIDE_A_VIEW)
        node.execute("CREATE INDEX t_v ON ks.t (v)")
        node.execute(
            "CREATE MATERIALIZED VIEW ks.seen AS SELECT * FROM ks.t WHERE v IS NOT NULL AND p IS NOT NULL "
            "AND c IS NOT NULL PRIMARY KEY (v, p, c)"
        )
        it.flush(*((0, c) for c in range(50)))
        it.mark("first", "t", "seen")
        node.execute("CREATE INDEX t_w ON ks.t (w) USING 'sai'")
        wait_until(lambda: _is_queryable(node), "the index")
        it.mark("index built", "t", "seen")
        for number in range(1, 3):
            it.flush(*((number, c) for c in range(50)), *((0, c) for c in range(number * 10)))
        it.mark("flushed", "t", "seen")
        it.nodetool("compact", KEYSPACE)
        it.mark("compacted", "t", "seen")
        node.execute("DROP INDEX ks.t_w")
        it.flush((9, 9))
        it.mark("end", "t", "seen")


def _is_queryable(node: Node) -> bool:
    try:
        return len(node.execute("SELECT * FROM ks.t WHERE w = %s", ("w" * 50,))) == 50
    except ReadFailure:
        return False  # it is still being built


def record_indexes() -> None:
    """Four secondary indexes: the first flush, large ones, one that leaves out two indexes, an import."""
    with scene("indexes") as it:
        node = it.node
        TABLE.create(node, ASLEEP)
        node.execute("ALTER TABLE ks.t ADD (a text, b text)")
        for column in "vwab":
            node.execute(f"CREATE INDEX t_{column} ON ks.t ({column})")
        it.flush((1, 1))
        it.mark("first")
        insert = node.session.prepare("INSERT INTO ks.t (p, c, v, w, a, b) VALUES (?, ?, ?, ?, ?, ?)")
        for number in range(2):
            rows = [(c % 50, number * 100_000 + c, *(f"{x}{c}{'x' * 40}" for x in "vwab")) for c in range(20_000)]
            execute_concurrent_with_args(node.session, insert, rows, concurrency=60)
            it.nodetool("flush", KEYSPACE)
            it.mark(f"flushed {number}")
        it.flush((2, 2))
        it.mark("two indexes had nothing to flush")
        [directory] = node.table_directories(KEYSPACE, "t")
        staged = directory.parents[2] / "staged" / KEYSPACE / "t"
        staged.mkdir(parents=True)
        for path in directory.glob("nb-*-big-*"):
            shutil.copy(path, staged)
        it.nodetool("import", KEYSPACE, "t", staged)
        it.mark("imported")


def record_operations() -> None:
    """What operators do to a table besides writing to it."""
    with scene("operations") as it:
        TABLE.create(it.node, ASLEEP)
        operations = (("upgradesstables", "-a"), ("scrub",), ("garbagecollect",), ("compact",))
        for number, operation in enumerate(operations):
            for batch in range(2):
                it.flush(*((c % 3, number * 100 + batch * 40 + c) for c in range(60)))
            it.nodetool(*operation, KEYSPACE, "t")
            it.mark(operation[0])
        [directory] = it.node.table_directories(KEYSPACE, "t")
        staged = directory.parents[2] / "staged" / KEYSPACE / "t"
        it.flush((7, 7))
        shutil.copytree(directory, staged, ignore=shutil.ignore_patterns("backups", "snapshots"))
        it.flush((8, 8))
        it.node.execute("TRUNCATE ks.t")
        it.mark("truncated")
        it.flush((9, 9))
        it.nodetool("import", KEYSPACE, "t", staged)
        it.mark("imported")
        it.flush((10, 10))
        it.nodetool("compact", KEYSPACE, "t")
        it.mark("imported and compacted")
        it.node.execute("DROP TABLE ks.t")
        TABLE.create(it.node, ASLEEP)
        it.flush((11, 11))
        it.mark("dropped and made again")


def record_streaming() -> None:
    """A node that is rebuilt from another, by streams of whole sstables."""
    with tempfile.TemporaryDirectory() as scratch:
        other = Configuration(heap="256m")
        receiver = replace(other, address="127.0.0.2")
        with running_node(Path(scratch) / "other", other) as sender, scene("streaming", receiver) as it:
            create_keyspace(sender, KEYSPACE)
            TABLE.create(sender, ASLEEP)
            [directory] = it.node.table_directories(KEYSPACE, "t")
            wait_until(directory.exists, "the table on both nodes")
            wait_until(lambda: len(_schemas(sender)) == 1, "one schema")
            journal = Journal(sender, TABLE)
            for batch in range(3):
                for number in range(300):
                    journal.insert(number, batch, "v", "w" * 100)
                journal.flush()
            it.nodetool("flush", KEYSPACE)
            it.mark("flushed")
            sender.execute("ALTER KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 2}")
            wait_until(lambda: len(_schemas(sender)) == 1, "one schema")
            it.nodetool("rebuild", "-ks", KEYSPACE)
            it.mark("rebuilt")
            journal.insert(1, 9, "v", "w")
            journal.wait()
            it.nodetool("flush", KEYSPACE)
            it.nodetool("compact", KEYSPACE, "t")
            it.mark("end")


def _schemas(node: Node) -> set[object]:
    return {row.schema_version for row in node.execute("SELECT schema_version FROM system.peers")} | {
        row.schema_version for row in node.execute("SELECT schema_version FROM system.local")
    }


def record_disks() -> None:
    """Two data directories, and a death in the middle."""
    with scene("disks", Configuration(disks=2)) as it:
        TABLE.create(it.node)
        for number in range(3):
            it.flush(*((p, number) for p in range(100)))
        it.mark("flushed")
        for number in range(3, 5):
            it.flush(*((p, number) for p in range(100)))
        it.nodetool("compact", KEYSPACE, "t")
        it.mark("compacted")
        it.node.kill()
        it.node.start()
        it.flush((1, 1))
        it.mark("killed and started")
        it.node.execute("TRUNCATE ks.t")
        it.flush(*((p, 9) for p in range(100)))
        it.mark("truncated")


def record_rebuilt() -> None:
    """A node that is wiped, and made again with other data under the same names."""
    table = replace(TABLE, options=f"{TABLE.options} AND ID = 5a1c395e-b41f-11e5-9f22-ba0be0483c18")
    with scene("rebuilt", Configuration(settings={"auto_snapshot": False})) as it:
        table.create(it.node)
        for number in range(3):
            it.flush(*((p, number) for p in range(50)))
        it.mark("before")
        it.node.kill()
        for disk in it.node.data:
            for path in disk.iterdir():
                shutil.rmtree(path)
        for name in ("commitlog", "hints", "saved_caches"):
            shutil.rmtree(it.node.home / name, ignore_errors=True)
        it.recorder.mark("wiped")
        it.node.start()
        table.create(it.node)
        for number in range(2):
            it.flush(*((p, 10 + number) for p in range(50)))
        it.mark("made again")
        it.flush((1, 1))
        it.mark("end")


SCENARIOS: dict[str, Callable[[], None]] = {
    "flushes": record_flushes,
    **{f"compaction-{name.lower()}": partial(record_compaction, name) for name in STRATEGIES},
    **{f"format-{form.version}": partial(record_format, form) for form in (STOCK, OA, DA)},
    "indexes": record_indexes,
    "operations": record_operations,
    "streaming": record_streaming,
    "disks": record_disks,
    "rebuilt": record_rebuilt,
}

if __name__ == "__main__":
    TRACES.mkdir(exist_ok=True)
    for wanted in sys.argv[1:] or SCENARIOS:
        SCENARIOS[wanted]()
