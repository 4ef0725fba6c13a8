"""Cassandra's own sum of a Data.db, which stands in a component beside it.

Tried on sstables of every version: ``Digest.crc32`` is the CRC-32 of the whole file, in decimal. ``Digest.adler32``,
and what 2.1 calls ``Digest.sha1``, hold its Adler-32 in decimal; earlier versions hold a SHA-1 in hexadecimal there.
"""

import hashlib
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tablesnap.rules import sstable

LONGEST = 1024  # bytes that a digest component may have
_COMPONENTS = ("Digest.crc32", "Digest.adler32", "Digest.sha1")
_DECIMAL = re.compile(rb"\s*(?P<sum>[0-9]{1,10})\s*")
_SHA1 = re.compile(rb"\s*(?P<sum>[0-9a-fA-F]{40})(\s.*)?", re.DOTALL)


class Sum(Protocol):
    """A sum that is made of one piece after the other."""

    def update(self, data: bytes, /) -> object:
        """Take in the next piece."""

    def spell(self) -> str:
        """Return the sum of all pieces as the digest has it."""


class NumberSum:
    """A sum that is a number, of a *function* of the next piece and the sum so far."""

    def __init__(
        self, function: Callable[[bytes, int], int], begin: int = 0, spell: Callable[[int], str] = str
    ) -> None:
        self.value = begin
        self._function = function
        self._spell = spell

    def update(self, data: bytes, /) -> None:
        """Take in the next piece."""
        self.value = self._function(data, self.value)

    def spell(self) -> str:
        """Return the sum of all pieces, in decimal unless told otherwise."""
        return self._spell(self.value)


class HashSum:
    """A sum by one of hashlib's algorithms."""

    def __init__(self, algorithm: str) -> None:
        self._hash = hashlib.new(algorithm, usedforsecurity=False)

    def update(self, data: bytes, /) -> None:
        """Take in the next piece."""
        self._hash.update(data)

    def spell(self) -> str:
        """Return the sum of all pieces, in hexadecimal."""
        return self._hash.hexdigest()


@dataclass(frozen=True)
class Digest:
    """What a digest component says."""

    name: str  # of the sum: ``CRC-32``
    expected: str
    begin: Callable[[], Sum]


def is_digest(name: str) -> bool:
    """Say whether the file of this *name* is a digest component."""
    component = sstable.parse(name)
    return component is not None and not component.temporary and component.component in _COMPONENTS


def understand(name: str, content: bytes) -> Digest:
    """Understand the *content* of the digest component *name*; raise `ValueError` if it is none."""
    if match := _DECIMAL.fullmatch(content):
        expected = str(int(match["sum"]))
        if name.endswith("Digest.crc32"):
            return Digest("CRC-32", expected, lambda: NumberSum(zlib.crc32))
        return Digest("Adler-32", expected, lambda: NumberSum(zlib.adler32, 1))
    if name.endswith("Digest.sha1") and (match := _SHA1.fullmatch(content)):
        return Digest("SHA-1", match["sum"].decode("ascii").lower(), lambda: HashSum("sha1"))
    raise ValueError(f"{content[:50]!r} is no sum that Cassandra writes")
