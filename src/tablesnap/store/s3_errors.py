"""From what S3, botocore and obstore say to the errors of the store port.

An *outage* may pass by itself, so it is tried again; a *refusal* needs somebody to change something.
"""

import re
from dataclasses import dataclass

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ParamValidationError,
    ProxyConnectionError,
    ReadTimeoutError,
    UnsupportedSignatureVersionError,
    ValidationError,
)

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
from tablesnap.store.archive import thawing_takes
from tablesnap.store.keys import shown
from tablesnap.store.network import DIRECTLY, NOBODY_NAMED, UNTRUSTED, Trust, Way

# Codes as of https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html and as seen on other servers.
_OUTAGES = {
    "BandwidthLimitExceeded",
    "ConditionalRequestConflict",  # somebody else is creating this key just now
    "IncompleteBody",
    "InternalError",
    "NoSuchUpload",  # our unfinished upload was cleaned away by somebody
    "OperationAborted",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
}
_CLOCK = {"RequestTimeTooSkewed", "RequestExpired"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"}
_WRONG_KEYS = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "InvalidClientTokenId",
    "XAdminUserNotFound",
}
_WRONG_REGION = {"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraint"}
_DAMAGED = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
_UNNAMEABLE = {
    "DirectoryObjectContainsData",
    "ExistingObjectIsDirectory",
    "KeyTooLongError",
    "ObjectParentIsFile",
    "XMinioInvalidObjectName",
    "XMinioInvalidResourceName",
}
_ARCHIVED = "InvalidObjectState"  # of a GET
_NOT_LET_IN = re.compile("Tunnel connection failed: 407|proxy authorization required", re.IGNORECASE)
PROXY_WANTS_PASSWORD = 407
_PROXY_PASSWORD = "write them into its address, http://NAME:PASSWORD@HOST:PORT"
_TOLD = 80  # characters of a page that a message shows
_LOOKED_AT = 16 << 10  # characters in which a page has its title
_REQUESTS = {"DELETE": "DeleteObject", "GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject"}  # obstore's
_NOT_THERE = {"NoSuchKey", "NotFound", "404", ""}  # a HEAD has no body to say more
_HOW_TO_THAW = (
    "ask for that with `tableslurp --thaw DAYS`, or `aws s3api restore-object`; from GLACIER it takes "
    f"{thawing_takes('s3', 'GLACIER')}, from DEEP_ARCHIVE {thawing_takes('s3', 'DEEP_ARCHIVE')}"
)


# Codes of answers that we put in the place of others (`s3_answers`), whose message is ours, and what to look for.
NOT_BELIEVED = "TablesnapNotBelieved"
REDIRECTED = "TablesnapRedirected"
IN_BETWEEN = "is a proxy or a login page in between, or is it the address of something else?"


# Credentials that are of no more use: whoever replaced them on disk should not have to restart us as well.
STALE_CREDENTIALS = _EXPIRED | _WRONG_KEYS


@dataclass(frozen=True)
class Place:
    """What a message says of where it happened."""

    bucket: str
    endpoint: str
    way: Way = DIRECTLY
    trust: Trust = NOBODY_NAMED

    def of(self, key: str | None) -> str:
        """Name the object, or the bucket if *key* is None, and the endpoint."""
        name = f"s3://{self.bucket}" + ("" if key is None else f"/{shown(key)}")
        return f"{name} at {self.endpoint}"


class NoMoment(BotoCoreError):  # type: ignore[misc] # botocore ships no types
    """An answer has something else where a time has to stand."""

    fmt = "the answer has a time that is none, {text!a}"


@dataclass(frozen=True)
class Answer:
    """What the store said when it did not do as asked: its HTTP status, its code for the error, and its words."""

    status: int
    code: str
    message: str
    request: str = ""  # what Amazon calls the request; not always known

    def __str__(self) -> str:
        return one_line(
            f"{self.code or self.status} ({self.message})" if self.message else self.code or str(self.status)
        )


def one_line(text: object) -> str:
    """Make a message of one line of whatever a library said."""
    return " ".join(str(text).split())[:500]


def answer_of(error: BaseException) -> Answer | None:
    """Return what the store answered, or None if there was no answer."""
    if isinstance(error, ClientError):
        said = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return Answer(int(status), str(said.get("Code", "")), str(said.get("Message", "")), error.operation_name)
    # obstore has the answer in its message alone, before a dump of its own innards.
    text = str(error).partition("\n\nDebug source:")[0]
    status = re.search(r"status code: (\d{3})", text)
    if status is None:
        return None
    method = re.search(r"Error performing ([A-Z]+) ", text)
    request = _REQUESTS.get(method[1], "") if method else ""
    page = re.search(r"<(!doctype html|html)\b.*", text, re.IGNORECASE | re.DOTALL)
    if page is not None and int(status[1]) != PROXY_WANTS_PASSWORD:
        return Answer(int(status[1]), NOT_BELIEVED, why_a_page(request, int(status[1]), page[0]), request)
    code = re.search(r"<Code>([^<]*)</Code>", text)
    message = re.search(r"<Message>([^<]*)</Message>", text)
    return Answer(int(status[1]), code[1] if code else "", message[1] if message else "", request)


def why_a_page(request: str, status: int, text: str) -> str:
    """Say of the answer to *request* that it is a page for people, whatever its *status*."""
    return f"the answer to {request or 'the request'} has status {status} and is no S3 store's: {spell_page(text)}"


