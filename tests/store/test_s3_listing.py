"""A listing is believed only if it answers what was asked: who reads it deletes what is not named on it."""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.endpoint import S3Server
from tests.faults.proxy import Answer, Lie, Reply, Request, ask, proxy

from tablesnap.errors import NoSuchObject, StoreRefused, StoreUnavailable
from tablesnap.store.s3 import S3Options, S3Store
from tablesnap.store.s3_listing import Seen, why_another_answer, why_of_another_prefix

KEYS = ["n:/a/1", "n:/a/2", "n:/a/3", "n:/a/4", "n:/a/5"]
PREFIXES = ["", "n:/", "n:/a", "n:/a/", "other/"]


@pytest.fixture
def bucket(moto_endpoint: S3Server) -> str:
    """A bucket with `KEYS`, and one object below another prefix."""
    name = f"b-{uuid.uuid4().hex}"
    moto_endpoint.make_bucket(name)
    for key in [*KEYS, "other/1"]:
        moto_endpoint.client().put_object(Bucket=name, Key=key, Body=b"")
    return name


def listed(server: S3Server, bucket: str, meddle: Callable[[Request], Any]) -> list[str]:
    """List what begins with ``n:/a/``, two keys a page, with somebody in between."""

    def two_keys_a_page(request: Request) -> Any:
        request.path = request.path.replace("max-keys=1000", "max-keys=2")
        return meddle(request)

    with proxy(server, two_keys_a_page) as between:
        options = S3Options(server.access_key, server.secret_key, endpoint_url=between.endpoint_url)
        return [one.key for one in S3Store(bucket, options).list("n:/a/")]


def is_first_page(request: Request) -> bool:
    return "list-type" in request.query and "continuation-token" not in request.query


def is_later_page(request: Request) -> bool:
    return "continuation-token" in request.query


def changed(pattern: bytes, text: bytes) -> Lie:
    return Lie(lambda answer: replace(answer, body=re.sub(pattern, text, answer.body)))


def test_all_pages_are_listed(moto_endpoint: S3Server, bucket: str) -> None:
    assert listed(moto_endpoint, bucket, lambda _: None) == KEYS


def test_a_page_that_comes_again_is_not_taken_for_the_next(moto_endpoint: S3Server, bucket: str) -> None:
    first: list[Answer] = []

    def repeat_the_first(request: Request) -> Lie | None:
        if is_first_page(request):
            return Lie(lambda answer: first.append(answer) or answer)  # type: ignore[func-returns-value] # kept
        return Lie(lambda _: first[0]) if is_later_page(request) else None

    with pytest.raises(StoreUnavailable, match="twice"):
        listed(moto_endpoint, bucket, repeat_the_first)


def test_a_listing_that_goes_round_in_a_circle_ends(moto_endpoint: S3Server, bucket: str) -> None:
    """As where a gateway drops the token: it has an end neither by its keys nor by its pages."""
    empty = changed(rb"<Contents>.*</Contents>", b"")
    more = rb"<IsTruncated>true</IsTruncated><NextContinuationToken>abc</NextContinuationToken>"

    def always_the_same(request: Request) -> Lie | None:
        if "list-type" not in request.query:
            return None
        request.path = re.sub("&?continuation-token=[^&]*", "", request.path)
        with_token = changed(rb"<NextContinuationToken>.*</NextContinuationToken>|<IsTruncated>.*</IsTruncated>", b"")
        named = changed(rb"<Name>", more + b"<Name>")
        return Lie(lambda answer: named.change(with_token.change(empty.change(answer))))

    with pytest.raises(StoreUnavailable, match="circle"):
        listed(moto_endpoint, bucket, always_the_same)


def test_a_listing_that_breaks_off_without_a_token_is_refused(moto_endpoint: S3Server, bucket: str) -> None:
    """A server that knows only the first version of listings."""
    lie = changed(rb"<NextContinuationToken>.*</NextContinuationToken>", b"")

    with pytest.raises(StoreRefused, match="broke off"):
        listed(moto_endpoint, bucket, lambda request: lie if is_first_page(request) else None)


