"""Reading with botocore, from servers that answer a range in a way of their own.

RFC 9110, 14.2: a server may ignore a range, and then it answers with the whole object and a 200. rclone answers with
the range, its place in the object, and a 200; nanio refuses a range that ends beyond the object.
"""

import re
from collections.abc import Iterator
from typing import Any

from tablesnap.errors import StoreRefused
from tablesnap.store.port import READ_SIZE
from tablesnap.store.strides import cut

PARTIAL = 206  # HTTP's answer to a range


def read_within(client: Any, target: dict[str, str], offset: int, length: int | None) -> Iterator[bytes]:
    """Yield *length* bytes of an object from *offset* on, all of which it has; without *length* all of the object."""
    if length == 0:
        return
    asked = {} if length is None else {"Range": f"bytes={offset}-{offset + length - 1}"}
    answer = client.get_object(**target, **asked)
    start = start_of(answer)
    if start is None or start > offset:
        raise StoreRefused(f"{target['Key']}: the store answered with other bytes than those from {offset} on")
    body = answer["Body"]
    try:
        yield from cut(iter(lambda: body.read(READ_SIZE), b""), offset - start, length)
    finally:
        body.close()


def start_of(answer: dict[str, Any]) -> int | None:
    """Return where in the object the bytes of an answer begin, or None where it does not say."""
    told = re.match(r"bytes (\d+)-", answer.get("ContentRange", ""))
    if told is not None:
        return int(told[1])
    return None if answer["ResponseMetadata"]["HTTPStatusCode"] == PARTIAL else 0
