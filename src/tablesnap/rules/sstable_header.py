"""The serialization header in an sstable's Statistics.db: of which types its key, clusterings and columns are.

Statistics.db begins with the number of its components, and the type and position of each, all in four bytes. From
version ``na`` on a CRC-32 follows the number, all of that, and each component. The header is one of them since 3.0, and
has the columns that have a value in the sstable. Source: ``o.a.c.io.sstable.metadata.MetadataSerializer`` and
``o.a.c.db.SerializationHeader.Serializer``.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from tablesnap.errors import TablesnapError

_HEADER = 3  # in ``o.a.c.io.sstable.metadata.MetadataType``
_MOST_COMPONENTS = 64  # Cassandra has four
_CRC = 4  # bytes
_LONGEST = 1 << 16  # bytes of a name; a type of a user's has those of all its fields


class UnreadableHeader(TablesnapError):
    """A Statistics.db whose serialization header cannot be read, or that has none: it is older than 3.0."""


@dataclass(frozen=True, slots=True)
class Column:
    """What an sstable says of a column."""

    type: str
    is_static: bool = False


@dataclass(frozen=True)
class Header:
    """The types in one sstable, as Cassandra spells them: ``org.apache.cassandra.db.marshal.Int32Type``."""

    key: str
    clusterings: tuple[str, ...] = ()
    columns: Mapping[str, Column] = field(default_factory=dict)  # by name


def read_header(body: bytes) -> Header:
    """Read the header from all bytes of a Statistics.db; raise `UnreadableHeader`."""
    try:
        reader = _Reader(_component(body))
        for _ in range(3):  # the least timestamp, deletion time and time to live
            reader.number()
        header = Header(
            key=reader.text(),
            clusterings=tuple(reader.text() for _ in range(reader.number())),
            columns={**reader.columns(is_static=True), **reader.columns(is_static=False)},
        )
        reader.expect_end()
    except (IndexError, ValueError, struct.error) as error:
        raise UnreadableHeader(f"is no Statistics.db that can be read: {error}") from error
    return header


def _component(body: bytes) -> bytes:
    """Return the bytes of the header."""
    (count,) = struct.unpack_from(">I", body)
    if not 0 < count <= _MOST_COMPONENTS:
        raise ValueError(f"it says that it has {count} components")
    # Where the first component begins says whether there are checksums, in whatever version.
    plain, summed = (_contents(body, count, crc) for crc in (0, _CRC))
    is_summed = plain[0][1] != 4 + 8 * count
    contents = summed if is_summed else plain
    start = dict(contents).get(_HEADER)
    if start is None:
        raise UnreadableHeader("has no serialization header, as before Cassandra 3.0")
    end = min((position for _, position in contents if position > start), default=len(body))
    if not is_summed:
        return body[start:end]
    _expect_sum(body, 4, body[:4])
    _expect_sum(body, 8 + 8 * count, body[:4] + body[8 : 8 + 8 * count])
    _expect_sum(body, end - _CRC, body[start : end - _CRC])
    return body[start : end - _CRC]


def _contents(body: bytes, count: int, crc: int) -> list[tuple[int, int]]:
    """Return the type and position of each component, the number of them having a checksum of *crc* bytes."""
    return [struct.unpack_from(">II", body, 4 + crc + 8 * place) for place in range(count)]


def _expect_sum(body: bytes, position: int, summed: bytes) -> None:
    (crc,) = struct.unpack_from(">I", body, position)
    if crc != zlib.crc32(summed):
        raise ValueError("a checksum in it does not fit")


class _Reader:
    """Reads one thing after another; `IndexError` or `ValueError` where there is no such thing."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._position = 0

    def number(self) -> int:
        """Read an unsigned variable integer: as many ones as begin it, so many bytes follow the first.

        Source: ``o.a.c.utils.vint.VIntCoding``.
        """
        [first] = self._take(1)
        more = 8 - (first ^ 0xFF).bit_length()
        return int.from_bytes(bytes([first & (0x7F >> more)]) + self._take(more))

    def text(self) -> str:
        """Read a string with its length."""
        size = self.number()
        if size > _LONGEST:
            raise ValueError(f"it has a name of {size} bytes")
        return self._take(size).decode()

    def columns(self, *, is_static: bool) -> dict[str, Column]:
        """Read columns with their types. Each takes bytes, so their number is no danger."""
        return {self.text(): Column(self.text(), is_static) for _ in range(self.number())}

    def expect_end(self) -> None:
        """Raise `ValueError` if anything follows."""
        if self._position != len(self._body):
            raise ValueError(f"{len(self._body) - self._position} bytes follow the header")

    def _take(self, size: int) -> bytes:
        if size > len(self._body) - self._position:
            raise IndexError("it ends too early")
        self._position += size
        return self._body[self._position - size : self._position]
