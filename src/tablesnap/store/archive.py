"""Storage classes whose objects are archived: nobody can read them before the store has thawed them.

`Amazon S3 <https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects-retrieval-options.html>`_ calls that
to restore, `Azure <https://learn.microsoft.com/azure/storage/blobs/archive-rehydrate-overview>`_ to rehydrate. S3's
GLACIER_IR and every class of Google's, ARCHIVE included, can be read at once.
"""

from collections.abc import Mapping
from typing import Protocol

from tablesnap.errors import StoreRefused

# How long it takes, as the stores promise it for what is not paid for as urgent.
_HOURS: Mapping[str, Mapping[str, str]] = {
    "s3": {"GLACIER": "3 to 5 hours", "DEEP_ARCHIVE": "up to 12 hours"},
    "az": {"ARCHIVE": "up to 15 hours"},
}


def thawing_takes(scheme: str, storage_class: str) -> str:
    """Say how long the store needs to thaw an object of this class; empty for a class that can be read at once."""
    return _HOURS.get(scheme, {}).get(storage_class.upper(), "")


class Thawer(Protocol):
    """The part of a store that only those with an archive have."""

    def thaw(self, key: str, days: int) -> None:
        """Ask that the archived object under *key* can be read for so many *days*; that takes the store hours.

        One that was asked for already, or can be read, is no error. Raises `NoSuchObject`, `StoreUnavailable` or
        `StoreRefused`.
        """


class NoThawer:
    """A store that we cannot ask to thaw anything."""

    def thaw(self, key: str, days: int) -> None:
        """Refuse."""
        raise StoreRefused(f"{key}: --thaw asks S3 alone; in other stores move the object out of the archive yourself")
