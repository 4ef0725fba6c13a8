"""Log records as entries of systemd's journal."""

import logging
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.sockets import listening

from tablesnap.cli.console.journal import JournalHandler, entry


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    with listening(str(tmp_path / "journal")) as listener:
        yield listener


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def fields_of(datagram: bytes) -> dict[str, str]:
    """Read an entry as the journal does."""
    fields = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", rest[:8])
            value, rest = rest[8 : 8 + length], rest[8 + length + 1 :]
        fields[name.decode()] = value.decode()
        datagram = rest
    return fields


def test_an_entry_can_be_searched_by_its_fields(journal: socket.socket, tmp_path: Path) -> None:
    handler = JournalHandler(str(tmp_path / "journal"), identifier="tablesnap", spare=Lines())
    record = logging.LogRecord("tablesnap.x", logging.ERROR, "/x.py", 7, "gave up on %s: %s", ("a", "b"), None, "work")

    handler.handle(record)

    fields = fields_of(journal.recv(65536))
    assert fields.pop("SYSLOG_PID").isdecimal()
    assert fields == {
        "MESSAGE": "gave up on a: b",
        "PRIORITY": "3",
        "SYSLOG_FACILITY": "3",
        "SYSLOG_IDENTIFIER": "tablesnap",
        "TABLESNAP_TEMPLATE": "gave up on %s: %s",
        "TABLESNAP_THREAD": "MainThread",
        "CODE_FILE": "/x.py",
        "CODE_LINE": "7",
        "CODE_FUNC": "work",
    }
    handler.close()


def test_a_traceback_stays_one_entry(journal: socket.socket, tmp_path: Path) -> None:
    handler = JournalHandler(str(tmp_path / "journal"), identifier="tablesnap", spare=Lines())
    try:
        raise ValueError("broken")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "/x.py", 7, "a defect", (), sys.exc_info())

    handler.handle(record)

    fields = fields_of(journal.recv(65536))
    assert fields["MESSAGE"].startswith("a defect\nTraceback")
    assert fields["MESSAGE"].endswith("ValueError: broken")
    assert fields["CODE_LINE"] == "7"
    handler.close()


def test_a_line_break_in_a_name_forges_no_field() -> None:
    fields = {"MESSAGE": "stored a\nPRIORITY=0", "PRIORITY": "6"}

    assert fields_of(entry(fields)) == fields


def test_a_line_that_the_journal_does_not_take_goes_to_standard_error(journal: socket.socket, tmp_path: Path) -> None:
    spare = Lines()
    handler = JournalHandler(str(tmp_path / "journal"), identifier="tablesnap", spare=spare)
    journal.close()

    handler.handle(logging.LogRecord("x", logging.INFO, "/x.py", 1, "stored %s", ("a",), None))

    assert spare.lines == ["stored a"]
    handler.close()
