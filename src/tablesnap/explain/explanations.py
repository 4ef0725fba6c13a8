"""What can be said of a file: whether it is protected, and why. Decided without a disk, a store or a clock."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from tablesnap.rules import sstable
from tablesnap.rules.incarnation import Incarnation
from tablesnap.rules.index import FORMAT, Index
from tablesnap.rules.selection import Selection
from tablesnap.rules.txnlog import Kind, Outcome, Transaction
from tablesnap.rules.view import Name


class State(Enum):
    """What a file is to a backup."""

    PROTECTED = "protected"  # a restore of the newest restore point brings it back, or the rows in it
    PENDING = "pending"  # it is to be stored, or to be named
    EXCLUDED = "excluded"  # the operator, or the default, leaves it out
    NOT_LIVE = "not live"  # Cassandra would not read it
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Explanation:
    """What is said of one file, or of a directory that cannot be listed."""

    path: str
    state: State
    why: str
    live: bool = False  # Cassandra would read it; of what is no sstable's: it belongs in a restore point
    is_directory: bool = False


@dataclass(frozen=True)
class Stored:
    """What the store says of one directory."""

    index: Index | None = None  # its part of the newest restore point
    is_present: bool = False  # that restore point holds the rows of all that is live now, its name in it or not
    unknown: str = ""  # why nothing can be said

    @property
    def point(self) -> str:
        """The newest restore point, in words."""
        assert self.index is not None
        incomplete = ", which is not complete yet" if self.index.missing else ""
        return f"the newest restore point, taken {_spell(self.index.taken_at)}{incomplete}"


def why_excluded(path: str, name: str, selection: Selection) -> tuple[State, str] | None:
    """Say why the file is never stored; None: it may be."""
    component = sstable.parse(name)
    if component is not None and component.temporary:
        return State.NOT_LIVE, "a temporary name, under which Cassandra never finishes a file"
    if sstable.is_transaction_log(name):
        return State.NOT_LIVE, "a transaction log, which is read and never stored"
    if sstable.is_lock(name):
        return State.NOT_LIVE, "a lock file, which is never stored"
    if selection.selects(path):
        return None
    if selection.include:
        return State.EXCLUDED, "matched by no -i"
    pattern = next((one.pattern for one in selection.exclude if one.search(path)), None)
    return (
        State.EXCLUDED,
        "-tmp in its name, and neither -e nor -i was given" if pattern is None else f"by -e {pattern}",
    )


def why_dead(transactions: Iterable[Transaction]) -> dict[Name, str]:
    """Say of each sstable that the *transactions* keep from being live, how."""
    reasons: dict[Name, str] = {}
    for one in transactions:
        if one.outcome is Outcome.COMMITTED:
            done = "replaced" if one.kind is Kind.REPLACEMENT else "removed"
            reasons |= dict.fromkeys(one.removed, f"{done} by a transaction that has committed, {one.name}")
        else:
            state = "has not committed" if one.outcome is Outcome.OPEN else "was undone"
            reasons |= dict.fromkeys(one.added, f"its transaction {state}, {one.name}")
    return reasons


def of_file(name: str, here: Incarnation, stored: Stored) -> tuple[State, str]:
    """Judge a file that is no sstable's, or of an sstable that is stored as ordinary files are."""
    if stored.unknown:
        return State.UNKNOWN, stored.unknown
    if stored.index is None:
        return State.PENDING, "there is no restore point of its directory yet"
    if stored.index.format < FORMAT:
        return _by_1x(name, stored.index)
    file = stored.index.files.get(name)
    if file is not None and file.incarnation.same_as(here):
        return State.PROTECTED, f"in {stored.point}"
    if name in stored.index.missing:
        return _missing(name, stored)
    if file is not None:
        return State.PENDING, f"changed since {stored.point}"
    return State.PENDING, f"not in {stored.point}"


def of_component(name: str, stem: str, files: Mapping[str, Incarnation], stored: Stored) -> tuple[State, str]:
    """Judge a component of a live sstable with these *files*, in a directory where transactions are followed."""
    index = stored.index
    if stored.unknown or index is None or index.format < FORMAT:
        return of_file(name, files[name], stored)
    data, here = index.files.get(stem + sstable.DATA), files.get(stem + sstable.DATA)
    if data is not None and here is not None and data.incarnation.same_as(here):
        state, why = of_file(name, files[name], stored)
        if state is State.PENDING and name not in index.missing:
            how = "rewritten" if name in index.files else "added to its sstable"
            return State.PENDING, f"{how} since {stored.point}"
        return state, why
    if stored.is_present:
        return State.PROTECTED, f"made of sstables that are in {stored.point}"
    if name in index.missing:
        return _missing(name, stored)
    if data is not None:
        return State.PENDING, f"another sstable had its name in {stored.point}"
    if index.live:
        return State.UNKNOWN, f"not in {stored.point}: on its way, or made since then of what is in it"
    return State.PENDING, f"not in {stored.point}"


def _missing(name: str, stored: Stored) -> tuple[State, str]:
    assert stored.index is not None
    if name in stored.index.pending:
        return State.PENDING, f"named as missing by {stored.point}; it was on its way"
    return State.PENDING, f"named as missing by {stored.point}; start with -B to have it stored"


def _by_1x(name: str, index: Index) -> tuple[State, str]:
    if name in index.names:
        return State.UNKNOWN, "named by an index of 1.x, which does not say what was stored; start with -B to compare"
    return State.PENDING, "not named by the newest index, which is one of 1.x"


def _spell(moment: datetime | None) -> str:
    if moment is None:
        return "at a moment it does not say"
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
