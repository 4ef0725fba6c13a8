"""List the directories of one history: its indexes, its objects, and the folders beside them."""

from collections.abc import Container
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


def list_history(store: Store, timeline: Timeline, only: Container[str] | None = None) -> Held:
    """List all that is in the directories of *timeline*, and nothing below them that is another's.

    With *only*, other objects than these are left out, but no index. Raises what the store raises.
    """
    held = Held()
    for directory in timeline.directories.values():
        folders = held.folders.setdefault(directory.key, [])
        for one in store.level(directory.key):
            if isinstance(one, str):
                folders.append(one)
            elif is_index(one.key):
                held.indexes.append(one)
            elif only is None or one.key in only:
                held.objects.add(one)
    return held
