"""What a daemon that starts goes on from: the newest index if nothing happened meanwhile, else what is on disk."""

import logging
import os
import signal
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from tests.daemon import harness
from tests.daemon.fake_cassandra import Table
from tests.daemon.harness import Bucket
from tests.daemon.in_process import indexes, newest
from tests.daemon.table_points import (
    contents_of,
    creates,
    data_keys,
    directory_below,
    expected,
    following,
    held,
    history,
    insist_all_are_whole,
    wait_for_live,
    wait_for_view,
)
from tests.stores import Around
from tests.waiting import wait_until

from tablesnap.rules.index import Index
from tablesnap.store.memory import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def table(data: Path) -> Table:
    return Table(directory_below(data))


def uploads(store: Around) -> list[str]:
    return [request for request in store.requests if request.startswith("create ")]


def run_once(store: MemoryStore, table: Table, *, flushes: int = 1) -> None:
    """Have a daemon store a few flushes, and end in order."""
    with following(store, table):
        for _ in range(flushes):
            table.flush()
        wait_for_live(store, table)


@pytest.mark.parametrize("backup", [False, True])
def test_a_start_after_which_nothing_happened_stores_and_writes_nothing(
    store: MemoryStore, table: Table, caplog: pytest.LogCaptureFixture, backup: bool
) -> None:
    caplog.set_level(logging.INFO)
    run_once(store, table, flushes=2)
    around = Around(store)

    with following(around, table, backup=backup):
        pass  # it may be stopped before it has looked
    caplog.clear()
    with following(around, table, backup=backup):
        wait_until(lambda: "found at start, stored already: 16" in caplog.text)
    started = uploads(around)
    with following(around, table, backup=backup):
        table.flush()
        wait_for_live(store, table)

    assert started == []
    assert len([request for request in uploads(around) if "listdir" not in request]) == 8, "the flush alone"


