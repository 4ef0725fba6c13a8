"""Compare restore points with what was written."""

import random
from collections.abc import Sequence
from pathlib import Path

from tests.cassandra.journal import Journal
from tests.cassandra.restore import Reader, RestorePoint, read_back
from tests.daemon.harness import Bucket


def faults_in(
    taken: Sequence[RestorePoint], journal: Journal, bucket: Bucket, reader: Reader, scratch: Path
) -> list[str]:
    """Return what is wrong with the rows of the restore points *taken*."""
    journal.await_expiry()
    found = []
    for point in taken:
        rows = read_back(bucket, point, journal.table, reader, scratch / f"restored-{len(list(scratch.iterdir()))}")
        found.append(journal.complaint(point.taken_at, rows))
    return [fault for fault in found if fault]


def sample_of(taken: Sequence[RestorePoint], size: int) -> list[RestorePoint]:
    """Return some of the restore points, the last always."""
    return random.Random(0).sample(taken[:-1], min(size, len(taken) - 1)) + list(taken[-1:])
