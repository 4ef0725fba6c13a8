"""What a purge asks of a store besides its objects: uploads that nobody finished, and what a deletion is there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class Unfinished:
    """An upload in parts that was begun and not finished: it is paid for, and in no listing."""

    key: str
    upload: str  # the store's name for it
    begun: datetime  # by the store's clock


class Upkeep(Protocol):
    """The part of a store that only some have. Every method may raise `StoreUnavailable` or `StoreRefused`."""

    def unfinished(self, prefix: str) -> Iterator[Unfinished]:
        """Yield the unfinished uploads under keys that begin with *prefix*."""

    def give_up(self, one: Unfinished) -> None:
        """Throw away what was sent of an upload; one that is finished or gone is no error."""

    def remarks(self) -> Sequence[str]:
        """Say in a sentence each what a deletion does not do here; nothing where it simply deletes."""


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
