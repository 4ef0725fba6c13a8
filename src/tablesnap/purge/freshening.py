"""Make young again what a bucket's own rules would delete while it is still in use."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tablesnap.catalog.timeline import Timeline
from tablesnap.errors import StoreError
from tablesnap.purge.listing import list_history
from tablesnap.purge.planning import Terms
from tablesnap.purge.reading import read_indexes
from tablesnap.rules.points import Fault
from tablesnap.rules.purging import Retention, plan_forgetting
from tablesnap.store.port import Store
from tablesnap.store.upkeep import Expiry, Upkeep

_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@dataclass
class Aging:
    """What of one history is in use, and past half of its time."""

    keys: list[str] = field(default_factory=list)
    size: int = 0  # bytes
    faults: list[Fault] = field(default_factory=list)  # why nothing is done


def find_aging(store: Store, timeline: Timeline, terms: Terms, expiries: Sequence[Expiry]) -> Aging:
    """Find what the newest restore points name and has lived for half of its time. Raises what the store raises.

    Half, so that each restore point of the last half can be restored: what it names was made young again until then.
    An index is never among them: its date is what proves to a purge which objects were not needed any more, and a
    daemon writes one every day.
    """
    held = list_history(store, timeline)
    read = read_indexes(store, held.indexes, held, readers=terms.readers)
    if read.faults:
        return Aging(faults=read.faults)
    # Nothing is recent at the end of time: what is kept is the newest of each directory, and the newest complete one.
    reasons = plan_forgetting(read.records, Retention(cutoff=_END_OF_TIME, settled=_END_OF_TIME))
    live = read.named_by(key for key, why in reasons.items() if why)
    below = terms.keys.below(terms.path)
    found = Aging()
    for number, one in held.objects.stored():
        age = _lifetime(one.key, expiries)
        if number in live and one.key.startswith(below) and age and terms.now - one.modified > age / 2:
            found.keys.append(one.key)
            found.size += one.size
    return found


def _lifetime(key: str, expiries: Sequence[Expiry]) -> timedelta | None:
    return min((expiry.age for expiry in expiries if key.startswith(expiry.prefix)), default=None)


def freshen(upkeep: Upkeep, aging: Aging) -> list[str]:
    """Copy each onto itself, and return what went wrong with which. One that fails stops no other."""
    failures = []
    for key in aging.keys:
        try:
            upkeep.refresh(key)
        except StoreError as error:
            failures.append(str(error))
    return failures
