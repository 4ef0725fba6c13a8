"""Sending content with botocore in bounded memory: in one request, or in parts."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from awscrt.exceptions import AwsCrtError
from botocore.exceptions import BotoCoreError, ClientError

from tablesnap.errors import CannotRead, FileChanged, TablesnapError
from tablesnap.store.port import READ_SIZE, Content
from tablesnap.store.s3_limits import Limits
from tablesnap.store.s3_resuming import Label, Resumer, Upload
from tablesnap.store.s3_sums import Sum

LARGEST_PUT = 5 << 30  # bytes
SMALLEST_PART = 5 << 20
LARGEST_PART = 5 << 30
MOST_PARTS = 10_000
PARTS_AT_ONCE = 4


class Slice:
    """A part of a content as a file: botocore reads it a few KiB at a time, and from the start where it retries."""

    def __init__(self, content: Content, start: int, size: int) -> None:
        self._content = content
        self._start = start
        self.size = size
        self._position = 0
        self.failure: TablesnapError | None = None

    def read(self, size: int | None = -1) -> bytes:
        """Return up to *size* bytes, or all that is left."""
        left = self.size - self._position
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted <= 0:
            return b""
        try:
            data = self._content.read(self._start + self._position, wanted)
        except (FileChanged, CannotRead) as error:
            # Kept, because what botocore makes of it depends on who was reading, and says nothing of the file.
            self.failure = error
            raise
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move as a file does."""
        self._position = offset + (0, self._position, self.size)[whence]
        return self._position

    def tell(self) -> int:
        """Return the position, as a file does."""
        return self._position

    def chunks(self) -> Iterator[bytes]:
        """Yield the slice in pieces of at most `READ_SIZE` bytes."""
        offset = 0
        while offset < self.size:
            data = self._content.read(self._start + offset, min(READ_SIZE, self.size - offset))
            offset += len(data)
            yield data


class TooSlow(TablesnapError):
    """The bytes of a request went slower than its time limit allows."""


class Hurried(Slice):
    """A slice that is given up where its bytes go slower than *limits* allow."""

    def __init__(self, content: Content, limits: Limits) -> None:
        super().__init__(content, 0, content.size)
        self._limits = limits
        self._began = time.monotonic()

    def read(self, size: int | None = -1) -> bytes:
        """Return up to *size* bytes, or all that is left."""
        if time.monotonic() - self._began > self._limits.whole(self.tell()):
            self.failure = TooSlow("the line is slow")
            raise self.failure
        return super().read(size)


