"""What the stores behind obstore, Azure and Google, have in common.

obstore 0.12 has a conditional create for a single request only, so a large object asks first, is then sent in parts,
and is looked at afterwards.
It would hold all parts of an object that it cannot map, so parts are small, whatever was asked of S3: an upload holds
`PARTS_AT_ONCE` of them, whatever the file's size.
"""

import os
import re
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from itertools import islice
from typing import TYPE_CHECKING
from urllib.error import HTTPError

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    InvalidPathError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from tablesnap.checksum import crc64nvme_of
from tablesnap.errors import (
    AlreadyStored,
    KeyRefused,
    NoSuchObject,
    ObjectArchived,
    StoreError,
    StoreRefused,
    StoreUnavailable,
    TablesnapError,
)
from tablesnap.store import probe
from tablesnap.store.archive import thawing_takes
from tablesnap.store.keys import require_utf8, shown
from tablesnap.store.network import UNTRUSTED
from tablesnap.store.port import READ_SIZE, Content, Head, Listed
from tablesnap.store.reach import Reach, open_url, reach_of, tell_obstore
from tablesnap.store.remote_trial import read_back, try_condition
from tablesnap.store.strides import RangeRefused, cut, read_in_strides

if TYPE_CHECKING:
    from obstore import Attributes
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

LARGEST_PUT = 64 << 20  # bytes sent in one request at most, so that a broken connection costs little
SMALLEST_PART = 16 << 20
PARTS_AT_ONCE = 2
MOST_PARTS = 10_000  # Google's limit; Azure takes 50,000
LONGEST_KEY = 1024  # characters in Azure, bytes in Google
KEYS_PER_DELETE = 256
ANSWER_SECONDS = 60
SMALLEST_SENT = 256 << 10  # bytes: the time limit of what is smaller is that of so many
LONG_SECONDS = 24 * 3600  # for a whole request that has another limit, as obstore has 30 s where it is told nothing

_NO_METADATA = {"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Storage-Class"}
_ODD_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f\ufffe\uffff]")
_ARCHIVED = "BlobArchived"  # https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
_NO_CONTAINER = ("ContainerNotFound", "ContainerDisabled", "NoSuchBucket", "bucket does not exist")
# What our own builtins and obstore's raise: it uses FileNotFoundError for an object that is not there.
_FAILURES = (BaseError, OSError, ValueError)

Make = Callable[["ClientConfig"], "ObjectStore"]  # makes obstore's client for one bucket

RETRIES: "RetryConfig" = {"max_retries": 3, "retry_timeout": timedelta(minutes=1)}


@dataclass(frozen=True)
class RemoteOptions:
    """What may be said of a store behind obstore."""

    endpoint_url: str | None = None
    ca_bundle: str | None = None
    storage_class: str | None = None
    multipart_above: int = LARGEST_PUT  # these two are upper limits; `LARGEST_PUT` and `SMALLEST_PART` may be less
    part_size: int = SMALLEST_PART
    stall_seconds: float = 50.0  # between two bytes that are read; and the least that a request may take which sends
    slowest: float = 60_000.0  # bytes a second of one upload: so slow a line may be

    def reach(self, url: str) -> Reach:
        """Return how the server of *url* is reached; raise `StoreRefused` for a proxy or a file that is of no use."""
        return reach_of(url, os.environ, self.ca_bundle)

    def client(self, url: str, whole: float | None = None) -> "ClientConfig":
        """Return how obstore is to speak HTTP with the server of *url*.

        A request may take as long as it gets on; one that sends, where obstore cannot count the seconds between two
        bytes, may take *whole* seconds.
        """
        client: ClientConfig = {"connect_timeout": timedelta(seconds=10)}
        if whole is None:
            client["timeout"] = timedelta(seconds=LONG_SECONDS)
            client["read_timeout"] = timedelta(seconds=self.stall_seconds)
        else:
            client["timeout"] = timedelta(seconds=whole)
        if url.startswith("http:"):
            client["allow_http"] = True
        reach = self.reach(url)
        tell_obstore(client, url, reach.way, reach.certificates)
        return client


