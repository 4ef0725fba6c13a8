"""Two daemons that record the same directories are an error on both sides; those that follow each other are none."""

import logging
import re
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.catalog.stored import Past
from tests.catalog.test_catalog import KEYS, index
from tests.daemon.harness import NODE, Bucket, Daemon, running, wait_until, write_sstables
from tests.stores import Failing

from tablesnap.catalog.catalog import Catalog
from tablesnap.daemon.other_writers import OtherWriters, identify
from tablesnap.daemon.timing import Timing
from tablesnap.errors import StoreUnavailable
from tablesnap.rules.writers import Writer
from tablesnap.store.memory import MemoryStore
from tablesnap.store.port import Store

RECURSIVE = ("-r", "-a", "-B", "--index-interval=0")
BESIDE = "-e=-tmp"  # means what is meant without it, and lets a second daemon be beside the first on one machine
ERROR = "two daemons write restore points of"
LOOKED = "looked for what other runs have recorded"
ELSEWHERE = "written on another machine"


def users(data: Path) -> Path:
    table = data / "shop" / f"users-{'5a1c395e' * 4}"
    table.mkdir(parents=True)
    return table


def run_of(daemon: Daemon) -> str:
    daemon.wait_for_log("recording as run")
    found = re.search("recording as run ([0-9a-f]{16}) on ", daemon.log)
    assert found is not None
    return found[1]


def error_of(daemon: Daemon) -> str:
    daemon.wait_for_log(ERROR)
    return next(line for line in daemon.log.splitlines() if ERROR in line)


def writers(bucket: Bucket, directory: Path) -> set[str]:
    indexes = bucket.indexes().values()
    return {index.writer.run for index in indexes if index.directory == str(directory) and index.writer}


# As processes.


def test_two_daemons_over_one_path_are_an_error_on_both_sides(file_bucket: Bucket, data: Path, log: Path) -> None:
    table = users(data)
    with (
        running(file_bucket, *RECURSIVE, data, log=log) as one,
        running(file_bucket, *RECURSIVE, BESIDE, data, log=log.with_name("other.log")) as other,
    ):
        runs = {run_of(one), run_of(other)}
        write_sstables(table, 1)
        wait_until(lambda: writers(file_bucket, table) == runs, "an index by each")
        # Who came later has found its key taken, and looks unasked.
        wait_until(lambda: ERROR in one.log + other.log, ERROR)
        one.send(signal.SIGHUP)
        other.send(signal.SIGHUP)

        for line in (error_of(one), error_of(other)):
            assert "ERROR" in line
            assert f"{ERROR} shop/users-5a1c" in line
            assert all(run in line for run in runs)
            assert "--name or --prefix" in line


def test_daemons_that_follow_each_other_are_no_error(file_bucket: Bucket, data: Path, log: Path) -> None:
    table = users(data)
    for generation in (1, 2, 3):
        with running(file_bucket, *RECURSIVE, data, log=log) as daemon:
            run = run_of(daemon)
            write_sstables(table, generation)
            wait_until(lambda run=run: run in writers(file_bucket, table), "an index")  # type: ignore[misc] # its own run
            daemon.send(signal.SIGHUP)
            daemon.wait_for_log(LOOKED)
        assert ERROR not in daemon.log
        assert ELSEWHERE not in daemon.log

    assert len(writers(file_bucket, table)) == 3


def test_a_daemon_for_each_disk_is_no_error(file_bucket: Bucket, tmp_path: Path, log: Path) -> None:
    disks = [users(tmp_path / "disk1"), users(tmp_path / "disk2")]
    with (
        running(file_bucket, *RECURSIVE, tmp_path / "disk1", log=log) as one,
        running(file_bucket, *RECURSIVE, tmp_path / "disk2", log=log.with_name("other.log")) as other,
    ):
        for disk in disks:
            write_sstables(disk, 1)
        for daemon, disk in zip((one, other), disks, strict=True):
            run = run_of(daemon)
            wait_until(lambda disk=disk, run=run: writers(file_bucket, disk) == {run}, "an index")  # type: ignore[misc] # its own
            daemon.send(signal.SIGHUP)
            daemon.wait_for_log(LOOKED)

    assert ERROR not in one.log + other.log


