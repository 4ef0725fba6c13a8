"""The backlog's progress, on a terminal and elsewhere."""

import logging
import os
import pty
import re
import subprocess
import sys
import textwrap

import pytest
from tests.cli.process import environment

from tablesnap.cli.console.progress import LineProgress

GIB = 1 << 30


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def test_without_a_terminal_a_line_a_minute_tells_what_is_done_and_left(
    clock: Clock, said: pytest.LogCaptureFixture
) -> None:
    progress = LineProgress(clock)
    progress.begin(100, 10 * GIB)

    for _ in range(3):
        clock.now += 30
        progress.advance(10, GIB)

    assert said.messages == ["backlog: 20 of 100 files, 2.0 GiB of 10.0 GiB, about 4 min left"]


def test_the_last_line_tells_whether_all_is_done(clock: Clock, said: pytest.LogCaptureFixture) -> None:
    progress = LineProgress(clock)
    progress.begin(2, 2 * GIB)
    progress.advance(1, GIB)
    clock.now += 10
    progress.end()
    progress.end()
    progress.begin(1, 0)
    progress.advance(1, 0)
    progress.end()

    assert said.messages == [
        "backlog: stopped after 10 s: 1 of 2 files, 1.0 GiB of 2.0 GiB",
        "backlog: done after 0 s: 1 of 1 files, 0 B of 0 B",
    ]


def test_nothing_is_said_where_there_is_no_backlog(clock: Clock, said: pytest.LogCaptureFixture) -> None:
    progress = LineProgress(clock)

    progress.advance(1, 1)
    progress.end()
    progress.begin(0, 0)
    progress.end()

    assert said.messages == []


def on_a_terminal(script: str) -> str:
    """Run a script with a terminal of 80 columns for its standard error, and return what it wrote there."""
    ours, theirs = pty.openpty()
    environ = environment(TERM="xterm", COLUMNS="80")
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stderr=theirs, env=environ) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # Linux says EIO where the other side is closed
                break
            if not chunk:
                break
            written += chunk
    os.close(ours)
    assert process.returncode == 0
    return written.decode()


def test_on_a_terminal_a_bar_is_drawn_and_log_lines_stand_whole_above_it() -> None:
    written = on_a_terminal(
        """
        import logging
        from tablesnap.cli.console.logs import set_up_logging
        from tablesnap.cli.console.progress import progress_for
        from tablesnap.cli.console.screen import Screen

        screen = Screen()
        set_up_logging(screen, log_format="text", debug=False, syslog=False)
        progress = progress_for(screen)
        progress.begin(40, 4 << 30)
        progress.advance(10, 1 << 30)
        logging.info("[red]uploaded[/red] %s", "a/" * 60)
        progress.advance(30, 3 << 30)
        progress.end()
        logging.info("afterwards")
        """
    )

    visible = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written)
    lines = re.split(r"[\r\n]+", visible)
    assert any(re.fullmatch(r"\d[\d:.TZ-]+ INFO \[red\]uploaded\[/red\] (a/){60}", line) for line in lines)
    assert any("40/40 files" in line and "4.0/4.0 GiB" in line for line in lines)
    assert lines[-2].endswith("INFO afterwards")
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")
