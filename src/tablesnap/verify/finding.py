"""What a check finds: by what an object is right, or what is wrong."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class Kind(Enum):
    """What is wrong."""

    LOST = "lost"  # an index names the object as stored, and it is not there
    SIZE = "size"  # the object is longer or shorter than the file was
    CHECKSUM = "checksum"  # the store's own checksum is not that of the file
    CONTENT = "content"  # what was downloaded is not what was uploaded
    DIGEST = "digest"  # a Data.db is not what Cassandra wrote: it was stored as it was, and was damaged before
    MISSING = "missing"  # the index itself says of the file that it was not stored
    UNREADABLE = "unreadable"  # an index cannot be read, so what it records cannot be restored
    NOTHING = "nothing"  # there is no restore point that is right
    FUTURE = "future"  # the index says that it was taken after the store received it
    SERIAL = "serial"  # two indexes have one place in the order of restore points
    WRITERS = "writers"  # two daemons wrote by turns
    UNPROTECTED = "unprotected"  # it is live on the disk, and in no restore point
    ARCHIVED = "archived"  # it is there, and cannot be read before the store has thawed it
    UNCHECKED = "unchecked"  # it could not be found out


class Proof(Enum):
    """By what an object was found right, the strongest first."""

    CONTENT = "content"  # it was downloaded, and compared
    CHECKSUM = "checksum"  # by the checksum that the store keeps of it
    SIZE = "size"  # by its size alone, as the store keeps no checksum
    PRESENCE = "presence"  # it is there; its index, one of 1.x, says no more


@dataclass(frozen=True)
class Finding:
    """One fault, of whatever number of restore points."""

    kind: Kind
    node: str
    name: str  # of the timeline: ``<keyspace>/<table>-<id>``, or the directory's path
    key: str  # of the object that it is about; of a directory, or empty, where it is about none
    path: str  # of the file it stands for; of a directory where it is about an index
    what: str
    points: int = 0  # restore points that it is a fault of
    newest: datetime | None = None  # when the newest of them was taken
