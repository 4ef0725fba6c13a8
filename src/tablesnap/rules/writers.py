"""Who wrote an index, and whether two daemons wrote the indexes of one directory at once.

A *run* is one process of the daemon. Runs follow each other: after a restart, or on the machine that replaces another
under its name, the new run writes and the old one never again. So a run that goes on after another one has written did
not end before that began: both back up one directory under one name, and their restore points are mixed up.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Writer:
    """The run that wrote an index, and where."""

    machine: str  # a hash; the same for all runs of one machine
    host: str  # what the machine calls itself, for people: several may have one name
    run: str  # random

    def __str__(self) -> str:
        return f"run {self.run} on {self.host} (machine {self.machine})"


@dataclass(frozen=True)
class ComeBack:
    """A run that went on after another one had written."""

    place: int  # among the indexes
    one: Writer
    other: Writer  # who wrote just before


def come_backs(writers: Iterable[Writer | None]) -> list[ComeBack]:
    """Return where runs come back among the *writers* of one directory's indexes, which are given in order.

    Nothing is known of an index without a writer, as older versions wrote them: 1.x may run beside for a while.
    """
    found: list[ComeBack] = []
    seen: set[str] = set()
    last: Writer | None = None
    for place, writer in enumerate(writers):
        if writer is None:
            continue
        if last is not None and writer.run != last.run and writer.run in seen:
            found.append(ComeBack(place, writer, last))
        seen.add(writer.run)
        last = writer
    return found
