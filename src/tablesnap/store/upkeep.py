"""What a purge asks of a store besides its objects: uploads that nobody finished, and what a deletion is there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from tablesnap.errors import StoreRefused


@dataclass(frozen=True)
class Unfinished:
    """An upload in parts that was begun and not finished: it is paid for, and in no listing."""

    key: str
    upload: str  # the store's name for it
    begun: datetime  # by the store's clock


@dataclass(frozen=True)
class Expiry:
    """A rule by which the store itself deletes objects of a certain age."""

    prefix: str  # of the keys that it is for
    age: timedelta


class Upkeep(Protocol):
    """The part of a store that only some have. Every method may raise `StoreUnavailable` or `StoreRefused`."""

    def unfinished(self, prefix: str) -> Iterator[Unfinished]:
        """Yield the unfinished uploads under keys that begin with *prefix*."""

    def give_up(self, one: Unfinished) -> None:
        """Throw away what was sent of an upload; one that is finished or gone is no error."""

    def remarks(self) -> Sequence[str]:
        """Say in a sentence each what a deletion does not do here; nothing where it simply deletes."""

    def expiries(self) -> Sequence[Expiry]:
        """Return the rules by which the store deletes objects."""

    def refresh(self, key: str) -> None:
        """Have the object under *key* be as young as one stored now, with the same bytes and metadata.

        Raises `NoSuchObject` if it is not there.
        """


class NoUpkeep:
    """A store that leaves nothing unfinished that we could see, and deletes what it is told to.

    A directory's are swept by the daemon's check; Azure drops blocks after a week by itself.
    """

    def unfinished(self, prefix: str) -> Iterator[Unfinished]:
        """Yield nothing."""
        yield from ()

    def give_up(self, one: Unfinished) -> None:
        """There is none."""

    def remarks(self) -> Sequence[str]:
        """There is nothing to say."""
        return ()

    def expiries(self) -> Sequence[Expiry]:
        """We know of none."""
        return ()

    def refresh(self, key: str) -> None:
        """Nobody asks, as nothing expires."""
        raise StoreRefused(f"{key} cannot be copied onto itself in this store")
