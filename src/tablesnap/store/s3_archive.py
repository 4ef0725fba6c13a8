"""The archive classes of S3: which objects have to be thawed, and how that is asked for."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tablesnap.store.archive import thawing_takes
from tablesnap.store.s3_connection import Connector, S3Options
from tablesnap.store.s3_errors import answer_of, error_of
from tablesnap.store.s3_keys import require_key

# Its objects move to an archive tier by themselves, where that is configured; a listing does not tell which have.
_TIERING = "INTELLIGENT_TIERING"
# Somebody asked before us; or the object is in no archive (any more).
_NEEDLESS = {"RestoreAlreadyInProgress", "InvalidObjectState"}


def archived_class(storage_class: str) -> str:
    """Return the class, where objects in it may have to be thawed, or nothing."""
    return storage_class if storage_class == _TIERING or thawing_takes("s3", storage_class) else ""


def frozen_class(head: Mapping[str, Any]) -> tuple[str, bool]:
    """Return by the answer to a HEAD the class of an object that cannot be read now, and whether it is being thawed.

    ``x-amz-restore`` says ``ongoing-request="true"`` until the copy is there that can be read, then "false" for as
    long as it is: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
    """
    storage_class: str = archived_class(head.get("StorageClass", ""))
    asked: str = head.get("Restore", "")
    is_thawed = 'ongoing-request="false"' in asked
    if storage_class == _TIERING:
        is_thawed = "ArchiveStatus" not in head
    return ("", False) if is_thawed or not storage_class else (storage_class, 'ongoing-request="true"' in asked)


class S3Thawer:
    """See `tablesnap.store.archive.Thawer`. Nothing is asked of the network until a method is called."""

    def __init__(self, bucket: str, options: S3Options) -> None:
        self._bucket = bucket
        self._connector = Connector(bucket, options)

    def thaw(self, key: str, days: int) -> None:
        """Ask at the ordinary speed, which is the cheapest that both classes have."""
        require_key(key)
        connection = self._connector.connected()
        target = {"Bucket": self._bucket, "Key": key}
        try:
            storage_class = connection.client.head_object(**target).get("StorageClass")
            # What Intelligent-Tiering thaws, stays so; it takes no number of days.
            how_long = {} if storage_class == _TIERING else {"Days": days}
            request = {**how_long, "GlacierJobParameters": {"Tier": "Standard"}}
            connection.client.restore_object(**target, RestoreRequest=request)
        except (BotoCoreError, ClientError) as error:
            said = answer_of(error)
            if said is None or said.code not in _NEEDLESS:
                raise error_of(error, connection.place, key) from error
