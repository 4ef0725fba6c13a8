"""Order where it decides: what is uploaded first, what compaction takes meanwhile, and what is lost and made good."""

import logging
import os
import shutil
from pathlib import Path

import pytest
from tests.daemon.fake_cassandra import TRUNCATE, Table
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
    stems_of,
    wait_for_live,
    wait_for_view,
)
from tests.waiting import wait_until

from tablesnap.store.memory import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def table(data: Path) -> Table:
    return Table(directory_below(data))


def errors(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR)


@pytest.mark.parametrize("threads", [1, 4])
def test_a_flush_does_not_wait_for_a_base_that_is_being_uploaded(
    store: MemoryStore, table: Table, threads: int
) -> None:
    big = "nb-3-big-Data.db"  # the largest of its base, so the last
    with held(store, creates(big)) as slow, following(slow, table, base_interval=0.0, threads=threads):
        flushed = [table.flush(), table.flush()]
        wait_for_live(store, table)
        (output,) = table.compact(*flushed, size=100_000)
        wait_until(lambda: len([key for key in data_keys(store) if output.stem in key]) == 7, "the rest to be stored")
        for _ in range(2):
            flushed.append(table.flush())
            point = wait_for_view(store, table.directories[0], flushed)
        assert len([key for key in point.next if output.stem in key]) == 7, "no purge may take what the base has"
        slow.let_through()
        wait_for_live(store, table)

    insist_all_are_whole(store, table.directories[0])


def test_what_compaction_deletes_before_it_is_read_is_still_stored(store: MemoryStore, table: Table) -> None:
    with held(store, creates("nb-2-", "nb-3-")) as slow, following(slow, table):
        flushed = [table.flush()]
        wait_for_live(store, table)
        flushed += [table.flush(), table.flush()]
        wait_until(lambda: slow.waiting, "the flushes to be on their way")
        (output,) = table.compact(*flushed, size=10_000)
        assert sorted(os.listdir(table.directories[0])) == sorted(output.files), "nothing of ours is made there"
        slow.let_through()
        wait_for_view(store, table.directories[0], flushed)

    insist_all_are_whole(store, table.directories[0])


def test_what_a_truncate_deletes_before_it_is_read_is_in_the_last_restore_point(
    store: MemoryStore, table: Table
) -> None:
    with held(store, creates("nb-2-")) as slow, following(slow, table):
        flushed = [table.flush()]
        wait_for_live(store, table)
        flushed += [table.flush()]
        table.truncate()
        slow.let_through()
        wait_for_view(store, table.directories[0], [])

    assert contents_of(store, indexes(store, table.directories[0])[-2]) == expected(flushed)


