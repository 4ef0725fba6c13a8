"""The bytes of one object on their way into a file, and the proof that they are the right ones."""

import hashlib
import os
import threading
from dataclasses import dataclass, field
from typing import Protocol

from tablesnap.checksum import combine, crc64nvme, to_hex
from tablesnap.download.line import Halted, Line
from tablesnap.download.same import md5_of
from tablesnap.errors import StoreUnavailable, TablesnapError

MIB = 1 << 20
RANGES_ABOVE = 64 * MIB  # bytes; smaller files come in one request each, many at once
RANGE_SIZE = 16 * MIB


class Damaged(TablesnapError):
    """What arrived is not what was stored."""


@dataclass(frozen=True)
class Expected:
    """What an object must turn out to be. None is not known."""

    key: str
    size: int
    checksum: int | None  # CRC-64/NVME
    md5: str | None

    @property
    def can_be_verified(self) -> bool:
        """Say whether more than the size is known."""
        return self.checksum is not None or self.md5 is not None


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


class _Crc:
    def __init__(self) -> None:
        self.value = 0

    def update(self, data: bytes) -> None:
        self.value = crc64nvme(data, self.value)


def receive_whole(line: Line, expected: Expected, descriptor: int) -> None:
    """Bring an object into the file in one request, or as many as it takes; raise `Damaged` if it is another."""
    crc, md5 = _Crc(), hashlib.md5(usedforsecurity=False)
    digest: _Digest = md5 if expected.checksum is None and expected.md5 is not None else crc
    part = _Part(line, expected, descriptor, 0, expected.size, digest)
    try:
        part.receive()
        if digest is crc:
            _require_checksum(expected, crc.value)
        else:
            _require_md5(expected, md5.hexdigest())
    except BaseException:
        line.retract(part.received)
        raise


class Ranges:
    """An object that comes into a file in ranges, of which several threads may take one after the other."""

    def __init__(self, line: Line, expected: Expected, descriptor: int) -> None:
        self._line = line
        self._expected = expected
        self._descriptor = descriptor
        self._sums: list[_Crc] = []
        self._parts: list[_Part] = []
        for offset in range(0, expected.size, RANGE_SIZE):
            size = min(RANGE_SIZE, expected.size - offset)
            self._sums.append(_Crc())
            self._parts.append(_Part(line, expected, descriptor, offset, size, self._sums[-1]))
        self._changed = threading.Condition()
        self._claimed = self._done = 0
        self._error: Exception | None = None

    def claim(self) -> int | None:
        """Return the number of a range that nobody has begun, and begin it; None where nothing is left to do."""
        with self._changed:
            if self._error is not None or self._claimed == len(self._parts):
                return None
            self._claimed += 1
            return self._claimed - 1

    def receive(self, number: int) -> None:
        """Bring one range that was claimed. What goes wrong is raised by `finish`."""
        error: Exception | None = Halted("a range was given up by a defect in tablesnap")
        try:
            self._parts[number].receive()
            error = None
        except (TablesnapError, OSError) as caught:
            error = caught
        finally:
            with self._changed:
                self._done += 1
                self._error = self._error or error
                self._changed.notify_all()

    def finish(self) -> None:
        """Bring what nobody else has begun, wait for the others, and verify the whole."""
        while (number := self.claim()) is not None:
            self.receive(number)
        try:
            with self._changed:
                # Also after an error: nobody may write to the file any more when this returns.
                self._changed.wait_for(lambda: self._done == self._claimed)
                if self._error is not None:
                    raise self._error
            self._verify()
        except BaseException:
            self._line.retract(sum(part.received for part in self._parts))
            raise

    def _verify(self) -> None:
        if self._expected.checksum is not None:
            checksum = 0
            for part, crc in zip(self._parts, self._sums, strict=True):
                checksum = combine(checksum, crc.value, part.size)
            _require_checksum(self._expected, checksum)
        elif self._expected.md5 is not None:
            # An MD5 has no parts, so the file is read once more: objects of 1.x alone are verified by one.
            _require_md5(self._expected, md5_of(self._descriptor, self._line.go_on))


@dataclass
class _Part:
    """A range of an object, or the whole, which goes on where it was when a connection breaks."""

    line: Line
    expected: Expected
    descriptor: int
    offset: int
    size: int
    digest: _Digest
    received: int = field(default=0, init=False)

    def receive(self) -> None:
        self.line.insist(self.expected.key, self._receive, since=lambda: self.received)

    def _receive(self) -> None:
        """Bring what is not there yet."""
        before = self.received
        if before and before == self.size:
            return  # it broke after the last byte
        if self.size == self.expected.size and not before:
            pieces = self.line.store.read(self.expected.key)
        else:
            start, left = self.offset + before, self.size - before
            pieces = self.line.store.read(self.expected.key, offset=start, length=left)
        for piece in pieces:
            if len(piece) > self.size - self.received:
                raise Damaged(f"more arrived than the {self.expected.size} bytes there were")
            self._keep(piece)
        if self.received < self.size:
            if self.received == before:
                raise Damaged(f"{self.offset + self.received} bytes arrived of the {self.expected.size} there were")
            raise StoreUnavailable(f"{self.expected.key} was broken off after {self.offset + self.received} bytes")

    def _keep(self, piece: bytes) -> None:
        self.digest.update(piece)
        view, offset = memoryview(piece), self.offset + self.received
        while view:
            written = os.pwrite(self.descriptor, view, offset)
            view, offset = view[written:], offset + written
        self.received += len(piece)
        self.line.arrived(len(piece))


def _require_checksum(expected: Expected, checksum: int) -> None:
    if expected.checksum is not None and checksum != expected.checksum:
        found, wanted = to_hex(checksum), to_hex(expected.checksum)
        raise Damaged(f"other bytes arrived than were stored: their checksum is {found}, not {wanted}")


def _require_md5(expected: Expected, md5: str) -> None:
    if expected.md5 is not None and md5 != expected.md5:
        raise Damaged(f"other bytes arrived than were stored: their MD5 is {md5}, not {expected.md5}")
