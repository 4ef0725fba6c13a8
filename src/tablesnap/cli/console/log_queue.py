"""A log that is stuck must not stop a backup: a thread of its own writes it, and lines are dropped if too many wait."""

import logging
import os
import queue
import threading

from tablesnap.units import spell_count

LIMIT = 1000  # lines; beyond it they are dropped
LAST_SECONDS = 5.0  # how long the end waits for what is not written yet

log = logging.getLogger(__name__)
_PLAIN = logging.Formatter()


class LogQueue(logging.Handler):
    """Takes the place of the root logger's *handler*, and has it write each record, in order; nobody waits for it.

    It may be stuck for long: behind a pipe that nobody reads, a container's log driver, a terminal that is stopped, a
    system log that hangs. The queue of the standard library would keep all lines, or say nothing of those it drops, and
    loses what the journal is told of a line beside its text.
    """

    def __init__(self, handler: logging.Handler, *, limit: int = LIMIT) -> None:
        super().__init__()
        self._handler = handler
        self._limit = limit
        self._dropped = 0
        # The latest line that found no room. It is not dropped: what a daemon ends with is not lost.
        self._last: logging.LogRecord | None = None
        self._waiting: queue.SimpleQueue[logging.LogRecord | None] = queue.SimpleQueue()
        # A daemon: Python must not wait for it at exit.
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()
        root = logging.getLogger()
        root.addHandler(self)
        root.removeHandler(handler)

    @property
    def waiting(self) -> int:
        """Return how many lines wait to be written."""
        return self._waiting.qsize()

    def emit(self, record: logging.LogRecord) -> None:
        """Have one record written, unless too many wait."""
        # Once full it is so until half is written, so that not every second line says how many were dropped.
        if self.waiting >= (self._limit // 2 if self._last else self._limit):
            self._dropped += self._last is not None
            self._last = _made_final(record)
            return
        self._make_up()
        self._waiting.put(_made_final(record))

    def finish(self, exit_code: int) -> None:
        """Wait until all is written, for `LAST_SECONDS`; if it is not, end the process here, with *exit_code*."""
        self.acquire()
        self._make_up()
        self._waiting.put(None)
        self.release()
        self._thread.join(LAST_SECONDS)
        if self._thread.is_alive():
            # It holds the locks of the handler and of standard error, for which Python itself would wait at exit.
            os._exit(exit_code)

    def _write(self) -> None:
        while (record := self._waiting.get()) is not None:
            self._handler.handle(record)

    def _make_up(self) -> None:
        if self._dropped:
            said = f"dropped {spell_count(self._dropped, 'line')} of the log here, because nobody read it"
            self._waiting.put(log.makeRecord(log.name, logging.WARNING, __file__, 0, said, (), None))
        if self._last is not None:
            self._waiting.put(self._last)
        self._dropped, self._last = 0, None


def _made_final(record: logging.LogRecord) -> logging.LogRecord:
    """Spell what *record* says now: an exception in it keeps all that it came through until the line is written."""
    record.__dict__["template"] = record.msg
    record.msg, record.args = record.getMessage(), None
    if record.exc_info:
        record.exc_text = _PLAIN.formatException(record.exc_info)
        record.exc_info = None
    return record
