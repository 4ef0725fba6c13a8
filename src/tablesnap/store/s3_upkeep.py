"""The upkeep of a bucket in S3, or in a store that speaks its language."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tablesnap.errors import StoreRefused
from tablesnap.store.s3_connection import Connection, Connector, S3Options
from tablesnap.store.s3_errors import NOT_BELIEVED, REDIRECTED, STALE_CREDENTIALS, Answer, answer_of
from tablesnap.store.s3_keys import require_key
from tablesnap.store.s3_transfer import LARGEST_PUT, plan_parts
from tablesnap.store.upkeep import Expiry, Unfinished

# What a store answers that has no such thing, or no word for it.
_UNKNOWN = {400, 404, 405, 501}
# What comes with the same status, and says nothing of that.
_NO_WORD_OF_IT = {"NoSuchBucket", NOT_BELIEVED, REDIRECTED} | STALE_CREDENTIALS
_GONE = 404
COPY_SECONDS = 300.0  # while the store copies a large object within itself, some say nothing
_PART = 1 << 30  # bytes of a large object that are copied at a time
# What an object keeps when it is copied onto itself.
_KEPT = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Metadata",
    "SSEKMSKeyId",
    "ServerSideEncryption",
    "StorageClass",
)


class S3Upkeep:
    """See `tablesnap.store.upkeep.Upkeep`. Nothing is asked of the network until a method is called."""

    def __init__(self, bucket: str, options: S3Options | None = None, *, largest_copy: int = LARGEST_PUT) -> None:
        self.largest_copy = largest_copy  # bytes that are copied in one request
        self._bucket = bucket
        options = options or S3Options()
        self._connector = Connector(bucket, replace(options, limits=replace(options.limits, operation=COPY_SECONDS)))
        self._unlisted = ""  # why unfinished uploads cannot be listed

    def unfinished(self, prefix: str) -> Iterator[Unfinished]:
        """Ask page by page."""
        more: dict[str, str] = {}
        while True:
            with self._asking() as connection:
                try:
                    page = connection.client.list_multipart_uploads(Bucket=self._bucket, Prefix=prefix, **more)
                except ClientError as error:
                    said = answer_of(error)
                    if not is_unknown(said):
                        raise
                    self._unlisted = str(said)
                    return
            for upload in page.get("Uploads", []):
                if upload["Key"].startswith(prefix):
                    yield Unfinished(upload["Key"], upload["UploadId"], upload["Initiated"].astimezone(UTC))
            if not page.get("IsTruncated"):
                return
            if "NextKeyMarker" not in page:
                raise StoreRefused(f"s3://{self._bucket}: the list of uploads broke off, and does not say how to go on")
            more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page.get("NextUploadIdMarker", "")}

    def give_up(self, one: Unfinished) -> None:
        """Abort it."""
        with self._asking(one.key) as connection:
            try:
                connection.client.abort_multipart_upload(Bucket=self._bucket, Key=one.key, UploadId=one.upload)
            except ClientError as error:
                said = answer_of(error)
                if said is None or said.status != _GONE:
                    raise

    def remarks(self) -> Sequence[str]:
        """Ask for versioning and Object Lock. Who may not ask hears that it is not known."""
        found = []
        if self._unlisted:
            found.append(
                f"the store does not list unfinished uploads ({self._unlisted}), so none was given up; "
                "if there are any, they are paid for"
            )
        versioning = self._ask("get_bucket_versioning", "whether the bucket keeps versions")
        if isinstance(versioning, str):
            found.append(versioning)
        elif versioning.get("Status") in ("Enabled", "Suspended"):
            found.append(
                f"the bucket keeps versions ({versioning['Status'].lower()}): what is deleted stays as an older "
                "version, and is paid for, until a lifecycle rule with NoncurrentVersionExpiration takes it"
            )
        lock = self._ask("get_object_lock_configuration", "whether the bucket locks objects")
        if isinstance(lock, str):
            found.append(lock)
        elif (configured := lock.get("ObjectLockConfiguration", {})).get("ObjectLockEnabled") == "Enabled":
            found.append(_spell_lock(configured))
        return found

    def expiries(self) -> Sequence[Expiry]:
        """Read the bucket's lifecycle. A rule for certain tags or sizes counts as one for all."""
        found = []
        for rule in self._lifecycle():
            days = rule.get("Expiration", {}).get("Days")
            if rule.get("Status") == "Enabled" and days:
                only = rule.get("Filter", {})
                prefix = rule.get("Prefix") or only.get("Prefix") or only.get("And", {}).get("Prefix") or ""
                found.append(Expiry(prefix, timedelta(days=days)))
        return found

    def _lifecycle(self) -> list[dict[str, Any]]:
        with self._asking() as connection:
            try:
                answer = connection.client.get_bucket_lifecycle_configuration(Bucket=self._bucket)
            except ClientError as error:
                said = answer_of(error)
                if not is_unknown(said):
                    raise
                return []
        rules: list[dict[str, Any]] = answer.get("Rules", [])
        return rules

    def refresh(self, key: str) -> None:
        """Copy it onto itself within the store, in parts if it is too large for one request."""
        require_key(key)
        target = {"Bucket": self._bucket, "Key": key}
        with self._asking(key) as connection:
            client = connection.client
            head = client.head_object(**target, ChecksumMode="ENABLED")
            # S3 copies onto itself only where something is replaced: its metadata, by the same.
            same = {name: head[name] for name in _KEPT if name in head}
            source = {"CopySource": target, "CopySourceIfMatch": head["ETag"]}
            if head["ContentLength"] <= self.largest_copy:
                # No checksum is asked for: the object's own goes with it, and some stores make up another.
                client.copy_object(**target, **source, **same, MetadataDirective="REPLACE")
            else:
                self._copy_in_parts(client, target, source, same, head)
            after = client.head_object(**target, ChecksumMode="ENABLED")
        known = (head.get("ChecksumCRC64NVME"), after.get("ChecksumCRC64NVME"))
        if after["ContentLength"] != head["ContentLength"] or (all(known) and known[0] != known[1]):
            raise StoreRefused(f"{connection.place.of(key)} is not what it was, by what the store says of its copy")

    def _copy_in_parts(
        self, client: Any, target: dict[str, str], source: dict[str, Any], same: dict[str, Any], head: dict[str, Any]
    ) -> None:
        # Only of an object that has one: a store that refuses this checksum has kept none.
        kind = {"ChecksumType": "FULL_OBJECT"} if _checksum_of(head) else {}
        checksum = kind and {"ChecksumAlgorithm": "CRC64NVME", **kind}
        begun = {**target, "UploadId": client.create_multipart_upload(**target, **same, **checksum)["UploadId"]}
        try:
            parts = []
            for number, (start, length) in enumerate(
                plan_parts(head["ContentLength"], min(self.largest_copy, _PART)), 1
            ):
                where = f"bytes={start}-{start + length - 1}"
                answer = client.upload_part_copy(**begun, **source, PartNumber=number, CopySourceRange=where)
                part = answer["CopyPartResult"]
                parts.append({"PartNumber": number, "ETag": part["ETag"]} | _checksum_of(part))
            # With the object's own sum, where it is known, so that nothing else ever takes its place.
            client.complete_multipart_upload(
                **begun,
                **(_checksum_of(head) if head.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT" else {}),
                **kind,
                MultipartUpload={"Parts": parts},
            )
        except BaseException:
            with suppress(BotoCoreError, ClientError):
                client.abort_multipart_upload(**begun)
            raise

    def _ask(self, question: str, what: str) -> dict[str, Any] | str:
        """Return the answer: nothing where the store does not know what is meant, a remark where it does not tell."""
        with self._asking() as connection:
            try:
                answer: dict[str, Any] = getattr(connection.client, question)(Bucket=self._bucket)
            except ClientError as error:
                said = answer_of(error)
                if said is not None and said.status == 403:
                    return f"it could not be asked {what}: {said}"
                if not is_unknown(said):
                    raise
                return {}
        return answer

    @contextmanager
    def _asking(self, key: str | None = None) -> Iterator[Connection]:
        connection = self._connector.connected()
        with self._connector.saying(connection, key):
            yield connection


def is_unknown(said: Answer | None) -> bool:
    """Tell whether the store has no such thing as it was asked for."""
    return said is not None and said.status in _UNKNOWN and said.code not in _NO_WORD_OF_IT


def _checksum_of(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: answer[name] for name in ("ChecksumCRC64NVME",) if name in answer}


def _spell_lock(configured: dict[str, Any]) -> str:
    retention = configured.get("Rule", {}).get("DefaultRetention", {})
    days, years = retention.get("Days"), retention.get("Years")
    length = f"{days} days" if days else f"{years} years"
    how_long = f", by default for {length} in mode {retention.get('Mode', '')}" if days or years else ""
    return (
        f"the bucket has Object Lock{how_long}: a deletion hides an object, and its locked version stays and is "
        "paid for until its time is over"
    )
