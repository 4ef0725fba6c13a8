"""Links to directories below a PATH are followed, and each directory is watched once, under one path."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.waiting import wait_until
from tests.watch.test_inotify import Listener, heard_last, write

from tablesnap.watch.inotify import REMIND_SECONDS, Watcher
from tablesnap.watch.links import Tree, second_choices

ID = "5d1c3f20c4f211f0a1b2c3d4e5f60718"


class Watch(Listener):
    """A watcher, and what is heard of it."""

    def __init__(self, *paths: Path, recursive: bool, auto_add: bool, avoid: tuple[Path, ...]) -> None:
        super().__init__()
        self.watcher = Watcher(
            tuple(map(str, paths)),
            self.hear,
            time.monotonic,
            recursive=recursive,
            auto_add=auto_add,
            avoid=tuple(map(str, avoid)),
        )
        self.watcher.start()
        wait_until(lambda: self.started, "the start")

    def watched(self, *paths: Path) -> bool:
        return {str(path) for path in paths} <= set(self.directories)


Start = Callable[..., Watch]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start watching paths, with all below, and wait until that is done."""
    watches: list[Watch] = []

    def begin(*paths: Path, recursive: bool = True, auto_add: bool = True, avoid: tuple[Path, ...] = ()) -> Watch:
        watches.append(Watch(*paths, recursive=recursive, auto_add=auto_add, avoid=avoid))
        return watches[-1]

    yield begin
    for watch in watches:
        watch.watcher.stop()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    return directory


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A directory outside the PATHs, with one below it."""
    directory = tmp_path / "disk"
    write(directory / "below" / "old")
    return directory


# At start.


def test_a_link_that_is_there_at_start_is_followed_under_its_own_path(data: Path, disk: Path, start: Start) -> None:
    (data / "link").symlink_to(disk)

    watch = start(data)

    assert watch.started is not None
    assert watch.directories == [str(data), str(data / "link"), str(data / "link" / "below")]
    assert watch.started.directories == 3
    write(disk / "below" / "new")
    watch.wait_for(data / "link" / "below" / "old", data / "link" / "below" / "new")


def test_without_r_no_link_that_is_there_at_start_is_followed(data: Path, disk: Path, start: Start) -> None:
    (data / "link").symlink_to(disk)

    watch = start(data, recursive=False)
    heard_last(watch, data)

    assert watch.directories == [str(data)]


def test_links_in_what_a_link_leads_to_are_followed_too(data: Path, disk: Path, tmp_path: Path, start: Start) -> None:
    write(tmp_path / "other" / "a")
    (disk / "further").symlink_to(tmp_path / "other")
    (data / "link").symlink_to(disk)

    watch = start(data)

    watch.wait_for(data / "link" / "further" / "a")


@pytest.mark.parametrize("auto_add", [True, False])
def test_links_that_lead_in_a_circle_end(data: Path, disk: Path, tmp_path: Path, start: Start, auto_add: bool) -> None:
    write(tmp_path / "other" / "a")
    (data / "up").symlink_to("..")  # holds the PATH
    (data / "itself").symlink_to(".")
    (data / "link").symlink_to(disk)
    (disk / "up").symlink_to(".")
    (disk / "further").symlink_to(tmp_path / "other")
    (tmp_path / "other" / "back").symlink_to(disk / "below")

    watch = start(data, auto_add=auto_add)
    heard_last(watch, data)

    link = data / "link"
    assert watch.directories == [str(path) for path in (data, link, link / "below", link / "further")]


def test_what_is_below_a_path_itself_keeps_its_own_name(data: Path, start: Start) -> None:
    write(data / "z" / "a")
    (data / "a").symlink_to("z")

    watch = start(data)
    heard_last(watch, data)

    assert watch.directories == [str(data), str(data / "z")]


def test_what_is_below_another_path_keeps_its_name_there(data: Path, disk: Path, start: Start) -> None:
    (data / "a").symlink_to(disk / "below")

    watch = start(data, disk)
    heard_last(watch, data)

    assert str(data / "a") not in watch.directories
    watch.wait_for(disk / "below" / "old")


@pytest.mark.parametrize("place", [f"shop/t-{ID}/snapshots/s/link", f"shop/t-{ID}/backups/link", "old/snapshots/link"])
def test_links_in_snapshots_and_backups_are_not_followed(data: Path, disk: Path, start: Start, place: str) -> None:
    link = data / place
    link.parent.mkdir(parents=True)
    if "old" in place:
        write(data / "old" / "old-t-jb-1-Data.db")  # a table's directory of 2.0 shows by what is in it
    link.symlink_to(disk)

    watch = start(data)
    heard_last(watch, data)

    assert watch.watched(link.parent)
    assert str(link) not in watch.directories


def test_a_keyspace_of_the_name_of_backups_is_followed(data: Path, disk: Path, start: Start) -> None:
    (data / "backups").symlink_to(disk)

    start(data).wait_for(data / "backups" / "below" / "old")


@pytest.mark.parametrize("target", ["store", "store/inside", "."])
def test_no_link_leads_to_where_the_store_is(
    data: Path, tmp_path: Path, start: Start, caplog: pytest.LogCaptureFixture, target: str
) -> None:
    store = tmp_path / "mnt" / "store"
    (store / "inside").mkdir(parents=True)
    (data / "link").symlink_to(tmp_path / "mnt" / target)

    watch = start(data, avoid=(store,))
    heard_last(watch, data)

    assert watch.directories == [str(data)]
    assert f"{data / 'link'} is a symbolic link and is not followed" in caplog.text
    assert "it leads to where the store is" in caplog.text


# Under which path.


def test_what_several_links_reach_is_not_watched_before_it_is_decided_how(data: Path, disk: Path, start: Start) -> None:
    (data / "b").symlink_to(disk)
    (data / "a").symlink_to(disk)

    watch = start(data)

    assert watch.started is not None
    assert watch.directories == [str(data)]
    assert watch.started.contested == (
        (str(data / "a"), str(data / "b")),
        (str(data / "a" / "below"), str(data / "b" / "below")),
    )


def test_without_an_index_the_first_by_name_has_it(data: Path, disk: Path, start: Start) -> None:
    (data / "b").symlink_to(disk)
    (data / "a").symlink_to(disk)
    watch = start(data)

    watch.watcher.decide(())
    watch.wait_for(data / "a" / "below" / "old")
    heard_last(watch, data)

    assert str(data / "b") not in watch.directories


def test_one_that_has_an_index_has_it_whatever_its_name(data: Path, disk: Path, start: Start) -> None:
    (data / "b").symlink_to(disk)
    (data / "a").symlink_to(disk)
    watch = start(data)

    watch.watcher.decide((str(data / "a"), str(data / "a" / "below")))
    watch.wait_for(data / "b" / "below" / "old")
    heard_last(watch, data)

    assert str(data / "a") not in watch.directories


def test_of_links_one_of_which_leads_into_the_other_each_keeps_what_has_an_index(
    data: Path, disk: Path, start: Start
) -> None:
    write(disk / "more" / "a")
    (data / "a").symlink_to(disk)
    (data / "b").symlink_to(disk / "below")
    watch = start(data)
    assert watch.started is not None
    assert watch.started.contested == ((str(data / "a" / "below"), str(data / "b")),)

    watch.watcher.decide(second_choices(watch.started.contested, {str(data / "a" / "more"), str(data / "b")}))
    watch.wait_for(data / "b" / "old", data / "a" / "more" / "a")
    heard_last(watch, data)

    assert str(data / "a" / "below") not in watch.directories


def test_what_is_left_for_a_link_that_has_gone_meanwhile_is_watched_all_the_same(
    data: Path, disk: Path, start: Start
) -> None:
    (data / "a").symlink_to(disk)
    (data / "b").symlink_to(disk / "below")
    watch = start(data)
    (data / "b").unlink()
    heard_last(watch, data)

    watch.watcher.decide((str(data / "a" / "below"),))

    watch.wait_for(data / "a" / "below" / "old")


def test_an_index_below_a_directory_counts_for_it() -> None:
    contested = (("/a", "/b"), ("/a/t", "/b/t"), ("/c", "/d"))

    assert second_choices(contested, {"/b/t"}) == {"/a", "/a/t"}


def test_a_link_made_later_takes_nothing_from_one_that_was_there(data: Path, disk: Path, start: Start) -> None:
    (data / "b").symlink_to(disk)
    watch = start(data)
    watch.forget()

    (data / "a").symlink_to(disk)
    heard_last(watch, data)
    watch.watcher.rescan()
    wait_until(lambda: watch.watched(data / "b"), "the rescan")
    write(disk / "below" / "new")
    watch.wait_for(data / "b" / "below" / "new")

    assert watch.gone == []
    assert str(data / "a") not in watch.directories


# While it runs.


def test_a_link_made_later_is_followed_with_all_below(data: Path, disk: Path, start: Start) -> None:
    watch = start(data)

    (data / "link").symlink_to(disk)
    watch.wait_for(data / "link" / "below" / "old")
    write(disk / "below" / "new")

    watch.wait_for(data / "link" / "below" / "new")


def test_a_link_renamed_into_place_is_followed(data: Path, disk: Path, tmp_path: Path, start: Start) -> None:
    watch = start(data)

    (tmp_path / "link").symlink_to(disk)
    (tmp_path / "link").rename(data / "link")

    watch.wait_for(data / "link" / "below" / "old")


def test_without_a_a_link_made_later_is_followed_where_a_directory_was(data: Path, disk: Path, start: Start) -> None:
    (data / "was").mkdir()
    watch = start(data, auto_add=False)

    (data / "new").symlink_to(disk)
    (data / "was").rmdir()
    (data / "was").symlink_to(disk)

    watch.wait_for(data / "was" / "below" / "old")
    assert str(data / "new") not in watch.directories


@pytest.mark.parametrize("auto_add", [True, False])
def test_a_renamed_link_goes_on_under_its_new_name(data: Path, disk: Path, start: Start, auto_add: bool) -> None:
    (data / "old").symlink_to(disk)
    watch = start(data, auto_add=auto_add)

    (data / "old").rename(data / "new")
    watch.wait_for(data / "new" / "below" / "old")

    assert set(watch.gone) == {str(data / "old"), str(data / "old" / "below")}


def test_a_deleted_link_is_told_gone_with_all_below(data: Path, disk: Path, start: Start) -> None:
    (data / "link").symlink_to(disk)
    watch = start(data)

    (data / "link").unlink()
    heard_last(watch, data)
    write(disk / "below" / "unheard")
    heard_last(watch, data)

    assert watch.gone == [str(data / "link"), str(data / "link" / "below")]
    assert str(data / "link" / "below" / "unheard") not in watch.seen


@pytest.mark.parametrize("way", ["deleted and made", "renamed over"])
def test_a_link_that_leads_elsewhere_now_is_followed_there(
    data: Path, disk: Path, tmp_path: Path, start: Start, way: str
) -> None:
    write(tmp_path / "other" / "below" / "in-other")
    (data / "link").symlink_to(disk)
    watch = start(data)

    if way == "renamed over":
        (tmp_path / "next").symlink_to(tmp_path / "other")
        (tmp_path / "next").replace(data / "link")
    else:
        (data / "link").unlink()
        (data / "link").symlink_to(tmp_path / "other")
    watch.wait_for(data / "link" / "below" / "in-other")
    write(disk / "below" / "unheard")
    heard_last(watch, data)

    assert str(data / "link" / "below" / "unheard") not in watch.seen


def test_of_a_link_that_leads_elsewhere_only_what_is_not_there_is_told_gone(
    data: Path, disk: Path, tmp_path: Path, start: Start
) -> None:
    (disk / "only here").mkdir()
    (tmp_path / "other" / "below").mkdir(parents=True)
    (data / "link").symlink_to(disk)
    watch = start(data)

    (tmp_path / "next").symlink_to(tmp_path / "other")
    (tmp_path / "next").replace(data / "link")
    wait_until(lambda: watch.gone, "the end")

    assert watch.gone == [str(data / "link" / "only here")]


def test_a_link_to_what_is_not_there_is_followed_once_it_is(data: Path, tmp_path: Path, start: Start) -> None:
    (data / "link").symlink_to(tmp_path / "late")
    watch = start(data)

    write(tmp_path / "late" / "below" / "a")

    watch.wait_for(data / "link" / "below" / "a")


def test_what_a_link_leads_to_may_go_and_come_back(data: Path, disk: Path, tmp_path: Path, start: Start) -> None:
    (data / "link").symlink_to(disk)
    watch = start(data)

    disk.rename(tmp_path / "away")
    wait_until(lambda: str(data / "link" / "below") in watch.gone, "the end")
    (tmp_path / "away").rename(disk)
    write(disk / "below" / "new")

    watch.wait_for(data / "link" / "below" / "new")


def test_a_directory_that_is_moved_and_linked_goes_on_under_its_path(data: Path, tmp_path: Path, start: Start) -> None:
    write(data / "t" / "below" / "a")
    watch = start(data)

    (data / "t").rename(tmp_path / "moved")
    (data / "t").symlink_to(tmp_path / "moved")
    heard_last(watch, data)
    write(tmp_path / "moved" / "below" / "new")

    watch.wait_for(data / "t" / "below" / "new")


# Many directories.


def calls_to_watch(path: Path, start: Start, depth: int) -> int:
    """Return how many functions the watcher's thread calls to watch so many nested directories."""
    path.mkdir()
    calls = [0]

    def count(frame: object, event: str, argument: object) -> None:
        calls[0] += threading.current_thread().name == "watch"

    nest(path, depth)
    threading.setprofile(count)
    try:
        start(path)
    finally:
        threading.setprofile(None)
    return calls[0]


