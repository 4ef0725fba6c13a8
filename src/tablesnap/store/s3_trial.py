"""The check at start: do to the probe what every upload does, and note what this store makes of it.

Amazon is known, so nothing is tried twice there. Other servers refuse a checksum or a condition that they do not know,
or ignore it: rclone and nanio overwrite in spite of If-None-Match, gofakes3 does so at the end of an upload in parts.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from tablesnap.errors import DamagedUpload, StoreRefused, StoreUnavailable
from tablesnap.store import probe
from tablesnap.store.s3_answers import metadata_of
from tablesnap.store.s3_connection import Connection
from tablesnap.store.s3_errors import answer_of, error_of
from tablesnap.store.s3_keys import is_plain
from tablesnap.store.s3_sums import Sum
from tablesnap.store.s3_transfer import Slice, put, send_part

log = logging.getLogger(__name__)

_CHECKSUM, _PARTS = "checksum", "parts"  # metadata of the probe, beside its condition
_NOT_KNOWN = {400, 501}  # what answers a header that a server does not know
_DENIED, _NOT_THERE, _TAKEN = 403, 404, 412


@dataclass(frozen=True)
class Habits:
    """What a store does with an upload. Whose condition is not honoured is asked first, and looked at afterwards."""

    kind: Sum = Sum.CRC64NVME
    kind_of_parts: Sum = Sum.CRC64NVME
    takes_condition: bool = True  # If-None-Match may be sent
    takes_condition_of_parts: bool = True
    honours_put: bool = False  # what is there is not overwritten by one request
    takes_parts: bool = True
    honours_parts: bool = False  # nor by an upload in parts

    def condition(self, *, in_parts: bool) -> dict[str, str]:
        """Return what forbids to overwrite, where that may be said."""
        takes = self.takes_condition_of_parts if in_parts else self.takes_condition
        return {"IfNoneMatch": "*"} if takes else {}

    def prefers_one_request(self) -> bool:
        """Tell whether parts are for what is too large for one request: they are not known, or could overwrite."""
        return not self.takes_parts or (self.honours_put and not self.honours_parts)

    def honours(self, *, in_parts: bool) -> bool:
        """Tell whether the condition can be relied on."""
        return self.honours_parts if in_parts else self.honours_put


AMAZON = Habits(honours_put=True, honours_parts=True)
UNTRIED = Habits()


class Trial:
    """Tries the store of *connection* by the probe under *key*."""

    def __init__(self, connection: Connection, bucket: str, key: str) -> None:
        self._custom = connection.custom
        self._client = connection.client
        self._options = connection.options
        self._asked = connection.options.write_arguments()
        self._place = connection.place
        self._key = key
        self._target = {"Bucket": bucket, "Key": key}
        self._is_new = False  # whether this trial made the probe
        self._ends = connection.custom  # whether an upload in parts is ended, to see what becomes of its condition
        self._why = ""  # the store's words when it first refused something

    def run(self) -> Habits:
        """Return what the store does. Raises what botocore raises, `StoreRefused` or `StoreUnavailable`."""
        habits = self._try_put() if self._custom else self._put_once()
        habits = self._try_parts(habits)
        self._require_class()
        self._require_listed()
        self._tell(habits)
        return habits

    # In one request

    def _put_once(self) -> Habits:
        self._put(Sum.CRC64NVME, sent=True, told=probe.SENT)
        return AMAZON

    def _try_put(self) -> Habits:
        known = self._remembered()
        if known is not None and not known.honours_put:
            return known  # to try it again would overwrite the probe at each start
        every = [(kind, sent) for sent in (True, False) for kind in Sum]
        kind, sent, self._is_new = self._first_taken(every if known is None else [(known.kind, True), *every])
        habits = known or Habits()
        if not sent:
            return replace(habits, kind=kind, takes_condition=False, takes_condition_of_parts=False)
        honours = not self._is_new or not self._put(kind, sent=True, told=probe.IGNORED)
        return replace(habits, kind=kind, honours_put=honours)

    def _remembered(self) -> Habits | None:
        """Return what a trial before this one wrote with the probe."""
        found = self._head()
        told = {} if found is None else metadata_of(found)
        condition, kind = told.get(probe.CONDITION), told.get(_CHECKSUM)
        if condition is None or kind not in {one.value for one in Sum}:
            return None
        self._why = "as the probe says"
        self._ends = _PARTS not in told
        takes = condition != probe.REFUSED
        return Habits(
            kind=Sum(kind),
            takes_condition=takes,
            takes_condition_of_parts=takes and told.get(_PARTS) != probe.REFUSED,
            honours_put=condition == probe.SENT,
        )

    def _first_taken(self, attempts: Iterable[tuple[Sum, bool]]) -> tuple[Sum, bool, bool]:
        """Return the first attempt that was not refused, and whether it made the probe."""
        first: ClientError | None = None
        for kind, sent in attempts:
            try:
                return kind, sent, self._put(kind, sent=sent, told=probe.SENT if sent else probe.REFUSED)
            except ClientError as error:
                if not self._is_unknown(error):
                    raise
                first = first or error
        assert first is not None
        raise first

    def _put(self, kind: Sum, *, sent: bool, told: str) -> bool:
        """Store the probe; return False if the store says that one is there."""
        condition = {"IfNoneMatch": "*"} if sent else {}
        metadata = {"Metadata": {_CHECKSUM: kind.value, probe.CONDITION: told}, "ContentType": "text/plain"}
        try:
            put(self._client, self._target, probe.CONTENT, {**self._asked, **metadata, **condition}, kind)
        except ClientError as error:
            if sent and status_of(error) == _TAKEN:
                return False
            raise
        return True

    # In parts

    def _try_parts(self, habits: Habits) -> Habits:
        """Begin an upload, and end it where that must fail; if it does, it is given up, so that none is left."""
        takes = habits.takes_condition_of_parts
        for kind in habits.kind.and_worse() if self._custom else (Sum.CRC64NVME,):
            for sent in (True, False) if takes and self._ends else (takes,):
                tried = replace(habits, kind_of_parts=kind, takes_condition_of_parts=sent)
                try:
                    return replace(tried, honours_parts=self._send_in_parts(tried))
                except ClientError as error:
                    if not self._custom or not self._is_unknown(error):
                        raise
        return replace(habits, takes_parts=False)

    def _send_in_parts(self, habits: Habits) -> bool:
        """Return whether the condition was honoured."""
        kind = habits.kind_of_parts
        told = {_CHECKSUM: habits.kind.value, probe.CONDITION: self._spell(habits)}
        told[_PARTS] = probe.IGNORED if habits.takes_condition_of_parts else probe.REFUSED
        upload = self._client.create_multipart_upload(
            **self._target, **self._asked, **kind.of_beginning(), Metadata=told, ContentType="text/plain"
        )
        begun = {**self._target, "UploadId": upload["UploadId"]}
        done = False
        try:
            self._require_encrypted(upload)
            done = self._ends and self._end(begun, habits)
        finally:
            if not done:
                self._give_up(begun)
        return not done and (self._ends or not self._custom)

    def _end(self, begun: dict[str, str], habits: Habits) -> bool:
        """Send the only part and end the upload; return False if the store says that the key is taken."""
        kind = habits.kind_of_parts
        part = send_part(self._client, begun, 1, Slice(probe.CONTENT, 0, probe.CONTENT.size), kind)
        whole = {"MultipartUpload": {"Parts": [part]}, **kind.of_whole(probe.CONTENT)}
        try:
            self._client.complete_multipart_upload(**begun, **whole, **habits.condition(in_parts=True))
        except ClientError as error:
            if status_of(error) == _TAKEN:
                return False
            raise
        return True

    def _give_up(self, begun: dict[str, str]) -> None:
        try:
            self._client.abort_multipart_upload(**begun)
        except ClientError as error:
            if status_of(error) != _NOT_THERE:
                log.warning(
                    "%s: an upload that was begun could not be given up (%s); allow s3:AbortMultipartUpload, or have "
                    "a rule of the bucket do it",
                    self._place.of(None),
                    answer_of(error),
                )

    # What became of it

    def _require_encrypted(self, upload: dict[str, Any]) -> None:
        encryption = self._asked.get("ServerSideEncryption")
        if encryption and upload.get("ServerSideEncryption") != encryption:
            raise StoreRefused(
                f"{self._place.of(None)} does not encrypt as asked; leave out --with-sse, or use another store"
            )

    def _require_class(self) -> None:
        """Amazon refuses a class that it does not know; versitygw ignores it."""
        wanted = self._options.storage_class
        found = self._head() if wanted and self._custom else None
        if found is not None and (kept := found.get("StorageClass", "STANDARD")) != wanted:
            raise StoreRefused(
                f"{self._place.of(None)} keeps objects as {kept}, not as {wanted}; "
                "leave out --storage-class, or use another store"
            )

    def _require_listed(self) -> None:
        page = self._client.list_objects_v2(Bucket=self._target["Bucket"], Prefix=self._key, MaxKeys=10)
        if any(one["Key"] == self._key for one in page.get("Contents", [])):
            return
        where = self._place.of(self._key)
        if is_plain(self._key):
            raise StoreUnavailable(f"{where} was stored, and is in no listing; nothing could be found here again")
        raise StoreRefused(f"{where} is stored under another name in this store; use another --prefix or --separator")

    def _head(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._client.head_object(**self._target)
        except ClientError as error:
            if status_of(error) not in (_DENIED, _NOT_THERE):
                raise
            return None
        return found

    def _is_unknown(self, error: ClientError) -> bool:
        """Tell whether a header was refused that the store does not know, and keep its words."""
        meaning = error_of(error, self._place, self._key)
        if status_of(error) not in _NOT_KNOWN or not isinstance(meaning, StoreRefused | DamagedUpload):
            return False
        self._why = self._why or str(answer_of(error))
        return True

    def _spell(self, habits: Habits) -> str:
        if not habits.takes_condition:
            return probe.REFUSED
        return probe.SENT if habits.honours_put else probe.IGNORED

    def _tell(self, habits: Habits) -> None:
        place, why = self._place.of(None), self._why
        worst = max(habits.kind, habits.kind_of_parts, key=[*Sum].index)
        if worst is Sum.MD5:
            log.warning("%s does not take a CRC-64/NVME (%s); uploads go with a Content-MD5", place, why)
        elif worst is Sum.NONE:
            log.warning(
                "%s takes neither a CRC-64/NVME nor a Content-MD5 (%s); it verifies nothing of what it is sent, so "
                "read it back with tablecheck --read",
                place,
                why,
            )
        if not habits.takes_parts:
            log.warning("%s takes no uploads in parts (%s): no file above 5 GiB can be stored", place, why)
        elif habits.honours_put and not habits.honours_parts:
            log.warning(
                "%s would overwrite objects by uploads in parts, and not otherwise; so only what is larger than 5 GiB "
                "goes in parts, and there daemons with the same keys could overwrite each other",
                place,
            )
        if not habits.takes_condition:
            log.warning(
                "%s refuses conditional uploads (%s); from now on each upload asks first what is there, but daemons "
                "with the same keys could overwrite each other",
                place,
                why,
            )
        elif not habits.honours_put:
            log.warning(
                "%s would overwrite objects (it ignores If-None-Match); from now on each upload asks first what is "
                "there, but daemons with the same keys could overwrite each other",
                place,
            )


def status_of(error: ClientError) -> int:
    """Return the HTTP status of the answer."""
    answer = answer_of(error)
    assert answer is not None
    return answer.status
