"""Which answers of a server are believed.

A login page, a maintenance page behind a load balancer and a server on the wrong port say 200 as well. boto3 takes
whatever they send: a page in HTML is an object that was stored, or a listing without keys. So each answer is looked at
before boto3 parses it, which drops the name of the document. One that is not believed becomes an answer of our own
with status 503, which boto3 asks for again, as it does with the errors that S3 itself puts into a 200.

What an answer holds: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from tablesnap.checksum import from_base64
from tablesnap.store.s3_errors import NOT_BELIEVED

NOT_BELIEVED_STATUS = 503
_TOLD = 80  # characters of a page that a message shows

# The document that answers each request, and what has to be in it.
_DOCUMENTS = {
    "CompleteMultipartUpload": ("CompleteMultipartUploadResult", "ETag"),
    "CopyObject": ("CopyObjectResult", "ETag"),
    "CreateMultipartUpload": ("InitiateMultipartUploadResult", "UploadId"),
    "DeleteObjects": ("DeleteResult", None),
    "ListMultipartUploads": ("ListMultipartUploadsResult", None),
    "ListObjectsV2": ("ListBucketResult", None),
    "UploadPartCopy": ("CopyPartResult", "ETag"),
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
    """Have *client*, one of boto3's for S3, believe no answer that is none."""
    # With both stars it is called before botocore's own "before-parse.s3.*", which makes a bare "500 (Internal Server
    # Error)" of a page that is no XML. The other way round nothing would be believed more, only said worse.
    client.meta.events.register_first("before-parse.*.*", _look)


def _look(response_dict: dict[str, Any], **_: object) -> None:
    operation, headers = response_dict["context"]["operation_name"], response_dict["headers"]
    body = response_dict["body"]
    bytes_at_hand = body if isinstance(body, bytes) else b""  # what an object holds is still to be read
    if response_dict["status_code"] >= 300:
        return
    why = why_not_believed(operation, headers, bytes_at_hand)
    if why is None:
        return
    if not isinstance(body, bytes):
        body.close()
    response_dict["status_code"] = NOT_BELIEVED_STATUS
    response_dict["body"] = f"<Error><Code>{NOT_BELIEVED}</Code><Message>{escape(why)}</Message></Error>".encode()


def why_not_believed(operation: str, headers: Mapping[str, str], body: bytes) -> str | None:
    """Say why an answer of success to *operation* is none of an S3 server's, or return None if it may be one."""
    if operation in _BARE and body.strip():
        return f"the answer to {operation} has a body, {spell_page(body)}"
    missing = [name for name in _HEADERS.get(operation, ()) if name not in headers]
    if missing:
        return f"the answer to {operation} has no {' and no '.join(missing)}"
    if operation in _ANY_DOCUMENT and body.strip():
        root = root_of(body)
        is_page = root is None or _bare_name(root.tag).lower() == "html"
        return f"the answer to {operation} is no XML of S3: {spell_page(body)}" if is_page else None
    return _why_no_document(operation, body) if operation in _DOCUMENTS else None


def _why_no_document(operation: str, body: bytes) -> str | None:
    wanted, needed = _DOCUMENTS[operation]
    if not body.strip():
        return f"the answer to {operation} is empty"
    root = root_of(body)
    if root is None:
        return f"the answer to {operation} is no XML, or not all of it: {spell_page(body)}"
    found = _bare_name(root.tag)
    if found == "Error":
        return None  # boto3 knows that S3 puts errors into a 200
    if found != wanted:
        return f"the answer to {operation} is no {wanted}: {spell_page(body)}"
    texts = {_bare_name(child.tag): (child.text or "").strip() for child in root}
    if needed is not None and not texts.get(needed):
        return f"the answer to {operation} has no {needed}"
    if texts.get("IsTruncated", "false") not in _BOOLEANS:
        return f"the answer to {operation} does not say whether it is all: IsTruncated is {texts['IsTruncated']!a}"
    return None


def root_of(body: bytes) -> ET.Element | None:
    """Return the root of the XML that *body* is, or None if it is none."""
    try:
        return ET.fromstring(body)
    except ET.ParseError:
        return None


def is_usual_etag(etag: str | None) -> bool:
    """Tell whether an S3 server is likely to have made this ETag: it has the form of an MD5, whatever it stands for.

    A web server gives its pages ETags as well, made of their size and date.
    """
    return etag is not None and _USUAL_ETAG.fullmatch(etag) is not None


def whole_checksum(answer: Mapping[str, Any]) -> int | None:
    """Return the CRC-64/NVME of the whole object, where the store tells that, and not one of its parts' checksums."""
    text = answer.get("ChecksumCRC64NVME")
    if text is None or answer.get("ChecksumType", "FULL_OBJECT") != "FULL_OBJECT":
        return None
    try:
        return from_base64(text)
    except ValueError:
        return None


def spell_page(body: bytes) -> str:
    """Spell what tells a reader whose page it is: its title, or its beginning."""
    text = body.decode(errors="replace")
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    told = " ".join((title[1] if title and title[1].strip() else text).split())
    return f"{'a page called' if title else 'beginning with'} {told[:_TOLD]!a}"


def _bare_name(tag: str) -> str:
    """Return the name of an element without its namespace: not every server gives S3's."""
    return tag.rpartition("}")[2]
