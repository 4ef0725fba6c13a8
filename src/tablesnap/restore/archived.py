"""What is archived of what a restore fetches: found before anything is fetched, and thawed where that is asked for."""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tablesnap.restore.chosen import Chosen
from tablesnap.restore.comparing import Interrupted
from tablesnap.restore.plan import Frozen
from tablesnap.rules.placing import Placed
from tablesnap.store.archive import Thawer
from tablesnap.store.port import Head, Store

T = TypeVar("T")
U = TypeVar("U")


def frozen_of(
    chosen: Chosen, wanted: Iterable[Placed], store: Store, *, threads: int, stop: threading.Event
) -> list[Frozen]:
    """Return what cannot be read now: of the files that are *wanted*, and of the indexes that nothing is known without.

    The store is asked for each that is archived. Raises what the store raises, and `Interrupted`.
    """

    def look(key: str) -> Head:
        if stop.is_set():
            raise Interrupted("interrupted while asking what is archived; nothing was changed")
        return store.head(key)

    archived = frozenset[str]().union(*(choice.archived for choice in chosen.choices))
    asked = [(one.key, one.key) for refusal in chosen.refusals for one in refusal.archived]
    asked += [(one.file.key, one.path) for one in wanted if one.file.key in archived]
    heads = _each(look, [key for key, _ in asked], threads)
    return [
        Frozen(key, path, head.size, head.frozen, head.is_thawing)
        for (key, path), head in zip(asked, heads, strict=True)
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