def test_a_start_goes_on_from_the_view_though_compaction_has_replaced_what_is_in_it(
    store: MemoryStore, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with following(store, table):
        flushed = [table.flush(), table.flush()]
        wait_for_live(store, table)
        (output,) = table.compact(*flushed, size=10_000)
        flushed.append(table.flush())
        wait_for_view(store, table.directories[0], flushed)

    with following(store, table):
        # What is flushed before the first look at a table is something that happened meanwhile.
        wait_until(lambda: "found at start, stored already: 24; still to be stored or compared: 0" in caplog.text)
        flushed.append(table.flush())
        wait_for_view(store, table.directories[0], flushed)

    assert not [key for key in data_keys(store) if output.stem in key]


@pytest.mark.parametrize("backup", [False, True])
def test_what_was_flushed_and_compacted_meanwhile_is_in_a_new_base(
    store: MemoryStore, table: Table, backup: bool
) -> None:
    run_once(store, table, flushes=2)
    table.compact(*table.live)
    table.flush()

    with following(store, table, backup=backup):
        wait_for_live(store, table)

    insist_all_are_whole(store, table.directories[0])


def test_an_older_index_is_believed_of_what_did_not_change(store: MemoryStore, table: Table) -> None:
    run_once(store, table, flushes=3)
    table.flush()
    around = Around(store)

    with following(around, table):
        wait_for_live(store, table)

    assert len(uploads(around)) == 8 + 1


def test_a_generation_used_again_while_the_daemon_was_down_is_stored_beside(store: MemoryStore, table: Table) -> None:
    run_once(store, table)
    old = table.live[0]
    table.truncate()
    table.restart()
    new = table.flush()
    assert new.stem == old.stem

    with following(store, table):
        wait_for_live(store, table)

    found = [contents_of(store, index) for index in indexes(store, table.directories[0])]
    assert found == [expected([old]), expected([new])]


def test_a_node_made_anew_under_the_same_name_leaves_both_its_lives_restorable(
    data: Path, store: MemoryStore, table: Table
) -> None:
    run_once(store, table, flushes=3)
    old = list(table.live)
    for one in old:
        one.delete()
    anew = Table(*table.directories)
    anew.flush()

    with following(store, anew, backup=True):
        wait_for_live(store, anew)
        anew.flush()
        wait_for_live(store, anew)

    found = [contents_of(store, index) for index in indexes(store, table.directories[0])]
    assert expected(old) in found
    possible = [expected(old[:n]) for n in (1, 2, 3)] + [expected(anew.live[:n]) for n in (1, 2)]
    assert all(point in possible for point in found)


def test_statistics_rewritten_meanwhile_are_named_exactly(store: MemoryStore, table: Table) -> None:
    run_once(store, table)
    (one,) = table.live
    one.put("Statistics.db", b"another level, and repaired")

    with following(store, table):
        wait_for_live(store, table)

    insist_all_are_whole(store, table.directories[0])


def test_the_present_view_is_written_at_a_stop(store: MemoryStore, table: Table) -> None:
    with following(store, table, index_interval=300.0):
        table.flush()
        wait_for_live(store, table)
        second = table.flush()
        wait_until(lambda: len([key for key in data_keys(store) if second.stem in key]) == 8, "it to be stored")

    wait_for_live(store, table)
    around = Around(store)
    with following(around, table):
        pass
    assert not uploads(around)


def test_what_was_found_at_start_and_not_asked_for_is_named_missing_until_compaction_takes_it(
    store: MemoryStore, table: Table
) -> None:
    found = [table.flush(), table.flush()]

    with following(store, table):
        new = table.flush()
        wait_until(lambda: newest(store, table.directories[0]) is not None, "an index")
        index = newest(store, table.directories[0])
        assert index is not None
        assert set(index.missing) == {name for one in found for name in one.files}
        assert set(index.files) == set(new.files)
        table.compact(*table.live)
        wait_for_live(store, table)

    assert not [key for key in data_keys(store) for one in found if one.stem in key]


def test_what_was_found_at_start_is_stored_where_that_is_asked_for(store: MemoryStore, table: Table) -> None:
    table.flush()
    table.compact(table.flush(), table.flush())

    with following(store, table, backup=True):
        wait_for_live(store, table)

    assert len(indexes(store, table.directories[0])) == 1


def test_a_transaction_that_was_open_at_the_start_and_is_undone_leaves_no_trace(
    store: MemoryStore, table: Table
) -> None:
    table.flush()
    crashed = table.begin("compaction")
    half, whole = crashed.half_write(), crashed.write()

    with following(store, table, backup=True):
        wait_for_live(store, table)
        table.restart()
        table.flush()
        wait_for_live(store, table)

    # The generations were free again: so not the names, but what is in them tells.
    stored = {b"".join(store.read(key)) for key in data_keys(store)}
    assert not stored & {*half.files.values(), *whole.files.values()}


def test_a_transaction_that_was_open_at_the_start_and_commits_is_an_addition(store: MemoryStore, table: Table) -> None:
    table.flush()
    flush = table.begin("flush")
    flush.write()

    with following(store, table, backup=True):
        wait_for_live(store, table)
        flush.end()
        wait_for_live(store, table)

    assert len(indexes(store, table.directories[0])) == 2


def test_a_committed_log_found_at_start_is_believed(store: MemoryStore, table: Table) -> None:
    inputs = [table.flush(), table.flush()]
    compaction = table.begin("compaction")
    compaction.write()
    compaction.remove(*inputs)
    compaction.commit()

    with following(store, table, backup=True):
        wait_for_live(store, table)
        compaction.tidy()
        table.flush()
        wait_for_live(store, table)

    assert not [key for key in data_keys(store) for one in inputs if one.stem in key]


def test_a_disk_found_empty_at_start_is_a_fault_and_no_restore_point(
    store: MemoryStore, table: Table, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_once(store, table)
    (directory,) = table.directories
    aside = tmp_path / "aside"
    aside.mkdir()
    for path in list(directory.iterdir()):
        path.rename(aside / path.name)
    leftover = directory / "nb-9-big-Data.db"
    leftover.write_bytes(b"by which the directory is known as a table's")

    with following(store, table):
        wait_until(
            lambda: any("gone from" in one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR),
            "the absence to be told",
        )
        leftover.unlink()
        for path in aside.iterdir():
            path.rename(directory / path.name)
        table.flush()
        wait_for_live(store, table)

    assert all(history(store, directory))


def test_a_base_that_was_being_stored_at_a_stop_is_gone_on_with(store: MemoryStore, table: Table) -> None:
    run_once(store, table, flushes=2)
    table.compact(*table.live, outputs=3)
    with held(store, creates("nb-5-big-Data.db")) as slow, following(slow, table, backup=True):
        wait_until(lambda: len(data_keys(store)) >= 16 + 8, "some of the base to be stored")
        slow.let_through()

    with following(store, table, backup=True):
        wait_for_live(store, table)

    assert not [key for key in data_keys(store) if "~" in key], "nothing was stored twice"


def test_content_is_compared_at_start_where_that_is_asked_for(store: MemoryStore, table: Table) -> None:
    run_once(store, table, flushes=2)
    before = data_keys(store)

    with following(store, table, verify_on_start=True):
        table.flush()
        wait_for_live(store, table)

    assert len(data_keys(store)) == len(before) + 8


class Process:
    """A daemon as a process of its own, that can be killed, and its table."""

    def __init__(self, tmp_path: Path) -> None:
        self.data = tmp_path / "data"
        self.table = Table(directory_below(self.data))
        self.bucket = Bucket.in_directory(tmp_path / "bucket")
        self.log = tmp_path / "daemon.log"

    def running(self, *flags: str) -> AbstractContextManager[harness.Daemon]:
        return harness.running(self.bucket, "-r", "-a", "--index-interval", "0", *flags, self.data, log=self.log)

    def wait_for_live(self, daemon: harness.Daemon) -> Index:
        """Wait until the newest restore point holds what is live."""

        def there() -> Index | None:
            index = self.bucket.newest_index(self.table.directories[0])
            assert index is not None
            assert not index.missing
            assert contents_of(self.bucket.store(), index) == expected(self.table.live)
            return index

        index = daemon.wait_until(there, "a restore point of what is live")
        assert index is not None
        return index


@pytest.fixture
def process(tmp_path: Path) -> Process:
    return Process(tmp_path)


def test_a_daemon_that_was_killed_goes_on_from_its_newest_index(process: Process) -> None:
    with process.running() as daemon:
        process.table.flush()
        process.wait_for_live(daemon)
        daemon.kill()
    process.table.flush()
    stored = process.bucket.keys()

    with process.running() as daemon:
        process.wait_for_live(daemon)

    assert len(process.bucket.keys() - stored) == 8 + 1


def test_a_daemon_that_is_killed_at_any_time_leaves_whole_restore_points(process: Process) -> None:
    for number in range(4):
        with process.running("-B") as daemon:
            for _ in range(number):
                process.table.flush()
            if len(process.table.live) > 3:
                process.table.compact(*process.table.live[:2])
            daemon.kill()
    with process.running("-B") as daemon:
        process.wait_for_live(daemon)

    for index in process.bucket.indexes().values():
        if not index.whole:
            contents_of(process.bucket.store(), index)


def test_events_that_were_lost_are_made_good_by_a_look(process: Process) -> None:
    with process.running() as daemon:
        process.table.flush()
        process.wait_for_live(daemon)
        daemon.send(signal.SIGSTOP)
        spoil = process.table.directories[0] / "spoil"
        for _ in range(9000):  # two events each: more than the kernel's queue holds
            os.close(os.open(spoil, os.O_CREAT | os.O_WRONLY))
            spoil.unlink()
        process.table.flush()
        process.table.compact(process.table.flush(), process.table.flush())
        daemon.send(signal.SIGCONT)
        process.wait_for_live(daemon)
        daemon.wait_for_log("events were lost")
