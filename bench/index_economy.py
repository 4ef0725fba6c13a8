"""How large indexes are, and how much of them is written while a table grows to 10,000 sstables.

Run it by ``make bench``. It encodes real indexes, and goes by the daemon's own rule of when one is due, with a clock of
its own: nothing is stored.

1.x wrote a list of all names, without anything else that a restore or a check needs, with each sstable.
"""

import json
import math
import sys
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bench.scripted_cassandra import FLUSH

from tablesnap.daemon.table_recording import SHARE, SMALL_INDEX, size_of_index, stretched
from tablesnap.rules.index import Index, Owner, StoredFile, encode

SSTABLES = 10_000
DIRECTORY = "/var/lib/cassandra/data/shop/orders-0123456789abcdef0123456789abcdef"
DIRECTORY_KEY = f"node1.example.com:{DIRECTORY}/"
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
FLUSHED = sum(FLUSH.values())
PACES = (1.0, 10.0, 60.0, 600.0)  # seconds from flush to flush
SIZES = (1, 10, 100, 1000, SSTABLES)
MB = 1e6


@dataclass(frozen=True)
class Written:
    """The indexes of one run. Sizes in bytes, times in seconds."""

    indexes: int
    size: float
    longest: float  # time from a flush to the index that has it


def main() -> int:
    """Work it out, print, return an exit code."""
    integers, uuids = stems_by_number(), stems_by_uuid()
    print(f"an index of a table whose sstables have {len(FLUSH)} components, in bytes")
    print(f"  {'sstables':>10}{'nb-1-big':>14}{'per sstable':>13}{'da-<uuid>-bti':>15}{'per sstable':>13}")
    for count in SIZES:
        by_number, by_uuid = len(encoded(integers[:count])), len(encoded(uuids[:count]))
        print(f"  {count:>10,}{by_number:>14,}{by_number / count:>13.0f}{by_uuid:>15,}{by_uuid / count:>13.0f}")
    size_of = size_by_count(integers)
    listing = len(json.dumps({DIRECTORY: [stem + kind for stem in integers for kind in FLUSH]}))
    print(f"\nwritten while a table grows to {SSTABLES:,} sstables by flushes of {FLUSHED / MB:.1f} MB, not compacted")
    print(
        f"  {'a flush every':>16}{'--index-interval':>18}{'indexes':>9}{'GB':>8}{'of the data':>13}{'latest after':>14}"
    )
    for pace in PACES:
        for interval in (10.0, 0.0):
            print_row(pace, interval, written(pace, interval, size_of))
    listed = listing * SSTABLES / 2  # half as long on average
    each = sum(size_of(count) for count in range(1, SSTABLES + 1))
    print(f"  an index with every flush: {each / 1e9:.0f} GB, {each / FLUSHED / SSTABLES:.1f} times the data")
    print(f"  1.x, a list of {SSTABLES:,} sstables: {listing / MB:.1f} MB; with every flush: {listed / 1e9:.0f} GB")
    return 0


def print_row(pace: float, interval: float, run: Written) -> None:
    """Print one run."""
    share = run.size / (FLUSHED * SSTABLES)
    rates = f"{run.indexes:>9,}{run.size / 1e9:>8.2f}{share:>12.1%} {run.longest:>12.0f} s"
    print(f"  {pace:>14.0f} s{interval:>16.0f} s{rates}")


def stems_by_number() -> list[str]:
    """Return the stems of a stock table."""
    return [f"nb-{generation}-big-" for generation in range(1, SSTABLES + 1)]


def stems_by_uuid() -> list[str]:
    """Return stems as long as those with UUIDs are."""
    return [f"da-3gqc_1f2u_{generation:05d}2kqjvbbpbt7y5-bti-" for generation in range(1, SSTABLES + 1)]


def encoded(stems: Sequence[str]) -> bytes:
    """Return the index of a table that holds these sstables."""
    owner = Owner(uid=112, gid=118, user="cassandra", group="cassandra")
    files = {
        stem + kind: StoredFile(
            key=DIRECTORY_KEY + stem + kind,
            size=size,
            checksum=0x9E3779B97F4A7C15 * (number + 1) % 2**64,
            mtime_ns=int(BEGINNING.timestamp()) * 10**9 + number * 1_001_000_007,
            mode=0o644,
            owner=owner,
        )
        for number, stem in enumerate(stems)
        for kind, size in FLUSH.items()
    }
    index = Index(
        directory=DIRECTORY,
        names=tuple(files),
        files=files,
        node="node1.example.com",
        taken_at=BEGINNING,
        seen_at=BEGINNING,
        live="0123456789abcdef",
        covers=(DIRECTORY,),
    )
    return encode(index, DIRECTORY_KEY)


def size_by_count(stems: Sequence[str]) -> "Sizes":
    """Return how large an index of so many sstables is, from a few that are encoded."""
    counts = [1, *range(SSTABLES // 10, SSTABLES + 1, SSTABLES // 10)]
    return Sizes(counts, [len(encoded(stems[:count])) for count in counts])


@dataclass(frozen=True)
class Sizes:
    """Sizes by count, on a straight line between those that are known."""

    counts: Sequence[int]
    sizes: Sequence[int]

    def __call__(self, count: int) -> float:
        """Return the size of an index of so many sstables."""
        right = max(1, bisect_left(self.counts, count))
        (low, high), (small, large) = self.counts[right - 1 : right + 1], self.sizes[right - 1 : right + 1]
        return small + (large - small) * (count - low) / (high - low)


def written(pace: float, interval: float, size_of: Sizes) -> Written:
    """Return what is written with this `--index-interval` when a flush is stored every *pace* seconds."""
    indexes, size, longest = 0, 0.0, 0.0
    last, held = -math.inf, 0  # when the last index was written, and of how many sstables
    for flushes in range(1, SSTABLES + 1):
        at = flushes * pace
        estimate = held * size_of_index(f"nb-{held}-big-{component}" for component in FLUSH)
        due = last + stretched(interval, estimate)
        if estimate > SMALL_INDEX and (flushes - held) * FLUSHED >= SHARE * estimate:
            due = min(due, at)
        # The last flush is followed by none, so that its index is the one at rest.
        if max(at, due) < at + pace or flushes == SSTABLES:
            last = max(at, due)
            longest = max(longest, last - (held + 1) * pace)
            held = flushes
            indexes, size = indexes + 1, size + size_of(held)
    return Written(indexes, size, longest)


if __name__ == "__main__":
    sys.exit(main())
