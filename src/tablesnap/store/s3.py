"""A bucket in Amazon S3, or in a store that speaks its language.

obstore sends what it can name and send in one request, which is nearly everything; botocore says the rest.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from tablesnap.checksum import crc64nvme_of
from tablesnap.errors import (
    AlreadyStored,
    KeyRefused,
    NoSuchObject,
    ObjectArchived,
    StoreError,
    StoreRefused,
    StoreUnavailable,
)
from tablesnap.store import probe
from tablesnap.store.port import Content, Head, Listed
from tablesnap.store.s3_answers import metadata_of, whole_checksum
from tablesnap.store.s3_archive import frozen_class
from tablesnap.store.s3_connection import Connection, Connector, S3Options
from tablesnap.store.s3_deleting import Deleter
from tablesnap.store.s3_errors import (
    answer_of,
)
from tablesnap.store.s3_keys import has_odd_segment, is_plain, require_key
from tablesnap.store.s3_listing import Lister
from tablesnap.store.s3_reading import read_within
from tablesnap.store.s3_sending import NewObject, Sender
from tablesnap.store.s3_trial import AMAZON, UNTRIED, Habits, Trial
from tablesnap.store.strides import RangeRefused, read_in_strides

__all__ = ["S3Options", "S3Store"]

log = logging.getLogger(__name__)

DENIED = {"AccessDenied", "AllAccessDisabled", "Forbidden", "InvalidObjectState"}


class S3Store:
    """The objects of one bucket. Nothing is asked of the network until a method is called."""

    def __init__(self, bucket: str, options: S3Options | None = None) -> None:
        self._bucket = bucket
        self._options = options or S3Options()
        self._sender = Sender(bucket, self._options)
        self._connector = Connector(bucket, self._options)
        self._saying = self._connector.saying
        self._lister = Lister(bucket, self._connector)
        self._deleter = Deleter(bucket, self._connector, self._lister)
        self._habits: Habits | None = None  # until a check has tried them
        self._knows_ranges = True  # until an answer shows that they are not answered as they are asked

    def check(self, prefix: str = "") -> None:
        """See `Store.check`."""
        connection = self._connector.connected()
        key = probe.key_of(prefix, self._options.storage_class)
        require_key(key)
        with self._saying(connection):
            connection.client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=1)
        with self._saying(connection, key):
            self._habits = Trial(connection, self._bucket, key).run()
        self._check_reading(connection, key)

    def _check_reading(self, connection: Connection, key: str) -> None:
        """Read the probe as a restore does: from its beginning, and from where a connection broke."""
        try:
            for offset in (0, 7):
                if b"".join(self.read(key, offset=offset)) != probe.CONTENT.read(offset, probe.CONTENT.size):
                    where = connection.place.of(key)
                    raise StoreRefused(f"{where} is not what was stored there; is a proxy in between?")
        except ObjectArchived:
            pass  # the class was asked for with that in mind
        except StoreRefused as error:
            if not is_denied(error):
                raise
            log.warning("whether what is stored here can be read was not seen: %s", error)

    def create(
        self,
        key: str,
        content: Content,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        standard: bool = False,
    ) -> None:
        """See `Store.create`."""
        require_key(key)
        new = NewObject(key, content, content_type, metadata or {}, None if standard else self._options.storage_class)
        connection = self._connector.connected()
        if connection.custom and not is_plain(key):
            self._create_odd(connection, new)
        else:
            self._send(connection, new)

    def head(self, key: str) -> Head:
        """See `Store.head`."""
        require_key(key)
        connection = self._connector.connected()
        self._require_exact(connection, key)
        answer = self._head(connection, key)
        if answer is None:
            self._require_bucket(connection)
            raise NoSuchObject(key)
        clock = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        if clock is None:
            raise StoreRefused(f"{connection.place.of(key)}: the answer has no Date, so no object's age can be known")
        frozen, is_thawing = frozen_class(answer)
        return Head(
            size=answer["ContentLength"],
            modified=answer["LastModified"].astimezone(UTC),
            store_clock=parsedate_to_datetime(clock).astimezone(UTC),
            checksum=whole_checksum(answer),
            content_type=answer.get("ContentType", ""),
            metadata=metadata_of(answer),
            frozen=frozen,
            is_thawing=is_thawing,
        )

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """See `Store.read`."""
        require_key(key)
        if length == 0:
            self.head(key)
            return
        connection = self._connector.connected()
        self._require_exact(connection, key)
        with self._saying(connection, key):
            if self._knows_ranges and connection.can_move() and is_plain(key):
                try:
                    yield from read_in_strides(connection.reader(), key, offset, length)
                    return
                except RangeRefused:
                    pass  # perhaps there is nothing from there on
            yield from self._read_within(connection, key, offset, length)

    def _read_within(self, connection: Connection, key: str, offset: int, length: int | None) -> Iterator[bytes]:
        target = {"Bucket": self._bucket, "Key": key}
        if offset or length is not None:
            size = self.head(key).size
            length = max(0, size - offset) if length is None else min(length, max(0, size - offset))
        for piece in read_within(connection.client, target, offset, length):
            if self._knows_ranges and connection.can_move() and is_plain(key):
                # There was something after all; whoever reads next would ask in vain once more.
                self._knows_ranges = False
                log.info(
                    "%s does not answer ranges as Amazon does; none is asked beyond an object's end from now on",
                    connection.place.of(None),
                )
            yield piece

    def list(self, prefix: str) -> Iterator[Listed]:
        """See `Store.list`."""
        return self._lister.list(prefix)

    def level(self, prefix: str) -> "Iterator[Listed | str]":
        """See `Store.level`."""
        return self._lister.level(prefix)

    def delete(self, keys: Iterable[str]) -> None:
        """See `Store.delete`."""
        self._deleter.delete(keys)

    # Creating

    def _create_odd(self, connection: Connection, new: NewObject) -> None:
        """Create under a key that some servers take for another's: versitygw stores ``a//b`` as ``a/b``."""
        refused = KeyRefused(f"{connection.place.of(new.key)} would get another name in this store")
        if has_odd_segment(new.key) and self._habits is not None and not self._habits.honours_put:
            # rclone stores ``d/`` as ``d``; and as it overwrites, nobody could be sure that ``d`` is ours to take back.
            raise refused
        try:
            self._send(connection, new)
        except AlreadyStored:
            if self._lister.holds(new.key):
                raise
            raise refused from None
        except (StoreRefused, StoreUnavailable) as error:
            # versitygw's answer to a path that leads out of the bucket, and a web server's to one it has no route for.
            if status_of(error) in (400, 404):
                raise refused from error
            raise
        if not (self._lister.holds(new.key) and self._is_whole(connection, new)):
            if self._habits_of(connection).honours_put:
                # It was not there before, so what the server made of the name is ours to take back.
                self._deleter.delete_one(connection, new.key)
            raise refused

    def _is_whole(self, connection: Connection, new: NewObject) -> bool:
        """Tell whether the bytes were kept: SeaweedFS makes a folder of ``d/``, lists it, and drops them."""
        found = self._head(connection, new.key)
        return found is not None and found["ContentLength"] == new.content.size

    def _habits_of(self, connection: Connection) -> Habits:
        return self._habits or (UNTRIED if connection.custom else AMAZON)

    def _send(self, connection: Connection, new: NewObject) -> None:
        habits = self._habits_of(connection)
        in_parts = self._sender.goes_in_parts(new.content.size, habits)
        trusted = habits.honours(in_parts=in_parts)
        # Ask first also where much would be sent before the store says no.
        if not trusted or in_parts:
            self._require_free(connection, new.key)
        try:
            with self._saying(connection, new.key):
                etag = self._sender.send(connection, new, habits)
        except NoSuchObject as error:
            # A server that has no route for such a key: nothing can be stored under it.
            raise KeyRefused(
                f"{connection.place.of(new.key)} cannot be stored: the server knows no such key"
            ) from error
        if not trusted:
            self._require_ours(connection, new, etag)

    def _require_free(self, connection: Connection, key: str) -> None:
        if self._head(connection, key) is not None:
            raise AlreadyStored(key)

    def _require_ours(self, connection: Connection, new: NewObject, etag: str) -> None:
        """Look again: somebody else may have stored there at the same moment, and what is there is then not ours."""
        found = self._head(connection, new.key)
        if found is None:
            raise StoreUnavailable(f"{connection.place.of(new.key)} was stored, and is not there")
        if found["ContentLength"] != new.content.size or not self._holds(new, found, etag):
            raise AlreadyStored(new.key)

    def _holds(self, new: NewObject, found: Mapping[str, Any], etag: str) -> bool:
        """Tell whether what was *found* is *new*, which was answered with *etag*."""
        told = whole_checksum(found)
        if told is not None:
            return told == new.content.checksum
        if etag and etag.strip('"') == found.get("ETag", "").strip('"'):
            return True
        # gofakes3 and rclone tell another ETag at the end of an upload in parts than afterwards.
        return crc64nvme_of(self.read(new.key)) == new.content.checksum

    # Asking

    def _head(self, connection: Connection, key: str) -> dict[str, Any] | None:
        with self._saying(connection, key):
            return connection.head(key)

    def _require_bucket(self, connection: Connection) -> None:
        """Raise `StoreRefused` if the bucket is gone: the answer to a HEAD has no room to say so."""
        try:
            with self._saying(connection):
                connection.client.head_bucket(Bucket=self._bucket)
        except StoreRefused as error:
            if status_of(error) == 404:
                raise

    def _require_exact(self, connection: Connection, key: str) -> None:
        if not self._lister.is_exact(connection, key):
            self._require_bucket(connection)
            raise NoSuchObject(key)


def status_of(error: StoreError) -> int | None:
    """Return the HTTP status that *error* was made of, if there was an answer."""
    answer = None if error.__cause__ is None else answer_of(error.__cause__)
    return None if answer is None else answer.status


def is_denied(error: StoreError) -> bool:
    """Tell whether *error* was made of an answer that says no to whoever asks, or to reading what is archived."""
    answer = None if error.__cause__ is None else answer_of(error.__cause__)
    return answer is not None and answer.code in DENIED
