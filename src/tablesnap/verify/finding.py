"""What a check finds of an object: by what it is right, or what is wrong."""

from enum import Enum


class Kind(Enum):
    """What is wrong."""

    LOST = "lost"  # an index names the object as stored, and it is not there
    SIZE = "size"  # the object is longer or shorter than the file was
    CHECKSUM = "checksum"  # the store's own checksum is not that of the file
    CONTENT = "content"  # what was downloaded is not what was uploaded
    DIGEST = "digest"  # a Data.db is not what Cassandra wrote: it was stored as it was, and was damaged before
    UNCHECKED = "unchecked"  # it could not be found out


class Proof(Enum):
    """By what an object was found right, the strongest first."""

    CONTENT = "content"  # it was downloaded, and compared
    CHECKSUM = "checksum"  # by the checksum that the store keeps of it
    SIZE = "size"  # by its size alone, as the store keeps no checksum
    PRESENCE = "presence"  # it is there; its index, one of 1.x, says no more
