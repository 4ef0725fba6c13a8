"""Going on with an upload in parts that a broken connection or a restart left unfinished.

The store tells of an unfinished upload its key, its age and the checksums of its parts, and neither metadata nor
encryption. So each upload gets one part more than it needs, its *label*, which says what it was begun for, and is no
part of the object: S3 puts together "the parts that you provide in the list",
https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tablesnap.checksum import to_base64, to_hex
from tablesnap.store.port import Content
from tablesnap.store.s3_errors import answer_of, is_outage

log = logging.getLogger(__name__)

NO_SUCH_UPLOAD = "NoSuchUpload"  # S3's code: it was ended, or aborted


@dataclass(frozen=True)
class Upload:
    """An upload in parts that was begun."""

    begun: Mapping[str, str]  # bucket, key and the store's name for it
    parts: Mapping[int, Mapping[str, Any]] = field(
        default_factory=dict
    )  # those that were found in the store, by number

    def has(self, number: int, size: int, checksum: str) -> Mapping[str, Any] | None:
        """Return the part with this *number*, if the store has it with these bytes."""
        part = self.parts.get(number, {})
        return part if (part.get("Size"), part.get("ChecksumCRC64NVME")) == (size, checksum) else None


@dataclass(frozen=True)
class Label:
    """The part of an upload that says for which object it was begun, with which metadata, class and encryption."""

    content: Content
    number: int  # after all others, as some servers go through the parts in their order

    @classmethod
    def of(
        cls,
        target: Mapping[str, str],
        arguments: Mapping[str, Any],
        content: Content,
        plan: Sequence[tuple[int, int]],
    ) -> "Label":
        """Make the label of an upload of *content* in parts as in *plan*. The key has the name of the node."""
        said = {**target, **arguments, "Checksum": to_hex(content.checksum), "Parts": [size for _, size in plan]}
        return cls(Content.of(json.dumps(said, sort_keys=True).encode()), len(plan) + 1)

    def is_in(self, upload: Upload) -> bool:
        """Tell whether *upload* has this label."""
        return upload.has(self.number, self.content.size, to_base64(self.content.checksum)) is not None


class Resumer:
    """Finds the unfinished uploads of one bucket. Safe to use from several threads."""

    def __init__(self, resumable: timedelta) -> None:
        self._resumable = resumable  # their greatest age
        self._denied = False

    def find(self, client: Any, target: Mapping[str, str], label: Label) -> Upload | None:
        """Return the unfinished upload of this key that has *label* and is not too old, if there is one."""
        if self._denied:
            return None
        try:
            for begun in self._young(client, target):
                upload = Upload(begun, _parts_of(client, begun))
                if label.is_in(upload):
                    log.info("goes on with an upload of %s that was broken off", target["Key"])
                    return upload
        except ClientError as error:
            if is_outage(error):
                raise
            self._denied = True
            log.warning(
                "unfinished uploads in s3://%s cannot be listed (%s), so one that is broken off begins anew; allow "
                "s3:ListBucketMultipartUploads and s3:ListMultipartUploadParts to have it go on",
                target["Bucket"],
                answer_of(error),
            )
        return None

    def _young(self, client: Any, target: Mapping[str, str]) -> Iterator[dict[str, str]]:
        answer = client.list_multipart_uploads(Bucket=target["Bucket"], Prefix=target["Key"])
        clock = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        if clock is None:
            return  # nobody knows how old they are
        oldest = parsedate_to_datetime(clock).astimezone(UTC) - self._resumable
        for one in answer.get("Uploads", []):
            if one["Key"] == target["Key"] and one["Initiated"].astimezone(UTC) > oldest:
                yield {**target, "UploadId": one["UploadId"]}

    def may_go_on(self, error: BaseException) -> bool:
        """Tell whether an upload that *error* broke off is left in the store, because it can be gone on with later.

        A 409 at its end says that it must be begun anew:
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
        """
        if self._denied or not isinstance(error, (BotoCoreError, ClientError)) or not is_outage(error):
            return False
        said = answer_of(error)
        return said is None or (said.status != 409 and said.code != NO_SUCH_UPLOAD)


def _parts_of(client: Any, begun: Mapping[str, str]) -> dict[int, Mapping[str, Any]]:
    try:
        pages = list(client.get_paginator("list_parts").paginate(**begun))
    except ClientError as error:
        said = answer_of(error)
        if said is not None and said.status == 404:
            return {}  # it was ended or aborted since it was listed
        raise
    return {part["PartNumber"]: part for page in pages for part in page.get("Parts", [])}
