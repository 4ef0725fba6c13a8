"""What a directory store knows of an object besides its bytes, kept in a file of its own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from tablesnap.checksum import to_hex

DEFAULT_TYPE = "application/octet-stream"


@dataclass(frozen=True)
class Sidecar:
    """One object's *size*, by which a sidecar of another object is known, and all that ``head`` tells."""

    size: int
    checksum: int  # CRC-64/NVME
    content_type: str = DEFAULT_TYPE
    metadata: Mapping[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the sidecar as JSON."""
        body = {
            "size": self.size,
            "crc64nvme": to_hex(self.checksum),
            "content_type": self.content_type,
            "metadata": dict(self.metadata),
        }
        return json.dumps(body).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Sidecar":
        """Read what `encode` wrote; raise `ValueError` where it is something else."""
        body = json.loads(data)
        try:
            return cls(int(body["size"]), int(body["crc64nvme"], 16), str(body["content_type"]), dict(body["metadata"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"{data[:80]!r} is no sidecar") from error
