"""Reading with obstore, in requests of a known size: its time limit is for a whole request."""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError

from tablesnap.store.port import READ_SIZE

if TYPE_CHECKING:
    from obstore.store import ObjectStore

STRIDE = 32 << 20  # bytes in one request at most
BEYOND_THE_END = 416  # HTTP's answer where a range begins at the end or after it

# The server's words, or obstore's where the server answered with a range that is none (azurite), or with a 200, as RFC
# 9110, 14.2, lets it. nanio refuses a range that ends beyond the object with a 400.
_REFUSED = re.compile(
    rf"status code: {BEYOND_THE_END}\b|Wanted range starting at \d+, but object was only|non-partial response|"
    r"status code: 400\b.*<Code>Invalid(Argument|Range|Request)</Code>",
    re.DOTALL,
)


class RangeRefused(Exception):
    """There is nothing at the first byte asked for, or the server does not answer ranges as they are asked."""


def read_in_strides(store: "ObjectStore", key: str, offset: int, length: int | None) -> Iterator[bytes]:
    """Yield *length* bytes of an object from *offset* on, or as many as there are.

    Raises `RangeRefused` before the first piece, or what obstore raises. Only the first request may ask for more than
    there is: its answer tells the object's size.
    """
    begun, end = offset, None if length is None else offset + length
    while end is None or offset < end:
        stride = offset + STRIDE if end is None else min(end, offset + STRIDE)
        try:
            found = obstore.get(store, key, options={"range": (offset, stride)})
        except BaseError as error:
            if offset == begun and _REFUSED.search(str(error)):
                raise RangeRefused(key) from error
            raise
        end = found.meta["size"] if end is None else min(end, found.meta["size"])
        before = offset
        for piece in found.stream(READ_SIZE):
            offset += len(piece)
            yield bytes(piece)
        if offset == before:
            return


def cut(pieces: Iterable[bytes], skip: int, length: int | None) -> Iterator[bytes]:
    """Yield *length* bytes of *pieces* after the first *skip*; all of them where that is None."""
    for whole in pieces:
        piece = whole[skip:] if length is None else whole[skip : skip + length]
        skip = max(0, skip - len(whole))
        if piece:
            yield piece
        if length is not None:
            length -= len(piece)
            if not length:
                return