def test_the_first_start_on_another_machine_says_whose_restore_points_it_goes_on_from(
    file_bucket: Bucket, data: Path, log: Path, tmp_path: Path
) -> None:
    table = users(data)
    past = Past.in_directory(tmp_path / "bucket", NODE).run("0123456789abcdef", str(table), host="old.example.com")
    past.table(str(table), [1], datetime.now(UTC) - timedelta(hours=1))

    with running(file_bucket, *RECURSIVE, data, log=log) as daemon:
        daemon.wait_for_log(ELSEWHERE)
        assert "by run 0123456789abcdef on old.example.com" in daemon.log
        assert ERROR not in daemon.log


# When it looks.


class Bench:
    """One run over a store in memory, another that writes beside it, and a clock."""

    def __init__(self, store: Store | None = None) -> None:
        self.store = store or MemoryStore()
        self.now = 1000.0
        self.timing = Timing(writers_first=300, writers_every=3600, writers_suspected=60)
        self.own = Writer("m", "here", "own")
        self.catalog = Catalog(self.store, KEYS, self.own)
        self.other = Catalog(self.store, KEYS, Writer("n", "there", "other"))
        self.watch = OtherWriters(self.catalog.strangers, self.own, self.timing, lambda: self.now)
        self.seconds = 0

    def write_both(self, *directories: str) -> None:
        self.seconds += 1
        for catalog, name in ((self.catalog, "a"), (self.other, "b")):
            for directory in directories or ("/d",):
                catalog.write(index(name, directory=directory, seconds=self.seconds))

    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.watch.tick()
        self.watch.wait()


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


def test_it_looks_some_minutes_after_the_start_and_then_every_hour(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    counts = []
    for seconds in (299, 2, 3598, 3, 3601):
        bench.write_both()
        bench.tick(seconds)
        counts.append(len(errors(caplog)))

    assert counts == [0, 1, 1, 2, 3]


def test_a_key_that_is_taken_has_it_look_at_once_but_not_again_and_again(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    counts = []
    for seconds in (1, 1, 30, 60):
        bench.write_both()
        bench.watch.suspect("/d")
        bench.tick(seconds)
        counts.append(len(errors(caplog)))

    assert counts == [1, 1, 1, 2]


def test_one_line_names_both_runs_and_sums_up_the_tables(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.write_both("/d", "/e", "/f")
    bench.watch.look()
    bench.tick(0)

    [line] = errors(caplog)
    assert line.startswith(f"{ERROR} /")
    assert "and 2 other tables: this is run own on here (machine m), and run other on there (machine n) has" in line


def test_a_store_that_is_away_is_said_and_asked_again_at_the_next_look(caplog: pytest.LogCaptureFixture) -> None:
    away = Failing(MemoryStore(), lambda request: StoreUnavailable("away") if request.startswith("level") else None)
    bench = Bench(away)
    bench.write_both()
    bench.tick(300)
    assert "could not see whether another tablesnap records the same directories: away" in caplog.text
    away.fails = lambda request: None
    bench.tick(3600)

    assert len(errors(caplog)) == 1


# Who it is.


def test_a_machine_is_the_same_for_each_run_and_its_id_cannot_be_read_from_that(tmp_path: Path) -> None:
    known = tmp_path / "machine-id"
    known.write_text("0f8d1c7a5b3e4f2a9c6d7e8f90a1b2c3\n")

    one, two = identify(known), identify(known)

    assert one.machine == two.machine
    assert one.run != two.run
    assert one.machine not in known.read_text()
    known.write_text("1f8d1c7a5b3e4f2a9c6d7e8f90a1b2c3\n")
    assert identify(known).machine != one.machine


def test_where_a_machine_has_no_id_its_host_name_stands_for_it(tmp_path: Path) -> None:
    empty = tmp_path / "machine-id"
    empty.touch()

    assert identify(empty).machine == identify(tmp_path / "absent").machine
