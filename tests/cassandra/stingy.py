"""A store that takes only so many bytes for each that Cassandra flushes, so that compaction is always ahead of it."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

from tests.daemon.harness import Bucket
from tests.endpoint import S3Server
from tests.faults.proxy import Fate, Reply, Request, proxy

from tablesnap.rules.keys import is_index

SMALL = 4096  # bytes; what has so few passes at any time, as a pause costs a real store no more


class Allowance:
    """Bytes that may pass; who wants more waits for them."""

    def __init__(self, keyspace: str) -> None:
        self._counted = re.compile(rf"/{re.escape(keyspace)}/")
        self._change = threading.Condition()
        self._left = 0
        self._open = False
        self._waiting = 0

    def grant(self, size: int) -> None:
        """Let so many bytes more pass."""
        with self._change:
            self._left += size
            self._change.notify_all()

    def open(self) -> None:
        """Let everything pass from now on."""
        with self._change:
            self._open = True
            self._change.notify_all()

    @property
    def is_behind(self) -> bool:
        """Say whether a request is waiting."""
        return self._waiting > 0

    def meddle(self, request: Request) -> Reply | Fate | None:
        """Hold a PUT of the keyspace until there is an allowance for it."""
        path = unquote(request.path.partition("?")[0])
        size = len(request.body)
        if request.method != "PUT" or size <= SMALL or is_index(path) or not self._counted.search(path):
            return None
        with self._change:
            self._waiting += 1
            self._change.wait_for(lambda: self._passes(size))
            self._waiting -= 1
            self._left -= size
        return None

    def _passes(self, size: int) -> bool:
        return self._open or self._left >= size


@contextmanager
def stingy(server: S3Server, name: str, keyspace: str) -> Iterator[tuple[Bucket, Allowance]]:
    """Stand before *server* while the block lasts; yield its bucket *name* as seen through here, and the allowance."""
    allowance = Allowance(keyspace)
    with proxy(server, allowance.meddle) as before:
        try:
            yield Bucket.on(before, name), allowance
        finally:
            allowance.open()
