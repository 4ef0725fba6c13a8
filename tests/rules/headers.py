"""Writes the Statistics.db of an sstable of before 4.0, as far as its header goes."""

import struct

from tablesnap.rules.sstable_header import Header

MARSHAL = "org.apache.cassandra.db.marshal."


def statistics_of(header: Header) -> bytes:
    """Write a Statistics.db that has nothing but this header."""
    columns = [
        [(name, one.type) for name, one in header.columns.items() if one.is_static == is_static]
        for is_static in (True, False)
    ]
    parts = [b"\0\0\0", _text(header.key), vint(len(header.clusterings)), *map(_text, header.clusterings)]
    for those in columns:
        parts += [vint(len(those)), *(_text(name) + _text(kind) for name, kind in those)]
    return statistics(b"".join(parts))


def statistics(component: bytes, *, number: int = 3) -> bytes:
    """Write a Statistics.db that has this component alone, which is the header by its *number*."""
    return struct.pack(">III", 1, number, 12) + component


def vint(number: int) -> bytes:
    """Write an unsigned variable integer, in the most bytes that one may have."""
    return b"\xff" + number.to_bytes(8)


def _text(text: str) -> bytes:
    return vint(len(text.encode())) + text.encode()
