"""Hold a transaction log open, to read it to its end."""

import os
from types import TracebackType
from typing import Self

from tablesnap.capture.listing import advice_on
from tablesnap.capture.pin import opened
from tablesnap.errors import CannotRead

_CHUNK = 64 << 10  # bytes; most logs are shorter


class OpenLog:
    """A transaction log, open since its first event. It can be read when Cassandra has long deleted it.

    The last record has a name for a millisecond or so, then the log is gone; and there is no other witness to what was
    committed.
    """

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._body = b""

    @classmethod
    def open(cls, path: str) -> Self:
        """Open the log at *path*; raise `FileVanished`, or `CannotRead` with what to try."""
        with opened(path) as descriptor:
            return cls(path, os.dup(descriptor))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def read(self) -> bytes:
        """Return all that has been written so far; only what is new since the last time is read."""
        try:
            # A log only ever grows.
            while piece := os.pread(self._descriptor, _CHUNK, len(self._body)):
                self._body += piece
        except OSError as error:
            raise self._cannot_read(error) from error
        return self._body

    @property
    def written_ns(self) -> int:
        """When the log was last written to: of a finished one, the moment of its ``COMMIT`` or ``ABORT``.

        Nanoseconds since 1970. An unlink does not change it.
        """
        try:
            return os.fstat(self._descriptor).st_mtime_ns
        except OSError as error:
            raise self._cannot_read(error) from error

    def close(self) -> None:
        """Let go of the log; once more does no harm."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _cannot_read(self, error: OSError) -> CannotRead:
        return CannotRead(f"{self.path} cannot be read: {error.strerror}; {advice_on(error)}")
