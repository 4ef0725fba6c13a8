"""The kernel's own events, on real directories: whatever is written below a PATH is heard of, or found by looking."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.waiting import wait_until

from tablesnap.watch.hints import (
    DirectoryGone,
    DirectoryHint,
    FileHint,
    Happening,
    Hint,
    LookEverywhere,
    Started,
)
from tablesnap.watch.inotify import Watcher


class Listener:
    """Does what a daemon would: notes files it is told of, and lists a directory it is told to look at."""

    def __init__(self) -> None:
        self.hints: list[Hint] = []
        self.seen: set[str] = set()
        self.held_off: threading.Event | None = None

    def hear(self, hint: Hint) -> None:
        self.hints.append(hint)
        if isinstance(hint, FileHint):
            self.seen.add(os.path.join(hint.directory, hint.name))
            if self.held_off is not None:
                assert self.held_off.wait(60)
        elif isinstance(hint, DirectoryHint):
            try:
                self.seen |= {entry.path for entry in os.scandir(hint.directory)}
            except OSError:
                return

    def forget(self) -> None:
        self.hints = []
        self.seen = set()

    @property
    def started(self) -> Started | None:
        return next((hint for hint in self.hints if isinstance(hint, Started)), None)

    @property
    def directories(self) -> list[str]:
        return [hint.directory for hint in self.hints if isinstance(hint, DirectoryHint)]

    @property
    def gone(self) -> list[str]:
        return [hint.directory for hint in self.hints if isinstance(hint, DirectoryGone)]

    def happenings(self, path: Path) -> list[Happening]:
        return [
            hint.happening
            for hint in self.hints
            if isinstance(hint, FileHint) and os.path.join(hint.directory, hint.name) == str(path)
        ]

    def wait_for(self, *paths: Path) -> None:
        wait_until(lambda: {str(path) for path in paths} <= self.seen, f"{paths[:3]} to be heard of")


Start = Callable[..., Listener]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start watching paths, and wait until that is done."""
    watchers: list[Watcher] = []

    def begin(*paths: Path, recursive: bool = False, auto_add: bool = False) -> Listener:
        listener = Listener()
        watcher = Watcher(tuple(map(str, paths)), listener.hear, time.monotonic, recursive=recursive, auto_add=auto_add)
        watchers.append(watcher)
        watcher.start()
        wait_until(lambda: listener.started, "the start")
        return listener

    yield begin
    for watcher in watchers:
        watcher.stop()


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def heard_last(listener: Listener, directory: Path) -> None:
    """Wait until all that happened before has been heard: events come in order."""
    write(directory / "the-last-one")
    last = FileHint(str(directory), "the-last-one", Happening.CLOSED)  # CREATED comes before it
    wait_until(lambda: last in listener.hints, f"{last} to be heard")


# Files.


def test_each_way_in_which_a_file_appears_or_goes_is_told_apart(tmp_path: Path, start: Start) -> None:
    outside = write(tmp_path / "outside" / "a")
    watched = tmp_path / "watched"
    watched.mkdir()
    listener = start(watched)

    write(watched / "written")
    outside.rename(watched / "renamed")
    os.link(watched / "written", watched / "linked")
    (watched / "linked").unlink()
    (watched / "renamed").rename(tmp_path / "outside" / "b")
    heard_last(listener, watched)

    assert listener.happenings(watched / "written") == [Happening.CREATED, Happening.CLOSED]
    assert listener.happenings(watched / "renamed") == [Happening.MOVED_TO, Happening.GONE]
    assert listener.happenings(watched / "linked") == [Happening.CREATED, Happening.GONE]


def test_a_name_that_is_no_utf8_is_heard_as_it_is_listed(tmp_path: Path, start: Start) -> None:
    listener = start(tmp_path)

    with open(os.fsencode(tmp_path) + b"/caf\xe9", "wb"):
        pass
    heard_last(listener, tmp_path)

    (name,) = {name for name in os.listdir(tmp_path) if name.startswith("caf")}
    assert listener.happenings(tmp_path / name) == [Happening.CREATED, Happening.CLOSED]


def test_a_hint_carries_the_path_as_it_was_given(tmp_path: Path, start: Start) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to("target")
    listener = start(tmp_path / "link")

    write(tmp_path / "target" / "a")

    listener.wait_for(tmp_path / "link" / "a")


# What is watched.


def test_all_directories_are_hinted_at_before_the_start_is_told(tmp_path: Path, start: Start) -> None:
    write(tmp_path / "a" / "b" / "file")
    write(tmp_path / "c" / "file")

    listener = start(tmp_path, recursive=True)

    assert listener.started == Started(directories=4, unwatched=0)
    assert isinstance(listener.hints[4], Started)
    assert listener.hints[:4] == [
        DirectoryHint(str(path), at_start=True)
        for path in (tmp_path, tmp_path / "a", tmp_path / "a" / "b", tmp_path / "c")
    ]


