"""Sending content with boto3 in bounded memory: in one request, or in parts."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import Any

from awscrt.exceptions import AwsCrtError
from botocore.exceptions import BotoCoreError, ClientError

from tablesnap.errors import CannotRead, FileChanged
from tablesnap.store.port import READ_SIZE, Content
from tablesnap.store.s3_sums import Sum

LARGEST_PUT = 5 << 30  # bytes
SMALLEST_PART = 5 << 20
LARGEST_PART = 5 << 30
MOST_PARTS = 10_000
PARTS_AT_ONCE = 4


class Slice:
    """A part of a content as a file: boto3 reads it a few KiB at a time, and again from the start where it retries."""

    def __init__(self, content: Content, start: int, size: int) -> None:
        self._content = content
        self._start = start
        self._size = size
        self._position = 0
        self.failure: FileChanged | CannotRead | None = None

    def read(self, size: int | None = -1) -> bytes:
        """Return up to *size* bytes, or all that is left."""
        left = self._size - self._position
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted <= 0:
            return b""
        try:
            data = self._content.read(self._start + self._position, wanted)
        except (FileChanged, CannotRead) as error:
            # Kept, because what boto3 makes of it depends on who was reading, and says nothing of the file.
            self.failure = error
            raise
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move as a file does."""
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def tell(self) -> int:
        """Return the position, as a file does."""
        return self._position

    def chunks(self) -> Iterator[bytes]:
        """Yield the slice in pieces of at most `READ_SIZE` bytes."""
        offset = 0
        while offset < self._size:
            data = self._content.read(self._start + offset, min(READ_SIZE, self._size - offset))
            offset += len(data)
            yield data


def plan_parts(size: int, part_size: int) -> list[tuple[int, int]]:
    """Return where each part starts and its size: as asked, but within S3's limits for a part and for their number."""
    length = min(max(part_size, SMALLEST_PART, -(-size // MOST_PARTS)), LARGEST_PART)
    return [(start, min(length, size - start)) for start in range(0, size, length)]


def put(
    client: Any, target: Mapping[str, str], content: Content, arguments: Mapping[str, Any], kind: Sum
) -> Mapping[str, Any]:
    """Store *content* in one request, with this kind of sum, and return the answer."""
    content.read(max(0, content.size - 1), 1)  # a file that has become shorter is found out before anything is sent
    body = Slice(content, 0, content.size)
    with _reading(body):
        answer: Mapping[str, Any] = client.put_object(**target, **arguments, Body=body, **kind.of_object(content))
    return answer


def put_in_parts(
    client: Any,
    target: Mapping[str, str],
    content: Content,
    arguments: Mapping[str, Any],
    *,
    part_size: int,
    condition: Mapping[str, str],
    kind: Sum = Sum.CRC64NVME,
    before_end: Callable[[], None] = lambda: None,
) -> Mapping[str, Any]:
    """Store *content* in parts, or leave nothing of it, and return the answer that ended it.

    *before_end* may raise to have it so.
    """
    upload = client.create_multipart_upload(**target, **arguments, **kind.of_beginning())
    begun = {**target, "UploadId": upload["UploadId"]}
    try:
        parts = _send_parts(client, begun, content, part_size, kind)
        before_end()
        answer: Mapping[str, Any] = client.complete_multipart_upload(
            **begun, **condition, MultipartUpload={"Parts": parts}, **kind.of_whole(content)
        )
    except BaseException:
        # Whatever it was: parts that nobody completes are invisible, and paid for until somebody looks.
        with suppress(BotoCoreError, ClientError):
            client.abort_multipart_upload(**begun)
        raise
    return answer


def _send_parts(
    client: Any, begun: Mapping[str, str], content: Content, part_size: int, kind: Sum
) -> list[dict[str, Any]]:
    pool = ThreadPoolExecutor(PARTS_AT_ONCE, thread_name_prefix="part")
    try:
        sent = [
            pool.submit(send_part, client, begun, number, Slice(content, start, size), kind)
            for number, (start, size) in enumerate(plan_parts(content.size, part_size), 1)
        ]
        wait(sent, return_when=FIRST_EXCEPTION)
        for future in sent:
            # One part's failure is everyone's: the others are cancelled below.
            if future.done() and (error := future.exception()) is not None:
                raise error
        return [future.result() for future in sent]
    finally:
        pool.shutdown(cancel_futures=True)


def send_part(client: Any, begun: Mapping[str, str], number: int, body: Slice, kind: Sum) -> dict[str, Any]:
    """Send one part, and return what the end of the upload says of it."""
    sums = kind.of_part(body.chunks())
    with _reading(body):
        answer = client.upload_part(**begun, PartNumber=number, Body=body, **sums)
    # boto3 takes the checksum here, and neither its name nor an MD5.
    told = {name: sums[name] for name in ("ChecksumCRC64NVME",) if name in sums}
    return {"PartNumber": number, "ETag": answer["ETag"], **told}


@contextmanager
def _reading(body: Slice) -> Iterator[None]:
    """Raise what went wrong in reading *body* rather than what boto3 made of it."""
    try:
        yield
    except (BotoCoreError, ClientError, AwsCrtError) as error:
        if body.failure is not None:
            raise body.failure from error
        raise
