"""Store one file's content, beside whatever else has its name."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from tablesnap.checksum import crc64nvme_of
from tablesnap.errors import AlreadyStored, NoSuchObject, StoreRefused
from tablesnap.rules import retention
from tablesnap.rules.keys import beside, is_index
from tablesnap.store.keys import shown
from tablesnap.store.port import Content, Head, Store

MOST_KEYS = 4  # that are tried before the next pause: with the moment in them, hardly one is ever taken
ASK_FIRST_ABOVE = 64 << 20  # bytes; sending a larger one only to hear that it is there costs more than the question


@dataclass(frozen=True)
class Placed:
    """Where content stands in the store."""

    key: str
    sent: bool  # False: an object found there was relied on
    because_named: bool = False  # relied on because the newest index names it, and for as long as it does


class Uploader:
    """Stores content and never overwrites. Safe to use from several threads."""

    def __init__(self, store: Store, now: Callable[[], datetime], *, indexed: bool) -> None:
        self._store = store
        self._now = now
        self._indexed = indexed

    def place(
        self,
        content: Content,
        plain_key: str,
        *,
        metadata: dict[str, str],
        is_named: Callable[[str], bool],
        expected: bool = False,
    ) -> Placed:
        """Make sure that *content* is stored, durably, and return where.

        *is_named* says whether the directory's newest index names a key; *expected* that an object is likely there
        already, so that asking comes first. Raises what the store raises, and `StoreRefused` where it says of every key
        that it is taken.
        """
        for key in islice(self._candidates(plain_key, content), MOST_KEYS):
            taken = False
            if expected or content.size > ASK_FIRST_ABOVE:
                taken, placed = self._look(key, content, is_named)
                if placed is not None:
                    return placed
            if not taken:
                try:
                    self._store.create(key, content, metadata=metadata)
                    return Placed(key, sent=True)
                except AlreadyStored:
                    _, placed = self._look(key, content, is_named)
                    if placed is not None:
                        return placed
        raise StoreRefused(f"{shown(plain_key)}: the store says that this key and {MOST_KEYS - 1} others are taken")

    def _candidates(self, plain_key: str, content: Content) -> Iterator[str]:
        # A file that is itself called like an index never gets its plain key, or 1.x would take it for one.
        if not is_index(plain_key):
            yield plain_key
        yield beside(plain_key, content.checksum)
        while True:
            yield beside(plain_key, content.checksum, self._now())

    def _look(self, key: str, content: Content, is_named: Callable[[str], bool]) -> tuple[bool, Placed | None]:
        """Say whether *key* is taken, and return the object there if it is this content and may be relied on."""
        try:
            head = self._store.head(key)
            # A directory without indexes has no purge either, but one told to take unindexed objects by their age.
            named = is_named(key)
            if not retention.may_be_relied_on(named=named or not self._indexed, age_seconds=head.age_seconds):
                return True, None
            return True, Placed(key, sent=False, because_named=named) if self._holds(key, head, content) else None
        except NoSuchObject:
            return False, None

    def _holds(self, key: str, head: Head, content: Content) -> bool:
        """Say whether the object under *key* is *content*: by the store's checksum, by 1.x's, or by its bytes."""
        if head.size != content.size:
            return False
        if head.checksum is not None:
            return head.checksum == content.checksum
        if "md5sum" in head.metadata:
            digest = hashlib.md5(usedforsecurity=False)
            for chunk in content.chunks():
                digest.update(chunk)
            return digest.hexdigest() == head.metadata["md5sum"]
        if head.frozen:
            return False  # it cannot be read, so nothing is known of it
        return crc64nvme_of(self._store.read(key)) == content.checksum
