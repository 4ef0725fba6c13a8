import pytest

from tablesnap.errors import (
    AlreadyStored,
    DamagedUpload,
    KeyRefused,
    NoSuchObject,
    StoreError,
    StoreRefused,
    StoreUnavailable,
)
from tablesnap.store.s3_errors import Answer, Place, error_of_answer, spell_page

PLACE = Place("bucket", "https://s3.example.com")


@pytest.mark.parametrize(
    ("status", "code", "meaning"),
    [
        (500, "InternalError", StoreUnavailable),
        (503, "SlowDown", StoreUnavailable),
        (503, "", StoreUnavailable),
        (502, "", StoreUnavailable),
        (429, "TooManyRequests", StoreUnavailable),
        (400, "RequestTimeout", StoreUnavailable),
        (400, "ExpiredToken", StoreUnavailable),
        (403, "RequestTimeTooSkewed", StoreUnavailable),
        (409, "ConditionalRequestConflict", StoreUnavailable),
        (409, "OperationAborted", StoreUnavailable),
        (404, "NoSuchUpload", StoreUnavailable),
        (412, "PreconditionFailed", AlreadyStored),
        (404, "NoSuchKey", NoSuchObject),
        (404, "404", NoSuchObject),
        (404, "NoSuchBucket", StoreRefused),
        (403, "AccessDenied", StoreRefused),
        (403, "403", StoreRefused),
        (403, "InvalidAccessKeyId", StoreRefused),
        (403, "SignatureDoesNotMatch", StoreRefused),
        (404, "XAdminUserNotFound", StoreRefused),
        (301, "PermanentRedirect", StoreRefused),
        (400, "AuthorizationHeaderMalformed", StoreRefused),
        (400, "InvalidStorageClass", StoreRefused),
        (400, "KMS.NotFoundException", StoreRefused),
        (501, "NotImplemented", StoreRefused),
        (400, "InvalidArgument", StoreRefused),
        (400, "BadDigest", DamagedUpload),
        (400, "XAmzContentSHA256Mismatch", DamagedUpload),
        (400, "KeyTooLongError", KeyRefused),
    ],
)
def test_an_answer_is_an_outage_a_refusal_or_a_fact_about_the_object(
    status: int, code: str, meaning: type[StoreError]
) -> None:
    error = error_of_answer(Answer(status, code, "words"), PLACE, "key")

    assert isinstance(error, meaning)


def test_a_message_names_the_object_and_the_endpoint_in_one_line() -> None:
    error = error_of_answer(Answer(403, "AccessDenied", "no,\nnot\tyou"), PLACE, "odd\nkey")

    assert str(error) == (
        "s3://bucket/'odd\\nkey' at https://s3.example.com: access was denied (AccessDenied (no, not you)); "
        "check what these credentials may do in this bucket"
    )


def test_a_page_of_a_million_titles_is_spelt_at_once() -> None:
    # Where the end of each was looked for up to the end of the page, this took an hour.
    assert spell_page("<title>" * 1_000_000).startswith("beginning with")
