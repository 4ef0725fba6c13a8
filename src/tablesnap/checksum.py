"""CRC-64/NVME, the checksum S3 computes and keeps for a whole object.

awscrt is loaded with the first checksum: it takes longer than all that a wrong line, or one for help, needs.
"""

import base64
from collections.abc import Iterable

from typing_extensions import Buffer


def crc64nvme(data: Buffer, previous: int = 0) -> int:
    """Return the CRC-64/NVME of *data*, continued from *previous* (0 to begin).

    Source: NVM Express NVM Command Set Specification, 64b CRC; `S3 checking object integrity
    <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>`_.
    """
    from awscrt import checksums

    return int(checksums.crc64nvme(data, previous))


def crc64nvme_of(pieces: Iterable[Buffer]) -> int:
    """Return the checksum of *pieces*, one after the other."""
    checksum = 0
    for piece in pieces:
        checksum = crc64nvme(piece, checksum)
    return checksum


def combine(first: int, second: int, length: int) -> int:
    """Return the checksum of two pieces of data from their own; *length* is the second piece's, in bytes."""
    from awscrt import checksums

    return int(checksums.combine_crc64nvme(first, second, length))


def to_hex(checksum: int) -> str:
    """Spell a checksum as an index does: sixteen lower-case hexadecimal digits."""
    return f"{checksum:016x}"


def to_base64(checksum: int) -> str:
    """Spell a checksum as S3's ``x-amz-checksum-crc64nvme`` does: base64 of eight big-endian bytes."""
    return base64.b64encode(checksum.to_bytes(8, "big")).decode("ascii")


def from_base64(text: str) -> int:
    """Read S3's spelling of a checksum; raise `ValueError` if it is none."""
    raw = base64.b64decode(text, validate=True)
    if len(raw) != 8:
        raise ValueError(f"{text!r} is no CRC-64")
    return int.from_bytes(raw, "big")
