"""What a tool that knows nothing of transactions keeps: every sstable there ever was, and plain listings.

It is as good as such a tool can be: it misses no file, its store is never slow, and it drops from a listing what is no
whole sstable. Its listings are taken while a compaction takes its inputs away, as one in so many is by chance.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from inotify_simple import Event, INotify, flags

AT_ONCE = 30  # looks at a directory from which a Data.db has just gone; those that saw the same count once
_DATA = "-Data.db"


@dataclass(frozen=True)
class Listing:
    """The sstables that a directory was seen to hold."""

    moment: datetime
    stems: frozenset[str]


class NaiveCopies:
    """What such a tool has kept."""

    def __init__(self, copies: Path) -> None:
        self._copies = copies

    def listings(self) -> list[Listing]:
        """Return the listings of moments at which a compaction was under way."""
        lines = (self._copies / "listings").read_text().splitlines()
        pairs = [json.loads(line) for line in lines]
        return [Listing(datetime.fromisoformat(moment), frozenset(stems)) for moment, stems in pairs]

    def restore(self, listing: Listing, target: Path) -> bool:
        """Bring the sstables of *listing* back; say whether all of them could be."""
        target.mkdir(parents=True)
        for stem in listing.stems:
            components = list(self._copies.glob(f"{stem}-*"))
            if not any(one.name.endswith("-TOC.txt") for one in components):
                return False
            for one in components:
                os.link(one, target / one.name)
        return True


@contextmanager
def naive_copier(directory: Path, copies: Path) -> Iterator[NaiveCopies]:
    """Have *directory* copied to *copies* so while the block lasts."""
    copies.mkdir()
    # A process of its own: a thread beside the one that writes rows would look when all is over.
    copier = subprocess.Popen([sys.executable, __file__, str(directory), str(copies)])
    try:
        yield NaiveCopies(copies)
    finally:
        copier.terminate()
        copier.wait()


def copy(directory: Path, copies: Path) -> None:
    """Link every file of *directory* as it appears, and list the directory whenever a Data.db goes."""
    inotify = INotify()
    inotify.add_watch(directory, flags.DELETE | flags.CREATE)
    known: set[frozenset[str]] = set()
    with (copies / "listings").open("w", buffering=1) as listings:
        while True:
            events = inotify.read()
            seen = []
            if any(event.name.endswith(_DATA) and event.mask & flags.DELETE for event in events):
                seen = [(datetime.now(UTC), os.listdir(directory)) for _ in range(AT_ONCE)]
            for event in events:
                _link(event, directory, copies)
            for moment, names in seen:
                stems = frozenset(name.removesuffix(_DATA) for name in names if name.endswith(_DATA))
                if stems not in known and any("_txn_compaction_" in name for name in names):
                    known.add(stems)
                    listings.write(json.dumps([moment.isoformat(), sorted(stems)]) + "\n")


def _link(event: Event, directory: Path, copies: Path) -> None:
    if event.mask & flags.CREATE and event.name.endswith((".db", ".txt", ".crc32")):
        try:
            os.link(directory / event.name, copies / event.name)
        except (FileNotFoundError, FileExistsError):
            return  # a name for a moment only, or a summary that was written again


if __name__ == "__main__":
    copy(Path(sys.argv[1]), Path(sys.argv[2]))
