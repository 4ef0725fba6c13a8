"""Small stores for tests: `MemoryStore` with one thing about it changed."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tablesnap.errors import ObjectArchived, StoreUnavailable
from tablesnap.store.memory import MemoryStore
from tablesnap.store.port import Content, Head, Listed, Store


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 22, 20, 25, 17, 123456, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, **duration: float) -> None:
        self.moment += timedelta(**duration)


class Around:
    """Another store, through which every request goes; each test changes what it is about."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.requests: list[str] = []

    def check(self, prefix: str = "") -> None:
        self.before("check")
        self.store.check(prefix)
        self.after("check")

    def create(
        self,
        key: str,
        content: Content,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        standard: bool = False,
    ) -> None:
        self.before(f"create {key}")
        self.store.create(key, content, content_type=content_type, metadata=metadata, standard=standard)
        self.after(f"create {key}")

    def head(self, key: str) -> Head:
        self.before(f"head {key}")
        head = self.store.head(key)
        self.after(f"head {key}")
        return head

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        self.before(f"read {key}")
        pieces = list(self.store.read(key, offset=offset, length=length))
        self.after(f"read {key}")
        return iter(pieces)

    def list(self, prefix: str) -> Iterator[Listed]:
        self.before(f"list {prefix}")
        found = [*self.store.list(prefix)]
        self.after(f"list {prefix}")
        return iter(found)

    def level(self, prefix: str) -> "Iterator[Listed | str]":
        self.before(f"level {prefix}")
        found = [*self.store.level(prefix)]
        self.after(f"level {prefix}")
        return iter(found)

    def delete(self, keys: Iterable[str]) -> None:
        self.before("delete")
        self.store.delete(keys)
        self.after("delete")

    def before(self, request: str) -> None:
        """Called before each request reaches the store; whatever it raises is the answer."""
        self.requests.append(request)

    def after(self, request: str) -> None:
        """Called after each request was carried out, before its answer; whatever it raises is the answer."""


class Failing(Around):
    """Raises what *fails* returns for a request: before it is carried out, or, with *afterwards*, after."""

    def __init__(self, store: Store, fails: Callable[[str], Exception | None], *, afterwards: bool = False) -> None:
        super().__init__(store)
        self.fails = fails
        self._afterwards = afterwards

    def before(self, request: str) -> None:
        super().before(request)
        if not self._afterwards:
            self._fail(request)

    def after(self, request: str) -> None:
        if self._afterwards:
            self._fail(request)

    def _fail(self, request: str) -> None:
        error = self.fails(request)
        if error is not None:
            raise error


class DeadAfter(Around):
    """A store that dies after its *number*-th request, which it may have carried out (*afterwards*) or not."""

    def __init__(self, store: Store, number: int, *, afterwards: bool) -> None:
        super().__init__(store)
        self._number = number
        self._afterwards = afterwards
        self._lock = threading.Lock()
        self._begun = 0
        self.died = threading.Event()

    def revive(self) -> None:
        """Answer again, and die no more."""
        with self._lock:
            self._begun = -1 << 32
        self.died.clear()

    def before(self, request: str) -> None:
        with self._lock:
            super().before(request)
            self._begun += 1
            last = self._begun == self._number
            dead = self._begun > self._number
        if dead or (last and not self._afterwards):
            self.died.set()
            raise StoreUnavailable(f"dead: {request}")

    def after(self, request: str) -> None:
        if self._begun >= self._number and not self.died.is_set():
            self.died.set()
            raise StoreUnavailable(f"died: {request}")


class WithoutChecksums(Around):
    """A store that does not say the checksum of what it holds, as S3 for objects of before it had any."""

    def head(self, key: str) -> Head:
        return replace(super().head(key), checksum=None)


class Archived(Around):
    """A store whose objects are in an archive, all but those *warm*, until they are thawed."""

    def __init__(self, store: Store, warm: Callable[[str], bool] = lambda key: False) -> None:
        super().__init__(store)
        self.warm = warm
        self.thawed: dict[str, int] = {}  # keys, and for how many days

    def thaw(self, key: str, days: int) -> None:
        self.before(f"thaw {key}")
        self.thawed[key] = days

    def head(self, key: str) -> Head:
        return replace(super().head(key), frozen="GLACIER" if self._is_frozen(key) else "")

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        if self._is_frozen(key):
            self.before(f"read {key}")
            raise ObjectArchived(f"{key} is archived")
        return super().read(key, offset=offset, length=length)

    def list(self, prefix: str) -> Iterator[Listed]:
        return map(self._with_class, super().list(prefix))

    def level(self, prefix: str) -> "Iterator[Listed | str]":
        return (self._with_class(one) if isinstance(one, Listed) else one for one in super().level(prefix))

    def _with_class(self, listed: Listed) -> Listed:
        return listed if self.warm(listed.key) else replace(listed, archived="GLACIER")

    def _is_frozen(self, key: str) -> bool:
        return not self.warm(key) and key not in self.thawed


class WholeSeconds(Around):
    """A store that dates its objects in whole seconds, as S3 does."""

    def list(self, prefix: str) -> Iterator[Listed]:
        for listed in super().list(prefix):
            yield replace(listed, modified=listed.modified.replace(microsecond=0))


def objects(store: Store | MemoryStore) -> dict[str, bytes]:
    """Return every object's body, by key."""
    return {listed.key: b"".join(store.read(listed.key)) for listed in store.list("")}
