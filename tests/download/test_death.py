"""Killed anywhere, a run leaves only whole files under final names; the next one completes and cleans up."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.download.bringing import MIB, leftovers, python_environment, run_module, standing

from tablesnap.store.file import FileStore
from tablesnap.store.port import Content

RUNS_KILLED = 12


@pytest.mark.parametrize("replace", ["new", "replace"])
def test_killed_before_any_of_its_steps_a_run_leaves_nothing_wrong(tmp_path: Path, replace: str) -> None:
    done = run_module("tests.download.dying", str(tmp_path), replace)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 40


def test_killed_at_any_moment_a_run_leaves_nothing_wrong(tmp_path: Path) -> None:
    files = filled_store(tmp_path / "store")
    target = tmp_path / "target"
    chance = random.Random()
    seconds = 0.3
    killed = 0
    while killed < RUNS_KILLED:
        run = start(tmp_path / "store", target)
        try:
            run.wait(timeout=chance.uniform(0.0, seconds))
        except subprocess.TimeoutExpired:
            killed += 1
            run.send_signal(signal.SIGKILL)
            run.wait()
        else:
            # It was over: begin again with nothing there, and be quicker.
            assert standing(target) == files
            assert leftovers(target) == []
            seconds *= 0.8
            subprocess.run(["rm", "-r", str(target)], check=True)
        there = standing(target) if target.exists() else {}
        assert there.items() <= files.items()
        for group in {name[0] for name in there if name.endswith("z")}:
            assert {name for name in files if name[0] == group} <= set(there)

    assert start(tmp_path / "store", target).wait() == 0

    assert standing(target) == files
    assert leftovers(target) == []


def test_two_runs_at_once_on_one_target_bring_everything_once(tmp_path: Path) -> None:
    files = filled_store(tmp_path / "store")
    target = tmp_path / "target"

    runs = [start(tmp_path / "store", target) for _ in range(3)]
    said = {line.split(" ", 1)[1].strip() for run in runs for line in run.communicate()[0].splitlines()}

    # What another run was bringing, this one could not; each said so, and nothing is there that is not whole.
    assert said <= {
        "another run is bringing it at this moment",
        "not begun, because what belongs to it was not brought",
    }
    assert standing(target).items() <= files.items()
    assert start(tmp_path / "store", target).wait() == 0
    assert standing(target) == files
    assert leftovers(target) == []


def filled_store(directory: Path) -> dict[str, bytes]:
    """Make a store of groups whose last file, by name, is called z; one is so large that it comes in ranges."""
    directory.mkdir()
    store = FileStore(str(directory))
    files = {f"{group}/{name}": f"{group}{name}".encode() * 10_000 for group in "abcdefgh" for name in "wxyz"}
    files["a/z"] = bytes(range(256)) * (80 * MIB // 256)
    for key, data in files.items():
        store.create(key, Content.of(data))
    return files


def start(store: Path, target: Path) -> "subprocess.Popen[str]":
    """Start a restore, and return when it begins to bring files."""
    command = [sys.executable, "-m", "tests.download.restoring", str(store), str(target)]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=python_environment())
    assert run.stdout is not None
    assert run.stdout.readline() == "begun\n"
    return run
