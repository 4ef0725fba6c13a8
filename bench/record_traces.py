"""Record what a real Cassandra does to its sstables under each compaction strategy, for `bench.amplification`.

Run it by ``make bench-amplification-record``; it takes four minutes, and needs a JDK 17, and Maven or CASSANDRA_JARS.

Four tables of one node are written to and flushed together. Everything is about a 160th of its stock size: a flush has
1 MB, so sizes that strategies go by (the 160 MiB of an sstable in LCS, the 50 MiB below which STCS makes no difference,
the targets of UCS) are smaller in proportion; all else is stock. Values are random, so compression changes nothing.

STCS, LCS and UCS get the same writes: of each hundred, 45 are new rows, 45 overwrite and 10 delete a row at random.
TWCS gets a time series, in order, with a time to live of six windows.
"""

import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bench.traces import TRACES, Step, Trace, save
from cassandra.concurrent import execute_concurrent_with_args
from tests.cassandra.jars import version
from tests.cassandra.node import Node, running_node

from tablesnap.capture.limits import pins_within, raise_file_limit
from tablesnap.capture.pin import Pins
from tablesnap.live.events import Committed, IndexLog, LogGone
from tablesnap.live.witness import Witness
from tablesnap.rules.view import Name
from tablesnap.watch.hints import Hint, Started
from tablesnap.watch.inotify import Watcher

FLUSHES = 120
PACE_SECONDS = 1.6  # from one flush to the next, so that compaction keeps up
ROWS = 1250  # written between two flushes
VALUE_BYTES = 800
KEYSPACE = "bench"

