"""What a stop does when it has no time left."""

import logging
import time
from pathlib import Path

import pytest
from tests.daemon.fake_cassandra import Table
from tests.daemon.in_process import indexes, newest, running
from tests.daemon.table_points import data_keys, directory_below, following, held, history, wait_for_live
from tests.waiting import wait_until

from tablesnap.daemon.service import FINISH_SECONDS
from tablesnap.store.memory import MemoryStore

SELDOM = 3600.0  # seconds between two indexes: what is flushed in a test is not told before the stop


class Clock:
    """Monotonic seconds, of which more pass between two looks than a stop may take, once *hurries* is set."""

    def __init__(self) -> None:
        self.hurries = False
        self._ahead = 0.0

    def __call__(self) -> float:
        if self.hurries:
            self._ahead += FINISH_SECONDS + 1
        return time.monotonic() + self._ahead


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
        wait_until(lambda: caplog.text.count("nb-2-big (8 files") == 2, "both to be known to be stored")
        clock.hurries = True
        daemon.stop()

    assert "no time left to write the last restore points of 2 directories" in caplog.text
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


def test_what_was_stored_before_the_store_was_surveyed_is_recorded(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = MemoryStore()
    with held(store, lambda request: request.startswith(("list", "level"))) as slow, running(slow, data) as it:
        (data / "file").write_bytes(b"content")
        wait_until(lambda: data_keys(store), "the upload")
        it.daemon.stop()
        wait_until(lambda: "stopping: finishing" in caplog.text, "the stop to begin")
        slow.let_through()

    last = newest(store, data)
    assert last is not None
    assert last.files.keys() == {"file"}
