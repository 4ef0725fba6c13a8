"""What S3 is told of the bytes it is sent, so that it refuses others: in one request, and in parts.

Amazon knows CRC-64/NVME; other servers refuse it with 400 or 501, or know no more than Content-MD5 (RFC 1864).
"""

import base64
import hashlib
from collections.abc import Iterable
from enum import Enum

from tablesnap.checksum import crc64nvme_of, to_base64
from tablesnap.store.port import Content


class Sum(Enum):
    """What goes with an upload, the best first."""

    CRC64NVME = "CRC64NVME"
    MD5 = "Content-MD5"
    NONE = "none"

    def of_object(self, content: Content) -> dict[str, str]:
        """Return what goes with all of *content* in one request."""
        if self is Sum.CRC64NVME:
            return {"ChecksumAlgorithm": self.value, "ChecksumCRC64NVME": to_base64(content.checksum)}
        return self.of_part(content.chunks())

    def of_part(self, chunks: Iterable[bytes]) -> dict[str, str]:
        """Return what goes with a part, made of *chunks*."""
        if self is Sum.CRC64NVME:
            return {"ChecksumAlgorithm": self.value, "ChecksumCRC64NVME": to_base64(crc64nvme_of(chunks))}
        if self is Sum.MD5:
            digest = hashlib.md5(usedforsecurity=False)
            for chunk in chunks:
                digest.update(chunk)
            return {"ContentMD5": base64.b64encode(digest.digest()).decode()}
        return {}

    def of_beginning(self) -> dict[str, str]:
        """Return what begins an upload in parts."""
        return {"ChecksumAlgorithm": self.value, "ChecksumType": "FULL_OBJECT"} if self is Sum.CRC64NVME else {}

    def of_whole(self, content: Content) -> dict[str, str]:
        """Return what ends an upload in parts."""
        if self is not Sum.CRC64NVME:
            return {}
        return {"ChecksumType": "FULL_OBJECT", "ChecksumCRC64NVME": to_base64(content.checksum)}

    def and_worse(self) -> "tuple[Sum, ...]":
        """Return this, and what may be tried after it."""
        every = tuple(Sum)
        return every[every.index(self) :]
