"""What a bucket holds, page by page: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html

What a page leaves out is not there for whoever reads it: a purge deletes what the indexes on it would have named. So a
page is believed only if it answers what was asked. Nothing is made of the order of keys (rclone sorts them by date,
Storj and S3 Express not at all), of KeyCount, or of Name (of access points, and behind other people's gateways).
"""

import logging
from array import array
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any
from urllib.parse import unquote, unquote_plus

from tablesnap.errors import KeyRefused, StoreRefused, StoreUnavailable
from tablesnap.store.keys import require_utf8
from tablesnap.store.port import Listed
from tablesnap.store.probe import is_probe
from tablesnap.store.s3_archive import archived_class
from tablesnap.store.s3_connection import Connection, Connector
from tablesnap.store.s3_errors import IN_BETWEEN
from tablesnap.store.s3_keys import fits_xml, is_plain

log = logging.getLogger(__name__)

PAGE = 1000  # keys
REPLACED = "\ufffd"  # what stands for a character that XML cannot hold

Page = Mapping[str, Any]


class Lister:
    """Lists the objects of one bucket."""

    def __init__(self, bucket: str, connector: Connector) -> None:
        self._bucket = bucket
        self._connector = connector

    def list(self, prefix: str) -> Iterator[Listed]:
        """See `Store.list`."""
        seen = Seen()
        for connection, page in self._believed(prefix, {}):
            yield from self._shown(connection, page, prefix, seen)

    def level(self, prefix: str) -> "Iterator[Listed | str]":
        """See `Store.level`."""
        seen, folders = Seen(), Seen()
        for connection, page in self._believed(prefix, {"Delimiter": "/"}):
            for one in self._shown(connection, page, prefix, seen):
                folder = folder_of(one.key, prefix)
                if folder is None:
                    yield one
                elif folders.is_new(folder):
                    yield folder
            for entry in page.get("CommonPrefixes", []):
                if entry["Prefix"] == prefix:
                    # As gofakes3 has it of a slash at the beginning: who goes on from folder to folder never ends.
                    raise not_believed(connection, f"the level of {prefix!a} has {prefix!a} as a folder in itself")
                folder = folder_of(entry["Prefix"], prefix) or entry["Prefix"]
                if folders.is_new(folder):
                    yield folder

    def is_exact(self, connection: Connection, key: str) -> bool:
        """Tell whether the server would answer for *key* itself, not for what it makes of the name."""
        return not connection.custom or is_plain(key) or self.holds(key)

    def holds(self, key: str) -> bool:
        """Tell whether the bucket lists *key*, whatever else the server makes of such a name."""
        try:
            for connection, page in islice(self._pages(key, {}, key), 1):
                if any(entry["Key"] == key for entry in page.get("Contents", [])):
                    return self._is_spelt_out(connection, key, page)
        except KeyRefused:
            pass  # MinIO lists nothing that it could not store
        return False

    def _pages(
        self, prefix: str, asked: Mapping[str, str], key: str | None = None
    ) -> Iterator[tuple[Connection, Page]]:
        """Yield the pages of what begins with *prefix*; for *key*, if its listing is asked for."""
        require_utf8(prefix)
        more: dict[str, str] = {}
        tokens = Seen()
        while True:
            connection = self._connector.connected()
            try:
                with self._connector.saying(connection, key):
                    page = connection.client.list_objects_v2(
                        Bucket=self._bucket, Prefix=prefix, MaxKeys=PAGE, **asked, **more
                    )
            except ValueError as error:  # of botocore's parser
                raise not_believed(connection, f"the listing has a number that is none ({error})") from error
            if (why := why_another_answer(page, more.get("ContinuationToken", ""))) is not None:
                raise not_believed(connection, why)
            yield connection, page
            if not page.get("IsTruncated"):
                return
            token = page.get("NextContinuationToken")
            if not token:
                raise StoreRefused(f"{connection.place.of(None)}: the listing broke off, and does not say how to go on")
            if not tokens.is_new(token):
                raise not_believed(connection, "the listing goes round in a circle")
            more = {"ContinuationToken": token}

    def _believed(self, prefix: str, asked: Mapping[str, str]) -> Iterator[tuple[Connection, Page]]:
        for connection, page in self._pages(prefix, asked):
            # A prefix that XML cannot spell comes back as something else, and so do the keys below it.
            if fits_xml(prefix) and (why := why_of_another_prefix(page, prefix)) is not None:
                raise not_believed(connection, why)
            yield connection, page

    def _shown(self, connection: Connection, page: Page, prefix: str, seen: "Seen") -> Iterator[Listed]:
        return (one for one in self._listed(connection, page, prefix, seen) if not is_probe(one.key))

    def _listed(self, connection: Connection, page: Page, prefix: str, seen: "Seen") -> Iterator[Listed]:
        for entry in page.get("Contents", []):
            key = entry["Key"]
            # Two names that are not spelt out may look the same.
            if not (REPLACED in key or seen.is_new(key)):
                raise not_believed(connection, f"the listing has {key!a} twice")
            if key.startswith(prefix) and self._is_spelt_out(connection, key, page):
                yield Listed(
                    key=key,
                    size=entry["Size"],
                    modified=entry["LastModified"],
                    archived=archived_class(entry.get("StorageClass", "")),
                )

    def _is_spelt_out(self, connection: Connection, key: str, page: Page) -> bool:
        """Tell whether *key* is as it is: a server that does not encode listings puts U+FFFD for control characters."""
        if REPLACED not in key or page.get("EncodingType") == "url":
            return True
        with self._connector.saying(connection, key):
            if connection.head(key) is not None:
                return True
        log.warning("%s was left out of a listing: the store does not spell its name out", connection.place.of(key))
        return False