STRATEGIES: dict[str, dict[str, str]] = {
    "STCS": {"class": "SizeTieredCompactionStrategy", "min_sstable_size": str(50 * (1 << 20) // 160)},
    "LCS": {"class": "LeveledCompactionStrategy", "sstable_size_in_mb": "1"},
    "TWCS": {
        "class": "TimeWindowCompactionStrategy",
        "compaction_window_unit": "MINUTES",
        "compaction_window_size": "1",
        "expired_sstable_check_frequency_seconds": "1",
        "min_sstable_size": str(50 * (1 << 20) // 160),
    },
    "UCS": {
        "class": "UnifiedCompactionStrategy",
        "target_sstable_size": "8MiB",
        "min_sstable_size": "1MiB",
    },
}
ROWS_WORKLOAD = f"{FLUSHES} flushes of {ROWS} writes of {VALUE_BYTES} bytes: 45 % new, 45 % overwrites, 10 % deletes"
SERIES_WORKLOAD = f"{FLUSHES} flushes of {ROWS} rows of {VALUE_BYTES} bytes in order of time, each lives for 6 windows"

# A window of TWCS is a minute of timestamps at least; ours run faster, so that it is ten seconds of the run.
CLOCK_SPEED = 6
TTL_SECONDS = 60


class RecordingFailed(Exception):
    """A transaction was missed, so that the record is not whole."""


def main() -> int:
    """Record, save, return an exit code."""
    try:
        with tempfile.TemporaryDirectory(prefix="tablesnap-bench-") as home, running_node(Path(home) / "node") as node:
            TRACES.mkdir(exist_ok=True)
            for strategy, steps in record(node).items():
                workload = SERIES_WORKLOAD if strategy == "TWCS" else ROWS_WORKLOAD
                trace = Trace(strategy, version(), STRATEGIES[strategy], workload, tuple(steps))
                save(trace, TRACES / f"{strategy.lower()}.json.gz")
                print(f"{strategy}: {len(steps)} transactions")
    except (pytest.skip.Exception, RecordingFailed) as reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 1
    return 0


def record(node: Node) -> dict[str, list[Step]]:
    """Write and flush; return what Cassandra did to each table."""
    node.execute(
        f"CREATE KEYSPACE {KEYSPACE} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
    )
    for strategy, options in STRATEGIES.items():
        extra = f"default_time_to_live = {TTL_SECONDS} AND " if strategy == "TWCS" else ""
        node.execute(
            f"CREATE TABLE {KEYSPACE}.{strategy.lower()} (p int PRIMARY KEY, v blob) "
            f"WITH {extra}gc_grace_seconds = 0 AND compaction = {options}"
        )
    directories = {node.table_directories(KEYSPACE, one.lower())[0].resolve(): one for one in STRATEGIES}
    with recorder(node.data[0] / KEYSPACE) as seen:
        write = writer(node)
        for number in range(FLUSHES):
            began = time.monotonic()
            write()
            node.nodetool("flush", KEYSPACE)
            if number % 10 == 9:
                print(f"{number + 1} of {FLUSHES} flushes", flush=True)
            time.sleep(max(0.0, began + PACE_SECONDS - time.monotonic()))  # as a database has a pace of its own
        time.sleep(10)  # for compaction to end; nodetool would say when, and stir the node that is recorded
    return {
        strategy: [step for path, step in seen if path == str(directory)] for directory, strategy in directories.items()
    }


def writer(node: Node) -> Callable[[], None]:
    """Return what writes a batch to all four tables."""
    choice = random.Random(0)
    tables = [strategy.lower() for strategy in STRATEGIES if strategy != "TWCS"]
    insert = {one: node.session.prepare(f"INSERT INTO {KEYSPACE}.{one} (p, v) VALUES (?, ?)") for one in tables}
    delete = {one: node.session.prepare(f"DELETE FROM {KEYSPACE}.{one} WHERE p = ?") for one in tables}
    series = node.session.prepare(f"INSERT INTO {KEYSPACE}.twcs (p, v) VALUES (?, ?) USING TIMESTAMP ?")
    known, clock, began = 0, time.time(), time.time()

    def write() -> None:
        nonlocal known
        new, gone = ROWS * 45 // 100, ROWS // 10
        keys = [*range(known, known + new), *(choice.randrange(known + new) for _ in range(ROWS - new - gone))]
        known += new
        rows = [(key, choice.randbytes(VALUE_BYTES)) for key in keys]
        deleted = [(choice.randrange(known),) for _ in range(gone)]
        for one in tables:
            execute_concurrent_with_args(node.session, insert[one], rows, concurrency=128)
            execute_concurrent_with_args(node.session, delete[one], deleted, concurrency=128)
        stamp = int((clock + (time.time() - began) * CLOCK_SPEED) * 1e6)
        rows_of_series = [(choice.getrandbits(31), choice.randbytes(VALUE_BYTES), stamp) for _ in range(ROWS)]
        execute_concurrent_with_args(node.session, series, rows_of_series, concurrency=128)

    return write


class Tape:
    """Takes down every commit that the daemon's witness tells of."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, Step]] = []  # with the table's directory
        self.faults: list[str] = []
        self._pins = Pins(most=pins_within(raise_file_limit()))
        self._witness = Witness(self._pins, self._tell, time.monotonic)
        self._began: float | None = None
        self.ready = threading.Event()

    def hear(self, hint: Hint) -> None:
        """Take in a hint, in the watcher's thread."""
        self._witness.see(hint)
        if isinstance(hint, Started):
            self.ready.set()

    def _tell(self, message: Committed | IndexLog | LogGone) -> None:
        if isinstance(message, LogGone):
            if not message.opened:  # else it was aborted
                self.faults.append(f"{message.name} was gone before it was read")
            return
        if not isinstance(message, Committed):
            return
        transaction = message.transaction
        self._began = message.read_at if self._began is None else self._began
        sizes = {one[1]: self._size(message, one) for one in transaction.added}
        # An output that turned out empty is in the log, and never got a file.
        added = {stem: size for stem, size in sizes.items() if size}
        removed = tuple(stem for _, stem in transaction.removed)
        if added or removed:
            step = Step(message.read_at - self._began, transaction.kind, added, removed)
            self.steps.append((message.directory, step))
        for pin in [pin for pins in message.pins.values() for pin in pins]:
            self._pins.release(pin)

    def _size(self, message: Committed, one: Name) -> int:
        if one in message.pins:
            return sum(pin.size for pin in message.pins[one])
        try:
            return sum(Path(one[0], name).stat().st_size for name in message.brought[one])
        except FileNotFoundError:
            self.faults.append(f"{one[1]} was gone before its size was known")
            return 0


@contextmanager
def recorder(directory: Path) -> Iterator[list[tuple[str, Step]]]:
    """Yield the list of steps with their directories, to which is added while the block lasts."""
    tape = Tape()
    watcher = Watcher((str(directory.resolve()),), tape.hear, time.monotonic, recursive=True, auto_add=True)
    watcher.start()
    tape.ready.wait()
    try:
        yield tape.steps
    finally:
        watcher.stop()
    if tape.faults:
        raise RecordingFailed("; ".join(tape.faults))


if __name__ == "__main__":
    sys.exit(main())
