"""A store in memory, for tests: small, real, and as strict as the others."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tablesnap.checksum import crc64nvme
from tablesnap.errors import AlreadyStored, DamagedUpload, NoSuchObject
from tablesnap.store.keys import require_utf8, shown
from tablesnap.store.port import READ_SIZE, Content, Head, Listed


@dataclass(frozen=True)
class _Kept:
    data: bytes
    checksum: int
    modified: datetime
    content_type: str
    metadata: Mapping[str, str]


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryStore:
    """Objects in a dictionary, timed by *clock*; it names every key."""

    def __init__(self, clock: Callable[[], datetime] = _now) -> None:
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def check(self, prefix: str = "") -> None:
        """There is nothing a dictionary would refuse."""

    def create(
        self,
        key: str,
        content: Content,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        standard: bool = False,
    ) -> None:
        """Keep a copy of *content*, unless the key is taken or the checksum is another."""
        require_utf8(key)
        data = b"".join(content.chunks())
        checksum = crc64nvme(data)
        if checksum != content.checksum:
            raise DamagedUpload(f"memory: {shown(key)} did not arrive as it was sent; try again")
        with self._lock:
            if key in self._kept:
                raise AlreadyStored(key)
            self._kept[key] = _Kept(data, checksum, self._clock(), content_type, dict(metadata or {}))

    def head(self, key: str) -> Head:
        """Describe the object; its checksum is always known."""
        kept = self._find(key)
        return Head(
            size=len(kept.data),
            modified=kept.modified,
            store_clock=self._clock(),
            checksum=kept.checksum,
            content_type=kept.content_type,
            metadata=dict(kept.metadata),
        )

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the object in pieces of `READ_SIZE`."""
        data = self._find(key).data[offset:][:length]
        for offset in range(0, len(data), READ_SIZE):
            yield data[offset : offset + READ_SIZE]

    def list(self, prefix: str) -> Iterator[Listed]:
        """Yield what there was when the listing began."""
        with self._lock:
            found = [Listed(key, len(kept.data), kept.modified) for key, kept in self._kept.items()]
        yield from (listed for listed in found if listed.key.startswith(prefix))

    def level(self, prefix: str) -> "Iterator[Listed | str]":
        """Yield what there was when it began."""
        folders: set[str] = set()
        for listed in self.list(prefix):
            name, slash, _ = listed.key[len(prefix) :].partition("/")
            if not slash:
                yield listed
            elif name not in folders:
                folders.add(name)
                yield prefix + name + slash

    def delete(self, keys: Iterable[str]) -> None:
        """Forget these objects."""
        for key in keys:
            with self._lock:
                self._kept.pop(key, None)

    def _find(self, key: str) -> _Kept:
        require_utf8(key)
        with self._lock:
            kept = self._kept.get(key)
        if kept is None:
            raise NoSuchObject(key)
        return kept
