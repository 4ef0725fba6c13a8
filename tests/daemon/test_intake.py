"""When a file is taken as finished, by a clock that the test moves."""

import os
from pathlib import Path

import pytest

from tablesnap.daemon.directory import Directory
from tablesnap.daemon.intake import FOUND, FRESH, Intake
from tablesnap.daemon.messages import Task
from tablesnap.daemon.settings import Settings
from tablesnap.daemon.timing import Timing
from tablesnap.rules.keys import Keys
from tablesnap.watch.hints import FileHint, Happening

ALMOST = Timing.stand_still * 0.9


class Bench:
    """An intake over one real directory, with what it submitted."""

    def __init__(self, path: Path, *events: str) -> None:
        self.now = 100.0
        self.directory = Directory(path=str(path))
        self.submitted: list[tuple[str, int]] = []
        settings = Settings(paths=(str(path),), node="n", backup=True, events=frozenset(events or {"IN_MOVED_TO"}))
        keys = Keys("", "n", ":")
        self.intake = Intake(
            settings,
            keys,
            self._submit,
            lambda: self.now,
            lambda *_: None,  # here is no table
            Timing(),
        )

    def _submit(self, task: Task, urgency: int) -> None:
        self.submitted.append((task.name, urgency))

    def hear(self, name: str, happening: Happening) -> None:
        self.intake.heed(self.directory, FileHint(self.directory.path, name, happening))

    def look(self) -> None:
        self.intake.look(self.directory)

    def after(self, seconds: float) -> list[tuple[str, int]]:
        """Let time pass, and return what was submitted since the last call."""
        self.now += seconds
        self.intake.queue_the_still({self.directory.path: self.directory})
        submitted, self.submitted = self.submitted, []
        return submitted


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def touch(path: Path) -> None:
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))


def replace(path: Path) -> None:
    other = path.with_name("other-tmp")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(1, path.stat().st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("change", [append, touch, replace])
def test_a_file_found_by_looking_is_taken_only_once_it_stands_still(
    tmp_path: Path, bench: Bench, change: object
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x")
    bench.look()

    assert callable(change)
    for _ in range(3):
        assert bench.after(ALMOST) == []
        change(path)
        assert bench.after(ALMOST) == []  # the change is seen at the first look that is due
    assert bench.after(Timing.stand_still) == [("a", FRESH)]
    assert bench.after(Timing.stand_still) == []


@pytest.mark.parametrize("happening", [Happening.MOVED_TO, Happening.CLOSED])
def test_a_file_that_an_event_says_is_finished_is_taken_at_once(tmp_path: Path, happening: Happening) -> None:
    bench = Bench(tmp_path, "IN_MOVED_TO", "IN_CLOSE_WRITE", "IN_CREATE")
    (tmp_path / "a").write_bytes(b"x")

    bench.hear("a", Happening.CREATED)
    assert bench.after(0.0) == []
    bench.hear("a", happening)

    assert bench.after(0.0) == [("a", FRESH)]


def test_a_file_that_was_only_created_is_taken_once_it_stands_still(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "IN_CREATE")
    (tmp_path / "a").write_bytes(b"half")

    bench.hear("a", Happening.CREATED)

    assert bench.after(ALMOST) == []
    assert bench.after(ALMOST) == [("a", FRESH)]


def test_an_event_that_is_not_listened_for_takes_nothing(tmp_path: Path, bench: Bench) -> None:
    (tmp_path / "a").write_bytes(b"x")

    bench.hear("a", Happening.CREATED)
    bench.hear("a", Happening.CLOSED)

    assert bench.after(Timing.stand_still) == []


def test_a_file_is_on_its_way_once_however_often_it_is_heard_of(tmp_path: Path, bench: Bench) -> None:
    (tmp_path / "a").write_bytes(b"x")

    bench.hear("a", Happening.MOVED_TO)
    bench.hear("a", Happening.MOVED_TO)
    bench.look()

    assert bench.after(Timing.stand_still) == [("a", FRESH)]
    assert bench.directory.pending["a"].again


def test_a_file_that_goes_while_it_is_waited_for_is_waited_for_no_more(tmp_path: Path, bench: Bench) -> None:
    (tmp_path / "a").write_bytes(b"x")
    bench.look()
    (tmp_path / "a").unlink()

    assert bench.after(Timing.stand_still) == []
    assert bench.directory.pending == {}


def test_the_newest_of_what_was_found_goes_first(tmp_path: Path, bench: Bench) -> None:
    for name, mtime_ns in (("old", 1), ("newest", 3), ("new", 2)):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, ns=(mtime_ns, mtime_ns))
    bench.intake.look_at_start(bench.directory)
    bench.intake.judge_found(bench.directory, frozenset())

    assert bench.after(Timing.stand_still) == [("newest", FOUND), ("new", FOUND), ("old", FOUND)]


def test_a_file_found_at_start_that_goes_before_its_turn_is_let_go(tmp_path: Path, bench: Bench) -> None:
    (tmp_path / "a").write_bytes(b"x")
    bench.intake.look_at_start(bench.directory)
    bench.intake.judge_found(bench.directory, frozenset())
    (tmp_path / "a").unlink()

    bench.after(Timing.stand_still)

    assert len(bench.intake.let_go) == 1


def test_a_link_is_told_once_and_not_taken(tmp_path: Path, bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "link").symlink_to(__file__)

    for _ in range(3):
        bench.look()

    assert bench.after(Timing.stand_still) == []
    assert caplog.text.count(f"{tmp_path / 'link'} is a symbolic link") == 1
