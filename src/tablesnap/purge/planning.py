"""Plan what is forgotten and deleted of one history. Nothing is changed here."""

from array import array
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tablesnap.catalog.timeline import Timeline
from tablesnap.purge.listing import Held, list_history
from tablesnap.purge.objects import Objects
from tablesnap.purge.reading import Indexes, read_indexes
from tablesnap.rules.keys import Keys, directory_of
from tablesnap.rules.order import in_order
from tablesnap.rules.place import is_within
from tablesnap.rules.points import Fault
from tablesnap.rules.purging import Fate, Proof, Record, Retention, Stored, plan_forgetting, why_forgotten
from tablesnap.store.port import Listed, Store

TRIES = 2
OUTSIDE = "not at or below PATH"

_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Terms:
    """What a purge was asked for."""

    keys: Keys
    path: str  # objects are deleted at and below it only
    retention: Retention
    now: datetime  # by the store's clock
    grace: timedelta
    readers: int  # of indexes, at a time
    unindexed_before: datetime | None = None
    forget_all: bool = False

    @property
    def proof(self) -> Proof:
        """What proves that an object may be deleted."""
        if self.forget_all:
            return Proof(_END_OF_TIME, timedelta(0), _END_OF_TIME)
        return Proof(self.now, self.grace, self.unindexed_before)


@dataclass
class Plan:
    """What a purge does to one history."""

    name: str
    kept: list[tuple[Record, list[str]]] = field(default_factory=list)  # with the reasons, the newest first
    forgotten: list[tuple[Record, str]] = field(default_factory=list)  # with the reason, the newest first
    pointers: list[Listed] = field(default_factory=list)  # indexes to be deleted that name others for their files
    indexes: list[Listed] = field(default_factory=list)  # all others to be deleted
    needless: Objects = field(default_factory=Objects)
    left: dict[Fate, int] = field(default_factory=lambda: dict.fromkeys(Fate, 0))  # objects that are not deleted
    unindexed_size: int = 0  # bytes
    total: int = 0  # objects at and below PATH, indexes included
    total_size: int = 0  # bytes
    faults: list[Fault] = field(default_factory=list)  # why nothing is done
    known: frozenset[str] = frozenset()  # the indexes that were read
    doubtful: frozenset[str] = frozenset()  # those of them that say nothing by not naming an object

    @property
    def size(self) -> int:
        """Bytes that are deleted."""
        return sum(one.size for one in (*self.pointers, *self.indexes)) + self.needless.size

    @property
    def number(self) -> int:
        """Objects that are deleted, indexes included."""
        return len(self.pointers) + len(self.indexes) + len(self.needless)


def plan_purge(store: Store, timeline: Timeline, terms: Terms) -> Plan:
    """Read every index of *timeline*, wherever it is, and plan. Raises what the store raises.

    The listing comes first, the indexes in it are read after: whatever is stored in between is not in the plan.
    """
    for _ in range(TRIES):
        held = list_history(store, timeline)
        read = read_indexes(store, held.indexes, held, readers=terms.readers)
        if not read.faults:
            break  # one may have been written, or purged by another, while it was listed
    plan = Plan(timeline.name, faults=read.faults, known=frozenset(one.key for one in held.indexes))
    below = terms.keys.below(terms.path)
    mine = [one.size for one in held.indexes if one.key.startswith(below)]
    plan.total, plan.total_size = len(mine), sum(mine)
    plan.doubtful = frozenset(read.doubtful)
    plan.faults += _partly_elsewhere(timeline, terms)
    if plan.faults:
        return plan  # what it cannot read may name anything
    _plan_indexes(plan, read, held, terms)
    _plan_objects(plan, read, held, terms)
    return plan


def _partly_elsewhere(timeline: Timeline, terms: Terms) -> Iterator[Fault]:
    """Say why not everything can be forgotten: restore points are of all directories of a table or of none."""
    if terms.forget_all:
        for path, directory in timeline.directories.items():
            if not is_within(path, terms.path):
                why = f"the table is in {path} as well; give a PATH that holds all of it to --forget-all"
                yield Fault(directory.key, path, why)


def _plan_indexes(plan: Plan, read: Indexes, held: Held, terms: Terms) -> None:
    reasons = plan_forgetting(read.records, terms.retention)
    for record in reversed(in_order(read.records)):
        why = reasons[record.key]
        if terms.forget_all:
            plan.forgotten.append((record, "--forget-all"))
        elif not any(is_within(path, terms.path) for path in record.covers):
            plan.kept.append((record, [OUTSIDE, *why]))
        elif why:
            plan.kept.append((record, why))
        else:
            plan.forgotten.append((record, why_forgotten(record)))
    gone = {record.key for record, _ in plan.forgotten}
    for one in sorted(held.indexes, key=lambda one: one.modified):
        if one.key in gone:
            plan.indexes.append(one)
        elif read.pointers.get(one.key) in gone:
            plan.pointers.append(one)


def _plan_objects(plan: Plan, read: Indexes, held: Held, terms: Terms) -> None:
    remaining = plan.known - {one.key for one in (*plan.pointers, *plan.indexes)}
    named = read.named_by(remaining)
    below = terms.keys.below(terms.path)
    needless = array("I")
    for number, one, fate in fates(held, remaining - read.doubtful, named, terms):
        if not one.key.startswith(below):
            continue
        plan.total += 1
        plan.total_size += one.size
        if fate is Fate.NEEDLESS:
            needless.append(number)
        else:
            plan.left[fate] += 1
            plan.unindexed_size += one.size if fate is Fate.UNINDEXED else 0
    plan.needless = held.objects.only(needless)


def fates(
    held: Held, indexes: Collection[str], named: Collection[int], terms: Terms
) -> Iterator[tuple[int, Stored, Fate]]:
    """Yield every object with its number and its fate, given the *indexes* that can be relied on, and what is named."""
    newest: dict[str, datetime] = {}
    for index in held.indexes:
        if index.key in indexes:
            directory_key = directory_of(index.key)
            newest[directory_key] = max(index.modified, newest.get(directory_key, index.modified))
    proof = terms.proof
    for number, one in held.objects.stored():
        indexed_at = newest.get(directory_of(one.key))
        yield number, one, proof.fate_of(one, named=number in named, indexed_at=indexed_at)
