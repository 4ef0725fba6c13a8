"""Where log lines go, and what they look like."""

import json
import logging
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.process import run, running
from tests.cli.sockets import listening

from tablesnap.cli.console.logs import JSONFormatter, TextFormatter, set_up_logging
from tablesnap.cli.console.screen import Screen

LOG = logging.getLogger("tablesnap.tests.logs")


@pytest.fixture(autouse=True)
def _root_logger_restored() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    for handler in [handler for handler in root.handlers if handler not in before]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


@pytest.fixture
def syslog(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of a system log."""
    with listening(str(tmp_path / "log")) as listener:
        yield listener


def record(message: str, *arguments: object) -> logging.LogRecord:
    made = logging.LogRecord("tablesnap.x", logging.WARNING, __file__, 1, message, arguments, None)
    made.created = 1763988120.1239
    return made


def test_a_line_of_text_has_time_level_and_message() -> None:
    assert TextFormatter().format(record("lost %s", "a")) == "2025-11-24T12:42:00.123Z WARNING lost a"


def test_a_name_with_a_line_break_cannot_forge_a_line() -> None:
    line = TextFormatter().format(record("lost %s", "a\n2025-11-24T12:42:00.123Z INFO all is well\x1b[2J"))

    assert "\n" not in line
    assert "\x1b" not in line


def test_a_name_that_is_no_utf_8_can_be_logged() -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")

    assert TextFormatter().format(record("lost %s", name)).endswith(r"lost caf\udce9")
    assert json.loads(JSONFormatter().format(record("lost %s", name)))["message"] == f"lost {name}"


def test_a_json_line_has_time_level_logger_message_and_error() -> None:
    made = record("lost %s", "a\nb")
    try:
        raise ValueError("broken")
    except ValueError:
        made.exc_info = sys.exc_info()

    line = JSONFormatter().format(made)

    assert "\n" not in line
    said = json.loads(line)
    assert said.pop("error").endswith("ValueError: broken")
    assert said == {
        "time": "2025-11-24T12:42:00.123Z",
        "level": "WARNING",
        "logger": "tablesnap.x",
        "message": "lost a\nb",
    }


def test_syslog_gets_lines_of_facility_daemon_tagged_tablesnap(syslog: socket.socket) -> None:
    set_up_logging(Screen(), log_format="text", debug=False, syslog=True, syslog_socket=syslog.getsockname())

    LOG.warning("lost %s", "a")

    daemon, warning = 3, 4
    assert syslog.recv(65536).rstrip(b"\0") == f"<{daemon * 8 + warning}>tablesnap: WARNING lost a".encode()


def test_without_syslog_lines_go_to_standard_error_and_say_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging(Screen(), log_format="text", debug=False, syslog=True, syslog_socket=str(tmp_path / "absent"))

    LOG.warning("lost %s", "a")

    said = capsys.readouterr().err.splitlines()
    assert re.search(r"WARNING no syslog at .*/absent \(No such file or directory\)", said[0])
    assert said[1].endswith("WARNING lost a")


def test_a_line_that_syslog_does_not_take_any_more_goes_to_standard_error(
    tmp_path: Path, syslog: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging(Screen(), log_format="text", debug=False, syslog=True, syslog_socket=syslog.getsockname())
    (tmp_path / "log").unlink()
    syslog.close()

    LOG.warning("lost %s", "a")

    assert capsys.readouterr().err.endswith("WARNING lost a\n")


def test_libraries_are_heard_from_warning_on_unless_debugging() -> None:
    set_up_logging(Screen(), log_format="text", debug=False, syslog=False)
    quiet = [logging.getLogger(name).isEnabledFor(logging.INFO) for name in ("botocore", "urllib3", "tablesnap")]
    set_up_logging(Screen(), log_format="text", debug=True, syslog=False)
    verbose = [logging.getLogger(name).isEnabledFor(logging.DEBUG) for name in ("botocore", "urllib3", "tablesnap")]

    assert quiet == [False, False, True]
    assert verbose == [True, True, True]


def test_every_line_of_a_daemon_that_logs_json_is_json(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "data").mkdir()

    with running(["--log-format", "json", f"file://{tmp_path}/store", str(tmp_path / "data")]) as command:
        command.wait_for("watching")
        command.process.terminate()
        assert command.wait() == 0

    assert all({"time", "level", "logger", "message"} == json.loads(line).keys() for line in command.lines)


def test_a_store_that_refuses_is_said_in_json_where_the_log_is_json(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()

    done = run("--log-format", "json", f"file://{tmp_path}/absent", str(tmp_path / "data"))

    assert done.returncode == 1
    assert [json.loads(line)["level"] for line in done.stderr.splitlines()].count("CRITICAL") == 1


def log_to(syslog: socket.socket, journal: Path) -> None:
    """Set up a log as under systemd, with the *journal* or without it."""
    where = {"syslog_socket": syslog.getsockname(), "journal_socket": str(journal)}
    set_up_logging(Screen(), log_format="text", debug=False, syslog=True, **where)


def test_the_journal_comes_before_syslog_where_both_are(
    tmp_path: Path, syslog: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    with listening(str(tmp_path / "journal")) as journal:
        log_to(syslog, tmp_path / "journal")

        LOG.warning("lost %s", "a")

        assert b"MESSAGE=WARNING lost a\nPRIORITY=4\n" in journal.recv(65536)
    assert capsys.readouterr().err == ""


def test_without_a_journal_lines_go_to_syslog(tmp_path: Path, syslog: socket.socket) -> None:
    log_to(syslog, tmp_path / "absent")

    LOG.warning("lost %s", "a")

    assert syslog.recv(65536).rstrip(b"\0").endswith(b"tablesnap: WARNING lost a")