def plan_parts(size: int, part_size: int) -> list[tuple[int, int]]:
    """Return where each part starts and its size: as asked, but within S3's limits for a part and for their number."""
    length = min(max(part_size, SMALLEST_PART, -(-size // MOST_PARTS)), LARGEST_PART)
    return [(start, min(length, size - start)) for start in range(0, size, length)]


def put(
    client: Any,
    target: Mapping[str, str],
    content: Content,
    arguments: Mapping[str, Any],
    kind: Sum,
    *,
    limits: Limits | None = None,
) -> Mapping[str, Any]:
    """Store *content* in one request, with this kind of sum, and return the answer.

    Raises `TooSlow` where it goes slower than *limits* allow.
    """
    content.read(max(0, content.size - 1), 1)  # a file that has become shorter is found out before anything is sent
    body = Slice(content, 0, content.size) if limits is None else Hurried(content, limits)
    with _reading(body):
        answer: Mapping[str, Any] = client.put_object(**target, **arguments, Body=body, **kind.of_object(content))
    return answer


@dataclass(frozen=True)
class InParts:
    """How an upload in parts goes."""

    part_size: int
    kind: Sum = Sum.CRC64NVME
    condition: Mapping[str, str] = field(default_factory=dict)
    at_once: int = PARTS_AT_ONCE
    resumer: Resumer | None = None  # goes on with what was broken off; and what an outage breaks off is left for that
    before_end: Callable[[], None] = lambda: None  # may raise to have nothing stored
    sent: Callable[[int], None] = lambda _: None  # is told the size of each part that was sent


def put_in_parts(
    client: Any, target: Mapping[str, str], content: Content, arguments: Mapping[str, Any], how: InParts
) -> Mapping[str, Any]:
    """Store *content* in parts, or leave nothing of it that nobody goes on with; return the answer that ended it."""
    plan, resumer = plan_parts(content.size, how.part_size), how.resumer
    label = Label.of(target, arguments, content, plan) if resumer is not None and len(plan) < MOST_PARTS else None
    found = resumer.find(client, target, label) if resumer is not None and label is not None else None
    upload = found or _begin(client, target, arguments, how.kind)
    try:
        if label is not None and found is None:
            send_part(client, upload.begun, label.number, Slice(label.content, 0, label.content.size), how.kind)
        parts = _send_parts(client, upload, content, plan, how)
        how.before_end()
    except BaseException as error:
        if found is None and not (resumer is not None and resumer.may_go_on(error)):
            _abort(client, upload)
        raise
    try:
        answer: Mapping[str, Any] = client.complete_multipart_upload(
            **upload.begun, **how.condition, MultipartUpload={"Parts": parts}, **how.kind.of_whole(content)
        )
    except BaseException as error:
        # An upload that was refused here would be refused again, whichever run began it.
        if not (resumer is not None and resumer.may_go_on(error)):
            _abort(client, upload)
        raise
    return answer


def _begin(client: Any, target: Mapping[str, str], arguments: Mapping[str, Any], kind: Sum) -> Upload:
    answer = client.create_multipart_upload(**target, **arguments, **kind.of_beginning())
    return Upload({**target, "UploadId": answer["UploadId"]})


def _abort(client: Any, upload: Upload) -> None:
    # Parts that nobody completes are invisible, and paid for until somebody looks.
    with suppress(BotoCoreError, ClientError):
        client.abort_multipart_upload(**upload.begun)


def _send_parts(
    client: Any, upload: Upload, content: Content, plan: Sequence[tuple[int, int]], how: InParts
) -> list[dict[str, Any]]:
    pool = ThreadPoolExecutor(how.at_once, thread_name_prefix="part")
    try:
        sending = [
            pool.submit(_send_missing, client, upload, number, Slice(content, start, size), how)
            for number, (start, size) in enumerate(plan, 1)
        ]
        wait(sending, return_when=FIRST_EXCEPTION)
        for future in sending:
            # One part's failure is everyone's: the others are cancelled below.
            if future.done() and (error := future.exception()) is not None:
                raise error
        return [future.result() for future in sending]
    finally:
        pool.shutdown(cancel_futures=True)


def _send_missing(client: Any, upload: Upload, number: int, body: Slice, how: InParts) -> dict[str, Any]:
    """Send a part unless the store has it."""
    if number in upload.parts:
        checksum = how.kind.of_part(body.chunks()).get("ChecksumCRC64NVME", "")
        part = upload.has(number, body.size, checksum)
        if part is not None:
            return {"PartNumber": number, "ETag": part["ETag"], "ChecksumCRC64NVME": checksum}
    done = send_part(client, upload.begun, number, body, how.kind)
    how.sent(body.size)
    return done


def send_part(client: Any, begun: Mapping[str, str], number: int, body: Slice, kind: Sum) -> dict[str, Any]:
    """Send one part, and return what the end of the upload says of it."""
    sums = kind.of_part(body.chunks())
    with _reading(body):
        answer = client.upload_part(**begun, PartNumber=number, Body=body, **sums)
    # botocore takes the checksum here, and neither its name nor an MD5.
    told = {name: sums[name] for name in ("ChecksumCRC64NVME",) if name in sums}
    return {"PartNumber": number, "ETag": answer["ETag"], **told}


@contextmanager
def _reading(body: Slice) -> Iterator[None]:
    """Raise what went wrong in reading *body* rather than what botocore made of it."""
    try:
        yield
    except (BotoCoreError, ClientError, AwsCrtError) as error:
        if body.failure is not None:
            raise body.failure from error
        raise
