"""Which answers of a server are believed.

A login page, a maintenance page behind a load balancer and a server on the wrong port say 200 as well. botocore takes
whatever they send: a page in HTML is an object that was stored, or a listing without keys. So each answer is looked at
before botocore parses it, which drops the name of the document. One that is not believed becomes an answer of our own
with status 503, which botocore asks for again, as it does with the errors that S3 itself puts into a 200. An error in
HTML is not the store's word either: "403" is no denial then. A redirect is not followed.

What an answer holds: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from tablesnap.checksum import from_base64
from tablesnap.store.s3_errors import NOT_BELIEVED, PROXY_WANTS_PASSWORD, REDIRECTED, one_line, spell_page, why_a_page

NOT_BELIEVED_STATUS = 503  # which botocore asks again after
REDIRECTED_STATUS = 400  # after which it does not

# The document that answers each request, by each of its names, and what has to be in it.
_DOCUMENTS: Mapping[str, tuple[tuple[str, ...], str | None]] = {
    "CompleteMultipartUpload": (("CompleteMultipartUploadResult",), "ETag"),
    "CopyObject": (("CopyObjectResult",), "ETag"),
    # The shorter name is that of rclone.
    "CreateMultipartUpload": (("InitiateMultipartUploadResult", "InitiateMultipartUpload"), "UploadId"),
    "DeleteObjects": (("DeleteResult",), None),
    "ListMultipartUploads": (("ListMultipartUploadsResult",), None),
    "ListObjectsV2": (("ListBucketResult",), None),
    "UploadPartCopy": (("CopyPartResult",), "ETag"),
}
# Documents of little weight, whose name differs from server to server (moto); none is a page.
_ANY_DOCUMENT = {
    "GetBucketLifecycleConfiguration",
    "GetBucketVersioning",
    "GetObjectLockConfiguration",
    "ListParts",
}
# Requests whose answer has headers and no document.
_BARE = {"AbortMultipartUpload", "DeleteObject", "PutObject", "UploadPart"}
_HEADERS = {
    "GetObject": ("ETag", "Last-Modified"),
    "HeadObject": ("Content-Length", "ETag", "Last-Modified"),
    "PutObject": ("ETag",),
    "UploadPart": ("ETag",),
}
_BOOLEANS = {"true", "false"}
_USUAL_ETAG = re.compile(r'"?[0-9a-fA-F]{32}(-[0-9]+)?"?')


def look_at(client: Any) -> None:
    """Have *client*, one of botocore's for S3, believe no answer that is none."""
    # With both stars it is called before botocore's own "before-parse.s3.*", which makes a bare "500 (Internal Server
    # Error)" of a page that is no XML. The other way round nothing would be believed more, only said worse.
    client.meta.events.register_first("before-parse.*.*", _look)


def _look(response_dict: dict[str, Any], **_: object) -> None:
    status, body, headers = response_dict["status_code"], response_dict["body"], response_dict["headers"]
    operation = response_dict["context"]["operation_name"]
    at_hand = body if isinstance(body, bytes) else b""  # what an object holds is still to be read
    instead = None
    if status < 300:
        if (why := why_not_believed(operation, headers, at_hand)) is not None:
            instead = (NOT_BELIEVED_STATUS, NOT_BELIEVED, why)
    elif is_redirect(status, headers):
        instead = (REDIRECTED_STATUS, REDIRECTED, why_elsewhere(operation, status, headers))
    elif is_page(at_hand) and status != PROXY_WANTS_PASSWORD:
        instead = (status, NOT_BELIEVED, why_a_page(operation, status, _text(at_hand)))
    if instead is None:
        return
    if not isinstance(body, bytes):
        body.close()
    response_dict["status_code"], code, message = instead
    response_dict["body"] = f"<Error><Code>{code}</Code><Message>{escape(one_line(message))}</Message></Error>".encode()


