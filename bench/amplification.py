"""How many bytes are uploaded for each byte flushed, and what a restore then fetches, under each compaction strategy.

Run it by ``make bench``. It replays what a real Cassandra did (`bench.record_traces`) through the daemon's own rules of
the view, with an uploader that stores at once: additions at their commit, a base when it is begun. A real one is slower
and takes fewer bases, as the next is not begun before the last one is stored. The figures depend on the workload: what
is compared is one policy with another, and with "everything", as if each sstable that was ever live were stored.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bench.traces import TRACES, Trace, load

from tablesnap.daemon.table import new_history
from tablesnap.daemon.timing import Timing
from tablesnap.rules.txnlog import Kind
from tablesnap.rules.view import History, Sstable

DIRECTORY = "/data/ks/t"
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
STRATEGIES = ("STCS", "LCS", "TWCS", "UCS")


@dataclass
class Outcome:
    """What came of one trace under one policy. All but counts are in bytes."""

    flushed: int = 0
    written: int = 0  # by Cassandra: flushes and compactions
    uploaded: int = 0
    bases: int = 0
    live: int = 0  # at the end
    view: int = 0
    live_sstables: int = 0
    view_sstables: int = 0
    worst: float = 0.0  # bytes of the view per live byte, after any commit of the second half
    worst_sstables: int = 0  # in the view more than are live

    @property
    def amplification(self) -> float:
        """Bytes uploaded per byte flushed."""
        return self.uploaded / self.flushed

    @property
    def fetched(self) -> float:
        """Bytes that a restore of the last view fetches per live byte."""
        return self.view / self.live if self.live else math.nan


def main() -> int:
    """Replay, print, return an exit code."""
    print("bytes uploaded per byte flushed, and bytes of the view per live byte (what a restore fetches)")
    for strategy in STRATEGIES:
        path = TRACES / f"{strategy.lower()}.json.gz"
        if not path.exists():
            print(f"bench: {path} is not there; make bench-amplification-record writes it", file=sys.stderr)
            return 1
        trace = load(path)
        print_heading(trace)
        for title, interval in policies(trace):
            print_row(title, replay(trace, interval))
    return 0


def policies(trace: Trace) -> list[tuple[str, float]]:
    """Return each `--base-interval` that is shown, by a title."""
    whole = trace.steps[-1].at
    return [("by the limits alone", math.inf), ("every tenth of the run", whole / 10), ("0: each replacement", 0.0)]


def replay(trace: Trace, interval: float) -> Outcome:
    """Return what would have been uploaded with this `--base-interval`, in seconds."""
    history, outcome = new_history(Timing()), Outcome()
    sizes: dict[Sstable, int] = {}
    history.look([], at=BEGINNING, now=0.0)
    for number, step in enumerate(trace.steps):
        new = history.commit(
            [(DIRECTORY, stem) for stem in step.added],
            [(DIRECTORY, stem) for stem in step.removed],
            step.kind,
            at=BEGINNING + timedelta(seconds=step.at),
            now=step.at,
        )
        sizes |= {one: step.added[one.stem] for one in new}
        brought = sum(step.added.values())
        outcome.written += brought
        if step.kind is Kind.ADDITION:
            outcome.flushed += brought
            outcome.uploaded += store(history, new, sizes)
        if history.base_reason(step.at, interval=interval, size_of=sizes.__getitem__):
            outcome.bases += 1
            outcome.uploaded += store(history, list(history.begin_base(step.at)), sizes)
        measure(history, step.at, sizes.__getitem__, outcome, is_late=2 * number >= len(trace.steps))
    return outcome


def store(history: History, sstables: tuple[Sstable, ...] | list[Sstable], sizes: dict[Sstable, int]) -> int:
    """Store what is not stored yet, at once; return its bytes."""
    unstored = [one for one in sstables if not history.is_stored(one)]
    for one in unstored:
        history.stored(one)
    return sum(sizes[one] for one in unstored)


def measure(
    history: History, now: float, size_of: Callable[[Sstable], int], outcome: Outcome, *, is_late: bool
) -> None:
    """Take down what the view and the table hold now."""
    view = history.view(now)
    assert view is not None, "the base of an empty table is stored as soon as it is begun"
    outcome.live, outcome.view = sum(map(size_of, history.live)), sum(map(size_of, view.sstables))
    outcome.live_sstables, outcome.view_sstables = len(history.live), len(view.sstables)
    if is_late:
        # While a table is a few flushes old, one compaction more or less makes any ratio.
        outcome.worst = max(outcome.worst, outcome.fetched) if outcome.live else outcome.worst
        outcome.worst_sstables = max(outcome.worst_sstables, outcome.view_sstables - outcome.live_sstables)


def print_heading(trace: Trace) -> None:
    """Print what the rows below are about."""
    outcome = replay(trace, math.inf)
    print(f"\n{trace.strategy}, Cassandra {trace.cassandra}: {trace.workload}")
    print(
        f"  {len(trace.steps)} transactions, {outcome.flushed / 1e6:.0f} MB flushed; "
        f"at the end {outcome.live / 1e6:.0f} MB live in {outcome.live_sstables} sstables; "
        f"everything uploaded: {outcome.written / outcome.flushed:.2f}"
    )
    print(f"  {'bases':24}{'taken':>6}{'uploaded/flushed':>18}{'view/live':>11}{'at worst':>10}{'sstables more':>15}")


def print_row(title: str, outcome: Outcome) -> None:
    """Print what came of one policy."""
    ratios = f"{outcome.amplification:>18.2f}{outcome.fetched:>11.2f}{outcome.worst:>10.2f}"
    print(f"  {title:24}{outcome.bases:>6}{ratios}{outcome.worst_sstables:>15}")


if __name__ == "__main__":
    sys.exit(main())
