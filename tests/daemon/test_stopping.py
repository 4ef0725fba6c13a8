"""What a stop does when it has no time left."""

import logging
import re
import time
from pathlib import Path

import pytest
from tests.daemon.fake_cassandra import Table
from tests.daemon.in_process import Running, indexes, newest, running
from tests.daemon.table_points import creates, data_keys, directory_below, following, held, history, wait_for_live
from tests.waiting import wait_until

from tablesnap.daemon.service import FINISH_SECONDS
from tablesnap.rules.keys import is_index
from tablesnap.store.memory import MemoryStore

SELDOM = 3600.0  # seconds between two indexes: what is flushed in a test is not told before the stop


class Clock:
    """Monotonic seconds, of which more pass between two looks than a stop may take, once *hurries* is set."""

    def __init__(self) -> None:
        self.hurries = False
        self.ahead = 0.0

    def __call__(self) -> float:
        if self.hurries:
            self.ahead += FINISH_SECONDS + 1
        return time.monotonic() + self.ahead


def told(caplog: pytest.LogCaptureFixture, stem: str) -> int:
    """Return how many components of sstables of this name the daemon has said to be stored."""
    return sum(int(files) for files in re.findall(rf"{stem} \((\d+) file", caplog.text))


def stop(daemon: Running, caplog: pytest.LogCaptureFixture) -> None:
    """Have *daemon* begin to stop: from then on its time runs."""
    daemon.daemon.stop()
    wait_until(lambda: "stopping: finishing" in caplog.text, "the stop to begin")


def test_what_a_stop_has_no_time_to_record_is_said_and_made_good_at_the_next_start(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store, clock = MemoryStore(), Clock()
    tables = [Table(directory_below(data, name)) for name in ("one", "another")]
    with following(store, *tables, index_interval=SELDOM, now=clock) as daemon:
        for table in tables:
            table.flush()
            wait_for_live(store, table)
            table.flush()
        wait_until(lambda: told(caplog, "nb-2-big") == 2 * 8, "both to be known to be stored")
        clock.hurries = True
        daemon.stop()

    assert "the last restore points of 2 directories are not written" in caplog.text
    assert [len(indexes(store, table.directories[0])) for table in tables] == [1, 1]

    with following(store, *tables):
        for table in tables:
            wait_for_live(store, table)


def test_what_was_added_after_something_unheard_is_in_no_last_restore_point_without_it(
    data: Path, tmp_path: Path
) -> None:
    """It takes a second to see that what came without a transaction stands still: a stop comes before."""
    store, table = MemoryStore(), Table(directory_below(data))
    with following(store, table):
        table.flush()
        wait_for_live(store, table)
        table.bring_in(tmp_path / "staging")
        flushed = table.flush()
        wait_until(lambda: len([key for key in data_keys(store) if flushed.stem in key]) == 8, "the flush to be stored")

    everything = {one.stem for one in table.live}
    assert all(flushed.stem not in stems or stems == everything for stems in history(store, table.directories[0]))
    with following(store, table):
        wait_for_live(store, table)


def test_an_upload_that_takes_too_long_keeps_no_other_table_from_its_last_restore_point(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store, clock = MemoryStore(), Clock()
    done, busy = (Table(directory_below(data, name)) for name in ("done", "busy"))

    def holds(request: str) -> bool:
        return creates("nb-2-big-Data.db")(request) and "/busy-" in request

    with held(store, holds) as slow, following(slow, done, busy, index_interval=SELDOM, now=clock) as daemon:
        for table in (done, busy):
            table.flush()
            wait_for_live(store, table)
            table.flush()
        wait_until(lambda: slow.waiting and len(data_keys(store)) == 4 * 8 - 1, "all but one file to be stored")
        stop(daemon, caplog)
        clock.ahead = FINISH_SECONDS

    assert history(store, done.directories[0])[-1] == {one.stem for one in done.live}
    assert history(store, busy.directories[0])[-1] == {busy.live[0].stem}


@pytest.mark.parametrize("stem", ["nb-1-", "nb-2-"])
def test_what_changes_while_an_index_is_in_flight_is_recorded_after_it(
    data: Path, caplog: pytest.LogCaptureFixture, stem: str
) -> None:
    caplog.set_level(logging.INFO)
    store, table = MemoryStore(), Table(directory_below(data))
    with (
        held(store, lambda request: is_index(request) and f"/{stem}" in request) as slow,
        following(slow, table) as it,
    ):
        table.flush()
        if stem == "nb-2-":
            wait_for_live(store, table)
            table.flush()
        wait_until(lambda: slow.waiting, "an index to be in flight")
        table.flush()
        table.truncate()
        last = table.flush()
        wait_until(lambda: len([key for key in data_keys(store) if last.stem in key]) == 8, "the last to be stored")
        stop(it, caplog)
        slow.let_through()

    assert history(store, table.directories[0])[-1] == {last.stem}


def test_what_was_stored_before_the_store_was_surveyed_is_recorded(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = MemoryStore()
    with held(store, lambda request: request.startswith(("list", "level"))) as slow, running(slow, data) as it:
        (data / "file").write_bytes(b"content")
        wait_until(lambda: data_keys(store), "the upload")
        stop(it, caplog)
        slow.let_through()

    last = newest(store, data)
    assert last is not None
    assert last.files.keys() == {"file"}


def test_a_file_that_is_stored_while_an_index_is_in_flight_is_recorded_after_it(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = MemoryStore()
    with held(store, lambda request: request.endswith("/one-listdir.json")) as slow, running(slow, data) as it:
        (data / "one").write_bytes(b"1")
        wait_until(lambda: slow.waiting, "the index to be in flight")
        (data / "two").write_bytes(b"2")
        wait_until(lambda: len(data_keys(store)) == 2, "the other to be stored")
        stop(it, caplog)
        slow.let_through()

    last = newest(store, data)
    assert last is not None
    assert last.files.keys() == {"one", "two"}
