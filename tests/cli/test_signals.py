"""How the daemon ends, and what it exits with."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.process import CONSOLE_SCRIPT, environment, run, running
from tests.waiting import wait_until


@pytest.fixture
def line(tmp_path: Path) -> list[str]:
    """A sound command line: a store that is a directory, and a directory to watch."""
    (tmp_path / "store").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_bytes(b"content")
    return ["-B", "-n", "node", f"file://{tmp_path}/store", str(tmp_path / "data")]


def test_term_ends_it_with_0(line: list[str]) -> None:
    with running(line) as command:
        command.wait_for("watching")
        command.process.send_signal(signal.SIGTERM)

        assert command.wait() == 0


def test_interrupt_ends_it_with_130(line: list[str]) -> None:
    with running(line) as command:
        command.wait_for("watching")
        command.process.send_signal(signal.SIGINT)

        assert command.wait() == 130
        assert "Traceback" not in "".join(command.lines)


BUSY = """
import sys, threading
from tablesnap.cli.console.signals import Signals

class NeverDone:
    "What was told to stop, and has not finished what is in flight."

    def stop(self):
        print("stopping", file=sys.stderr, flush=True)

    def rescan(self):
        print("looking again", file=sys.stderr, flush=True)

Signals().direct(NeverDone(), before_exit=lambda: print("leaving", file=sys.stderr, flush=True))
print("ready", file=sys.stderr, flush=True)
while True:
    threading.Event().wait(0.1)
"""


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once_though_something_is_in_flight(
    first: signal.Signals, second: signal.Signals
) -> None:
    with running([], script=BUSY) as command:
        command.wait_for("ready")
        command.process.send_signal(signal.SIGHUP)
        command.wait_for("looking again")
        command.process.send_signal(first)
        command.wait_for("stopping")
        command.process.send_signal(second)

        assert command.wait() == 130
        assert command.lines[-1] == "leaving\n"


def test_hangup_rescans_and_does_not_end_it(line: list[str]) -> None:
    with running(line) as command:
        command.wait_for("watching")
        command.process.send_signal(signal.SIGHUP)
        command.wait_for("every directory")
        command.process.send_signal(signal.SIGTERM)

        assert command.wait() == 0


def test_a_store_that_refuses_ends_it_with_1_and_one_line(line: list[str], tmp_path: Path) -> None:
    (tmp_path / "store").rmdir()

    done = run(*line)

    assert done.returncode == 1
    assert [said for said in done.stderr.splitlines() if said.startswith("tablesnap: ")]
    assert "Traceback" not in done.stderr


def test_wrong_usage_ends_it_with_2_and_one_line() -> None:
    done = run("-e", "*.db", "bucket", "/")

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("tablesnap: -e '*.db' is no regular expression")


def test_it_works_with_its_standard_descriptors_closed(line: list[str]) -> None:
    """A file of ours must not get number 2, where others write what went wrong."""
    bucket, data = line[-2].removeprefix("file://"), Path(line[-1])
    command = shlex.join([sys.executable, "-c", CONSOLE_SCRIPT, "-B", "-n", "node1", *line[-2:]])
    (data / "one").write_bytes(b"one")
    process = subprocess.Popen(["sh", "-c", f"exec {command} <&- >&- 2>&-"], env=environment())

    wait_until(lambda: Path(f"{bucket}/node1:{data}/one-listdir.json").exists())
    opened = [os.readlink(f"/proc/{process.pid}/fd/{number}") for number in (0, 1, 2)]
    process.terminate()

    assert process.wait() == 0
    assert opened == [os.devnull] * 3
