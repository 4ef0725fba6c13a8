"""What the daemon tells the supervisor that started it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.process import CONSOLE_SCRIPT, environment
from tests.waiting import wait_until

from tablesnap.cli.notify import NotifySocket, supervisor_of
from tablesnap.daemon.supervisor import Unsupervised


class Listener:
    """A supervisor's socket, and what came through it."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.settimeout(60)  # so that what never comes fails the test

    def next(self) -> str:
        return self._socket.recv(65536).decode()

    def until(self, text: str) -> list[str]:
        """Return what comes up to the first that holds *text*, and it."""
        came = [self.next()]
        while text not in came[-1]:
            came.append(self.next())
        return came

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    one = Listener(str(tmp_path / "notify"))
    yield one
    one.close()


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


def test_a_daemon_that_is_stuck_feeds_no_watchdog(tmp_path: Path) -> None:
    listener = Listener(str(tmp_path / "notify"))
    moment = 0.0
    supervisor = NotifySocket(str(tmp_path / "notify"), watchdog_seconds=60, clock=lambda: moment)

    supervisor.alive()
    supervisor.alive()
    moment = 15.0
    supervisor.alive()
    supervisor.status("said last")

    assert listener.until("said last") == ["WATCHDOG=1", "WATCHDOG=1", "STATUS=said last"]
    listener.close()


def test_a_name_that_is_no_file_is_understood() -> None:
    name = f"tablesnap-tests-{os.getpid()}"
    listener = Listener(f"\0{name}")

    supervisor_of({"NOTIFY_SOCKET": f"@{name}"}).ready()

    assert listener.next() == "READY=1"
    listener.close()


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


def test_a_supervisor_that_is_gone_does_no_harm(tmp_path: Path) -> None:
    supervisor = NotifySocket(str(tmp_path / "absent"), watchdog_seconds=60)

    supervisor.ready()
    supervisor.alive()
    supervisor.status("nobody reads this\nnor that")
    supervisor.stopping()


def test_a_status_is_one_line_and_is_said_once(listener: Listener, tmp_path: Path) -> None:
    supervisor = NotifySocket(str(tmp_path / "notify"))

    supervisor.status("one\nMAINPID=1")
    supervisor.status("one\nMAINPID=1")
    supervisor.ready()

    assert listener.until("READY=1") == ["STATUS=one\\x0aMAINPID=1", "READY=1"]
