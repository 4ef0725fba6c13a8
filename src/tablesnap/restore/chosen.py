"""What was chosen to be restored: of each table, or other directory, a restore point and its files."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tablesnap.catalog.timeline import Timeline
from tablesnap.rules.kept import KeptFile
from tablesnap.rules.late import Lagging
from tablesnap.rules.points import Fault, RestorePoint


@dataclass(frozen=True)
class Choice:
    """What is taken of one history."""

    timeline: Timeline
    point: RestorePoint
    files: Sequence[KeptFile]  # those of the restore point that can be fetched, and what is taken besides
    faults: Sequence[Fault] = ()  # what is missing or wrong
    superset: bool = False  # sstables that no index names are among the files: deleted rows may show
    notes: Sequence[str] = ()
    lagging: Lagging = field(default_factory=Lagging)  # secondary indexes that may lack entries of it
    archived: frozenset[str] = frozenset()  # keys of those of the files that may have to be thawed before they are read
    is_emptied: bool = False  # it holds nothing, and an earlier restore point holds something


@dataclass(frozen=True, slots=True)
class Refusal:
    """A history of which nothing is taken, and why."""

    name: str
    why: str
    faults: Sequence[Fault] = ()  # of the restore point that would have been taken
    archived: tuple[Fault, ...] = ()  # those of them about indexes that may have to be thawed before they are read


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A table of system_schema that is not known at the moment of the newest of them."""

    name: str
    taken_at: datetime
    until: datetime
    by: timedelta  # from its `until` to the newest `taken_at`


@dataclass(frozen=True)
class SchemaMoment:
    """As of when the tables of system_schema are restored: of different moments they may not fit together."""

    moment: datetime | None = None  # the greatest at which all of them are known; None: there is none
    passed: tuple[str, ...] = ()  # tables that have a later restore point
    may_lack: tuple[str, ...] = ()  # other tables that have none of then: the schema may not have them
    disagreeing: Sequence[Disagreement] = ()  # without a moment: what is not known at that of the newest
    unknown: tuple[str, ...] = ()  # and what has no complete restore point at all
    is_allowed: bool = False  # it was asked for to go on without a moment


@dataclass(frozen=True)
class Apart:
    """How far apart the tables of a restore are."""

    by: timedelta  # nothing where there is a moment at which all that is taken was true
    first: str  # the table that is known for the shortest time
    first_until: datetime
    last: str  # the table that is taken last
    last_taken_at: datetime
    moment: datetime | None  # the greatest not later than was asked for at which all tables are known


@dataclass(frozen=True)
class Chosen:
    """What a restore takes, and what it leaves out."""

    choices: Sequence[Choice] = ()
    refusals: Sequence[Refusal] = ()
    schema: SchemaMoment | None = None  # None: there are not several tables of system_schema
    apart: Apart | None = None  # None: there are not several tables
