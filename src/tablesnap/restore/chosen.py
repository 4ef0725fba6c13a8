"""What was chosen to be restored: of each table, or other directory, a restore point and its files."""

from collections.abc import Sequence
from dataclasses import dataclass

from tablesnap.catalog.timeline import Timeline
from tablesnap.rules.points import Fault, KeptFile, RestorePoint


@dataclass(frozen=True)
class Choice:
    """What is taken of one history."""

    timeline: Timeline
    point: RestorePoint
    files: tuple[KeptFile, ...]  # those of the restore point that can be fetched, and what is taken besides
    faults: Sequence[Fault] = ()  # what is missing or wrong
    superset: bool = False  # sstables that no index names are among the files: deleted rows may show
    notes: Sequence[str] = ()
    is_emptied: bool = False  # it holds nothing, and an earlier restore point holds something


@dataclass(frozen=True, slots=True)
class Refusal:
    """A history of which nothing is taken, and why."""

    name: str
    why: str
    faults: tuple[Fault, ...] = ()  # of the restore point that would have been taken


@dataclass(frozen=True)
class Chosen:
    """What a restore takes, and what it leaves out."""

    choices: Sequence[Choice] = ()
    refusals: Sequence[Refusal] = ()
