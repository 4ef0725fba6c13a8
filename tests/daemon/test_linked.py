"""Directories behind symbolic links are backed up like any other, under the path that the operator sees."""

import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.daemon.fake_cassandra import Table
from tests.daemon.in_process import indexes, newest, running
from tests.daemon.table_points import (
    Held,
    data_keys,
    directory_below,
    following,
    held,
    history,
    insist_all_are_whole,
    wait_for_live,
)
from tests.waiting import wait_until

from tablesnap.daemon.timing import Timing
from tablesnap.store.memory import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    directory = tmp_path / "disk"
    directory.mkdir()
    return directory


@pytest.fixture
def linked(data: Path, disk: Path) -> Table:
    """A table whose directory in the data directory is a link to another disk."""
    path = directory_below(data)
    path.parent.mkdir()
    (disk / "t").mkdir()
    path.symlink_to(disk / "t")
    return Table(path)


def said(caplog: pytest.LogCaptureFixture, level: int) -> str:
    return "\n".join(one.getMessage() for one in caplog.records if one.levelno >= level)


def test_a_linked_table_is_followed_under_its_own_path(
    data: Path, store: MemoryStore, linked: Table, caplog: pytest.LogCaptureFixture
) -> None:
    with following(store, linked, base_interval=0.0):
        flushed = [linked.flush(), linked.flush()]
        wait_for_live(store, linked)
        linked.compact(*flushed)
        wait_for_live(store, linked)
        linked.truncate()
        linked.flush()
        wait_for_live(store, linked)

    assert all(key.startswith(f"n:{data}/ks/t-") for key in data_keys(store))
    assert said(caplog, logging.WARNING) == ""
    insist_all_are_whole(store, linked.directories[0])


def test_what_is_in_a_linked_table_at_start_is_taken_in(store: MemoryStore, linked: Table) -> None:
    linked.flush()
    with following(store, linked, backup=True):
        wait_for_live(store, linked)


def test_a_start_goes_on_with_a_linked_table_where_the_last_run_ended(store: MemoryStore, linked: Table) -> None:
    with following(store, linked):
        linked.flush()
        wait_for_live(store, linked)
    before = data_keys(store)

    with following(store, linked):
        flushed = linked.flush()
        wait_for_live(store, linked)

    assert {key for key in data_keys(store) - before if flushed.stem not in key} == set()