def test_without_r_and_a_only_the_path_itself_is_watched(tmp_path: Path, start: Start) -> None:
    (tmp_path / "old").mkdir()
    listener = start(tmp_path)

    write(tmp_path / "old" / "a")
    write(tmp_path / "new" / "a")
    heard_last(listener, tmp_path)

    assert set(listener.directories) == {str(tmp_path)}
    assert listener.seen == {str(tmp_path / "the-last-one"), str(tmp_path / "old")}


def test_with_r_alone_old_directories_are_watched_and_new_ones_are_not(tmp_path: Path, start: Start) -> None:
    (tmp_path / "old").mkdir()
    listener = start(tmp_path, recursive=True)

    write(tmp_path / "new" / "a")
    write(tmp_path / "old" / "new" / "a")
    write(tmp_path / "old" / "a")
    heard_last(listener, tmp_path)

    assert str(tmp_path / "old" / "a") in listener.seen
    assert {str(tmp_path / "new"), str(tmp_path / "old" / "new")}.isdisjoint(listener.directories)


def test_with_a_alone_new_directories_are_watched_with_all_below_and_old_ones_are_not(
    tmp_path: Path, start: Start
) -> None:
    (tmp_path / "old").mkdir()
    listener = start(tmp_path, auto_add=True)

    write(tmp_path / "old" / "a")
    write(tmp_path / "new" / "below" / "a")
    listener.wait_for(tmp_path / "new" / "below" / "a")
    heard_last(listener, tmp_path)

    assert str(tmp_path / "old") not in listener.directories
    assert str(tmp_path / "old" / "a") not in listener.seen


def test_files_raced_into_new_nested_directories_are_all_heard_of(tmp_path: Path, start: Start) -> None:
    listener = start(tmp_path, recursive=True, auto_add=True)

    paths = [write(tmp_path / f"ks{n % 7}" / f"t{n}" / "below" / "that" / "nb-1-big-Data.db") for n in range(300)]

    listener.wait_for(*paths)


def test_a_directory_moved_in_with_all_it_holds_is_watched(tmp_path: Path, start: Start) -> None:
    write(tmp_path / "outside" / "below" / "a")
    watched = tmp_path / "watched"
    watched.mkdir()
    listener = start(watched, recursive=True, auto_add=True)

    (tmp_path / "outside").rename(watched / "inside")
    listener.wait_for(watched / "inside" / "below" / "a")
    write(watched / "inside" / "below" / "b")

    listener.wait_for(watched / "inside" / "below" / "b")


# Renamed, deleted, and back.


@pytest.mark.parametrize("auto_add", [False, True])
def test_a_renamed_directory_goes_on_under_its_new_name_with_all_below_it(
    tmp_path: Path, start: Start, auto_add: bool
) -> None:
    write(tmp_path / "old" / "below" / "a")
    listener = start(tmp_path, recursive=True, auto_add=auto_add)

    (tmp_path / "old").rename(tmp_path / "new")
    listener.wait_for(tmp_path / "new" / "below" / "a")
    listener.forget()
    write(tmp_path / "new" / "below" / "b")
    listener.wait_for(tmp_path / "new" / "below" / "b")

    assert not any("/old" in path for path in listener.seen)


def test_the_old_name_of_a_renamed_directory_is_told_gone_with_all_below_it(tmp_path: Path, start: Start) -> None:
    (tmp_path / "old" / "below").mkdir(parents=True)
    listener = start(tmp_path, recursive=True)

    (tmp_path / "old").rename(tmp_path / "new")
    heard_last(listener, tmp_path)

    assert set(listener.gone) == {str(tmp_path / "old"), str(tmp_path / "old" / "below")}


def test_two_directories_that_swap_names_keep_being_told_apart(tmp_path: Path, start: Start) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    listener = start(tmp_path, recursive=True)

    (tmp_path / "a").rename(tmp_path / "c")
    (tmp_path / "b").rename(tmp_path / "a")
    (tmp_path / "c").rename(tmp_path / "b")
    heard_last(listener, tmp_path)
    listener.forget()
    in_a, in_b = write(tmp_path / "a" / "in-a"), write(tmp_path / "b" / "in-b")
    listener.wait_for(in_a, in_b)

    assert listener.seen == {str(in_a), str(in_b)}


