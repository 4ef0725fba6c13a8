"""Which plain keys the indexes of a directory may have had: none is taken twice, though a purge may have freed it.

Of two purges at once, the later would take the new index under such a key for the old one, and delete it. What was
taken cannot be told from what is stored. So names have an order, the latest that an index was named after is kept in
the newest index, which no purge takes, and an index gets its plain key only if its name comes after that.
"""

import re

from tablesnap.rules import sstable
from tablesnap.rules.keys import directory_of, index_key, plain_of, without_moment

# The latest name that an index of a directory was named after; empty where there was none, None where nobody knows.
LatestName = str | None

_GENERATION = re.compile(r"-([0-9]+|[0-9a-z]{4}_[0-9a-z]{4}_[0-9a-z]{18})-(?:[a-z]+-)?\Z", re.ASCII)


def is_free(name: str, latest: LatestName) -> bool:
    """Say whether no index can have been named after *name*, in a directory where *latest* is the latest name."""
    return latest is not None and (not latest or _order_of(name) > _order_of(latest))


def later_of(one: LatestName, other: LatestName) -> LatestName:
    """Return the later of two names; what nobody knows is later than all."""
    if one is None or other is None:
        return None
    return max(one, other, key=_order_of)


def name_of(key: str) -> str:
    """Return the name of the object under *key* in its directory."""
    return key[len(directory_of(key)) :]


def name_of_index(key: str) -> str:
    """Return the name that the index under *key* was named after, by its look: a moment may as well be the object's."""
    return name_of(without_moment(key))


def to_be_told(latest: LatestName, name: str) -> LatestName:
    """Return what an index that is named after *name* must say, where *latest* is the latest name, its own included.

    Nothing, if its key says it.
    """
    return "" if latest == name_of_index(index_key(name)) else latest


def _order_of(name: str) -> tuple[int, int, str, str]:
    """Return what names are ordered by: those of sstables last, by generation, so that most come in this order.

    It must never change: what an index says was the latest by this order. A generation is a number or, where Cassandra
    4.1 and later were told so, an id that begins with a moment, and that text orders. Other names are ordered as text.
    """
    component = sstable.parse(plain_of(name))
    generation = _GENERATION.search(component.stem) if component is not None else None
    if generation is None:
        return 0, 0, "", name
    if generation[1].isdecimal():
        # As the number is: an index that is hostile may have one with more digits than Python reads.
        digits = generation[1].lstrip("0")
        return 1, len(digits), digits, name
    return 2, 0, generation[1], name
