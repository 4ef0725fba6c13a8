"""Reading what will be needed next while the last is being looked at."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Thing = TypeVar("_Thing")
_Result = TypeVar("_Result")


def read_ahead(read: Callable[[_Thing], _Result], things: Iterable[_Thing], readers: int) -> Iterator[_Result]:
    """Yield what *read* returns for each of *things*, in order; *readers* threads are as many results ahead."""
    waiting: deque[Future[_Result]] = deque()
    with ThreadPoolExecutor(readers, thread_name_prefix="read") as pool:
        try:
            for thing in things:
                waiting.append(pool.submit(read, thing))
                if len(waiting) > readers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
