"""What time it is by the store's clock: an object's age owes nothing to this machine's."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice

from tablesnap.catalog.timeline import Timeline
from tablesnap.errors import KeyRefused, NoSuchObject, StoreUnavailable
from tablesnap.store.port import Listed, Store

_TRIES = 10


def store_clock(store: Store, timelines: Iterable[Timeline]) -> datetime:
    """Ask about one object that is there, for the answer has the time. Raises what the store raises."""
    for key in islice(_keys(store, timelines), _TRIES):
        try:
            return store.head(key).store_clock
        except (NoSuchObject, KeyRefused):
            continue  # deleted this moment, or other people's
    raise StoreUnavailable("no object was there long enough to ask the store what time it is; try again")


def _keys(store: Store, timelines: Iterable[Timeline]) -> Iterator[str]:
    for timeline in timelines:
        for directory in timeline.directories.values():
            yield from (one.key for one in directory.indexes[-1:])
            yield from islice((one.key for one in store.level(directory.key) if isinstance(one, Listed)), 1)