def test_a_keyspace_linked_while_the_daemon_runs_is_followed(
    data: Path, disk: Path, store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    with running(store, data, index_interval=0.0):
        (disk / directory_below(data).name).mkdir()
        (data / "ks").symlink_to(disk)
        table = Table(directory_below(data))
        table.flush()
        wait_for_live(store, table)

    assert said(caplog, logging.WARNING) == ""


@pytest.fixture
def elsewhere(disk: Path) -> Iterator[Path]:
    """A directory on another file system, where this machine has one."""
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == disk.stat().st_dev:
        yield disk
        return
    with tempfile.TemporaryDirectory(dir=other) as directory:
        yield Path(directory)


@pytest.mark.parametrize("way", ["renamed", "copied"])
def test_a_table_moved_to_another_disk_and_linked_goes_on_without_a_question(
    data: Path, disk: Path, elsewhere: Path, store: MemoryStore, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    target = (elsewhere if way == "copied" else disk) / "moved"
    table, other = Table(directory_below(data)), Table(directory_below(data, "other"))
    (path,) = table.directories
    with following(store, table, other, timing=Timing(moved=60.0)):
        table.compact(table.flush(), table.flush())
        table.flush()
        wait_for_live(store, table)

        if way == "copied":
            shutil.copytree(path, target)
            path.rename(disk / "old")
        else:
            path.rename(target)
        wait_until(lambda: f"{path} is gone" in caplog.text, "the daemon to hear of it")
        other.flush()
        wait_for_live(store, other)  # it has looked meanwhile at what is due
        path.symlink_to(target)
        table.flush()
        wait_for_live(store, table)

    assert said(caplog, logging.ERROR) == ""
    insist_all_are_whole(store, path)


def test_a_link_that_leads_elsewhere_is_another_disk_until_that_is_said_to_be_right(
    disk: Path, store: MemoryStore, linked: Table, caplog: pytest.LogCaptureFixture
) -> None:
    (path,) = linked.directories
    with following(store, linked) as it:
        linked.flush()
        wait_for_live(store, linked)
        before = history(store, path)

        other = Table(disk / "other")
        other.flush()
        other.flush()
        (disk / "next").symlink_to(disk / "other")
        (disk / "next").replace(path)
        wait_until(lambda: f"gone from {path}" in said(caplog, logging.ERROR), "the question")
        assert history(store, path) == before
        it.daemon.rescan()
        linked.live = [type(one)(**{**vars(one), "directory": path}) for one in other.live]
        wait_for_live(store, linked)


def test_a_link_that_leads_back_goes_on(
    disk: Path, store: MemoryStore, linked: Table, caplog: pytest.LogCaptureFixture
) -> None:
    (path,) = linked.directories
    with following(store, linked):
        linked.flush()
        wait_for_live(store, linked)

        (disk / "empty").mkdir()
        path.unlink()
        path.symlink_to(disk / "empty")
        wait_until(lambda: f"gone from {path}" in said(caplog, logging.ERROR), "the question")
        path.unlink()
        path.symlink_to(disk / "t")
        linked.flush()
        wait_for_live(store, linked)

    assert all(stems for stems in history(store, path))
    insist_all_are_whole(store, path)


@pytest.mark.parametrize("way", ["replaced", "deleted and made"])
def test_an_ordinary_directory_behind_a_link_that_leads_elsewhere_is_not_recorded(
    data: Path, disk: Path, store: MemoryStore, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    link = data / "link"
    for name in ("one", "two"):
        (disk / name).mkdir()
        (disk / name / f"in-{name}").write_text(name)
    link.symlink_to(disk / "one")
    with running(store, data, backup=True) as it:
        wait_until(lambda: newest(store, link), "a restore point")

        (disk / "next").symlink_to(disk / "two")
        if way == "deleted and made":
            link.unlink()
            wait_until(lambda: f"{link} is gone" in caplog.text, "the daemon to hear of it")
        (disk / "next").replace(link)
        wait_until(lambda: f"{link} is on another file system than at its last index, or a link" in caplog.text)
        assert [sorted(index.files) for index in indexes(store, link)] == [["in-one"]]
        it.daemon.rescan()
        wait_until(lambda: sorted(indexes(store, link)[-1].files) == ["in-two"], "the next")


def test_a_table_that_two_links_reach_is_kept_under_the_one_that_has_an_index(
    data: Path, disk: Path, store: MemoryStore
) -> None:
    (disk / directory_below(data).name).mkdir()
    (data / "ks").symlink_to(disk)
    table = Table(directory_below(data))
    with following(store, table):
        table.flush()
        wait_for_live(store, table)
    (data / "a").symlink_to(disk)

    with following(store, table):
        table.flush()
        wait_for_live(store, table)

    assert not [key for key in data_keys(store) if key.startswith(f"n:{data}/a/")]


def test_a_table_that_two_links_reach_and_no_index_knows_is_kept_under_the_first(
    data: Path, disk: Path, store: MemoryStore
) -> None:
    (disk / directory_below(data).name).mkdir()
    for name in ("b", "a"):
        (data / name).symlink_to(disk)
    table = Table(data / "a" / directory_below(data).name)
    with running(store, data, index_interval=0.0):
        table.flush()
        wait_for_live(store, table)

    assert {key.split("/ks")[0] for key in data_keys(store) if "/b/" in key} == set()


def test_while_the_store_does_not_say_which_link_it_knows_that_is_an_error_a_minute(
    data: Path, disk: Path, store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    table = Table(directory_below(disk))
    for name in ("b", "a"):
        (data / name).symlink_to(disk / "ks")
    table.flush()

    def fast() -> float:
        return Timing.report_every * time.monotonic()

    with held(store, lambda request: request.startswith("list")) as slow:
        assert isinstance(slow, Held)
        with running(slow, data, backup=True, now=fast):
            wait_until(lambda: said(caplog, logging.ERROR).count("nothing below is backed up yet") > 1, "the errors")
            slow.let_through()
            kept = data / "a" / table.directories[0].name
            wait_until(lambda: newest(store, kept), "a restore point")

    assert f"{data / 'a'} and {data / 'b'}: nothing below" in caplog.text
    assert str(data / "a" / "t-") not in said(caplog, logging.ERROR)


def test_a_directory_that_is_dropped_with_its_link_leaves_an_empty_restore_point(
    store: MemoryStore, linked: Table
) -> None:
    (path,) = linked.directories
    with following(store, linked):
        linked.flush()
        wait_for_live(store, linked)
        linked.truncate()
        path.unlink()
        wait_until(lambda: history(store, path)[-1] == set(), "the last one")
