"""Writes at random that make compaction matter: overwrites, four kinds of deletes, and times to live that end soon."""

import random

from tests.cassandra.journal import Journal

PARTITIONS = 25
ROWS = 120  # in a partition


class Workload:
    """A seeded source of batches of writes."""

    def __init__(self, journal: Journal, seed: int) -> None:
        self._journal = journal
        self._random = random.Random(seed)
        self._batch = 0

    def fill(self) -> None:
        """Write every row once, a few MiB."""
        for p in range(PARTITIONS):
            for c in range(ROWS):
                self._journal.insert(p, c, *self._values())

    def batch(self) -> None:
        """Write what one flush will put on disk, a few hundred KiB."""
        self._batch += 1
        journal, pick = self._journal, self._random
        if self._batch % 5 == 0:
            # An sstable of nothing else goes as a whole, without a successor.
            for _ in range(60):
                journal.insert(*self._row(), *self._values(), ttl=pick.randint(1, 3))
            return
        for _ in range(200):
            journal.insert(*self._row(), *self._values())
        for _ in range(40):
            journal.insert(*self._row(), *self._values(), ttl=pick.choice((1, 2, 3, 86400)))
        for _ in range(40):
            journal.update(*self._row(), "v", f"updated {self._batch}", ttl=pick.choice((0, 0, 2)))
        for _ in range(15):
            journal.delete_cell(*self._row(), pick.choice("vw"))
        for _ in range(30):
            journal.delete_row(*self._row())
        for _ in range(4):
            start = pick.randrange(ROWS)
            journal.delete_range(pick.randrange(PARTITIONS), start, start + pick.randint(1, ROWS // 3))
        if pick.random() < 0.5:
            journal.delete_partition(pick.randrange(PARTITIONS))

    def _row(self) -> tuple[int, int]:
        return self._random.randrange(PARTITIONS), self._random.randrange(ROWS)

    def _values(self) -> tuple[str, str]:
        # What cannot be compressed, so that a compaction has something to do.
        return f"{self._batch}", self._random.randbytes(400).hex()
