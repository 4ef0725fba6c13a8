"""Plan what is forgotten and deleted of one history. Nothing is changed here."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tablesnap.catalog.timeline import Timeline
from tablesnap.purge.reading import read_indexes
from tablesnap.rules.keys import Keys, directory_of, is_index
from tablesnap.rules.points import Fault
from tablesnap.rules.purging import Record, Retention, Sorted, Stored, plan_forgetting, sort_objects
from tablesnap.store.port import Listed, Store

TRIES = 2

_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Terms:
    """What a purge was asked for."""

    keys: Keys
    path: str  # objects are deleted at and below it only
    retention: Retention
    now: datetime  # by the store's clock
    grace: timedelta
    unindexed_before: datetime | None = None
    forget_all: bool = False


@dataclass
class Plan:
    """What a purge does to one history."""

    name: str
    kept: list[tuple[Record, list[str]]] = field(default_factory=list)  # with the reasons, the newest first
    forgotten: list[Record] = field(default_factory=list)
    indexes: list[Listed] = field(default_factory=list)  # to be deleted, in this order
    objects: Sorted = field(default_factory=Sorted)
    faults: list[Fault] = field(default_factory=list)  # why nothing is done
    known: frozenset[str] = frozenset()  # the indexes that were read
    named: frozenset[str] = frozenset()  # what those that remain name

    @property
    def size(self) -> int:
        """Bytes that are deleted."""
        return sum(one.size for one in self.indexes) + sum(one.size for one in self.objects.needless)

    @property
    def number(self) -> int:
        """Objects that are deleted, indexes included."""
        return len(self.indexes) + len(self.objects.needless)


def plan_purge(store: Store, timeline: Timeline, terms: Terms) -> Plan:
    """Read every index of *timeline*, wherever it is, and plan. Raises what the store raises.

    The listing comes first, the indexes in it are read after: whatever is stored in between is not in the plan.
    """
    for _ in range(TRIES):
        listed = list(list_history(store, timeline))
        indexes = [one for one in listed if is_index(one.key)]
        objects = {one.key: one.size for one in listed}
        read = read_indexes(store, indexes, objects, there={one.key for one in indexes})
        if not read.faults:
            break  # one may have been written, or purged by another, while it was listed
    plan = Plan(timeline.name, faults=read.faults, known=frozenset(one.key for one in indexes))
    if read.faults:
        return plan  # what it cannot read may name anything
    reasons = plan_forgetting(read.records, terms.retention)
    if terms.forget_all:
        reasons = {key: [] for key in reasons}
    for record in sorted(read.records, key=lambda record: record.taken_at, reverse=True):
        if reasons[record.key]:
            plan.kept.append((record, reasons[record.key]))
        else:
            plan.forgotten.append(record)
    gone = {record.key for record in plan.forgotten}
    gone |= {pointer for pointer, whole in read.pointers.items() if whole in gone}
    # Those that name another index for their files go before it, or who sees them would look for it in vain.
    plan.indexes = sorted(
        (one for one in indexes if one.key in gone), key=lambda one: (one.key not in read.pointers, one.modified)
    )
    plan.named = frozenset(read.named_by(plan.known - gone))
    plan.objects = sort(listed, plan.named, plan.known - gone, terms)
    return plan


def list_history(store: Store, timeline: Timeline) -> Iterator[Listed]:
    """Yield every object in the directories of *timeline*, and none below them that is another's."""
    for directory in timeline.directories.values():
        for one in store.list(directory.key):
            if directory_of(one.key) == directory.key:
                yield one


def sort(listed: Collection[Listed], named: Collection[str], indexes: Collection[str], terms: Terms) -> Sorted:
    """Say which of the objects *listed* nothing needs, given the *indexes* that remain and what they name."""
    newest: dict[str, datetime] = {}
    for one in listed:
        if one.key in indexes:
            directory = directory_of(one.key)
            newest[directory] = max(one.modified, newest.get(directory, one.modified))
    below = terms.keys.below(terms.path)
    mine = (Stored(one.key, one.size, one.modified) for one in listed if one.key.startswith(below))
    if terms.forget_all:
        return sort_objects(
            mine,
            (),
            {},
            now=terms.now,
            grace=timedelta(0),
            unindexed_before=_END_OF_TIME,
        )
    return sort_objects(mine, named, newest, now=terms.now, grace=terms.grace, unindexed_before=terms.unindexed_before)
