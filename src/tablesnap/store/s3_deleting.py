"""Deleting the objects of a bucket: many in one request where the server knows that, else one by one.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
"""

import base64
import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from tablesnap.errors import NoSuchObject
from tablesnap.store.s3_connection import Connection, Connector
from tablesnap.store.s3_errors import Answer, answer_of, error_of_answer
from tablesnap.store.s3_keys import is_plain, require_key
from tablesnap.store.s3_listing import Lister

log = logging.getLogger(__name__)

BATCH = 1000  # keys in one request at most
AT_ONCE = 8  # requests, where each key has its own
# What servers answer that do not know DeleteObjects.
_UNKNOWN_STATUS = {405, 501}
_UNKNOWN_CODES = {"MalformedPOSTRequest", "MethodNotAllowed", "NotImplemented", "UnsupportedOperation"}
_GONE = {"NoSuchKey", "NotFound"}


class Deleter:
    """Deletes the objects of one bucket."""

    def __init__(self, bucket: str, connector: Connector, lister: Lister) -> None:
        self._bucket = bucket
        self._connector = connector
        self._lister = lister
        self._together = True  # until the server proves not to know how

    def delete(self, keys: Iterable[str]) -> None:
        """See `Store.delete`."""
        remaining = iter(keys)
        while batch := [*islice(remaining, BATCH)]:
            for key in batch:
                require_key(key)
            connection = self._connector.connected()
            # XML, which a joint deletion is written in, cannot hold all keys.
            plain = [key for key in batch if is_plain(key)]
            left = self._delete_together(connection, plain) if plain and self._together else plain
            odd = [key for key in batch if not is_plain(key) and self._lister.is_exact(connection, key)]
            self._delete_each(connection, [*left, *odd])

    def delete_one(self, connection: Connection, key: str) -> None:
        """Delete it, if it is there."""
        with suppress(NoSuchObject), self._connector.saying(connection, key):
            connection.client.delete_object(Bucket=self._bucket, Key=key)

    def _delete_each(self, connection: Connection, keys: Sequence[str]) -> None:
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="delete") as pool:
            for _ in pool.map(lambda key: self.delete_one(connection, key), keys):
                pass  # raises what went wrong with one

    def _delete_together(self, connection: Connection, keys: Sequence[str]) -> Sequence[str]:
        """Delete *keys*, and return those that the answer does not speak of: not every server names them all."""
        with self._connector.saying(connection):
            answer = self._ask(connection, keys)
        if answer is None:
            self._together = False
            log.info("%s knows no joint deletion; objects are deleted one by one", connection.place.of(None))
            return keys
        answered = {entry.get("Key") for entry in answer.get("Deleted", [])}
        for failure in answer.get("Errors", []):
            code, key = failure.get("Code", ""), failure.get("Key", "")
            if code not in _GONE:
                # The joint answer is a 200; 403 is what most of these would be by themselves.
                status = 500 if code == "InternalError" else 403
                said = Answer(status, code, failure.get("Message", ""), "DeleteObjects")
                raise error_of_answer(said, connection.place, key)
            answered.add(key)
        return [key for key in keys if key not in answered]

    def _ask(self, connection: Connection, keys: Sequence[str]) -> Mapping[str, Any] | None:
        """Return the answer, or None if the server does not know the question."""
        # Not quietly, so that whoever answers shows that he has understood.
        wanted = {"Objects": [{"Key": key} for key in keys], "Quiet": False}
        try:
            try:
                answer: Mapping[str, Any] = connection.client.delete_objects(Bucket=self._bucket, Delete=wanted)
            except ClientError as error:
                if not wants_md5(error):
                    raise
                # Known of this client from now on.
                connection.client.meta.events.register(
                    "before-call.s3.DeleteObjects", _add_md5, unique_id="tablesnap-md5"
                )
                answer = connection.client.delete_objects(Bucket=self._bucket, Delete=wanted)
        except ClientError as error:
            if is_unknown(error):
                return None
            raise
        return answer


def _add_md5(params: dict[str, Any], **_: object) -> None:
    digest = hashlib.md5(params["body"], usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = base64.b64encode(digest).decode()


def wants_md5(error: ClientError) -> bool:
    """Tell whether a server, such as an older one, insists on Content-MD5, which botocore does not send any more."""
    said = answer_of(error)
    return said is not None and said.status == 400 and "md5" in f"{said.code} {said.message}".lower()


def is_unknown(error: ClientError) -> bool:
    """Tell whether a server does not know DeleteObjects."""
    said = answer_of(error)
    return said is not None and (said.status in _UNKNOWN_STATUS or said.code in _UNKNOWN_CODES)