def nest(path: Path, depth: int) -> str:
    last = str(path)
    for _ in range(depth):
        last += "/d"
        os.mkdir(last)
    return last


def test_the_work_grows_with_the_number_of_nested_directories_and_not_with_its_square(
    tmp_path: Path, start: Start
) -> None:
    few, many = calls_to_watch(tmp_path / "few", start, 100), calls_to_watch(tmp_path / "many", start, 400)

    assert many < 6 * few


def test_directories_nested_deeper_than_functions_may_be_are_watched(tmp_path: Path, start: Start) -> None:
    deep = tmp_path / "deep"
    deep.mkdir()
    try:
        last = nest(deep, 1200)
        watch = start(deep)
        write(Path(last) / "a")
        watch.wait_for(Path(last) / "a")
    finally:
        subprocess.run(["rm", "-r", deep], check=True)  # Python calls a function for each level of them


def test_directories_that_were_found_by_looking_are_not_looked_at_again_for_each_event(
    tmp_path: Path, start: Start
) -> None:
    watch = start(tmp_path)

    last = nest(tmp_path, 600)
    write(Path(last) / "a")
    watch.wait_for(Path(last) / "a")
    heard_last(watch, tmp_path)

    assert len(watch.directories) == 601


# A look.


def tree(*paths: Path, second: tuple[Path, ...] = ()) -> list[str]:
    return list(Tree(tuple(map(str, paths)), second=tuple(map(str, second))).directories)


