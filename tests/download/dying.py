"""A program that runs one restore after another, and kills each a step later than the one before.

A step is whatever an audit hook hears of (opening, locking, linking, renaming, removing, changing mode, owner or times,
making a directory), and each piece that arrives. It says in how many places it killed.
"""

import itertools
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from tests.download.bringing import MIB, Count, bring, leftovers, standing, stored

from tablesnap.download.one import Fetch
from tablesnap.store.memory import MemoryStore

FILES = {
    "ks/t/nb-1-big-Index.db": b"index" * 10,
    "ks/t/nb-1-big-TOC.txt": b"",
    "ks/t/nb-1-big-Data.db": bytes(range(256)) * (5 * MIB // 512),
    "ks/t/.idx/nb-1-big-Data.db": b"data",
}
STEPS = ("open", "fcntl.flock", "os.link", "os.rename", "os.remove", "os.chmod", "os.chown", "os.utime", "os.mkdir")
OLD = b"what was there before"


def main(directory: Path, *, replace: bool) -> int:
    for deaths in itertools.count():
        place = directory / str(deaths)
        files = {str(place / name): data for name, data in FILES.items()}
        store = MemoryStore()
        fetches = [
            stored(store, target, data, target, replace=replace, mode=0o640, owner=(-1, -1), mtime_ns=10**18)
            for target, data in files.items()
        ]
        if replace:
            for target in files:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                Path(target).write_bytes(OLD)
        survived = run_until(deaths, store, fetches)
        check(place, replace=replace, whole=survived)
        if bring(store, fetches[:3], fetches[3:]) or standing(place) != FILES or leftovers(place):
            raise AssertionError(f"after {deaths} steps a second run did not complete: {[*place.rglob('*')]}")
        if survived:
            return deaths
        shutil.rmtree(place)
    raise AssertionError("counting ends never")


def run_until(step: int, store: MemoryStore, fetches: list[Fetch]) -> bool:
    """Run in a process that dies before its *step*; say whether it had so many."""
    child = os.fork()
    if child == 0:
        count = itertools.count()

        def die_at_last() -> None:
            if next(count) == step:
                os.kill(os.getpid(), signal.SIGKILL)

        hear(die_at_last)
        os._exit(len(bring(store, fetches[:3], fetches[3:], threads=1, progress=Count(die_at_last))))
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return False
    assert status == 0, f"a run that nobody killed ended with {status}"
    return True


def hear(call: Callable[[], None]) -> None:
    sys.addaudithook(lambda event, _: call() if event in STEPS else None)


def check(place: Path, *, replace: bool, whole: bool) -> None:
    """Whatever has its final name is whole, and the last of a group never stands without the others."""
    there = standing(place) if place.exists() else {}
    for name, data in there.items():
        assert data == FILES[name] or (replace and data == OLD), f"{name} holds {len(data)} bytes"
    new = {name for name, data in there.items() if data == FILES[name]}
    assert "ks/t/nb-1-big-Data.db" not in new or {*list(FILES)[:3]} <= new, f"Data.db without its others: {new}"
    assert not whole or new == set(FILES)


if __name__ == "__main__":
    sys.stdout.write(f"{main(Path(sys.argv[1]), replace=sys.argv[2] == 'replace')}\n")
