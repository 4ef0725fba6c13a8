"""Log records as entries of systemd's journal, in its own protocol: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/."""

import logging
import logging.handlers
import os
import socket
import struct
from collections.abc import Mapping

JOURNAL_SOCKET = "/run/systemd/journal/socket"

_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
_NOTICE = 5  # of a level that is none of these


class JournalHandler(logging.Handler):
    """Lines to the journal, each with fields to search by; what it does not take goes to *spare*."""

    def __init__(self, address: str, *, identifier: str, spare: logging.Handler) -> None:
        """Connect to the journal at *address*; raise `OSError` if there is none."""
        super().__init__()
        self._identifier = identifier
        self._spare = spare
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.connect(address)
        except OSError:
            self._socket.close()
            raise

    def emit(self, record: logging.LogRecord) -> None:
        """Write one entry."""
        try:
            self._socket.send(entry(self._fields(record)))
        except OSError:
            self._spare.emit(record)

    def close(self) -> None:
        """Let go of the journal."""
        self._socket.close()
        super().close()

    def _fields(self, record: logging.LogRecord) -> dict[str, str]:
        return {
            "MESSAGE": self.format(record),
            "PRIORITY": str(_PRIORITIES.get(record.levelno, _NOTICE)),
            "SYSLOG_FACILITY": str(logging.handlers.SysLogHandler.LOG_DAEMON),
            "SYSLOG_IDENTIFIER": self._identifier,
            "SYSLOG_PID": str(os.getpid()),
            # The same for all lines of one kind, whatever names and sizes are in them.
            "TABLESNAP_TEMPLATE": str(record.__dict__.get("template", record.msg)),
            "TABLESNAP_THREAD": record.threadName or "",
            "CODE_FILE": record.pathname,
            "CODE_LINE": str(record.lineno),
            "CODE_FUNC": record.funcName or "",
        }


def entry(fields: Mapping[str, str]) -> bytes:
    """Spell *fields* as one datagram: ``NAME=value``, or with its length before it where the value has line breaks."""
    spelt = bytearray()
    for name, value in fields.items():
        text = value.encode("utf-8", "backslashreplace")
        if b"\n" in text:
            spelt += name.encode() + b"\n" + struct.pack("<Q", len(text)) + text + b"\n"
        else:
            spelt += name.encode() + b"=" + text + b"\n"
    return bytes(spelt)
