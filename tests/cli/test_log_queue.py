"""The thread that writes the log, and a log that is stuck."""

import fcntl
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cli.process import CONSOLE_SCRIPT, environment
from tests.waiting import wait_until

from tablesnap.cli.console.log_queue import LIMIT, LogQueue
from tablesnap.cli.console.logs import JSONFormatter

LOG = logging.getLogger("tablesnap.tests.log_queue")
SMALLEST_PIPE = 4096


class Stuck(logging.Handler):
    """A handler that writes nothing before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_write = threading.Event()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.may_write.wait()
        self.lines.append(self.format(record))


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    handler = Stuck()
    root = logging.getLogger()
    root.addHandler(handler)
    yield handler
    for one in (handler, *(one for one in root.handlers if isinstance(one, LogQueue))):
        root.removeHandler(one)


def test_lines_come_in_order_and_say_where_some_were_dropped(stuck: Stuck) -> None:
    lines = LogQueue(stuck, limit=4)
    LOG.warning("first")
    wait_until(lambda: lines.waiting == 0, "the first to be taken")

    for number in range(7):
        LOG.warning("line %d", number)
    stuck.may_write.set()
    wait_until(lambda: lines.waiting == 0, "all to be taken")
    LOG.warning("last")
    lines.finish(1)

    dropped = "dropped 2 lines of the log here, because nobody read it"
    assert stuck.lines == ["first", "line 0", "line 1", "line 2", "line 3", dropped, "line 6", "last"]


def test_the_last_line_is_written_however_many_were_dropped(stuck: Stuck) -> None:
    lines = LogQueue(stuck, limit=4)
    for number in range(100):
        LOG.warning("line %d", number)
    stuck.may_write.set()
    lines.finish(1)

    assert stuck.lines[-1] == "line 99"


def test_a_line_says_what_was_so_when_it_was_logged(stuck: Stuck) -> None:
    stuck.setFormatter(JSONFormatter())
    lines = LogQueue(stuck)
    found = ["a"]
    try:
        raise ValueError("broken")
    except ValueError:
        LOG.exception("found %s", found)
    found.append("b")
    stuck.may_write.set()
    lines.finish(1)

    assert "found ['a']" in stuck.lines[0]
    assert "ValueError: broken" in stuck.lines[0]


def test_a_daemon_whose_log_nobody_reads_goes_on_and_says_later_what_it_dropped(tmp_path: Path) -> None:
    names = {f"{number:04}-{'x' * 60}" for number in range(LIMIT * 2)}
    with daemon_behind_a_small_pipe(tmp_path) as (process, reader):
        store(tmp_path, names)

        with os.fdopen(os.dup(reader), encoding="utf-8") as log:
            process.send_signal(signal.SIGTERM)
            lines = log.read().splitlines()
        assert process.wait() == 0

    [dropped] = re.findall(r"dropped (\d+) lines of the log here", "\n".join(lines))
    assert sum(" INFO stored " in line for line in lines) + int(dropped) >= len(names)
    assert lines[-1].endswith("stopped; nothing is pending")


def test_a_daemon_whose_log_nobody_reads_ends_all_the_same(tmp_path: Path) -> None:
    with daemon_behind_a_small_pipe(tmp_path) as (process, _):
        store(tmp_path, {f"{number:04}-{'x' * 60}" for number in range(200)})

        process.send_signal(signal.SIGTERM)

        assert process.wait() == 0


@contextmanager
def daemon_behind_a_small_pipe(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a daemon whose standard error is a pipe, and give the end of it that is to be read."""
    for name in ("data", "bucket"):
        (tmp_path / name).mkdir()
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, SMALLEST_PIPE)
    line = ["-B", "-n", "node", (tmp_path / "bucket").as_uri(), str(tmp_path / "data")]
    with subprocess.Popen([sys.executable, "-c", CONSOLE_SCRIPT, *line], stderr=writer, env=environment()) as process:
        os.close(writer)
        try:
            yield process, reader
        finally:
            process.kill()
            os.close(reader)


def store(tmp_path: Path, names: set[str]) -> None:
    """Have files appear, and wait until an index names all of them."""
    for name in names:
        (tmp_path / "unfinished").write_bytes(b"content")
        (tmp_path / "unfinished").rename(tmp_path / "data" / name)
    stored = tmp_path / "bucket"
    wait_until(lambda: names <= {path.name.rpartition(":")[2] for path in stored.rglob("*")}, "all to be stored")
