"""What is stored: nodes, directories, and the indexes in each, by listing alone."""

import queue
import re
import threading
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

from tablesnap.rules.keys import Keys, directory_of, is_index
from tablesnap.store.port import Listed, Store

LISTERS = 8  # listings at a time
ENOUGH = 4 * LISTERS  # prefixes to list, that all listers have something to do to the end
BATCH = 1000  # objects that change hands at a time
AHEAD = 32  # such batches that were listed and are not taken yet
_LOOK_SECONDS = 0.1  # how often is looked whether a listing has ended
_LEVELS = 12  # of folders that are looked into for more of them
_LEVELS_OF_NODES = 4  # of folders that are looked into for nodes
_MOST_FOLDERS_BESIDE = 100  # that are looked into for more nodes, where there are some already
_MOST_FOLDERS = 1000  # that are looked into for nodes: more are something else


@dataclass
class StoredDirectory:
    """What is stored of one directory, as a listing shows it."""

    key: str  # what the keys of its files begin with, the last slash included
    indexes: list[Listed] = field(default_factory=list)
    objects: int = 0
    size: int = 0  # bytes, indexes included


def nodes(store: Store, prefix: str, separator: str) -> list[str]:
    """Return the names of the nodes that have anything stored, in order.

    A name with slashes in it, as in ``dc1/node1``, is found beside those without; not in a bucket that other people
    have filled with folders.
    """
    begin = Keys(prefix, "", "").plain("")
    # What follows the name is a path, and slashes are taken together.
    ending = re.sub("/+", "/", f"{separator}/")
    folders = [begin]
    found: set[str] = set()
    for _ in range(_LEVELS_OF_NODES):
        below = [one for folder in folders for one in store.level(folder) if isinstance(one, str)]
        found |= {one[len(begin) : -len(ending)] for one in below if one.endswith(ending)} - {""}
        folders = [one for one in below if not one.endswith(ending)]
        if len(folders) > (_MOST_FOLDERS_BESIDE if found else _MOST_FOLDERS):
            break
    return sorted(found)


def inventory(store: Store, below: str) -> dict[str, StoredDirectory]:
    """Return every directory whose key begins with *below*, by its key.

    Memory grows with the directories and the indexes in them, not with the objects. Raises what the store raises.
    """
    found: dict[str, StoredDirectory] = {}
    for listed in list_all(store, below):
        key = directory_of(listed.key)
        directory = found.get(key)
        if directory is None:
            directory = found[key] = StoredDirectory(key)
        directory.objects += 1
        directory.size += listed.size
        if is_index(listed.key):
            directory.indexes.append(listed)
    return found


def list_all(store: Store, below: str) -> Generator[Listed, None, None]:
    """Yield every object whose key begins with *below*, in any order, with several listings at a time."""
    prefixes = yield from _spread(store, below)
    yield from _side_by_side(store, prefixes)


def _spread(store: Store, below: str) -> Generator[Listed, None, list[str]]:
    """Go down the folders until there are enough of them; yield the objects passed, return the folders."""
    folders = [below]
    for _ in range(_LEVELS):
        if not folders or len(folders) >= ENOUGH:
            break
        deeper: list[str] = []
        for folder in folders:
            for one in store.level(folder):
                if isinstance(one, str):
                    deeper.append(one)
                else:
                    yield one
        folders = deeper
    return folders


def _side_by_side(store: Store, folders: Iterable[str]) -> Iterator[Listed]:
    """Yield what is in all *folders*; memory is bounded, as the listings wait for whoever takes what they found."""
    found: queue.Queue[list[Listed]] = queue.Queue(AHEAD)
    stopped = threading.Event()

    def put(batch: list[Listed]) -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                found.put(batch, timeout=_LOOK_SECONDS)
                return

    def list_one(folder: str) -> None:
        for batch in batched(store.list(folder), BATCH):
            put(batch)
            if stopped.is_set():
                return

    with ThreadPoolExecutor(LISTERS, thread_name_prefix="list") as listers:
        try:
            listings = {listers.submit(list_one, folder) for folder in folders}
            while listings or not found.empty():
                with suppress(queue.Empty):
                    yield from found.get(timeout=_LOOK_SECONDS if listings else 0)
                for done in [one for one in listings if one.done()]:
                    listings.discard(done)
                    done.result()
        finally:
            stopped.set()
            listers.shutdown(wait=False, cancel_futures=True)


def batched(listed: Iterator[Listed], size: int) -> Iterator[list[Listed]]:
    """Yield lists of up to *size*."""
    while batch := list(islice(listed, size)):
        yield batch
