"""A daemon whose newest indexes nobody of ours wrote goes on, and records what is there."""

from datetime import UTC, datetime
from pathlib import Path

from tests.daemon.in_process import below, restored, running
from tests.hostile import HOSTILE, index_of
from tests.waiting import wait_until

from tablesnap.rules.index_decoding import decode
from tablesnap.rules.keys import directory_of, is_index
from tablesnap.store.memory import MemoryStore
from tablesnap.store.port import Content


def put(path: Path, content: bytes) -> None:
    unfinished = path.parents[2] / "unfinished"  # where nobody watches
    unfinished.write_bytes(content)
    unfinished.rename(path)


def test_whatever_the_newest_index_of_a_directory_says_the_next_one_is_right(data: Path) -> None:
    store = MemoryStore()
    directories = [data / name for name in HOSTILE]
    for directory in directories:
        directory.mkdir()
        put(directory / "a.txt", b"hello")
    with running(store, data, backup=True):
        wait_until(lambda: all(names_recorded(store, one) == {"a.txt"} for one in directories))
    now = datetime.now(UTC)
    planted = {f"{below(data / name)}a.txt~{now:%Y%m%dT%H%M%S%fZ}-listdir.json": odd for name, odd in HOSTILE.items()}
    for key, odd in planted.items():
        path = directory_of(key).removeprefix("n:").rstrip("/")
        store.create(key, Content.of(index_of(path, directory_of(key), odd, now)))

    with running(store, data, backup=True) as it:
        for directory in directories:
            put(directory / "b.txt", b"more")
        wait_until(lambda: all(names_recorded(store, one, *planted) == {"a.txt", "b.txt"} for one in directories))

        assert it.thread.is_alive()


def names_recorded(store: MemoryStore, directory: Path, *planted: str) -> set[str]:
    """Return what the newest index of ours names, having restored it."""
    found = [one for one in store.list(below(directory)) if is_index(one.key) and one.key not in planted]
    if not found:
        return set()
    newest = max(found, key=lambda one: one.modified).key
    index = decode(b"".join(store.read(newest)), directory_of(newest))
    return set(restored(store, index))
