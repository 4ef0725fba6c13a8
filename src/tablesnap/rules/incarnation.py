"""One file's life under its name."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Incarnation:
    """What tells one life of a name from the next without reading the file.

    The inode is known only while this process watches (an index does not hold it): None means "not known". The change
    time is left out on purpose, as a hard link made to the file, by a snapshot say, sets it and changes nothing.
    """

    size: int  # bytes
    mtime_ns: int
    inode: int | None = None

    def same_as(self, other: "Incarnation") -> bool:
        """Say whether both are the same life, as far as both know."""
        inodes = {self.inode, other.inode} - {None}
        return self.size == other.size and self.mtime_ns == other.mtime_ns and len(inodes) < 2


def fingerprint(live: Mapping[str, Incarnation]) -> str:
    """Return a short text that differs whenever the names, sizes or mtimes in *live* do."""
    lines = sorted(f"{name!a} {one.size} {one.mtime_ns}" for name, one in live.items())
    return hashlib.sha256("\n".join(lines).encode("ascii")).hexdigest()[:32]