@pytest.mark.parametrize("auto_add", [False, True])
def test_a_directory_deleted_and_made_again_is_watched_again(tmp_path: Path, start: Start, auto_add: bool) -> None:
    (tmp_path / "t" / "below").mkdir(parents=True)
    listener = start(tmp_path, recursive=True, auto_add=auto_add)

    for round_number in range(3):
        shutil.rmtree(tmp_path / "t")
        path = write(tmp_path / "t" / "below" / f"file{round_number}")
        listener.wait_for(path)
        wait_until(lambda: listener.directories[-1] == str(tmp_path / "t" / "below"))

    assert str(tmp_path / "t") in listener.gone


def test_a_deleted_directory_is_told_gone(tmp_path: Path, start: Start) -> None:
    (tmp_path / "t").mkdir()
    listener = start(tmp_path, recursive=True)

    (tmp_path / "t").rmdir()
    heard_last(listener, tmp_path)

    assert listener.gone == [str(tmp_path / "t")]


@pytest.mark.parametrize("way", ["deleted", "renamed"])
def test_a_path_that_goes_and_comes_back_is_watched_again(tmp_path: Path, start: Start, way: str) -> None:
    path = tmp_path / "data"
    (path / "below").mkdir(parents=True)
    listener = start(path, recursive=True)

    if way == "deleted":
        shutil.rmtree(path)
    else:
        path.rename(tmp_path / "elsewhere")
    wait_until(lambda: str(path) in listener.gone, "the end")
    write(path / "below" / "a")
    listener.wait_for(path / "below" / "a")
    write(path / "b")

    listener.wait_for(path / "b")


def test_a_path_that_is_not_there_at_start_is_watched_once_it_is(tmp_path: Path, start: Start) -> None:
    listener = start(tmp_path / "late", recursive=True)

    write(tmp_path / "late" / "below" / "a")

    listener.wait_for(tmp_path / "late" / "below" / "a")


