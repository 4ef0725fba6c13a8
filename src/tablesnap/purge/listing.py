"""List the directories of one history: its indexes, its objects, and the folders beside them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tablesnap.catalog.timeline import Timeline
from tablesnap.purge.objects import Objects
from tablesnap.rules.keys import is_index
from tablesnap.store.port import Listed, Store


@dataclass
class Held:
    """What is stored in the directories of one history."""

    indexes: list[Listed] = field(default_factory=list)
    objects: Objects = field(default_factory=Objects)  # without the indexes
    folders: dict[str, list[str]] = field(default_factory=dict)  # in each directory, by its key


def list_history(store: Store, timeline: Timeline) -> Held:
    """List all that is in the directories of *timeline*, and nothing below them that is another's.

    Raises what the store raises.
    """
    held = Held()
    for one in _objects_listed(store, timeline, held):
        held.objects.add(one)
    return held


def list_again(store: Store, timeline: Timeline, doomed: Objects) -> Held:
    """List it once more; of the objects only those that are *doomed* are kept. Raises what the store raises."""
    held = Held()
    held.objects = doomed.seen_again(_objects_listed(store, timeline, held))
    return held


def _objects_listed(store: Store, timeline: Timeline, held: Held) -> Iterator[Listed]:
    """Yield the objects, and put all else into *held*."""
    for directory in timeline.directories.values():
        folders = held.folders.setdefault(directory.key, [])
        for one in store.level(directory.key):
            if isinstance(one, str):
                folders.append(one)
            elif is_index(one.key):
                held.indexes.append(one)
            else:
                yield one
