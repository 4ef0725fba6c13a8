"""A part of a store: what is under one prefix of it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from tablesnap.errors import AlreadyStored, NoSuchObject
from tablesnap.store.port import Content, Head, Listed, Store


class PrefixedStore:
    """The objects of *store* whose keys begin with *prefix*, which its users neither give nor see."""

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._prefix = prefix

    def check(self, prefix: str = "") -> None:
        """Check the store underneath."""
        self._store.check(self._prefix + prefix)

    def create(
        self,
        key: str,
        content: Content,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Store *content* under the prefix."""
        try:
            self._store.create(self._prefix + key, content, content_type=content_type, metadata=metadata)
        except AlreadyStored as error:
            raise AlreadyStored(key) from error

    def head(self, key: str) -> Head:
        """Describe the object under the prefix."""
        try:
            return self._store.head(self._prefix + key)
        except NoSuchObject as error:
            raise NoSuchObject(key) from error

    def read(self, key: str) -> Iterator[bytes]:
        """Yield the object under the prefix."""
        try:
            yield from self._store.read(self._prefix + key)
        except NoSuchObject as error:
            raise NoSuchObject(key) from error

    def list(self, prefix: str) -> Iterator[Listed]:
        """Yield what is under both prefixes, by the keys its users know."""
        for listed in self._store.list(self._prefix + prefix):
            yield replace(listed, key=listed.key[len(self._prefix) :])

    def delete(self, keys: Iterable[str]) -> None:
        """Delete these objects under the prefix."""
        self._store.delete(self._prefix + key for key in keys)