def test_a_path_whose_parent_is_renamed_away_is_told_gone(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "parent" / "data"
    path.mkdir(parents=True)
    listener = start(path)

    (tmp_path / "parent").rename(tmp_path / "elsewhere")

    wait_until(lambda: listener.gone == [str(path)], "the end")


def test_a_path_that_is_a_link_is_followed_to_its_new_target_too(tmp_path: Path, start: Start) -> None:
    for name in ("one", "two"):
        write(tmp_path / name / "below" / f"in-{name}")
    link = tmp_path / "link"
    link.symlink_to("one")
    listener = start(link, recursive=True)

    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(link)
    listener.wait_for(link / "below" / "in-two")
    listener.forget()
    write(tmp_path / "one" / "below" / "old")
    listener.wait_for(*[link / "below" / write(tmp_path / "two" / "below" / "new").name])

    assert str(link / "below" / "old") not in listener.seen


def test_two_paths_one_below_the_other_are_both_watched(tmp_path: Path, start: Start) -> None:
    (tmp_path / "below").mkdir()
    listener = start(tmp_path, tmp_path / "below")

    listener.wait_for(write(tmp_path / "below" / "a"), write(tmp_path / "b"))


# Rescans and overflows.


def test_a_rescan_hints_at_every_directory_again(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    listener = Listener()
    watcher = Watcher((str(tmp_path),), listener.hear, time.monotonic, recursive=True, auto_add=False)
    watcher.start()
    wait_until(lambda: listener.started)
    listener.forget()

    watcher.rescan()

    wait_until(lambda: {str(tmp_path), str(tmp_path / "below")} <= set(listener.directories))
    watcher.stop()


def queue_length() -> int:
    return int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


@pytest.mark.skipif(queue_length() > 100_000, reason="this machine's inotify queue is too long to overflow in a test")
@pytest.mark.parametrize("auto_add", [False, True])
def test_what_happens_while_the_queue_overflows_is_found_by_looking(
    tmp_path: Path, start: Start, auto_add: bool
) -> None:
    for name in ("kept", "deleted", "made-again", "renamed/below"):
        (tmp_path / name).mkdir(parents=True)
    listener = start(tmp_path, recursive=True, auto_add=auto_add)

    listener.held_off = threading.Event()
    write(tmp_path / "kept" / "holds-off-the-reader")
    listener.wait_for(tmp_path / "kept" / "holds-off-the-reader")
    flood = tmp_path / "kept"
    for number in range(queue_length()):
        os.close(os.open(flood / f"f{number}", os.O_CREAT | os.O_WRONLY))
    (tmp_path / "deleted").rmdir()
    (tmp_path / "made-again").rmdir()
    (tmp_path / "renamed").rename(tmp_path / "new-name")
    lost = [
        write(tmp_path / "made-again" / "a"),
        write(tmp_path / "new-name" / "below" / "a"),
        write(tmp_path / "kept" / "a"),
    ]
    if auto_add:
        lost.append(write(tmp_path / "new" / "below" / "a"))
    listener.held_off.set()
    listener.held_off = None
    listener.wait_for(*lost)
    wait_until(lambda: str(tmp_path / "deleted") in listener.gone)

    assert any(isinstance(hint, LookEverywhere) for hint in listener.hints)
    listener.forget()
    listener.wait_for(*[write(path.with_name("afterwards")) for path in lost])


# Where the kernel gives no watch.


def run_where(script: str, *command: str, limit_files: int | None = None) -> str:
    """Run *script* in a process of its own, in which a watcher's hints are gathered by a `Listener`."""
    prologue = """
        import inotify_simple, logging, os, sys, threading, time
        from pathlib import Path
        from tablesnap.watch import inotify
        from tests.watch.test_inotify import Listener, wait_until, write
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        tmp_path = Path(sys.argv[1])
        listener = Listener()
        times_asked = [0]
        def now():
            times_asked[0] += 1  # the watcher asks once after each look at its PATHs
            return 20 * time.monotonic()  # and looks at what it cannot watch that much more often
        def looks():
            return times_asked[0]
        def start(*paths, recursive=True, auto_add=False):
            watcher = inotify.Watcher(
                tuple(map(str, paths)), listener.hear, now, recursive=recursive, auto_add=auto_add
            )
            watcher.start()
            wait_until(lambda: listener.started)
    """
    program = textwrap.dedent(prologue) + textwrap.dedent(script)

    def limit() -> None:
        if limit_files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit_files, limit_files))

    done = subprocess.run(
        [*command[:-1], sys.executable, "-c", program, command[-1]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=limit,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def may_make_a_user_namespace() -> bool:
    if shutil.which("unshare") is None:
        return False
    lowered = "echo 1 > /proc/sys/user/max_inotify_watches"
    return subprocess.run(["unshare", "-U", "-r", "sh", "-c", lowered], capture_output=True).returncode == 0


IN_NAMESPACE = ("unshare", "-U", "-r", "sh", "-c", 'echo 3 > /proc/sys/user/max_inotify_watches; exec "$0" "$@"')

needs_namespace = pytest.mark.skipif(
    not may_make_a_user_namespace(), reason="a user namespace with fewer inotify watches cannot be made here"
)


@needs_namespace
def test_out_of_watches_the_sysctl_is_named_once_and_the_rest_is_found_by_looking(tmp_path: Path) -> None:
    for number in range(8):
        (tmp_path / f"d{number}").mkdir()

    said = run_where(
        """
        start(tmp_path)
        print(f"unwatched: {listener.started.unwatched} of {listener.started.directories}")
        listener.forget()
        paths = [write(tmp_path / f"d{number}" / "a") for number in range(8)]
        listener.wait_for(*paths)
        print("gone:", listener.gone)
        """,
        *IN_NAMESPACE,
        str(tmp_path),
    )

    assert said.count("fs.inotify.max_user_watches") == 1
    assert "unwatched: 6 of 9" in said
    assert "gone: []" in said


@needs_namespace
def test_a_path_without_a_watch_stays_in_sight(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"d{number}").mkdir()

    said = run_where(
        """
        start(*sorted(tmp_path.iterdir()), recursive=False)
        listener.forget()
        path = write(tmp_path / "d4" / "a")
        listener.wait_for(path)
        print("gone:", listener.gone)
        """,
        *IN_NAMESPACE,
        str(tmp_path),
    )

    assert "gone: []" in said


def test_without_a_descriptor_for_inotify_the_limit_is_named_and_all_is_found_by_looking(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()

    said = run_where(
        """
        inotify_simple.INotify().close()  # finds the C library, for which it needs descriptors
        held = []
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        start(tmp_path)
        for one in held:
            os.close(one)
        path = write(tmp_path / "old" / "a")
        listener.wait_for(path)
        """,
        str(tmp_path),
        limit_files=60,
    )

    assert said.count("cannot watch with inotify") == 1
    assert "ulimit -n" in said


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_path_that_may_not_be_read_is_said_once_and_watched_when_it_may() -> None:
    with tempfile.TemporaryDirectory() as directory:  # not pytest's, where nobody else may enter
        said = run_as_nobody(Path(directory))

    assert said.count("permission denied") == 1
    assert "watched: []" in said


def run_as_nobody(tmp_path: Path) -> str:
    tmp_path.chmod(0o711)
    (tmp_path / "data").mkdir(mode=0o700)
    return run_where(
        """
        path = tmp_path / "data"
        os.seteuid(65534)
        start(path)
        wait_until(lambda: looks() > 4)
        print("watched:", listener.directories)
        os.seteuid(0)
        path.chmod(0o777)
        written = write(path / "a")
        os.seteuid(65534)
        listener.wait_for(written)
        """,
        str(tmp_path),
    )
