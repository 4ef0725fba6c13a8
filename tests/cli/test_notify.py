"""What the daemon tells the supervisor that started it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.cli.process import CONSOLE_SCRIPT, environment
from tests.cli.sockets import listening
from tests.waiting import wait_until

from tablesnap.cli.tablesnap.notify import NotifySocket, supervisor_of
from tablesnap.daemon.supervisor import Unsupervised


@dataclass
class Listener:
    """A supervisor, and what came through its socket."""

    socket: socket.socket

    def next(self) -> str:
        return self.socket.recv(65536).decode()

    def until(self, text: str) -> list[str]:
        """Return what comes up to the first that holds *text*, and it."""
        came = [self.next()]
        while text not in came[-1]:
            came.append(self.next())
        return came


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    with listening(str(tmp_path / "notify")) as one:
        yield Listener(one)


def test_a_daemon_is_ready_once_it_watches_and_says_what_it_is_about(listener: Listener, tmp_path: Path) -> None:
    data, bucket = tmp_path / "data", tmp_path / "bucket"
    data.mkdir()
    bucket.mkdir()
    told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
    command = [sys.executable, "-c", CONSOLE_SCRIPT, "-n", "node", bucket.as_uri(), str(data)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment(**told)) as daemon:
        try:
            listener.until("READY=1")
            # Written the moment after, and not lost: ready means that everything is watched.
            (data / "elsewhere").write_text("finished")
            (data / "elsewhere").rename(data / "file")
            wait_until(lambda: list(bucket.rglob("file")), "the object")
            watching = listener.until("STATUS=watching 1 directory; nothing waits to be stored")
            alive = listener.until("WATCHDOG=1")
            daemon.send_signal(signal.SIGTERM)
            stopping = listener.until("STATUS=finishing what is in flight")
            assert daemon.wait() == 0
        finally:
            daemon.kill()

    assert watching
    assert alive
    assert "STOPPING=1" in stopping


def test_a_watchdog_is_fed_four_times_in_its_time_however_often_the_daemon_comes_round(
    listener: Listener, tmp_path: Path
) -> None:
    moment = 0.0
    supervisor = NotifySocket(str(tmp_path / "notify"), watchdog_seconds=60, clock=lambda: moment)

    supervisor.alive()
    supervisor.alive()
    moment = 15.0
    supervisor.alive()
    supervisor.status(lambda: "said last")

    assert listener.until("said last") == ["WATCHDOG=1", "WATCHDOG=1", "STATUS=said last"]


def test_a_name_that_is_no_file_is_understood() -> None:
    name = f"tablesnap-tests-{os.getpid()}"

    with listening(f"\0{name}") as listener:
        supervisor_of({"NOTIFY_SOCKET": f"@{name}"}).ready()

        assert listener.recv(65536) == b"READY=1"


def test_without_a_supervisor_nothing_is_said_and_the_watchdog_of_another_process_is_not_fed(
    listener: Listener, tmp_path: Path
) -> None:
    another = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}

    assert isinstance(supervisor_of({}), Unsupervised)
    supervisor = supervisor_of(another)
    supervisor.alive()
    supervisor.ready()

    assert listener.next() == "READY=1"
    assert not another, "a child would take these for its own"


def test_what_nobody_is_told_is_not_even_spelt() -> None:
    looks = iter(["a look at every file that waits"])

    Unsupervised().status(lambda: next(looks))

    assert list(looks), "nobody has looked"


def test_a_supervisor_that_is_gone_does_no_harm(tmp_path: Path) -> None:
    supervisor = NotifySocket(str(tmp_path / "absent"), watchdog_seconds=60)

    supervisor.ready()
    supervisor.alive()
    supervisor.status(lambda: "nobody reads this\nnor that")
    supervisor.stopping()


def test_a_status_is_one_line_and_is_said_once(listener: Listener, tmp_path: Path) -> None:
    supervisor = NotifySocket(str(tmp_path / "notify"))

    supervisor.status(lambda: "one\nMAINPID=1")
    supervisor.status(lambda: "one\nMAINPID=1")
    supervisor.ready()

    assert listener.until("READY=1") == ["STATUS=one\\x0aMAINPID=1", "READY=1"]
