"""What ``--explain`` prints, and what it exits with."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.process import CONSOLE_SCRIPT, environment, run, running


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    (tmp_path / "bucket").mkdir()
    return directory


def protect(tmp_path: Path, data: Path) -> None:
    """Have a daemon back up what is there."""
    with running(["-B", "-r", "-n", "node1", f"file://{tmp_path}/bucket", str(data)]) as command:
        command.wait_for("backlog: done")
        command.process.terminate()
        assert command.wait() == 0


def test_what_is_protected_or_left_out_is_a_line_each_and_success(tmp_path: Path, data: Path) -> None:
    (data / "a").write_text("1")
    (data / "b-tmp").touch()
    protect(tmp_path, data)

    done = run("--explain", "-n", "node1", f"file://{tmp_path}/bucket", str(data))

    first, second = done.stdout.splitlines()
    assert first.startswith(f"protected  {data}/a  (in the newest restore point, taken 2")
    assert second == f"excluded   {data}/b-tmp  (-tmp in its name, and neither -e nor -i was given)"
    assert done.stderr == "tablesnap: protected: 1, pending: 0, excluded: 1, not live: 0, unknown: 0\n"
    assert done.returncode == 0


def test_the_files_of_a_table_are_summed_up_unless_every_one_is_asked_for(tmp_path: Path) -> None:
    table = tmp_path / "data" / "shop" / f"users-{'5a1c395e' * 4}"
    index, snapshot = table / ".by_name", table / "snapshots" / "before"
    for directory in (index, snapshot):
        directory.mkdir(parents=True)
    components = ("Data.db", "Index.db", "Statistics.db", "TOC.txt")
    stored = [directory / f"la-1-big-{component}" for directory in (table, index) for component in components]
    late = [table / f"la-2-big-{component}" for component in components]
    for path in stored:
        path.write_text("1")
    (tmp_path / "bucket").mkdir()
    protect(tmp_path, tmp_path / "data")
    for path in [*late, snapshot / "a", snapshot / "b", snapshot / "c", snapshot / "d"]:
        path.write_text("2")
    line = ["--explain", "-n", "node1", f"file://{tmp_path}/bucket", str(tmp_path / "data")]

    summed, each = run(*line), run("-v", *line)
    named = run(*line, *map(str, late))

    lines = summed.stdout.splitlines()
    assert [one.partition("  (")[0] for one in lines] == [
        f"protected  {table}  8 files",
        f"pending    {table}  4 files",
        f"excluded   {table}  4 files",
    ]
    assert all(re.search(r"  \([^()]+\)$", one) for one in lines)
    assert [one.split()[1] for one in each.stdout.splitlines()] == sorted(
        map(str, [*stored, *late, *(snapshot / name for name in "abcd")])
    )
    assert [one.split()[1] for one in named.stdout.splitlines() if "la-2" in one] == [*map(str, late)]
    assert each.stderr == summed.stderr
    assert (summed.returncode, each.returncode) == (3, 3)


def test_what_asks_for_every_file_goes_with_explain() -> None:
    done = run("-v", "bucket", "/")

    assert "-v goes with --explain" in done.stderr
    assert done.returncode == 2


def test_something_pending_is_an_exit_code_of_its_own(tmp_path: Path, data: Path) -> None:
    (data / "a").write_text("1")

    done = run("--explain", f"file://{tmp_path}/bucket", str(data))

    assert done.stdout.startswith(f"pending    {data}/a  (there is no restore point")
    assert done.returncode == 3


def test_without_a_bucket_it_is_said_that_the_store_was_not_asked(data: Path) -> None:
    (data / "a").write_text("1")

    done = run("--explain", str(data / "a"))

    assert done.stdout.startswith(f"unknown    {data}/a  (")
    assert "the store was not asked" in done.stdout
    assert done.returncode == 3


def test_programs_get_an_object_a_line_and_nothing_else(data: Path) -> None:
    (data / "a").write_text("1")
    (data / "b-tmp").touch()

    done = run("--explain", "--json", str(data))

    first, second = map(json.loads, done.stdout.splitlines())
    assert first.keys() == {"path", "state", "why", "live"}
    assert (first["path"], first["state"], first["live"]) == (f"{data}/a", "unknown", True)
    assert (second["state"], second["live"]) == ("excluded", False)
    assert done.stderr == ""


def test_no_name_of_a_file_can_forge_a_line(data: Path) -> None:
    (data / "a\nprotected  b").touch()
    Path(f"{data}/\udcff").touch()

    done = run("--explain", str(data))

    assert [line.partition("  (")[0] for line in done.stdout.splitlines()] == [
        f"unknown    {data}/a\\x0aprotected  b",
        f"unknown    {data}/\\udcff",
    ]


def test_a_bucket_that_is_not_there_is_a_failure_and_no_answer(tmp_path: Path, data: Path) -> None:
    (data / "a").touch()

    done = run("--explain", f"file://{tmp_path}/nowhere", str(data))

    assert done.stdout == ""
    assert "nowhere" in done.stderr
    assert done.returncode == 1


def test_who_reads_the_first_line_only_sees_no_traceback(data: Path) -> None:
    for number in range(2000):
        (data / f"file-{number}").touch()
    command = [sys.executable, "-c", CONSOLE_SCRIPT, "--explain", "-v", str(data)]

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as reader:
        assert reader.stdout is not None
        assert reader.stderr is not None
        first = reader.stdout.readline()
        reader.stdout.close()
        complaints = reader.stderr.read()

    assert first.startswith("unknown")
    assert complaints == ""
