"""Whether the restore points of one history follow each other as those of one daemon do."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from tablesnap.rules.points import RestorePoint
from tablesnap.rules.writers import Writer, come_backs
from tablesnap.verify.finding import Kind


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What is kept of an index: a history may have hundreds of thousands."""

    serial: int
    seen_at: datetime
    key: str
    taken_at: datetime
    writer: Writer | None


@dataclass(frozen=True)
class Disorder:
    """One fault in the order of one directory's restore points."""

    kind: Kind
    key: str  # of the index of the newest of them
    directory: str
    what: str
    points: int
    newest: datetime


class OrderCheck:
    """Takes in the restore points of one timeline, and says what is wrong with their order."""

    def __init__(self) -> None:
        self._recorded: defaultdict[str, dict[str, _Recorded]] = defaultdict(dict)  # by directory, then by key
        self._writers: dict[Writer, Writer] = {}  # each once

    def note(self, point: RestorePoint) -> None:
        """Take in a restore point, in any order."""
        if point.serial is None:
            return
        writer = None if point.writer is None else self._writers.setdefault(point.writer, point.writer)
        one = _Recorded(point.serial, point.seen_at, point.key, point.taken_at, writer)
        for directory in point.recorded:
            self._recorded[directory][point.key] = one

    def disorders(self) -> Iterator[Disorder]:
        """Yield what is wrong, directory by directory."""
        for directory, recorded in sorted(self._recorded.items()):
            # By the serials, which owe nothing to the dates that a copy may have; two of one serial as they came.
            ordered = sorted(recorded.values(), key=lambda one: (one.serial, one.seen_at, one.key))
            if turns := come_backs(one.writer for one in ordered):
                last = turns[-1]
                what = f"two daemons have written by turns: {last.one} and {last.other}"
                yield _of(Kind.WRITERS, directory, [ordered[turn.place] for turn in turns], what)
            if double := [two for one, two in pairwise(ordered) if one.serial == two.serial]:
                what = f"has the serial {double[-1].serial}, as another index has: nothing tells which is newer"
                yield _of(Kind.SERIAL, directory, double, what)


def _of(kind: Kind, directory: str, recorded: list[_Recorded], what: str) -> Disorder:
    newest = max(recorded, key=lambda one: one.taken_at)
    return Disorder(kind, newest.key, directory, what, len(recorded), newest.taken_at)
