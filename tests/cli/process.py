"""The command as a process of its own, and what it says."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import tablesnap

SOURCE = str(Path(tablesnap.__file__).parents[1])
CONSOLE_SCRIPT = "import sys; from tablesnap.cli.tablesnap import main; sys.exit(main())"
UNANSWERED = 150.0  # seconds after which a test that hangs fails


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
    """Run the command to its end."""
    command = [sys.executable, "-c", CONSOLE_SCRIPT, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment(**more), timeout=UNANSWERED)


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
