"""Killed before any step of theirs, a daemon and a purge leave only what restores, and the next run does the rest.

A restore is killed so in `tests/download/test_death.py`; at requests of S3 they are killed in `tests/defects` and in
`tests/purge/test_machine.py`.
"""

import os
import signal
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from tests.catalog.stored import Past
from tests.daemon.fake_cassandra import Table
from tests.daemon.harness import NODE, Bucket, wait_until
from tests.defects.support import newest_restored, restored
from tests.examples import examples
from tests.faults.dying import ENDLESS, dying

PARTS = 5  # that workers can take side by side
# Of daemons, in each part. `make soak` asks for 500 in all.
KILLS = int(os.environ.get("KILLS", "0")) // PARTS or examples(10)
STEPS_OF_A_DAEMON = 150  # about as many as it takes for a flush
# Between the steps before which purges die in one part: all parts together miss none in CI.
STRIDE = PARTS if examples(100) == 100 else 5 * PARTS
DIRECTORY = "/data/ks/t-1b255f4def2540a60000000000000001"
pytestmark = pytest.mark.faults
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.mark.timeout(900)  # ten runs of a daemon take their time, a hundred more
@pytest.mark.parametrize("part", range(PARTS))
def test_a_daemon_killed_before_any_step_of_it_loses_nothing_and_leaves_no_index_that_lies(
    tmp_path: Path, part: int
) -> None:
    directory = Path(f"{tmp_path}{DIRECTORY}")
    directory.mkdir(parents=True)
    table, bucket = Table(directory), Bucket.in_directory(tmp_path / "bucket")
    words = ("-n", NODE, "-r", "-B", bucket.url, str(tmp_path / "data"))
    held: dict[str, bytes] = {}

    for number in range(KILLS):
        held |= table.flush().files
        step = 1 + (number * PARTS + part) * STEPS_OF_A_DAEMON // (KILLS * PARTS)
        with dying("tablesnap", words, step, tmp_path / "log") as daemon:
            # One that has no so many steps to take is killed when it has done its work.
            wait_until(partial(is_over, daemon, bucket, directory, dict(held)), "a death, or a restore point")
        assert daemon.exitcode == -signal.SIGKILL
        for index in bucket.indexes().values():
            restored(bucket, index)  # insists that all it names is there, byte for byte

    with dying("tablesnap", words, ENDLESS, tmp_path / "log"):
        wait_until(lambda: newest_restored(bucket, directory) == held, "a restore point of everything")


def is_over(daemon: ForkServerProcess, bucket: Bucket, directory: Path, held: dict[str, bytes]) -> bool:
    return not daemon.is_alive() or newest_restored(bucket, directory) == held


@pytest.mark.parametrize("part", range(PARTS))
def test_a_purge_killed_before_any_step_of_it_harms_nothing_and_the_next_one_does_the_rest(
    tmp_path: Path, part: int
) -> None:
    whole = with_a_past(tmp_path / "whole")
    assert not is_killed(purge(whole, ENDLESS, tmp_path / "log"))
    deaths = 0

    for step in range(1 + part, ENDLESS, STRIDE):
        bucket = with_a_past(tmp_path / str(step))
        if not is_killed(purge(bucket, step, tmp_path / "log")):
            break
        deaths += 1
        assert whole.keys() <= bucket.keys()
        for index in bucket.indexes().values():
            restored(bucket, index)
        assert not is_killed(purge(bucket, ENDLESS, tmp_path / "log"))
        assert bucket.keys() == whole.keys()

    assert deaths, "it has taken so few steps"


def with_a_past(place: Path) -> Bucket:
    """Return a bucket with three restore points, of which the first can go."""
    past = Past.in_directory(place, NODE)
    for days, generations in ((90, [1]), (60, [2]), (2, [2, 3])):
        past.table(DIRECTORY, generations, NOW - timedelta(days=days))
    return Bucket.in_directory(place)


def purge(bucket: Bucket, step: int, log: Path) -> int | None:
    """Forget what is older than thirty days, unless it is killed before this step; return the exit code."""
    with dying("tablechop", ("-n", NODE, bucket.url, "/data", "30"), step, log) as process:
        process.join(60)
    return process.exitcode


def is_killed(code: int | None) -> bool:
    assert code in (0, -signal.SIGKILL), f"exit code {code}"
    return code != 0