@pytest.mark.parametrize(
    ("element", "text"),
    [
        (b"LastModified", b"soon"),
        (b"LastModified", b"9" * 400),
        (b"LastModified", b"0001-01-01T00:00:00+14:00"),  # before the first year, in UTC
        (b"Size", b"soon"),
    ],
)
def test_a_time_or_a_size_that_is_none_is_no_listing(
    moto_endpoint: S3Server, bucket: str, element: bytes, text: bytes
) -> None:
    nonsense = changed(b"(<%s>)[^<]*" % element, rb"\g<1>" + text)

    with pytest.raises(StoreUnavailable, match=r"a (time|number) that is none"):
        listed(moto_endpoint, bucket, lambda request: nonsense if is_first_page(request) else None)


def test_the_answer_to_another_question_is_not_taken_for_the_page(moto_endpoint: S3Server, bucket: str) -> None:
    def of_another_prefix(request: Request) -> Reply | None:
        if not is_later_page(request):
            return None
        asked = Request("GET", f"/{bucket}?list-type=2&prefix=other/", request.headers)
        return Reply(200, text=ask(moto_endpoint, asked).body)

    with pytest.raises(StoreUnavailable, match="'other/'"):
        listed(moto_endpoint, bucket, of_another_prefix)


@pytest.mark.parametrize("lie", [b"<html><body>Service is being upgraded</body></html>", b"", b"<ListBucketResult/>"])
def test_a_later_page_that_is_none_is_not_the_end_of_the_listing(
    moto_endpoint: S3Server, bucket: str, lie: bytes
) -> None:
    with pytest.raises(StoreUnavailable, match="proxy or a login page"):
        listed(moto_endpoint, bucket, lambda request: Reply(200, text=lie) if is_later_page(request) else None)


def test_a_level_that_has_itself_as_a_folder_is_not_believed(moto_endpoint: S3Server, bucket: str) -> None:
    """As gofakes3 has it of a slash at the beginning of keys: who goes on from folder to folder never ends."""

    def itself(answer: Answer) -> Answer:
        folder = b"<CommonPrefixes><Prefix>n%3A/</Prefix></CommonPrefixes></ListBucketResult>"
        return replace(answer, body=answer.body.replace(b"</ListBucketResult>", folder))

    with proxy(moto_endpoint, lambda request: Lie(itself) if "list-type" in request.query else None) as between:
        options = S3Options("a", "b", endpoint_url=between.endpoint_url)
        with pytest.raises(StoreUnavailable, match="a folder in itself"):
            list(S3Store(bucket, options).level("n:/"))


def test_a_folder_that_two_pages_name_is_yielded_once(moto_endpoint: S3Server, bucket: str) -> None:
    def twice(answer: Answer) -> Answer:
        again = b"<CommonPrefixes><Prefix>n%3A/</Prefix></CommonPrefixes></ListBucketResult>"
        return replace(answer, body=answer.body.replace(b"</ListBucketResult>", again))

    with proxy(moto_endpoint, lambda request: Lie(twice) if "list-type" in request.query else None) as between:
        options = S3Options("a", "b", endpoint_url=between.endpoint_url)

        found = list(S3Store(bucket, options).level(""))

    assert sorted(map(str, found)) == ["n:/", "other/"]


AT = datetime(2026, 11, 30, tzinfo=UTC)


def page(*keys: str, **others: object) -> Mapping[str, Any]:
    return {"Contents": [{"Key": key, "Size": 1, "LastModified": AT} for key in keys], "Prefix": "n:/a b/", **others}


