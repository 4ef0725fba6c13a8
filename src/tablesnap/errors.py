"""Everything that can go wrong, in one tree.

Each error says what happened, to which thing, and, where there is something to do, what to try.
"""


class TablesnapError(Exception):
    """The root of every error tablesnap raises on purpose."""


class UsageError(TablesnapError):
    """The command line asks for something that cannot be meant; exit code 2."""


class StoreError(TablesnapError):
    """A request to the store did not succeed."""


class StoreUnavailable(StoreError):
    """The store does not answer, or cannot just now: an outage. The same request may succeed later."""


class StoreRefused(StoreError):
    """The store answered, and said no: no such bucket, access denied, a wrong key, an option it does not know."""


class ObjectArchived(StoreRefused):
    """The object is there, and cannot be read before the store has thawed it."""


class NoSuchObject(StoreError):
    """The store holds nothing under this key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"nothing is stored as {key}")
        self.key = key


class AlreadyStored(StoreError):
    """The key is taken, and no object is ever overwritten."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} is stored already")
        self.key = key


class KeyRefused(StoreError):
    """The store cannot name an object so."""


class DamagedUpload(StoreError):
    """The bytes that reached the store are not those of the checksum; nothing was stored. Try again."""


class UnreadableIndex(TablesnapError):
    """An index that is no JSON, or not of a format this version knows."""


class UnwritableIndex(TablesnapError):
    """An index that nobody could read again, so that it is not written."""


class FileChanged(TablesnapError):
    """A file was written to, or replaced, while it was read."""


class FileVanished(TablesnapError):
    """A file was gone before it could be read."""


class CannotRead(TablesnapError):
    """A file is there, and the system will not let us read it."""
