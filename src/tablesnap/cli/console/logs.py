"""Where log lines go, and what they look like."""

import json
import logging
import logging.handlers
import socket
from datetime import UTC, datetime

from tablesnap.cli.console.journal import JournalHandler
from tablesnap.cli.console.screen import Screen
from tablesnap.cli.line.confidential import without_secrets
from tablesnap.cli.line.printable import without_controls

SYSLOG_SOCKET = "/dev/log"
NAME = "tablesnap"
TAG = f"{NAME}: "

_LIBRARIES = ("botocore", "urllib3")


def set_up_logging(
    screen: Screen,
    *,
    log_format: str,
    debug: bool,
    syslog: bool,
    syslog_socket: str = SYSLOG_SOCKET,
    journal_socket: str | None = None,
) -> logging.Handler:
    """Send every log line of this process where the operator wants it; return the handler that does.

    A system log at *journal_socket* gets fields beside each line; where there is none, that at *syslog_socket* is used.
    """
    missing = ""
    handler: logging.Handler = ScreenHandler(screen)
    if syslog:
        try:
            handler = _system_log(screen, syslog_socket, journal_socket)
        except OSError as error:
            missing = f"no syslog at {syslog_socket} ({error.strerror}), so log lines go to standard error"
    handler.setFormatter(
        JSONFormatter() if log_format == "json" else TextFormatter(timed=isinstance(handler, ScreenHandler))
    )
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    for library in _LIBRARIES:
        logging.getLogger(library).setLevel(logging.NOTSET if debug else logging.WARNING)
    if missing:
        logging.getLogger(__name__).warning("%s", missing)
    return handler


def _system_log(screen: Screen, syslog_socket: str, journal_socket: str | None) -> logging.Handler:
    if journal_socket is not None:
        spare = ScreenHandler(screen)
        spare.setFormatter(TextFormatter())
        try:
            return JournalHandler(journal_socket, identifier=NAME, spare=spare)
        except OSError:
            pass  # a container may have the variable and not the socket
    return SyslogHandler(syslog_socket, screen)


class ScreenHandler(logging.Handler):
    """Lines to standard error, beside a progress bar."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. A standard error that is gone (a closed terminal) must not stop a backup."""
        try:
            self._screen.print(self.format(record))
        except OSError:
            self.handleError(record)


class SyslogHandler(logging.handlers.SysLogHandler):
    """Lines to the system's log, or to standard error as long as that is gone."""

    def __init__(self, address: str, screen: Screen) -> None:
        _expect_listener(address)
        super().__init__(address=address, facility=logging.handlers.SysLogHandler.LOG_DAEMON)
        self.ident = TAG
        self._spare = ScreenHandler(screen)
        self._spare.setFormatter(TextFormatter())

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging names it so
        """Write a record to standard error that syslog did not take."""
        self._spare.emit(record)


def _expect_listener(address: str) -> None:
    """Raise `OSError` if nobody listens at *address*; logging's own handler would find out with the first line."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_UNIX, kind) as probe:
            try:
                probe.connect(address)
                return
            except OSError:
                if kind == socket.SOCK_STREAM:
                    raise


class TextFormatter(logging.Formatter):
    """Time, level, message; syslog has the time itself. A control character in a name cannot forge a line."""

    def __init__(self, *, timed: bool = True) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s" if timed else "%(levelname)s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        """Spell the moment of a record."""
        return _moment(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Spell all of a record but its traceback."""
        return without_controls(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """Spell a record, its traceback included, which may quote a name; what is no UTF-8 in a path is escaped."""
        lines = map(without_controls, without_secrets(super().format(record)).split("\n"))
        return "\n".join(lines).encode("utf-8", "backslashreplace").decode()


class JSONFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Spell a record."""
        line = {
            "time": _moment(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_text:
            line["error"] = record.exc_text
        elif record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps({key: without_secrets(text) for key, text in line.items()})


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
