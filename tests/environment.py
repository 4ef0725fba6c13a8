"""The environment of this process, for tests that run in it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def environment(more: Mapping[str, str]) -> Iterator[None]:
    """Have *more* in the environment of this process while the block lasts."""
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
