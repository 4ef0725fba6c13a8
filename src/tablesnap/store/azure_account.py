"""An Azure storage account: whose it is, and signed requests for what obstore does not ask exactly.

`Shared Key <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>`_,
`List Blobs <https://learn.microsoft.com/rest/api/storageservices/list-blobs>`_.
"""

import base64
import binascii
import hashlib
import hmac
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urlencode, urlsplit

from tablesnap.errors import StoreRefused, StoreUnavailable
from tablesnap.store.archive import thawing_takes
from tablesnap.store.port import Listed
from tablesnap.store.reach import DIRECT, Reach, open_url
from tablesnap.store.remote import ANSWER_SECONDS, meaning_of_status

LARGEST_PAGE = 5000
_VERSION = "2021-08-06"  # since 2021-02-12 a listing encodes the names that XML cannot hold
_KEYS = ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_MASTER_KEY")
_SIGNATURES = ("AZURE_STORAGE_SAS_KEY", "AZURE_STORAGE_SAS_TOKEN")
_ENDPOINTS = ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")


@dataclass(frozen=True)
class Account:
    """An account, and how to speak to it. With neither key, signature nor token, only obstore knows how."""

    name: str
    endpoint: str
    key: str | None = field(default=None, repr=False)
    signature: str | None = field(default=None, repr=False)  # a shared access signature
    token: str | None = field(default=None, repr=False)

    @property
    def can_sign(self) -> bool:
        """Tell whether `list_blobs` works."""
        return any((self.key, self.signature, self.token))


def find_account(environment: Mapping[str, str], endpoint_url: str | None) -> Account:
    """Read the environment as obstore does, and the connection string, which it does not read."""
    parts = _parts(environment.get("AZURE_STORAGE_CONNECTION_STRING", ""))
    name = parts.get("AccountName") or environment.get("AZURE_STORAGE_ACCOUNT_NAME")
    endpoint = endpoint_url or parts.get("BlobEndpoint") or _first(environment, _ENDPOINTS)
    if not name and endpoint:
        name = (urlsplit(endpoint).hostname or "").partition(".")[0]
    if not name:
        raise StoreRefused("az: no storage account is named; set AZURE_STORAGE_ACCOUNT_NAME")
    protocol = parts.get("DefaultEndpointsProtocol", "https")
    suffix = parts.get("EndpointSuffix", "core.windows.net")
    return Account(
        name=name,
        endpoint=(endpoint or f"{protocol}://{name}.blob.{suffix}").rstrip("/"),
        key=parts.get("AccountKey") or _first(environment, _KEYS),
        signature=(parts.get("SharedAccessSignature") or _first(environment, _SIGNATURES) or "").lstrip("?") or None,
        token=environment.get("AZURE_STORAGE_TOKEN"),
    )


def list_blobs(
    account: Account, container: str, prefix: str, *, reach: Reach = DIRECT, page: int = LARGEST_PAGE
) -> Iterator[Listed]:
    """Yield every blob under its exact name, *page* by page."""
    asked = {"maxresults": str(page), "prefix": prefix}
    for answer in _pages(account, container, asked, reach):
        yield from _blobs(answer)


def level_of_blobs(
    account: Account, container: str, prefix: str, *, reach: Reach = DIRECT, page: int = LARGEST_PAGE
) -> "Iterator[Listed | str]":
    """Yield what begins with *prefix*, up to the next slash: blobs, and the beginnings of others' names."""
    asked = {"maxresults": str(page), "prefix": prefix, "delimiter": "/"}
    for answer in _pages(account, container, asked, reach):
        yield from _blobs(answer)
        for folder in answer.iter("BlobPrefix"):
            yield _name(folder)


def frozen_tier(account: Account, container: str, key: str, reach: Reach) -> tuple[str, bool]:
    """Return the tier of a blob that cannot be read now, and whether it is being rehydrated: a listing tells both.

    https://learn.microsoft.com/azure/storage/blobs/archive-rehydrate-overview
    """
    # Of all names that begin with this one it comes first.
    for answer in _pages(account, container, {"maxresults": "1", "prefix": key}, reach):
        for blob in answer.iter("Blob"):
            pending = (blob.findtext("Properties/ArchiveStatus") or "").startswith("rehydrate-pending")
            return (_archived(blob), pending) if _name(blob) == key else ("", False)
    return "", False


