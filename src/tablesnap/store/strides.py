"""Reading with obstore, in requests of a known size: its time limit is for a whole request."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError

from tablesnap.store.port import READ_SIZE

if TYPE_CHECKING:
    from obstore.store import ObjectStore

STRIDE = 32 << 20  # bytes in one request at most
BEYOND_THE_END = 416  # HTTP's answer where a range begins at the end or after it

# The server's words, or obstore's where the server answered with a range that is none (azurite).
_BEYOND = re.compile(rf"status code: {BEYOND_THE_END}\b|Wanted range starting at \d+, but object was only")


def read_in_strides(store: "ObjectStore", key: str, offset: int, length: int | None) -> Iterator[bytes]:
    """Yield *length* bytes of an object from *offset* on, or as many as there are. Raises what obstore raises."""
    while length is None or length > 0:
        wanted = STRIDE if length is None else min(STRIDE, length)
        arrived = 0
        for piece in _read_range(store, key, offset, wanted):
            arrived += len(piece)
            yield piece
        if arrived < wanted:
            return  # at the end
        offset += arrived
        length = None if length is None else length - arrived


def _read_range(store: "ObjectStore", key: str, offset: int, length: int) -> Iterator[bytes]:
    try:
        found = obstore.get(store, key, options={"range": (offset, offset + length)})
    except BaseError as error:
        if _BEYOND.search(str(error)):
            return
        raise
    for piece in found.stream(READ_SIZE):
        yield bytes(piece)
