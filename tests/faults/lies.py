"""What may come in place of an S3 server's answer: from captive portals, load balancers, caches and other buckets."""

import re
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

from tests.endpoint import S3Server
from tests.faults.proxy import Answer, Fate, Lie, Reply, Request, ask

Told = Reply | Fate | Lie | None
OTHER_BUCKET = "the-bucket-of-others"
NOBODY = "http://127.0.0.1:9/elsewhere"
_PORTAL = b"<html><head><title>Login</title></head><body>Please accept our terms.</body></html>"
_TOKEN = re.compile(r"(?<=continuation-token=)[^&]*")
_NEXT = re.compile(rb"<NextContinuationToken>([^<]+)</NextContinuationToken>")


def html(_server: S3Server, _request: Request) -> Told:
    return Reply(200, text=_PORTAL, headers={"Content-Type": "text/html"})


def empty(_server: S3Server, _request: Request) -> Told:
    return Reply(200, text=b"")


def without_etag(_server: S3Server, _request: Request) -> Told:
    def strip(answer: Answer) -> Answer:
        headers = {name: value for name, value in answer.headers.items() if name.lower() != "etag"}
        return replace(answer, headers=headers, body=re.sub(rb"<ETag>.*?</ETag>", b"", answer.body))

    return Lie(strip)


def cut(_server: S3Server, _request: Request) -> Told:
    return Lie(lambda answer: replace(answer, body=answer.body[: len(answer.body) // 2]))


def moved(_server: S3Server, _request: Request) -> Told:
    return Reply(301, "PermanentRedirect", headers={"Location": NOBODY})


def moved_for_now(_server: S3Server, _request: Request) -> Told:
    return Reply(307, "TemporaryRedirect", headers={"Location": NOBODY})


def of_another_bucket(_server: S3Server, request: Request) -> Told:
    bucket = request.name.split("/")[1]
    request.path = request.path.replace(bucket, OTHER_BUCKET, 1)
    return None


def page_dropped(server: S3Server, request: Request) -> Told:
    """Answer with the page after the one that was asked for, which says by which token it was asked for, as Amazon's.

    moto's pages do not. Of a server that leaves the token out, as S3 lets it, nobody can tell one page from another.
    """
    after = _NEXT.search(ask(server, request).body)
    if not after:
        return None
    request.path = _TOKEN.sub(quote(after[1].decode(), safe=""), request.path, count=1)
    echo = b"<ContinuationToken>" + after[1] + b"</ContinuationToken></ListBucketResult>"
    return Lie(lambda answer: replace(answer, body=answer.body.replace(b"</ListBucketResult>", echo)))


def page_repeated(_server: S3Server, request: Request) -> Told:
    """Answer with the first page once more."""
    request.path = re.sub(r"&?continuation-token=[^&]*", "", request.path)
    return None


Tell = Callable[[S3Server, Request], Told]

LIES_ABOUT_ALL: tuple[Tell, ...] = (html, empty, without_etag, cut, moved, moved_for_now, of_another_bucket)
# Of these the second page is the first that can be lied about.
LIES_ABOUT_PAGES: tuple[Tell, ...] = (page_dropped, page_repeated)
LIES = LIES_ABOUT_ALL + LIES_ABOUT_PAGES


class Liar:
    """Lies about the first request of a *call*, or about *every* one, and has pages of two keys at most."""

    def __init__(self, server: S3Server, call: str, lie: Tell, *, every: bool = False) -> None:
        self._server = server
        self._call = call
        self._lie = lie
        self._every = every
        self.told = 0

    def __call__(self, request: Request) -> Told:
        in_small_pages(request)
        if request.call != self._call or (self.told and not self._every):
            return None
        if self._lie in LIES_ABOUT_PAGES and "continuation-token" not in request.query:
            return None
        self.told += 1
        return self._lie(self._server, request)


def in_small_pages(request: Request) -> None:
    """Have a listing come in pages of two keys."""
    request.path = request.path.replace("max-keys=1000", "max-keys=2")