def _pages(account: Account, container: str, asked: Mapping[str, str], reach: Reach) -> Iterator[ET.Element]:
    query = {"comp": "list", "restype": "container", **asked}
    markers: set[str] = set()
    while True:
        answer = _parsed(_get(account, container, query, reach), container)
        if (why := _why_another(answer, query)) is not None:
            raise StoreUnavailable(f"az://{container} answered with another listing: {why}; is a proxy in between?")
        yield answer
        marker = answer.findtext("NextMarker") or ""
        if not marker:
            return
        if marker in markers:
            raise StoreUnavailable(f"az://{container}: the listing goes round in a circle; is a proxy in between?")
        markers.add(marker)
        query["marker"] = marker


def _why_another(answer: ET.Element, query: Mapping[str, str]) -> str | None:
    """Say why *answer* does not list what was asked for, or return None if it does."""
    for element, name in (("Prefix", "prefix"), ("Marker", "marker")):
        told = answer.findtext(element) or ""
        if told and query.get(name, "") not in (told, unquote(told)):
            return f"it is of the {name} {told!a}"
    entries = [*answer.iter("Blob"), *answer.iter("BlobPrefix")]
    strange = next((name for name in map(_name, entries) if not name.startswith(query["prefix"])), None)
    return None if strange is None else f"it has {strange!a}"


def _blobs(answer: ET.Element) -> Iterator[Listed]:
    for blob in answer.iter("Blob"):
        # With a hierarchical namespace, folders are listed among the blobs.
        if blob.findtext("Properties/ResourceType") != "directory":
            yield Listed(
                key=_name(blob),
                size=int(blob.findtext("Properties/Content-Length") or 0),
                modified=parsedate_to_datetime(blob.findtext("Properties/Last-Modified") or "").astimezone(UTC),
                archived=_archived(blob),
            )


def _archived(blob: ET.Element) -> str:
    tier = blob.findtext("Properties/AccessTier") or ""
    return tier if thawing_takes("az", tier) else ""


def _name(entry: ET.Element) -> str:
    name = entry.find("Name")
    text = (name.text or "") if name is not None else ""
    return unquote(text) if name is not None and name.get("Encoded") == "true" else text


def _parsed(page: bytes, container: str) -> ET.Element:
    try:
        answer = ET.fromstring(page)
    except ET.ParseError as error:
        raise StoreUnavailable(f"az://{container} answered with no listing: {error}; is a proxy in between?") from error
    if answer.tag != "EnumerationResults":
        raise StoreUnavailable(f"az://{container} answered with {answer.tag!a}, no listing; is a proxy in between?")
    return answer


def _get(account: Account, container: str, query: Mapping[str, str], reach: Reach) -> bytes:
    url = f"{account.endpoint}/{container}"
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": _VERSION}
    search = urlencode(query, quote_via=quote)
    if account.key:
        headers["Authorization"] = f"SharedKey {account.name}:{sign(account, urlsplit(url).path, query, headers)}"
    elif account.signature:
        search = f"{search}&{account.signature}"
    elif account.token:
        headers["Authorization"] = f"Bearer {account.token}"
    where = f"az://{container}"
    try:
        request = urllib.request.Request(f"{url}?{search}", headers=headers)
        with open_url(request, reach, timeout=ANSWER_SECONDS) as answer:
            return bytes(answer.read())
    except HTTPError as error:
        with error:
            code = error.headers.get("x-ms-error-code") or error.reason
        raise meaning_of_status(error.code, f"{where} does not list its blobs: {code}") from error
    except (OSError, HTTPException) as error:
        raise StoreUnavailable(f"{where} does not answer{reach.way}: {error}; check the network") from error


def sign(account: Account, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """Return the Shared Key signature of a GET without a body."""
    own = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()) if name.startswith("x-ms-"))
    resource = f"/{account.name}{path}" + "".join(f"\n{name}:{value}" for name, value in sorted(query.items()))
    # Eleven standard headers come next, of which we send none.
    text = "GET\n" + "\n" * 11 + own + resource
    try:
        secret = base64.b64decode(account.key or "", validate=True)
    except binascii.Error as error:
        raise StoreRefused(f"az: the key of {account.name} is no base64; check AZURE_STORAGE_ACCOUNT_KEY") from error
    return base64.b64encode(hmac.new(secret, text.encode(), hashlib.sha256).digest()).decode()


def _parts(connection: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in connection.split(";") if part.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((environment[name] for name in names if environment.get(name)), None)
