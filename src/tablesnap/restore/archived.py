"""What is archived of what a restore fetches: found before anything is fetched, and thawed where that is asked for."""

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tablesnap.restore.comparing import Interrupted
from tablesnap.restore.plan import Frozen
from tablesnap.rules.placing import Placed
from tablesnap.store.archive import Thawer
from tablesnap.store.port import Head, Store

T = TypeVar("T")
U = TypeVar("U")


def frozen_of(
    placed: Iterable[Placed], archived: Collection[str], store: Store, *, threads: int, stop: threading.Event
) -> list[Frozen]:
    """Return those files of *placed* that cannot be read now; the store is asked for each of the *archived* keys.

    Raises what the store raises, and `Interrupted`.
    """

    def look(one: Placed) -> Head:
        if stop.is_set():
            raise Interrupted("interrupted while asking what is archived; nothing was changed")
        return store.head(one.file.key)

    asked = [one for one in placed if one.file.key in archived]
    heads = _each(look, asked, threads)
    return [
        Frozen(one.file.key, one.path, head.size, head.frozen, head.is_thawing)
        for one, head in zip(asked, heads, strict=True)
        if head.frozen
    ]


def thaw(frozen: Iterable[Frozen], thawer: Thawer, days: int, *, threads: int) -> int:
    """Ask for each of *frozen* that nobody has asked for yet; return how many. Raises what the store raises."""
    keys = dict.fromkeys(one.key for one in frozen if not one.is_thawing)
    _each(lambda key: thawer.thaw(key, days), keys, threads)
    return len(keys)


def _each(ask: Callable[[T], U], those: Iterable[T], threads: int) -> Sequence[U]:
    with ThreadPoolExecutor(threads, thread_name_prefix="archive") as pool:
        try:
            return list(pool.map(ask, those))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
