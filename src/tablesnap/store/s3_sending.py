"""How a new object goes up: at once by obstore or botocore, or in small parts where the line is slow."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from awscrt.exceptions import AwsCrtError
from botocore.exceptions import BotoCoreError, ClientError
from obstore.exceptions import BaseError

from tablesnap.errors import AlreadyStored, DamagedUpload, StoreUnavailable
from tablesnap.store.port import Content
from tablesnap.store.s3_answers import is_usual_etag, whole_checksum
from tablesnap.store.s3_connection import Connection, S3Options
from tablesnap.store.s3_errors import IN_BETWEEN, answer_of, ran_out_of_time
from tablesnap.store.s3_keys import is_plain
from tablesnap.store.s3_limits import Limits, Throughput
from tablesnap.store.s3_resuming import NO_SUCH_UPLOAD, Resumer
from tablesnap.store.s3_sums import Sum
from tablesnap.store.s3_transfer import LARGEST_PUT, InParts, TooSlow, put, put_in_parts
from tablesnap.store.s3_trial import Habits
from tablesnap.units import spell_seconds, spell_size

log = logging.getLogger(__name__)

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


class Sender:
    """Sends new objects to one bucket, and raises what botocore and obstore raise. Safe to use from several threads."""

    def __init__(self, bucket: str, options: S3Options) -> None:
        self._bucket = bucket
        self._options = options
        self._limits = options.limits
        self._throughput = Throughput(options.limits)
        self._resumer = Resumer(options.limits.resumable)
        self._multipart_above = min(options.multipart_above, LARGEST_PUT)

    def goes_in_parts(self, size: int, habits: Habits) -> bool:
        """Say whether so much is sent in parts: because it is large, or because the line is slow."""
        if habits.prefers_one_request():
            return size > LARGEST_PUT
        is_slow = not self._throughput.is_enough_for(size)
        return size > (self._limits.slow_part if is_slow else self._multipart_above)

    def send(self, connection: Connection, new: NewObject, habits: Habits) -> str:
        """Send *new*, and return its ETag."""
        size = new.content.size
        if self._throughput.is_enough_for(size):
            try:
                return self._send_at_once(connection, new, habits)
            except (BotoCoreError, ClientError, AwsCrtError, BaseError, TooSlow) as error:
                if not (isinstance(error, TooSlow) or ran_out_of_time(error)):
                    raise
                rate = self._throughput.fell_short(size)
                log.warning(
                    "slow: %s was not sent in the time for its %s, so the line takes less than %s a second; it is sent "
                    "again, in parts",
                    connection.place.of(new.key),
                    spell_size(size),
                    spell_size(rate),
                )
        return self._send_slowly(connection, new, habits)

    def _send_at_once(self, connection: Connection, new: NewObject, habits: Habits) -> str:
        if new.content.size > (LARGEST_PUT if habits.prefers_one_request() else self._multipart_above):
            return self._send_in_parts(connection, connection.client, new, habits, InParts(self._options.part_size))
        if connection.can_put() and new.is_plain() and habits.kind is Sum.CRC64NVME:
            return self._move(connection, new, conditional=habits.takes_condition)
        return self._put(connection, connection.client, new, habits, limits=self._limits)

    def _send_slowly(self, connection: Connection, new: NewObject, habits: Habits) -> str:
        """Send by a client that has a time limit for each operation of its socket, and none for the whole."""
        size, client = new.content.size, connection.slow_client()
        told = _Told(connection.place.of(new.key), size, self._throughput, self._limits)
        if self.goes_in_parts(size, habits):
            # Only by their checksums can parts be known again.
            resumer = self._resumer if habits.kind_of_parts is Sum.CRC64NVME else None
            how = InParts(self._limits.slow_part, at_once=1, resumer=resumer, sent=told.sent)
            etag = self._send_in_parts(connection, client, new, habits, how)
        else:
            etag = self._put(connection, client, new, habits)
            told.sent(size)
        told.done()
        return etag

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
        found = connection.head(new.key)
        if found is None or found["ContentLength"] != new.content.size:
            raise StoreUnavailable(
                f"{connection.place.of(new.key)}: the answer said that it was stored, and it is not there; {IN_BETWEEN}"
            )

    def _put(
        self, connection: Connection, client: Any, new: NewObject, habits: Habits, *, limits: Limits | None = None
    ) -> str:
        arguments = {**self._arguments(new), **habits.condition(in_parts=False)}
        answer = put(client, self._target(new), new.content, arguments, habits.kind, limits=limits)
        return _etag_of(connection, new, answer)

    def _send_in_parts(self, connection: Connection, client: Any, new: NewObject, habits: Habits, how: InParts) -> str:
        def before_end() -> None:
            # Much time has passed since it was asked first.
            if not habits.honours_parts and connection.head(new.key) is not None:
                raise AlreadyStored(new.key)

        condition = habits.condition(in_parts=True)
        how = replace(how, kind=habits.kind_of_parts, condition=condition, before_end=before_end)
        try:
            answer = put_in_parts(client, self._target(new), new.content, self._arguments(new), how)
        except ClientError as error:
            said = answer_of(error)
            # It was aborted; or it was ended, and the answer to that was lost.
            if said is not None and said.code == NO_SUCH_UPLOAD and connection.head(new.key) is not None:
                raise AlreadyStored(new.key) from error
            raise
        return _etag_of(connection, new, answer)

    def _target(self, new: NewObject) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": new.key}

    def _arguments(self, new: NewObject) -> dict[str, Any]:
        return {
            **replace(self._options, storage_class=new.storage_class).write_arguments(),
            "ContentType": new.content_type,
            "Metadata": dict(new.metadata),
        }


def _etag_of(connection: Connection, new: NewObject, answer: Mapping[str, Any]) -> str:
    told = whole_checksum(answer)
    if told is not None and told != new.content.checksum:
        raise DamagedUpload(f"{connection.place.of(new.key)} arrived damaged, by the checksum in the answer")
    return str(answer.get("ETag", ""))


class _Told:
    """How an upload over a slow line goes, as the log is told."""

    def __init__(self, what: str, size: int, throughput: Throughput, limits: Limits) -> None:
        self._what = what
        self._size = size
        self._throughput = throughput
        self._every = limits.telling
        self._began = self._said = time.monotonic()
        self._sent = 0

    def sent(self, size: int) -> None:
        """Note that so many more bytes were sent; say so now and then."""
        now = time.monotonic()
        self._sent += size
        rate = self._throughput.measured(self._sent, now - self._began)
        if now - self._said >= self._every:
            self._said = now
            log.info(
                "slow: %s of the %s of %s were sent, %s a second",
                spell_size(self._sent),
                spell_size(self._size),
                self._what,
                spell_size(rate),
            )

    def done(self) -> None:
        """Say how fast it went."""
        seconds = time.monotonic() - self._began
        log.info(
            "slow: %s took %s for %s, %s a second",
            self._what,
            spell_seconds(seconds),
            spell_size(self._sent),
            spell_size(self._sent / max(seconds, 1e-6)),
        )