class RemoteStore:
    """A container or bucket that obstore reaches, called *name* in messages."""

    def __init__(self, make: Make, name: str, clock_url: str, options: RemoteOptions) -> None:
        self._make = make
        self._store = make(options.client(clock_url))
        self._senders: dict[int, ObjectStore] = {}  # for requests of so many bytes
        self._name = name
        self._clock_url = clock_url
        self._options = options
        self._reach = options.reach(clock_url)
        self._is_trusted = False  # until a check saw that it keeps what is there

    def check(self, prefix: str = "") -> None:
        """Store a probe as everything will be stored, find it in a listing, and read it."""
        key = probe.key_of(prefix, self._options.storage_class)
        self._require_key(key)
        self._is_trusted = try_condition(key, self._put_probe, self._metadata_of, self._name)
        if not any(isinstance(one, Listed) and one.key == key for one in self._level(prefix)):
            raise StoreUnavailable(f"{self._name}: {shown(key)} was stored, and is in no listing")
        read_back(self, key, self._name)

    def _put_probe(self, key: str, content: Content, metadata: Mapping[str, str]) -> None:
        self._put(key, content, self._attributes("text/plain", metadata, standard=False))

    def _metadata_of(self, key: str) -> Mapping[str, str]:
        with self._translated(key):
            found = obstore.get(self._store, key, options={"head": True}).attributes
            return {name: value for name, value in found.items() if name not in _NO_METADATA}

    def create(
        self,
        key: str,
        content: Content,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        standard: bool = False,
    ) -> None:
        """Store *content*. The store keeps no CRC-64, so whoever must be sure reads the object back."""
        self._require_key(key)
        attributes = self._attributes(content_type, metadata or {}, standard=standard)
        in_parts = content.size > min(self._options.multipart_above, LARGEST_PUT)
        trusted = self._is_trusted and not in_parts
        if not trusted and self._exists(key):
            raise AlreadyStored(key)
        etag = (self._create_in_parts if in_parts else self._put)(key, content, attributes)
        if not trusted:
            self._require_ours(key, content, etag)

    def _put(self, key: str, content: Content, attributes: "Attributes") -> str | None:
        # Not an iterator: obstore would send it in parts, and forget the condition.
        body = content.buffer if content.buffer is not None and content.size else _whole(content)
        with self._translated(key):
            answer = obstore.put(
                self._sender(content.size), key, body, attributes=attributes, mode="create", use_multipart=False
            )
        return answer["e_tag"]

    def _sender(self, size: int) -> "ObjectStore":
        """Return obstore's client for sending so many bytes at a time: one for each doubling of the size."""
        most = max(SMALLEST_SENT, 1 << (size - 1).bit_length())
        if most not in self._senders:
            whole = self._options.stall_seconds + most / self._options.slowest
            self._senders[most] = self._make(self._options.client(self._clock_url, whole))
        return self._senders[most]

    def _require_ours(self, key: str, content: Content, etag: str | None) -> None:
        """Look again: somebody else may have stored there at the same moment, and what is there is then not ours."""
        with self._translated(key):
            found = obstore.head(self._store, key)
        if found["size"] == content.size and etag is not None and etag == found["e_tag"]:
            return
        if found["size"] != content.size or crc64nvme_of(self.read(key)) != content.checksum:
            raise AlreadyStored(key)

    def _create_in_parts(self, key: str, content: Content, attributes: "Attributes") -> str | None:
        size = max(min(self._options.part_size, SMALLEST_PART), -(-content.size // MOST_PARTS))
        source = _Source(content)
        try:
            with self._translated(key):
                answer = obstore.put(
                    self._sender(PARTS_AT_ONCE * size),
                    key,
                    source.pieces(),
                    attributes=attributes,
                    use_multipart=True,
                    chunk_size=size,
                    max_concurrency=PARTS_AT_ONCE,
                )
        except StoreError:
            if source.failure is not None:
                raise source.failure from None  # the file's fault, not the store's
            raise
        return answer["e_tag"]

    def head(self, key: str) -> Head:
        """Describe the object. The clock is that of the store's HTTP answers."""
        self._require_key(key)
        with self._translated(key):
            try:
                found = obstore.get(self._store, key, options={"head": True})
            except (FileNotFoundError, NotFoundError):
                self._require_container(key)
                raise
            attributes = dict(found.attributes)
            return Head(
                size=found.meta["size"],
                modified=found.meta["last_modified"],
                store_clock=self._now(),
                checksum=None,
                content_type=attributes.pop("Content-Type", "application/octet-stream"),
                metadata={name: value for name, value in attributes.items() if name not in _NO_METADATA},
            )

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the object, or this range of it, as it arrives: a `STRIDE` at a time where the server knows ranges."""
        self._require_key(key)
        if length == 0:
            self.head(key)
        with self._translated(key):
            try:
                yield from read_in_strides(self._store, key, offset, length)
            except RangeRefused:
                yield from self._read_whole(key, offset, length)

    def _read_whole(self, key: str, offset: int, length: int | None) -> Iterator[bytes]:
        """Read it without a range, and drop what was not asked for."""
        left = obstore.head(self._store, key)["size"] - offset
        if left > 0:
            pieces = (bytes(piece) for piece in obstore.get(self._store, key).stream(READ_SIZE))
            yield from cut(pieces, offset, left if length is None else min(left, length))

    def list(self, prefix: str) -> Iterator[Listed]:
        """Yield what begins with *prefix*, but for the probe."""
        return (one for one in self._list(prefix) if not probe.is_probe(one.key))

    def level(self, prefix: str) -> "Iterator[Listed | str]":
        """Yield what there is of one level, but for the probe."""
        return (one for one in self._level(prefix) if isinstance(one, str) or not probe.is_probe(one.key))

    def _list(self, prefix: str) -> Iterator[Listed]:
        """Yield what obstore lists, which ends with `StoreRefused` at a key that it cannot name.

        It shows ``d/``, a folder marker as consoles make them, as ``d``; so what is empty is asked for by name.
        """
        require_utf8(prefix)
        folder = prefix.rpartition("/")[0]
        if folder:
            self._require_key(folder)
        with self._translated(prefix, listing=True):
            is_empty = True
            for page in obstore.list(self._store, prefix=folder or None):
                for entry in page:
                    is_empty = False
                    key = entry["path"]
                    if key.startswith(prefix) and (entry["size"] or self._exists(key)):
                        yield Listed(key, entry["size"], entry["last_modified"])
            if is_empty:
                self._expect_honest(folder)

    def _level(self, prefix: str) -> "Iterator[Listed | str]":
        """Yield what obstore lists of one level, in memory that grows with it; with the limits that `_list` names."""
        require_utf8(prefix)
        folder = prefix.rpartition("/")[0]
        if folder:
            self._require_key(folder)
        with self._translated(prefix, listing=True):
            found = obstore.list_with_delimiter(self._store, prefix=folder or None)
            if not found["objects"] and not found["common_prefixes"]:
                self._expect_honest(folder)
            for below in found["common_prefixes"]:
                if f"{below}/".startswith(prefix):
                    yield f"{below}/"
            for entry in found["objects"]:
                key = entry["path"]
                if key.startswith(prefix) and (entry["size"] or self._exists(key)):
                    yield Listed(key, entry["size"], entry["last_modified"])

    def delete(self, keys: Iterable[str]) -> None:
        """Delete in batches. Where one key is not there, the batch says so and no more, so it is done key by key."""
        remaining = iter(keys)
        while batch := list(islice(remaining, KEYS_PER_DELETE)):
            for key in batch:
                self._require_key(key)
            with self._translated(batch[0]):
                try:
                    obstore.delete(self._store, batch)
                except (FileNotFoundError, NotFoundError):
                    self._require_container(batch[0])
                    for key in batch:
                        with suppress(FileNotFoundError, NotFoundError):
                            obstore.delete(self._store, key)

    def _require_container(self, key: str) -> None:
        """Raise what obstore does if there is no container: that *key* was not found does not say what was not."""
        for _ in obstore.list(self._store, prefix=key, chunk_size=1):
            break

    def _expect_honest(self, folder: str) -> None:
        """Raise `StoreUnavailable` if a listing without a key came from who has a page for whatever is asked.

        obstore takes a page in XHTML, as of a network that wants a login, for a listing without a key. Whoever sends
        such pages has one for a key that nobody can have stored, too.
        """
        nobodys = f"{folder}/{probe.NAME}-{uuid.uuid4().hex}".lstrip("/")
        try:
            obstore.head(self._store, nobodys)
        except (FileNotFoundError, NotFoundError, PermissionDeniedError):
            return
        raise StoreUnavailable(
            f"{self._name}: a listing without a key came from a server with an answer to every question; is a proxy "
            "or a page for a login in between?"
        )

    def _exists(self, key: str) -> bool:
        with self._translated(key):
            try:
                obstore.head(self._store, key)
            except (FileNotFoundError, NotFoundError):
                return False
            return True

    def _attributes(self, content_type: str, metadata: Mapping[str, str], *, standard: bool) -> "Attributes":
        for name, value in metadata.items():
            # obstore panics at a header that is no ASCII.
            if not (name.isascii() and value.isascii() and value.isprintable()):
                raise StoreRefused(f"{self._name} cannot keep the metadata {name}={value!a}: it is no ASCII")
        attributes: Attributes = {"Content-Type": content_type, **metadata}
        if self._options.storage_class is not None and not standard:
            attributes["Storage-Class"] = self._options.storage_class
        return attributes

    def _require_key(self, key: str) -> None:
        """Raise `KeyRefused` for what obstore refuses, or takes for another key without a word."""
        require_utf8(key)
        if (
            any(segment in ("", ".", "..") for segment in key.split("/"))
            or _ODD_CHARACTERS.search(key)
            or len(key.encode()) > LONGEST_KEY
        ):
            raise KeyRefused(
                f"{self._name} cannot name {shown(key)}: an empty, . or .. segment, a control character, "
                f"or more than {LONGEST_KEY} bytes; leave such files out (-e)"
            )

    def _now(self) -> datetime:
        request = urllib.request.Request(self._clock_url, method="HEAD")
        try:
            with open_url(request, self._reach, timeout=ANSWER_SECONDS) as answer:
                date = answer.headers["Date"]
        except HTTPError as error:
            with error:
                date = error.headers["Date"]  # any answer tells the time; that one is refused does not matter
        except (OSError, HTTPException) as error:
            raise StoreUnavailable(
                f"{self._name} does not answer{self._reach.way}: {error}; check the network"
            ) from error
        if date is None:
            raise StoreUnavailable(f"{self._name} does not say what time it is; is a proxy in between?")
        return parsedate_to_datetime(date).astimezone(UTC)

    @contextmanager
    def _translated(self, key: str, *, listing: bool = False) -> Iterator[None]:
        try:
            yield
        except _FAILURES as error:
            raise meaning_of(error, self._name, key, self._reach, listing=listing) from error


def _whole(content: Content) -> bytearray | bytes:
    """Return the bytes of *content*, of which memory holds one copy."""
    whole, offset = bytearray(content.size), 0
    for chunk in content.chunks():
        whole[offset : offset + len(chunk)] = chunk
        offset += len(chunk)
    return whole or b""  # obstore takes no empty buffer but this


class _Source:
    """A content as an iterator for obstore, which remembers what went wrong in reading it."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self.failure: TablesnapError | None = None

    def pieces(self) -> Iterator[bytes]:
        try:
            yield from self._content.chunks()
        except TablesnapError as error:
            self.failure = error
            raise


def meaning_of(error: Exception, name: str, key: str, reach: Reach, *, listing: bool = False) -> StoreError:
    """Return what *error*, raised by obstore for *key* in the store called *name*, means to us."""
    text = str(error)
    said = f"{name}: {shown(key)}: {_said(text)}"
    if any(code in text for code in _NO_CONTAINER):
        return StoreRefused(f"{name} does not exist; make it, or check its name ({_said(text)})")
    if isinstance(error, FileNotFoundError | NotFoundError):
        return NoSuchObject(key)
    if _ARCHIVED in text:
        # Azure says 409, which would otherwise be tried again for ever.
        return ObjectArchived(
            f"{name}: {shown(key)} is archived, and cannot be read before the store has rehydrated it: move it with "
            f"`az storage blob set-tier --tier Hot`, which takes {thawing_takes('az', 'Archive')} ({_said(text)})"
        )
    if isinstance(error, AlreadyExistsError | PreconditionError) and "BeingDeleted" not in text:
        return AlreadyStored(key)
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return StoreRefused(f"{said}; check the credentials, and what they allow")
    if UNTRUSTED.search(text):
        return StoreRefused(
            f"{said}: its certificate is not trusted{reach.way}; name its authority with --ca-bundle, as it is not in "
            f"{reach.trust}"
        )
    if isinstance(error, ValueError | InvalidPathError):
        if listing:
            return StoreRefused(f"{said}; a listing cannot name that object, so move it out from under {shown(key)}")
        return KeyRefused(said)
    if "token request" in text:
        return StoreUnavailable(f"{said}; are there credentials in the environment, or on this machine?")
    status = _status(text)
    return meaning_of_status(status, said if status else f"{said} does not answer{reach.way}")


def meaning_of_status(status: int | None, said: str) -> StoreError:
    """Return what an HTTP *status*, or none at all, means: the store is away, or it refuses."""
    if status is not None and 400 <= status < 500 and status not in (408, 409, 429):
        return StoreRefused(f"{said}; check the credentials and the options")
    return StoreUnavailable(said)


def _status(text: str) -> int | None:
    found = re.search(r"status code: (\d{3})", text)
    return int(found[1]) if found else None


def _said(text: str) -> str:
    """Return the gist of obstore's message, or of the XML a server answered with, in one line."""
    found = re.search(r"<Code>([^<]*)</Code>\s*<Message>([^<\n]*)", text)
    return f"{found[1]}: {found[2]}" if found else " ".join(text.partition("\n\n")[0].split())
