"""Indexes as a check reads them: insistently, and not unless they are what the store took in."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from tablesnap.checksum import crc64nvme, to_hex
from tablesnap.download.line import Line
from tablesnap.errors import StoreRefused
from tablesnap.rules.keys import is_index
from tablesnap.store.port import Content, Head, Listed, Store

T = TypeVar("T")

_TRIES = 2  # where other bytes arrive than were stored, for they may have changed on their way


class ProvenStore:
    """The store of a *line*, which is asked again while it does not answer.

    Nothing says what an index must hold but the checksum that the store keeps of it: one that is damaged and yet can be
    read would have other things checked than it was to name, or less.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._store: Store = line.store

    def check(self, prefix: str = "") -> None:
        """Do what the store does."""
        self._store.check(prefix)

    def create(
        self,
        key: str,
        content: Content,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        standard: bool = False,
    ) -> None:
        """Do what the store does."""
        self._store.create(key, content, content_type=content_type, metadata=metadata, standard=standard)

    def head(self, key: str) -> Head:
        """Describe the object."""
        return self._insist(key, lambda: self._store.head(key))

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the object in one piece; raise `StoreRefused` if it is an index with another checksum than it had."""
        if not is_index(key) or offset:
            yield from self._store.read(key, offset=offset, length=length)
            return
        head = self.head(key)
        for left in reversed(range(_TRIES)):
            body = self._insist(key, lambda: b"".join(self._store.read(key)))
            if head.checksum is None or crc64nvme(body) == head.checksum:
                yield body if length is None else body[:length]
                return
            if not left:
                found = f"its content has the checksum {to_hex(crc64nvme(body))}"
                raise StoreRefused(f"{found}, and was stored with {to_hex(head.checksum)}")

    def list(self, prefix: str) -> Iterator[Listed]:
        """Yield what the store does, until the run is ended."""
        for listed in self._store.list(prefix):
            self._line.go_on()
            yield listed

    def level(self, prefix: str) -> "Iterator[Listed | str]":
        """Yield what the store does, from memory."""
        yield from self._insist(prefix, lambda: [*self._store.level(prefix)])

    def delete(self, keys: Iterable[str]) -> None:
        """Do what the store does."""
        self._store.delete(keys)

    def _insist(self, key: str, request: Callable[[], T]) -> T:
        result = self._line.insist(key, request)
        self._line.arrived(0)
        return result
