"""What a purge of a million objects costs: requests, time, and the memory of the purging process.

Run it by ``make bench``. The bucket is made up by a server in this process, and holds 20,000 indexes of 400 names each,
all of one table, which is the worst case for memory; then the same of a hundred tables. Nearly all of it is too old.
"""

import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

from bench.synthetic_bucket import BUCKET, COMPONENTS, DATA, KEYS, LIVE, Bucket, Table, served

OBJECTS = 1_000_000
INDEXES = 20_000
PACE = timedelta(minutes=30)  # from index to index of a node
AGE_DAYS = 30
CHOP = """\
import resource, sys
from tablesnap.cli.tablechop.main import main
code = main()
used = resource.getrusage(resource.RUSAGE_SELF)
print(f"peak {used.ru_maxrss} KiB, {used.ru_utime + used.ru_stime} s", file=sys.stderr)
sys.exit(code)
"""


def main() -> int:
    """Measure, print, return an exit code."""
    for tables in (1, 100):
        bucket = make_bucket(tables, objects=OBJECTS, indexes=INDEXES)
        print(
            f"{OBJECTS:,} objects and {INDEXES:,} indexes of {LIVE * len(COMPONENTS)} names each, "
            f"in {tables} table{'s' if tables > 1 else ''}"
        )
        with served(bucket) as address:
            began = time.monotonic()
            done = chop(address)
            took = time.monotonic() - began
        if done.returncode:
            print(done.stdout[-2000:], done.stderr[-2000:])
            return 1
        print_result(bucket, done.stderr, took)
    return 0


def print_result(bucket: Bucket, said: str, took: float) -> None:
    """Print what was measured."""
    match = re.search(r"peak (\d+) KiB, ([\d.]+) s", said)
    assert match is not None
    print(f"  {said.splitlines()[0]}")
    requests = ", ".join(f"{number:,} {kind}" for kind, number in sorted(bucket.requests.items()))
    print(f"  requests: {requests}")
    print(f"  {took:.0f} s, of which {float(match[2]):.0f} s CPU; peak memory {int(match[1]) / 1024:.0f} MiB")


def make_bucket(tables: int, *, objects: int, indexes: int) -> Bucket:
    """Make up a bucket, the newest of whose indexes are a few minutes old."""
    each, pace = indexes // tables, PACE * tables
    oldest = datetime.now(UTC) - timedelta(minutes=5) - pace * each
    sstables = objects // len(COMPONENTS) // tables
    return Bucket([Table(f"t-{number:032x}", sstables, each, oldest, pace) for number in range(1, tables + 1)])


def chop(address: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Run tablechop to its end."""
    command = [sys.executable, "-c", CHOP, "-n", KEYS.node, "--endpoint-url", address, "--aws-region", "us-east-1"]
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    return subprocess.run(
        [*command, *more, BUCKET, DATA, str(AGE_DAYS)], check=False, capture_output=True, text=True, env=environment
    )


if __name__ == "__main__":
    sys.exit(main())