@pytest.mark.parametrize(
    ("answer", "token"),
    [
        (page("n:/a b/1", IsTruncated=False), ""),
        (page("n:/a b/1"), ""),  # IsTruncated is left out where it is false
        ({"Name": "bucket"}, ""),
        ({"Prefix": ""}, ""),
        ({"IsTruncated": False, "ContinuationToken": ""}, ""),
        (page(IsTruncated=False, ContinuationToken="1/ab+c="), "1/ab+c="),
        (page(IsTruncated=False, ContinuationToken="1%2Fab%2Bc%3D"), "1/ab+c="),
        (page(IsTruncated=False), "1/ab+c="),  # not repeated
    ],
)
def test_what_servers_say_of_their_pages_is_believed(answer: Mapping[str, Any], token: str) -> None:
    assert why_another_answer(answer, token) is None


@pytest.mark.parametrize(
    ("answer", "token", "why"),
    [
        ({}, "", "does not say whether it is all"),
        (page(ContinuationToken="other"), "token", "another page"),
        (page(ContinuationToken="other"), "", "another page"),
        ({"Name": "bucket", "Contents": [{"Key": "n:/a b/1"}]}, "", "without its size"),
    ],
)
def test_a_page_of_another_question_is_none(answer: Mapping[str, Any], token: str, why: str) -> None:
    assert why in str(why_another_answer(answer, token))


def test_a_prefix_with_a_plus_may_come_back_decoded_once_too_often() -> None:
    assert why_of_another_prefix(page("a+b", Prefix="a b"), "a+b") is None


def test_a_key_that_a_server_refuses_to_list_is_not_there(moto_endpoint: S3Server, bucket: str) -> None:
    def refuse(request: Request) -> Reply | None:
        return Reply(400, "XMinioInvalidObjectName") if "list-type" in request.query else None

    with proxy(moto_endpoint, refuse) as between:
        options = S3Options(moto_endpoint.access_key, moto_endpoint.secret_key, endpoint_url=between.endpoint_url)
        with pytest.raises(NoSuchObject):
            S3Store(bucket, options).head("a//b")


@pytest.mark.parametrize("told", ["n:/a b/", "n%3A/a%20b/", "n%3A%2Fa+b%2F", ""])
def test_a_prefix_may_come_back_encoded_or_not_at_all(told: str) -> None:
    assert why_of_another_prefix(page("n:/a b/1", Prefix=told), "n:/a b/") is None


@pytest.mark.parametrize(
    "answer",
    [
        page(Prefix="n:/a/"),
        page("n:/a b/1", "m:/a b/2"),
        page(CommonPrefixes=[{"Prefix": "m:/"}]),
    ],
)
def test_what_is_of_another_prefix_is_no_answer(answer: Mapping[str, Any]) -> None:
    assert why_of_another_prefix(answer, "n:/a b/") is not None


def in_order() -> Iterator[str]:
    return (f"{number:04}" for number in range(1000))


@pytest.mark.parametrize("order", [in_order, lambda: reversed([*in_order()]), lambda: iter(["b", "a", "c"])])
def test_what_comes_once_is_new_in_any_order(order: Callable[[], Iterator[str]]) -> None:
    seen = Seen()

    assert all(seen.is_new(text) for text in order())


@pytest.mark.parametrize("texts", [["a", "a"], ["a", "b", "a"], ["b", "a", "c", "b"], ["c", "a", "b", "a"]])
def test_what_comes_again_is_not_new(texts: list[str]) -> None:
    seen = Seen()

    found = [seen.is_new(text) for text in texts]

    assert found == [True] * (len(texts) - 1) + [False]


def test_a_server_that_knows_no_delimiter_yields_the_same_level(moto_endpoint: S3Server, bucket: str) -> None:
    def without_delimiter(request: Request) -> None:
        request.path = request.path.replace("delimiter=%2F", "no-delimiter=%2F")

    with proxy(moto_endpoint, without_delimiter) as between:
        options = S3Options(moto_endpoint.access_key, moto_endpoint.secret_key, endpoint_url=between.endpoint_url)
        store = S3Store(bucket, options)
        found = {
            prefix: [one if isinstance(one, str) else one.key for one in store.level(prefix)] for prefix in PREFIXES
        }

    assert found == {"": ["n:/", "other/"], "n:/": ["n:/a/"], "n:/a": ["n:/a/"], "n:/a/": KEYS, "other/": ["other/1"]}
