"""What the rest of tablesnap asks of a store, and no more.

The docstrings are promises; one contract test suite checks them on every adapter.
"""

import mmap
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from tablesnap.checksum import crc64nvme
from tablesnap.errors import CannotRead, FileChanged

READ_SIZE = 1 << 20  # bytes read from a descriptor at a time


@dataclass(frozen=True)
class Content:
    """The bytes of one object, and the checksum they must arrive with.

    They come from a *buffer* in memory, or from an open file *descriptor*, read with ``pread`` from offset 0, so that
    memory does not grow with the file. Exactly one of the two is given. The buffer must be no map of a file: where a
    mapped file becomes shorter, reading the map ends the process.
    """

    size: int
    checksum: int  # CRC-64/NVME
    buffer: bytes | bytearray | mmap.mmap | None = None  # a map of no file
    descriptor: int | None = None

    @classmethod
    def of(cls, data: bytes) -> "Content":
        """Make a content of bytes in memory."""
        return cls(size=len(data), checksum=crc64nvme(data), buffer=data)

    def read(self, offset: int, length: int) -> bytes:
        """Return up to *length* bytes from *offset*.

        Raises `FileChanged` where the file has become shorter, and `CannotRead` where its disk cannot read it.
        """
        wanted = max(0, min(length, self.size - offset))
        if self.buffer is not None:
            return bytes(self.buffer[offset : offset + wanted])
        assert self.descriptor is not None
        try:
            data = os.pread(self.descriptor, wanted, offset)
        except OSError as error:
            raise CannotRead(f"its byte {offset} cannot be read: {error.strerror}; look at the disk (dmesg)") from error
        if wanted and not data:
            raise FileChanged(f"the file ended at byte {offset}, before its {self.size} bytes were read")
        return data

    def chunks(self) -> Iterator[bytes]:
        """Yield the whole content in pieces of at most `READ_SIZE` bytes."""
        offset = 0
        while offset < self.size:
            chunk = self.read(offset, READ_SIZE)
            offset += len(chunk)
            yield chunk


@dataclass(frozen=True)
class Listed:
    """One object in a listing. *modified* is the store's clock, and may be in whole seconds."""

    key: str
    size: int
    modified: datetime
    # The storage class, where that is one of an archive: then `Store.head` tells whether the object can be read now.
    archived: str = ""


@dataclass(frozen=True)
class Head:
    """What the store says of one object without sending it."""

    size: int
    modified: datetime
    store_clock: datetime  # the store's own clock when it answered, so that an age owes nothing to this machine's
    checksum: int | None  # CRC-64/NVME of the whole object, where the store keeps it
    content_type: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    frozen: str = ""  # the storage class, where the object cannot be read before the store has thawed it
    is_thawing: bool = False  # the store was asked for that, and has not done it yet

    @property
    def age_seconds(self) -> float:
        """How long ago the object was stored, by the store's clock."""
        return (self.store_clock - self.modified).total_seconds()


class Store(Protocol):
    """Bytes under keys. A reader finds a whole object or none; a `create` that returned is durable.

    Keys are any text that has a UTF-8 form; an adapter that cannot name one raises `KeyRefused` and never
    uses another name in its place. Every method may raise `StoreUnavailable` or `StoreRefused`. Methods may be
    called from several threads at once.
    """

    def check(self, prefix: str = "") -> None:
        """Raise `StoreRefused` if the store will not do what was asked of it (bucket, credentials, encryption,
        storage class, permission to write), or `StoreUnavailable` if it does not answer. May leave one small object,
        the same at each start, that no listing shows; touches only keys that begin with *prefix*: who may use no
        others is welcome. What is not tried is not believed by `create`, which then asks first."""

    def create(
        self,
        key: str,
        content: Content,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        standard: bool = False,
    ) -> None:
        """Store *content* under *key*, or raise `AlreadyStored` if the key is taken: nothing is ever overwritten.

        What is *standard* gets the store's own storage class, whatever class was asked for: it is read often, and at
        once.

        The store itself verifies the checksum where it can, and raises `DamagedUpload` if the bytes are others.
        If this raises anything else, the object may yet be there, but never in part.
        """

    def head(self, key: str) -> Head:
        """Describe the object under exactly *key*, or raise `NoSuchObject`."""

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the object under exactly *key* in pieces, or raise `NoSuchObject` (before the first piece).

        Raises `ObjectArchived` for one that has to be thawed first.

        With *offset* and *length* only so many bytes from there on, or as many as there are; nothing beyond the end.
        """

    def list(self, prefix: str) -> Iterator[Listed]:
        """Yield every object whose key begins with *prefix*, under its exact key, in any order, in bounded memory."""

    def level(self, prefix: str) -> "Iterator[Listed | str]":
        """Yield what begins with *prefix*, up to the next slash, in any order, in bounded memory.

        Objects without another slash in their keys are yielded as they are; for all others, once each, the beginning
        of their keys that ends with it.
        """

    def delete(self, keys: Iterable[str]) -> None:
        """Delete these objects; a key that is not there is no error."""
