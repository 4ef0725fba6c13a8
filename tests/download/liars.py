"""Stores that drop, cut short, flip and replace: `MemoryStore`, but for what arrives of it."""

from collections.abc import Callable, Iterator

from tests.stores import Around

from tablesnap.errors import StoreUnavailable
from tablesnap.store.port import Store

Lie = Callable[[int, int, Iterator[bytes]], Iterator[bytes]]


class Lying(Around):
    """Sends *lie*(number of the read, its offset, the pieces) in place of the pieces."""

    def __init__(self, store: Store, lie: Lie) -> None:
        super().__init__(store)
        self._lie = lie
        self.reads: list[tuple[str, int, int | None]] = []

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        self.reads.append((key, offset, length))
        return self._lie(len(self.reads), offset, self.store.read(key, offset=offset, length=length))


def small(pieces: Iterator[bytes], size: int = 1000) -> Iterator[bytes]:
    """Yield the same in pieces of at most *size* bytes."""
    for piece in pieces:
        for start in range(0, len(piece), size):
            yield piece[start : start + size]


def dropped_after(count: int, pieces: Iterator[bytes], size: int = 1000) -> Iterator[bytes]:
    """Yield so many pieces, and then no more: the connection breaks."""
    for number, piece in enumerate(small(pieces, size)):
        if number == count:
            raise StoreUnavailable("the connection was reset")
        yield piece


def cut_after(count: int, pieces: Iterator[bytes], size: int = 1000) -> Iterator[bytes]:
    """Yield so many pieces, and end as if that were all."""
    for number, piece in enumerate(small(pieces, size)):
        if number == count:
            return
        yield piece


def flipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same with one bit of the first piece changed."""
    for number, piece in enumerate(pieces):
        yield piece if number else bytes([piece[0] ^ 1]) + piece[1:]
