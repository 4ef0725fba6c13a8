"""The command as a process of its own, and what it says."""

import atexit
import functools
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cli import forking

import tablesnap

SOURCE = str(Path(tablesnap.__file__).parents[1])
CONSOLE_SCRIPT = "import sys; from tablesnap.cli.tablesnap.main import main; sys.exit(main())"
UNANSWERED = 150.0  # seconds after which a test that hangs fails
_OF_THE_INTERPRETER = ("PYTHON", "LANG", "LC_")  # what it reads when it starts


def environment(**more: str) -> dict[str, str]:
    """The environment of this process without what would change the command's own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AWS_") and name not in ("TABLESNAP_SYSLOG", "TDEBUG")
    }
    nothing = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return kept | nothing | {"PYTHONPATH": SOURCE, "AWS_EC2_METADATA_DISABLED": "true"} | more


def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the daemon's command to its end."""
    return ended("tablesnap", *arguments, **more)


def ended(command: str, *arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with *more* in its environment."""
    words = [str(one) for one in arguments]
    if any(name.startswith(_OF_THE_INTERPRETER) for name in more):
        line = [
            sys.executable,
            "-c",
            f"import sys; from tablesnap.cli.{command}.main import main; sys.exit(main())",
            *words,
        ]
        return subprocess.run(line, capture_output=True, text=True, env=environment(**more), timeout=UNANSWERED)
    with tempfile.NamedTemporaryFile() as output, tempfile.NamedTemporaryFile() as errors:
        asked = forking.Asked(command, words, environment(**more), os.getcwd(), output.name, errors.name)
        forked = Forked(asked)
        try:
            code = forked.wait(UNANSWERED)
        finally:
            forked.kill()  # if it hangs
        said = [one.read().decode().replace("\r\n", "\n") for one in (output, errors)]
    return subprocess.CompletedProcess([command, *words], code, *said)


class Forked:
    """A command as a process, which another has forked: what `subprocess.Popen` is of one that was started."""

    def __init__(self, asked: forking.Asked) -> None:
        self.pid = _forks().ask(asked.spell())
        self._descriptor = os.pidfd_open(self.pid)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return its exit code; None while it runs."""
        if self.returncode is None and select.select([self._descriptor], [], [], 0)[0]:
            self.returncode = _forks().ask(str(self.pid).encode())
            os.close(self._descriptor)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return its exit code; raise `subprocess.TimeoutExpired`."""
        if self.returncode is None and not select.select([self._descriptor], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        code = self.poll()
        assert code is not None
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._descriptor, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class _Forks:
    """The process that forks commands; see `forking`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asks, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._asks.settimeout(UNANSWERED)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, forking.__file__, str(theirs.fileno())],
                env=environment(),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self._end)

    def ask(self, message: bytes) -> int:
        """Return the answer to a message."""
        with self._lock:
            self._asks.send(message)
            return int(self._asks.recv(100))

    def _end(self) -> None:
        self._asks.close()
        self._process.wait()


@functools.cache
def _forks() -> _Forks:
    return _Forks()


class Running:
    """A command that runs, and the lines it has written to standard error."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_for(self, text: str) -> str:
        """Read lines until one holds *text*, and return it."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} was never said, but: {self.lines}")

    def wait(self) -> int:
        """Read what is left, and return the exit code."""
        assert self.process.stderr is not None
        self.lines += self.process.stderr
        return self.process.wait()


@contextmanager
def running(arguments: Sequence[str], *, script: str = CONSOLE_SCRIPT) -> Iterator[Running]:
    """Start the command (or another *script*), and kill it in the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        watchdog = threading.Timer(UNANSWERED, process.kill)
        watchdog.start()
        try:
            yield Running(process)
        finally:
            watchdog.cancel()
            process.kill()
