"""A bucket in Amazon S3, or in a store that speaks its language.

obstore sends what it can name and send in one request, which is nearly everything; boto3 says the rest.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from tablesnap.checksum import crc64nvme
from tablesnap.errors import (
    AlreadyStored,
    DamagedUpload,
    KeyRefused,
    NoSuchObject,
    ObjectArchived,
    StoreError,
    StoreRefused,
    StoreUnavailable,
)
from tablesnap.store import probe
from tablesnap.store.port import Content, Head, Listed
from tablesnap.store.s3_answers import is_usual_etag, whole_checksum
from tablesnap.store.s3_archive import frozen_class
from tablesnap.store.s3_connection import Connection, Connector, S3Options
from tablesnap.store.s3_deleting import Deleter
from tablesnap.store.s3_errors import (
    IN_BETWEEN,
    answer_of,
)
from tablesnap.store.s3_keys import is_plain, require_key
from tablesnap.store.s3_listing import Lister
from tablesnap.store.s3_reading import read_within
from tablesnap.store.s3_sums import Sum
from tablesnap.store.s3_transfer import LARGEST_PUT, put, put_in_parts
from tablesnap.store.s3_trial import AMAZON, UNTRIED, Habits, Trial
from tablesnap.store.strides import STRIDE, RangeRefused, read_in_strides

__all__ = ["S3Options", "S3Store"]

log = logging.getLogger(__name__)

DENIED = {"AccessDenied", "AllAccessDisabled", "Forbidden", "InvalidObjectState"}

# obstore takes these names of metadata for headers.
_HEADER_NAMES = {
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "storage-class",
}


@dataclass(frozen=True)
class NewObject:
    """What is to be stored."""

    key: str
    content: Content
    content_type: str
    metadata: Mapping[str, str]
    storage_class: str | None  # None: the store's own

    def is_plain(self) -> bool:
        """Tell whether obstore can send it as it is."""
        names_are_plain = not any(name.lower() in _HEADER_NAMES for name in self.metadata)
        return self.content.buffer is not None and is_plain(self.key) and names_are_plain


class S3Store:
    """The objects of one bucket. Nothing is asked of the network until a method is called."""

    def __init__(self, bucket: str, options: S3Options | None = None) -> None:
        self._bucket = bucket
        self._options = options or S3Options()
        self._multipart_above = min(self._options.multipart_above, LARGEST_PUT)
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
            metadata=answer.get("Metadata", {}),
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
                    yield from read_in_strides(connection.mover(STRIDE), key, offset, length)
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
        if not self._lister.holds(new.key):
            if self._habits_of(connection).honours_put:
                # It was not there before, so what the server made of the name is ours to take back.
                self._deleter.delete_one(connection, new.key)
            raise refused

    def _habits_of(self, connection: Connection) -> Habits:
        return self._habits or (UNTRIED if connection.custom else AMAZON)

    def _send(self, connection: Connection, new: NewObject) -> None:
        habits = self._habits_of(connection)
        in_parts = self._goes_in_parts(new, habits)
        trusted = habits.honours(in_parts=in_parts)
        # Ask first also where much would be sent before the store says no.
        if not trusted or in_parts:
            self._require_free(connection, new.key)
        try:
            with self._saying(connection, new.key):
                etag = self._transmit(connection, new, habits)
        except NoSuchObject as error:
            # A server that has no route for such a key: nothing can be stored under it.
            raise KeyRefused(
                f"{connection.place.of(new.key)} cannot be stored: the server knows no such key"
            ) from error
        if not trusted:
            self._require_ours(connection, new, etag)

    def _goes_in_parts(self, new: NewObject, habits: Habits) -> bool:
        return new.content.size > (LARGEST_PUT if habits.prefers_one_request() else self._multipart_above)

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
        checksum = 0
        for piece in self.read(new.key):
            checksum = crc64nvme(piece, checksum)
        return checksum == new.content.checksum

    def _transmit(self, connection: Connection, new: NewObject, habits: Habits) -> str:
        """Send it, and return its ETag."""
        in_parts = self._goes_in_parts(new, habits)
        if not in_parts and connection.can_put() and new.is_plain() and habits.kind is Sum.CRC64NVME:
            return self._move(connection, new, conditional=habits.takes_condition)
        target = {"Bucket": self._bucket, "Key": new.key}
        condition = habits.condition(in_parts=in_parts)
        arguments: dict[str, Any] = {
            **replace(self._options, storage_class=new.storage_class).write_arguments(),
            "ContentType": new.content_type,
            "Metadata": dict(new.metadata),
        }
        if not in_parts:
            answer = put(connection.client, target, new.content, {**arguments, **condition}, habits.kind)
        else:
            answer = put_in_parts(
                connection.client,
                target,
                new.content,
                arguments,
                part_size=self._options.part_size,
                condition=condition,
                kind=habits.kind_of_parts,
                # Much time has passed since it was asked first.
                before_end=lambda: None if habits.honours_parts else self._require_free(connection, new.key),
            )
        told = whole_checksum(answer)
        if told is not None and told != new.content.checksum:
            raise DamagedUpload(f"{connection.place.of(new.key)} arrived damaged, by the checksum in the answer")
        return str(answer.get("ETag", ""))

    def _move(self, connection: Connection, new: NewObject, *, conditional: bool) -> str:
        assert new.content.buffer is not None
        attributes = {**new.metadata, "Content-Type": new.content_type}
        if new.storage_class:
            attributes["Storage-Class"] = new.storage_class
        answer = connection.mover(new.content.size).put(
            new.key,
            new.content.buffer,
            attributes=attributes,
            mode="create" if conditional else "overwrite",
            use_multipart=False,  # in parts it would not be conditional
        )
        if not is_usual_etag(answer["e_tag"]):
            self._require_stored(connection, new)
        return answer["e_tag"] or ""

    def _require_stored(self, connection: Connection, new: NewObject) -> None:
        """Raise `StoreUnavailable` if *new* is not there: obstore does not show us what came with an odd ETag."""
        found = self._head(connection, new.key)
        if found is None or found["ContentLength"] != new.content.size:
            raise StoreUnavailable(
                f"{connection.place.of(new.key)}: the answer said that it was stored, and it is not there; {IN_BETWEEN}"
            )

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

<<<<<<< HEAD
    def _is_exact(self, connection: Connection, key: str) -> bool:
        """Tell whether the server would answer for *key* itself, not for what it makes of the name."""
        return not connection.custom or is_plain(key) or self._lister.holds(key)

    # Deleting

    def _delete_together(self, connection: Connection, keys: Iterable[str]) -> None:
        wanted = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        with self._saying(connection):
            answer = connection.client.delete_objects(Bucket=self._bucket, Delete=wanted)
        for failure in answer.get("Errors", []):
            code, key = failure.get("Code", ""), failure.get("Key", "")
            if code not in ("NoSuchKey", "NotFound"):
                # The joint answer is a 200; 403 is what most of these would be by themselves.
                status = 500 if code == "InternalError" else 403
                raise error_of_answer(Answer(status, code, failure.get("Message", "")), connection.place, key)

    def _delete_one(self, connection: Connection, key: str) -> None:
        with suppress(NoSuchObject), self._saying(connection, key):
            connection.client.delete_object(Bucket=self._bucket, Key=key)
=======
    # Checking

    def _check_writing(self, connection: Connection, key: str) -> None:
        """Begin an upload as every object is begun, and give it up: nothing of it is ever to be seen."""
        client, asked = connection.client, self._options.write_arguments()
        target = {"Bucket": self._bucket, "Key": key}
        upload = client.create_multipart_upload(**target, **asked)
        begun = {**target, "UploadId": upload["UploadId"]}
        try:
            kept = self._class_of_upload(connection, begun) if self._options.storage_class else None
        finally:
            client.abort_multipart_upload(**begun)
        if upload.get("ServerSideEncryption") != asked.get("ServerSideEncryption") and self._options.encryption:
            raise StoreRefused(
                f"{connection.place.of(None)} does not encrypt as asked; leave out --with-sse, or use another store"
            )
        if connection.custom and kept != self._options.storage_class:
            self._check_class(connection, key)

    def _class_of_upload(self, connection: Connection, begun: Mapping[str, str]) -> str | None:
        # Whoever may upload need not be allowed this: then it stays unknown, as with a store that says nothing.
        with suppress(ClientError):
            kept: str | None = connection.client.list_parts(**begun).get("StorageClass")
            return kept
        return None

    def _check_class(self, connection: Connection, key: str) -> None:
        """Ask an empty object of the storage class what it became, where an upload does not tell.

        versitygw ignores the class; moto keeps it, but does not tell it of an upload. Amazon refuses an upload of a
        class that it does not know, so there no object is needed.
        """
        target = {"Bucket": self._bucket, "Key": f"{key}~{uuid.uuid4().hex}"}
        connection.client.put_object(**target, **self._options.write_arguments(), Body=b"")
        try:
            kept = connection.client.head_object(**target).get("StorageClass", "STANDARD")
        finally:
            connection.client.delete_object(**target)
        if kept != self._options.storage_class:
            raise StoreRefused(
                f"{connection.place.of(None)} keeps objects as {kept}, not as {self._options.storage_class}; "
                "leave out --storage-class, or use another store"
            )
>>>>>>> b095d65 (Delete where DeleteObjects is unknown or wants an MD5, and ask about a backslash)


def status_of(error: StoreError) -> int | None:
    """Return the HTTP status that *error* was made of, if there was an answer."""
    answer = None if error.__cause__ is None else answer_of(error.__cause__)
    return None if answer is None else answer.status


def is_denied(error: StoreError) -> bool:
    """Tell whether *error* was made of an answer that says no to whoever asks, or to reading what is archived."""
    answer = None if error.__cause__ is None else answer_of(error.__cause__)
    return answer is not None and answer.code in DENIED