def spell_page(text: str) -> str:
    """Spell what tells a reader whose page it is: its title, or its beginning."""
    text = text[:_LOOKED_AT]
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    told = " ".join((title[1] if title and title[1].strip() else text).split())
    return f"{'a page called' if title else 'beginning with'} {told[:_TOLD]!a}"


def ran_out_of_time(error: BaseException) -> bool:
    """Tell whether a request was given up because it took too long. That nobody answered at all is something else.

    S3's own "RequestTimeout" says that it waited for more of the body:
    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    """
    answer = answer_of(error)
    if answer is not None:
        return answer.code == "RequestTimeout"
    if isinstance(error, BotoCoreError):
        # urllib3 says of a send that took too long that the connection was aborted, and why in brackets.
        return isinstance(error, ReadTimeoutError) or (
            isinstance(error, ConnectionClosedError) and "timed out" in str(error.kwargs.get("error", ""))
        )
    # A connection that is not made has other words around these.
    return re.search(r"kind: Request,\s*source: TimedOut", str(error)) is not None


def error_of_answer(answer: Answer, place: Place, key: str | None) -> StoreError:
    """Say what *answer* means, and what to try."""
    where, to = place.of(key), f" to {answer.request}" if answer.request else ""
    code, status = answer.code, answer.status
    if code == NOT_BELIEVED:
        return StoreUnavailable(f"{where}: {answer.message}; {IN_BETWEEN}")
    if code == REDIRECTED:
        return StoreRefused(f"{where}: {answer.message}; {IN_BETWEEN}")
    if code == "NoSuchBucket" or (status == 404 and code in _NOT_THERE and key is None):
        return StoreRefused(f"there is no bucket {place.bucket} at {place.endpoint}; create it, or correct its name")
    if code in _DAMAGED:
        return DamagedUpload(f"{where} arrived damaged, and was not stored: {answer}")
    if code in _UNNAMEABLE and key is not None:
        return KeyRefused(f"{where} cannot be named so in this store: {answer}")
    if code in _CLOCK:
        return StoreUnavailable(f"{where}: the store's clock and this machine's differ ({answer}); set the clock")
    if code in _EXPIRED:
        return StoreUnavailable(f"{where}: the credentials have expired ({answer}); renew them")
    if code in _WRONG_KEYS:
        return StoreRefused(
            f"{where}: the store does not accept these credentials ({answer}); check both keys and token"
        )
    if code in _WRONG_REGION:
        return StoreRefused(f"{where} is in another region ({answer}); name it with --aws-region, or leave that out")
    if 300 <= status < 400:
        return StoreRefused(f"{where}: the answer{to} sends us elsewhere ({answer}); {IN_BETWEEN}")
    if (status == 412 or code == "PreconditionFailed") and key is not None:
        return AlreadyStored(key)
    if status == 501:
        return StoreRefused(f"{where}: the store does not know {answer.request or 'how'}: {answer}")
    if code in _OUTAGES or status in (408, 409, 429) or status >= 500:
        return StoreUnavailable(f"{where}: the store cannot do {answer.request or 'it'} just now: {answer}")
    if status == 404 and code in _NOT_THERE and key is not None:
        return NoSuchObject(key)
    if code.startswith("KMS") or code == "InvalidStorageClass":
        return StoreRefused(f"{where}: {answer}; check --with-sse and --storage-class")
    if code == _ARCHIVED:
        return ObjectArchived(
            f"{where} is archived, and cannot be read before the store has restored it: {_HOW_TO_THAW} ({answer})"
        )
    if status == PROXY_WANTS_PASSWORD:
        return StoreRefused(f"{where}{place.way}: the proxy wants a name and a password; {_PROXY_PASSWORD}")
    if status in (401, 403):
        return StoreRefused(
            f"{where}: access was denied{to} ({answer}); check what these credentials may do in this bucket"
        )
    return StoreRefused(f"{where}: the store refused{' ' + answer.request if answer.request else ''}: {answer}")


def error_of(error: BaseException, place: Place, key: str | None) -> StoreError:
    """Say what an exception of botocore or obstore means."""
    answer = answer_of(error)
    if answer is not None:
        return error_of_answer(answer, place, key)
    where = place.of(key)
    # botocore says of a proxy that it could not be reached, and keeps to itself that it was, and what it said.
    cause = f": {error.kwargs.get('error')}" if isinstance(error, ProxyConnectionError) else ""
    said = one_line(str(error).partition("\n\nDebug source:")[0] + cause)
    if isinstance(error, NoMoment):
        return StoreUnavailable(f"{where}: {said}; {IN_BETWEEN}")
    if isinstance(error, (ParamValidationError, ValidationError, UnsupportedSignatureVersionError)):
        return StoreRefused(f"{where}: the request makes no sense to botocore: {said}")
    if UNTRUSTED.search(str(error)):
        return StoreRefused(
            f"{where}{place.way}: its certificate is not trusted ({said}); name its authority with --ca-bundle, as it "
            f"is not in {place.trust}"
        )
    if "redirect without LOCATION" in said:
        return StoreRefused(f"{where} is in another region; name it with --aws-region, or leave that out")
    if _NOT_LET_IN.search(said):
        return StoreRefused(f"{where}{place.way}: the proxy wants a name and a password ({said}); {_PROXY_PASSWORD}")
    if "Unable to extract metadata from headers" in said:
        return StoreUnavailable(f"{where}: {said.partition('from headers: ')[2]}; {IN_BETWEEN}")
    return StoreUnavailable(f"{where} does not answer{place.way}: {said}")


def is_outage(error: BaseException) -> bool:
    """Tell whether the same request may succeed later."""
    return isinstance(error_of(error, Place("", ""), None), StoreUnavailable)