class Seen:
    """The texts that came so far, in eight bytes each while they come in order, to tell whether one comes again."""

    def __init__(self) -> None:
        self._latest = ""
        self._in_order = array("q")
        self._hashes: set[int] | None = None  # since one came that is not after the latest

    def is_new(self, text: str) -> bool:
        """Take *text* in, and tell whether it is the first time."""
        if self._hashes is None:
            if text > self._latest:
                self._in_order.append(hash(text))
                self._latest = text
                return True
            self._hashes = set(self._in_order)
            self._in_order = array("q")
        before = len(self._hashes)
        self._hashes.add(hash(text))
        return len(self._hashes) > before


def folder_of(key: str, prefix: str) -> str | None:
    """Return the beginning of *key* up to the first slash after *prefix*, None if there is none.

    The store should have cut keys there already. nanio answers for ``n:/a`` with what is in ``n:/a/``, and a server may
    know no delimiter.
    """
    slash = key.find("/", len(prefix))
    return None if slash < 0 else key[: slash + 1]


def why_another_answer(page: Page, token: str) -> str | None:
    """Say why *page* does not answer the question that had this *token* (none for the first page); None if it may."""
    if not any(name in page for name in ("IsTruncated", "Name", "Prefix")):
        return "the listing does not say whether it is all"
    told = page.get("ContinuationToken", "")
    if told and token not in spellings(told):
        return "the listing is another page than was asked for"
    if any(name not in entry for entry in page.get("Contents", []) for name in ("Key", "LastModified", "Size")):
        return "the listing names an object without its size and date"
    return None


def why_of_another_prefix(page: Page, prefix: str) -> str | None:
    """Say why *page* does not list what begins with *prefix*; None if it does."""
    told = page.get("Prefix", "")
    if told and prefix not in spellings(told) and told not in spellings(prefix):
        return f"the listing is of {told!a}, and not of {prefix!a}"
    found = [entry["Key"] for entry in page.get("Contents", [])]
    found += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
    strange = next((key for key in found if not key.startswith(prefix)), None)
    return None if strange is None else f"the listing has {strange!a}, which does not begin with {prefix!a}"


def spellings(told: str) -> set[str]:
    """Return what *told* may stand for.

    Some servers encode what they repeat, whatever they were asked; SeaweedFS says that it does and does not, so that
    botocore decodes what was never encoded.
    """
    return {told, unquote(told), unquote_plus(told)}


def not_believed(connection: Connection, why: str) -> StoreUnavailable:
    """Make the error for a listing that is none of what was asked for."""
    return StoreUnavailable(f"{connection.place.of(None)}: {why}; {IN_BETWEEN}")