def test_an_addition_let_go_for_the_pin_limit_is_told_and_made_good_by_a_base(
    store: MemoryStore, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    with held(store, creates("nb-2-", "nb-3-")) as slow, following(slow, table, pin_limit=0, threads=1):
        table.flush()
        wait_for_live(store, table)
        lost = [table.flush(), table.flush()]
        wait_until(lambda: slow.waiting, "the flushes to be on their way")
        table.compact(*lost)
        wait_until(lambda: "for --pin-limit" in errors(caplog), "the loss to be told")
        slow.let_through()
        wait_for_live(store, table)

    assert all("nb-3-big-" not in stems for stems in history(store, table.directories[0]))
    insist_all_are_whole(store, table.directories[0])


def test_no_later_flush_joins_the_view_while_an_earlier_one_is_not_stored(store: MemoryStore, table: Table) -> None:
    with held(store, creates("nb-2-big-Data.db")) as slow, following(slow, table):
        first = table.flush()
        wait_for_live(store, table)
        table.flush()
        third = table.flush()
        wait_until(lambda: len([key for key in data_keys(store) if third.stem in key]) == 8, "the third to be stored")
        assert history(store, table.directories[0]) == [{first.stem}]
        slow.let_through()
        wait_for_live(store, table)

    assert all(third.stem not in stems or "nb-2-big-" in stems for stems in history(store, table.directories[0]))


def test_two_tables_share_the_uploads(data: Path, store: MemoryStore) -> None:
    threads = 2  # one of them for what is urgent only, as all is here
    busy, quiet, other = (Table(directory_below(data, name)) for name in ("busy", "quiet", "other"))
    with (
        held(store, creates("nb-2-", *(f"nb-{number}-" for number in range(3, 12)))) as slow,
        following(slow, busy, quiet, other, threads=threads),
    ):
        for table in (busy, quiet, other):
            table.flush()
            wait_for_live(store, table)
        for _ in range(10):
            busy.flush()
        quiet.flush()
        other.truncate()
        wait_for_view(store, other.directories[0], [])  # so all that was before it is queued
        while not any("/quiet-" in request and request.endswith("-Data.db") for request in slow.waiting):
            # With all threads waiting before each, their order is the queue's, and not that of who gets a processor.
            wait_until(lambda: slow.kept == threads, "every thread to have an upload on its way")
            slow.let_one_through()
        before = [request for request in slow.waiting if "/busy-" in request and request.endswith("-Data.db")]
        slow.let_through()
        wait_for_live(store, busy)
        wait_for_live(store, quiet)

    assert len(before) <= 3, "the one flush of a quiet table does not wait for ten of a busy one"


def test_sstables_that_go_without_a_transaction_are_a_fault_and_no_restore_point(
    store: MemoryStore, table: Table, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (directory,) = table.directories
    with following(store, table):
        table.flush()
        wait_for_live(store, table)
        aside = tmp_path / "aside"
        aside.mkdir()
        for path in list(directory.iterdir()):
            path.rename(aside / path.name)
        wait_until(lambda: f"gone from {directory}" in errors(caplog), "the absence to be told")
        for path in aside.iterdir():
            path.rename(directory / path.name)
        table.flush()
        wait_for_live(store, table)

    assert all(stems for stems in history(store, directory)), "nothing there is no restore point"
    insist_all_are_whole(store, directory)


def test_an_absence_that_lasts_to_the_stop_writes_no_restore_point(
    store: MemoryStore, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    (directory,) = table.directories
    with following(store, table):
        table.flush()
        wait_for_live(store, table)
        for path in list(directory.iterdir()):
            path.unlink()
        wait_until(lambda: f"gone from {directory}" in errors(caplog), "the absence to be told")

    assert history(store, directory) == [{"nb-1-big-"}]


def test_a_directory_that_goes_and_comes_back_is_gone_on_with(
    store: MemoryStore, table: Table, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (directory,) = table.directories
    with following(store, table):
        table.flush()
        wait_for_live(store, table)
        directory.rename(tmp_path / "aside")
        wait_until(lambda: f"gone from {directory}" in errors(caplog), "the absence to be told")
        (tmp_path / "aside").rename(directory)
        table.flush()
        wait_for_live(store, table)

    insist_all_are_whole(store, directory)


def test_a_path_that_another_directory_takes_the_place_of_is_a_fault(
    data: Path, store: MemoryStore, table: Table, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (directory,) = table.directories
    with following(store, table):
        table.flush()
        wait_for_live(store, table)
        data.rename(tmp_path / "the disk")
        directory.mkdir(parents=True)  # what is under a mount point
        wait_until(lambda: f"gone from {directory}" in errors(caplog), "the absence to be told")
        shutil.rmtree(data)
        (tmp_path / "the disk").rename(data)
        table.flush()
        wait_for_live(store, table)

    assert all(stems for stems in history(store, directory))
    insist_all_are_whole(store, directory)


def test_some_sstables_that_go_without_a_transaction_are_named_and_a_base_follows(
    store: MemoryStore, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    with following(store, table):
        table.flush()
        gone = table.flush()
        table.flush()
        wait_for_live(store, table)
        gone.delete()
        table.live.remove(gone)
        point = wait_for_live(store, table)

    assert point.unexplained == (gone.stem,)
    assert "went without a transaction" in errors(caplog)
    last = newest(store, table.directories[0])
    assert last is not None
    assert stems_of(last) == {one.stem for one in table.live}


def test_what_goes_without_a_transaction_is_named_once(store: MemoryStore, table: Table) -> None:
    with following(store, table):
        table.flush()
        gone = table.flush()
        wait_for_live(store, table)
        gone.delete()
        table.live.remove(gone)
        wait_for_live(store, table)
        table.flush()
        point = wait_for_live(store, table)

    assert point.unexplained == ()


def test_a_generation_used_again_is_stored_beside_and_never_mixed(store: MemoryStore, table: Table) -> None:
    with following(store, table):
        old = table.flush()
        wait_for_live(store, table)
        table.truncate()
        table.restart()
        new = table.flush()
        wait_for_live(store, table)

    assert new.stem == old.stem
    found = [contents_of(store, index) for index in indexes(store, table.directories[0])]
    assert found[0] == expected([old])
    assert found[-1] == expected([new])
    assert all(point in (expected([old]), {}, expected([new])) for point in found)
    last = newest(store, table.directories[0])
    assert last is not None
    assert all("~" in name for name in last.names), "1.x never gets other bytes under a plain name"


def test_a_generation_used_again_while_the_view_still_holds_it_begins_a_new_one(
    store: MemoryStore, table: Table
) -> None:
    with following(store, table):
        old = [table.flush(), table.flush()]
        wait_for_live(store, table)
        table.compact(*old, size=10_000)
        cleanup = table.begin("cleanup")
        cleanup.remove(*table.live)
        cleanup.end()
        table.restart()
        new = table.flush()
        assert new.stem == old[0].stem
        wait_for_live(store, table)

    found = [contents_of(store, index) for index in indexes(store, table.directories[0])]
    assert expected([new]) == found[-1]
    assert all(point in ({}, expected(old[:1]), expected(old), expected([new])) for point in found)


def test_a_disk_that_fails_is_an_absence_and_no_truncation(tmp_path: Path, store: MemoryStore) -> None:
    disks = [tmp_path / "disk1", tmp_path / "disk2"]
    table = Table(*(directory_below(disk) for disk in disks))
    with following(store, table):
        table.flush(*table.directories)
        wait_for_live(store, table)
        everything = {one.stem for one in table.live}
        best_effort = table.begin("unknowncompactiontype")
        best_effort.remove(*(one for one in table.live if one.directory == table.directories[1]))
        best_effort.end()
        table.flush(table.directories[0])
        # To see the flush stored is to see that it was taken in.
        wait_until(lambda: len(data_keys(store)) == 24, "the flush to be stored")

    # The flush on the other disk is stored, and no view is taken of a table that lacks a disk.
    assert history(store, table.directories[0]) == [everything]
    insist_all_are_whole(store, table.directories[0])


def test_a_truncate_whose_log_nobody_could_read_is_a_truncate_and_no_lost_disk(
    store: MemoryStore, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    with following(store, table):
        flushed = [table.flush()]
        wait_for_live(store, table)
        flushed.append(table.flush())
        wait_for_live(store, table)
        table.truncate_unread()
        wait_for_view(store, table.directories[0], [])
        table.flush()
        wait_for_live(store, table)

    assert not errors(caplog)
    assert "removed by a truncate or drop, going by the directory" in caplog.text
    assert expected(flushed) in [contents_of(store, index) for index in indexes(store, table.directories[0])]
    insist_all_are_whole(store, table.directories[0])


def test_what_is_flushed_after_a_truncate_whose_log_nobody_could_read_stands_alone(
    store: MemoryStore, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    with following(store, table):
        first = table.flush()
        wait_for_live(store, table)
        table.truncate_unread()
        later = table.flush()
        wait_for_live(store, table)

    assert not errors(caplog)
    assert all(stems in ({first.stem}, set(), {later.stem}) for stems in history(store, table.directories[0]))


def test_a_truncate_of_several_disks_whose_log_nobody_could_read_is_no_lost_disk(
    tmp_path: Path, store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    table = Table(*(directory_below(tmp_path / disk) for disk in ("disk1", "disk2")))
    with following(store, table):
        table.flush(*table.directories)
        wait_for_live(store, table)
        table.truncate_unread()
        wait_for_view(store, table.directories[0], [])

    assert not errors(caplog)


def test_a_table_dropped_by_a_log_nobody_could_read_is_no_lost_disk(
    store: MemoryStore, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with following(store, table):
        table.flush()
        wait_for_live(store, table)
        table.truncate_unread()
        table.directories[0].rmdir()
        wait_for_view(store, table.directories[0], [])

    assert not errors(caplog)


@pytest.mark.parametrize("is_read", [True, False])
def test_a_truncate_that_is_heard_of_late_ends_the_absence(
    store: MemoryStore, table: Table, caplog: pytest.LogCaptureFixture, is_read: bool
) -> None:
    with following(store, table):
        table.flush()
        wait_for_live(store, table)
        truncate = table.begin(TRUNCATE)
        for one in table.live:
            one.delete()
        wait_until(lambda: f"gone from {table.directories[0]}" in errors(caplog), "the absence to be told")
        if is_read:
            truncate.remove(*table.live)
            truncate.end()
        else:
            table.truncate_unread()
        wait_for_view(store, table.directories[0], [])


def test_a_truncate_before_the_first_look_at_its_table_is_no_lost_disk(
    store: MemoryStore, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    with following(store, table):
        table.flush()
        wait_for_live(store, table)
    with (
        held(store, lambda request: request.startswith(("list", "level"))) as slow,
        following(slow, table),
    ):
        table.truncate()
        slow.let_through()
        wait_for_view(store, table.directories[0], [])

    assert not errors(caplog)


def test_an_addition_that_is_compacted_while_its_log_is_read_late_is_made_good(
    store: MemoryStore, table: Table
) -> None:
    """Nobody waits for the daemon to read the logs: some it never sees."""
    with following(store, table):
        table.flush()
        wait_for_live(store, table)
        table.followed_by = None
        for _ in range(30):
            table.compact(table.flush(), table.flush(), size=2_000)
        wait_for_live_rows(store, table)


def wait_for_live_rows(store: MemoryStore, table: Table) -> None:
    """Wait until the newest restore point is of what is live, or of what that was made of."""
    table.followed_by = os.getpid()
    last = table.flush()
    wait_until(
        lambda: (index := newest(store, table.directories[0])) is not None and last.stem in stems_of(index),
        "a restore point with the last flush",
    )
    insist_all_are_whole(store, table.directories[0])