def is_redirect(status: int, headers: Mapping[str, str]) -> bool:
    """Tell whether an answer sends us to another address, and not to Amazon's other regions, which botocore knows.

    botocore takes any of them for the latter, and asks the bucket for its region; which is answered by a redirect.
    """
    return 300 <= status < 400 and status != 304 and "x-amz-bucket-region" not in headers


def why_elsewhere(operation: str, status: int, headers: Mapping[str, str]) -> str:
    """Say where an answer to *operation* sends us."""
    return f"the answer to {operation} has status {status} and sends us to {headers.get('Location', 'nowhere')!a}"


def is_page(body: bytes) -> bool:
    """Tell whether *body* is HTML, which no S3 server sends."""
    return body[:512].lstrip().lower().startswith((b"<!doctype html", b"<html"))


def why_not_believed(operation: str, headers: Mapping[str, str], body: bytes) -> str | None:
    """Say why an answer of success to *operation* is none of an S3 server's, or return None if it may be one."""
    if operation in _BARE and body.strip():
        return f"the answer to {operation} has a body, {spell_page(_text(body))}"
    missing = [name for name in _HEADERS.get(operation, ()) if name not in headers]
    if missing:
        return f"the answer to {operation} has no {' and no '.join(missing)}"
    if operation in _ANY_DOCUMENT and body.strip():
        root = root_of(body)
        is_page = root is None or _bare_name(root.tag).lower() == "html"
        return f"the answer to {operation} is no XML of S3: {spell_page(_text(body))}" if is_page else None
    return _why_no_document(operation, body) if operation in _DOCUMENTS else None


def _why_no_document(operation: str, body: bytes) -> str | None:
    wanted, needed = _DOCUMENTS[operation]
    if not body.strip():
        return f"the answer to {operation} is empty"
    root = root_of(body)
    if root is None:
        return f"the answer to {operation} is no XML, or not all of it: {spell_page(_text(body))}"
    found = _bare_name(root.tag)
    if found == "Error":
        return None  # botocore knows that S3 puts errors into a 200
    if found not in wanted:
        return f"the answer to {operation} is no {wanted[0]}: {spell_page(_text(body))}"
    texts = {_bare_name(child.tag): (child.text or "").strip() for child in root}
    if needed is not None and not texts.get(needed):
        return f"the answer to {operation} has no {needed}"
    if texts.get("IsTruncated", "false") not in _BOOLEANS:
        return f"the answer to {operation} does not say whether it is all: IsTruncated is {texts['IsTruncated']!a}"
    return None


def root_of(body: bytes) -> ET.Element | None:
    """Return the root of the XML that *body* is, or None if it is none.

    It is read as botocore reads it, which takes everything for UTF-8, whatever a document says of itself.
    """
    try:
        return ET.fromstring(body, ET.XMLParser(encoding="utf-8"))
    except ET.ParseError:
        return None


def is_usual_etag(etag: str | None) -> bool:
    """Tell whether an S3 server is likely to have made this ETag: it has the form of an MD5, whatever it stands for.

    A web server gives its pages ETags as well, made of their size and date.
    """
    return etag is not None and _USUAL_ETAG.fullmatch(etag) is not None


def metadata_of(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return an object's metadata. Names of headers have no case (RFC 9110, 5.1): gofakes3 answers with ``Stat``."""
    return {name.lower(): value for name, value in answer.get("Metadata", {}).items()}


def whole_checksum(answer: Mapping[str, Any]) -> int | None:
    """Return the CRC-64/NVME of the whole object, where the store tells that, and not one of its parts' checksums."""
    text = answer.get("ChecksumCRC64NVME")
    if text is None or answer.get("ChecksumType", "FULL_OBJECT") != "FULL_OBJECT":
        return None
    try:
        return from_base64(text)
    except ValueError:
        return None


def _text(body: bytes) -> str:
    return body.decode(errors="replace")


def _bare_name(tag: str) -> str:
    """Return the name of an element without its namespace: not every server gives S3's."""
    return tag.rpartition("}")[2]