def test_a_look_finds_the_directories_that_a_daemon_watches(
    data: Path, disk: Path, tmp_path: Path, start: Start
) -> None:
    write(tmp_path / "other" / "a")
    (disk / "further").symlink_to(tmp_path / "other")
    (disk / "up").symlink_to(tmp_path)
    (data / "z").mkdir()
    (data / "a").symlink_to("z")
    (data / "link").symlink_to(disk)
    (data / "nowhere").symlink_to("not there")

    watch = start(data)

    assert tree(data) == watch.directories
    assert tree(data) == [
        str(path) for path in (data, data / "z", data / "link", data / "link" / "below", data / "link" / "further")
    ]


def test_a_look_takes_the_first_by_name_unless_it_is_told_that_it_is_the_second_choice(data: Path, disk: Path) -> None:
    (data / "b").symlink_to(disk)
    (data / "a").symlink_to(disk)

    assert tree(data) == [str(data), str(data / "a"), str(data / "a" / "below")]
    assert tree(data, second=(data / "a", data / "a" / "below")) == [
        str(data),
        str(data / "b"),
        str(data / "b" / "below"),
    ]


def test_what_is_in_no_backup_because_of_a_link_is_an_error_at_start_and_every_hour(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (data / "up").symlink_to("..")
    (data / "nowhere").symlink_to("not there")

    def fast() -> float:
        return REMIND_SECONDS * time.monotonic()

    others = set(threading.enumerate())
    watcher = Watcher((str(data),), Listener().hear, fast, recursive=True, auto_add=True)
    watcher.start()
    own = [thread for thread in set(threading.enumerate()) - others if thread.name == "watch"]
    try:
        wait_until(lambda: caplog.text.count(f"{data / 'up'} is a symbolic link and is not followed") > 1)
        wait_until(lambda: caplog.text.count(f"{data / 'nowhere'} is a symbolic link to what is not there") > 1)
    finally:
        watcher.stop()
        for thread in own:
            thread.join(60)

    assert {one.levelname for one in caplog.records} == {"ERROR"}


def test_a_link_made_later_that_is_not_followed_is_an_error_once(
    data: Path, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    watch = start(data)

    (data / "up").symlink_to("..")
    wait_until(lambda: caplog.text, "the error")
    watch.forget()
    watch.watcher.rescan()
    wait_until(lambda: watch.watched(data), "the rescan")
    heard_last(watch, data)

    assert [one.levelname for one in caplog.records] == ["ERROR"]
