"""The upkeep of a bucket in S3, or in a store that speaks its language."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tablesnap.errors import StoreRefused
from tablesnap.store.s3_connection import Connection, Connector, S3Options
from tablesnap.store.s3_errors import answer_of, error_of
from tablesnap.store.upkeep import Unfinished

# What a store answers that has no such thing, or no word for it.
_UNKNOWN = {400, 404, 405, 501}
_GONE = 404


class S3Upkeep:
    """See `tablesnap.store.upkeep.Upkeep`. Nothing is asked of the network until a method is called."""

    def __init__(self, bucket: str, options: S3Options | None = None) -> None:
        self._bucket = bucket
        self._connector = Connector(bucket, options or S3Options())

    def unfinished(self, prefix: str) -> Iterator[Unfinished]:
        """Ask page by page."""
        more: dict[str, str] = {}
        while True:
            with self._asking() as connection:
                page = connection.client.list_multipart_uploads(Bucket=self._bucket, Prefix=prefix, **more)
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

    def _ask(self, question: str, what: str) -> dict[str, Any] | str:
        """Return the answer: nothing where the store does not know what is meant, a remark where it does not tell."""
        with self._asking() as connection:
            try:
                answer: dict[str, Any] = getattr(connection.client, question)(Bucket=self._bucket)
            except ClientError as error:
                said = answer_of(error)
                if said is not None and said.status == 403:
                    return f"it could not be asked {what}: {said}"
                if said is None or said.status not in _UNKNOWN or said.code == "NoSuchBucket":
                    raise
                return {}
        return answer

    @contextmanager
    def _asking(self, key: str | None = None) -> Iterator[Connection]:
        connection = self._connector.connected()
        try:
            yield connection
        except (BotoCoreError, ClientError) as error:
            raise error_of(error, connection.place, key) from error


def _spell_lock(configured: dict[str, Any]) -> str:
    retention = configured.get("Rule", {}).get("DefaultRetention", {})
    days, years = retention.get("Days"), retention.get("Years")
    length = f"{days} days" if days else f"{years} years"
    how_long = f", by default for {length} in mode {retention.get('Mode', '')}" if days or years else ""
    return (
        f"the bucket has Object Lock{how_long}: a deletion hides an object, and its locked version stays and is "
        "paid for until its time is over"
    )
