"""Carry out a plan: indexes first, and then what no index names any more."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tablesnap.catalog.timeline import Timeline
from tablesnap.errors import StoreError
from tablesnap.purge.planning import Plan, Terms, list_history, sort
from tablesnap.purge.reading import read_indexes
from tablesnap.rules.keys import is_index
from tablesnap.rules.points import Fault
from tablesnap.store.port import Store

BATCH = 1000  # keys, as many as S3 deletes in one call


@dataclass
class Outcome:
    """What became of a plan."""

    indexes: int = 0  # deleted
    objects: int = 0
    size: int = 0  # bytes
    spared: int = 0  # objects of the plan that an index names since
    faults: list[Fault] = field(default_factory=list)  # why it was stopped
    failures: list[str] = field(default_factory=list)  # what the store would not delete


def purge(store: Store, timeline: Timeline, plan: Plan, terms: Terms) -> Outcome:
    """Do what *plan* says, as far as it is still right. Safe to be killed anywhere, and beside another purge.

    Indexes go first: whoever sees an index must be able to restore all it names. A death in between leaves objects
    that nothing names, which the next purge finds.

    Raises `StoreUnavailable`.
    """
    done = Outcome(faults=list(plan.faults))
    if done.faults:
        return done
    done.indexes = _delete(store, [(one.key, one.size) for one in plan.indexes], done)
    if done.failures:
        return done  # an index that is still there names what would be deleted now
    # What a daemon has recorded since the plan was made: listed after its indexes were written, so that none is missed.
    # One that is written after this listing names only what the newest index named, or what was younger than half the
    # grace period when the daemon relied on it (`rules.retention`); neither is in the plan.
    listed = list(list_history(store, timeline))
    indexes = [one for one in listed if is_index(one.key)]
    new = [one for one in indexes if one.key not in plan.known]
    read = read_indexes(store, new, {one.key: one.size for one in listed}, there={one.key for one in indexes})
    if read.faults:
        done.faults += read.faults
        return done
    named = plan.named | read.named_by(one.key for one in new)
    still = {one.key for one in sort(listed, named, {one.key for one in indexes}, terms).needless}
    doomed = [one for one in plan.objects.needless if one.key in still]
    done.spared = sum(one.key in named for one in plan.objects.needless)
    done.objects = _delete(store, [(one.key, one.size) for one in doomed], done)
    return done


def _delete(store: Store, doomed: Sequence[tuple[str, int]], done: Outcome) -> int:
    """Delete these keys in their order, a batch at a time; return how many are gone."""
    gone = 0
    for start in range(0, len(doomed), BATCH):
        batch = doomed[start : start + BATCH]
        try:
            store.delete([key for key, _ in batch])
        except StoreError as error:
            done.failures.append(str(error))
            break  # in order: what is left may need what could not be deleted to go first
        gone += len(batch)
        done.size += sum(size for _, size in batch)
    return gone
