"""Carry out a plan: indexes first, and then what no index names any more."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from tablesnap.catalog.timeline import Timeline
from tablesnap.errors import StoreError, StoreUnavailable
from tablesnap.purge.listing import Held, list_again
from tablesnap.purge.objects import Objects
from tablesnap.purge.planning import Plan, Terms, fates
from tablesnap.purge.reading import read_indexes
from tablesnap.rules.points import Fault
from tablesnap.rules.purging import Fate
from tablesnap.store.port import Store

BATCH = 1000  # keys, as many as S3 deletes in one call

Note = Callable[[Sequence[str]], None]


@dataclass
class Outcome:
    """What became of a plan."""

    indexes: int = 0  # deleted
    objects: int = 0
    size: int = 0  # bytes
    spared: int = 0  # objects of the plan that an index names since
    faults: list[Fault] = field(default_factory=list)  # why it was stopped
    failures: list[str] = field(default_factory=list)  # what the store would not delete


def purge(store: Store, timeline: Timeline, plan: Plan, terms: Terms, note: Note = lambda keys: None) -> Outcome:
    """Do what *plan* says, as far as it is still right, and *note* what is gone. Safe to be killed anywhere, and beside
    another purge.

    Indexes go first: whoever sees an index must be able to restore all it names. A death in between leaves objects
    that nothing names, which the next purge finds.

    Raises what the store raises when it is listed or read; what it would not delete is in the outcome.
    """
    done = Outcome(faults=list(plan.faults))
    if done.faults or not plan.number:
        return done
    now_there = {one.key: one.modified for one in list_again(store, timeline, Objects()).indexes}
    # Those of the plan another purge may have deleted meanwhile.
    lasting = plan.known - {one.key for one in (*plan.pointers, *plan.indexes)}
    done.faults += _unlisted(lasting, now_there, timeline)
    for one in (*plan.pointers, *plan.indexes):
        if now_there.get(one.key, one.modified) != one.modified:
            # Ours takes no key twice (`rules.taken`), but a daemon of 1.x overwrites, and so records today under it.
            done.faults.append(Fault(one.key, timeline.name, "it was written anew since the plan was made; try again"))
    if done.faults:
        return done
    # Those that name another index for their files go before it, and not in one call with it, which has no order: who
    # sees one would look for the other in vain, and no purge would touch the table again.
    for indexes in (plan.pointers, plan.indexes):
        done.indexes += _delete(store, ((one.key, one.size) for one in indexes), done, note)
        if done.failures:
            return done  # an index that is still there names what would be deleted now
    # What a daemon has recorded since the plan was made: listed after its indexes were written, so that none is missed.
    # One that is written after this listing names only what the newest index named, or what was younger than half the
    # grace period when the daemon relied on it (`rules.retention`); neither is in the plan.
    held = list_again(store, timeline, plan.needless)
    done.faults += _unlisted(lasting, {one.key for one in held.indexes}, timeline)
    new = [one for one in held.indexes if one.key not in plan.known]
    read = read_indexes(store, new, held, readers=terms.readers)
    done.faults += read.faults
    if new and terms.forget_all:
        why = "it came after the plan was made: a daemon still writes there; stop it, and try again"
        done.faults += [Fault(one.key, timeline.name, why) for one in new]
    if done.faults:
        return done
    named = read.named_by(one.key for one in new)
    reliable = {one.key for one in held.indexes} - plan.doubtful - read.doubtful
    done.objects = _delete(store, _still_needless(held, reliable, named, terms, done), done, note)
    return done


def _unlisted(known: Collection[str], listed: Collection[str], timeline: Timeline) -> Iterator[Fault]:
    """Say which of the indexes that are *known* are not *listed* any more.

    Nothing but another purge deletes one, and that keeps what this one keeps, unless it was asked for more. So rather
    the listing lacks something: then it may lack an index as well that was written since, and keeps an object.
    """
    for key in sorted(set(known).difference(listed)):
        why = "it was there when the plan was made, and a second listing lacks it; nothing more is deleted, try again"
        yield Fault(key, timeline.name, why)


def _still_needless(
    held: Held, reliable: Collection[str], named: Collection[int], terms: Terms, done: Outcome
) -> Iterator[tuple[str, int]]:
    """Yield the key and size of each that nothing needs now either, and count those that an index names since."""
    for _, one, fate in fates(held, reliable, named, terms):
        if fate is Fate.NEEDLESS:
            yield one.key, one.size
        done.spared += fate is Fate.NAMED


def _delete(store: Store, doomed: Iterable[tuple[str, int]], done: Outcome, note: Note) -> int:
    """Delete these keys, a batch at a time; return how many are gone for certain."""
    gone = 0
    for batch in _batches(iter(doomed)):
        keys = [key for key, _ in batch]
        try:
            store.delete(keys)
        except StoreUnavailable as error:
            done.failures.append(str(error))
            break
        except StoreError as error:
            done.failures.append(str(error))
            continue  # one object that is locked stops no other
        gone += len(batch)
        done.size += sum(size for _, size in batch)
        note(keys)
    return gone


def _batches(doomed: Iterator[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    while batch := list(islice(doomed, BATCH)):
        yield batch
