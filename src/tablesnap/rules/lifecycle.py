"""How the sstables in a directory come and go, as far as the names in it say."""

from collections.abc import Iterable
from enum import Enum

from tablesnap.rules import sstable

_SCYLLA_FIRST = "-TOC.txt.tmp"  # the first file of each of Scylla's sstables: the others are still to come


class Lifecycle(Enum):
    """Who says which sstables are live."""

    LOGGED = "transaction logs, which Cassandra 3.0 and later, DSE and HCD write"
    SCYLLA = "nobody who leaves a log: Scylla writes none under the same versions' names"
    UNLOGGED = "nobody: Cassandra 2.0 to 2.2 writes no log that can be read"


def lifecycle_of(names: Iterable[str]) -> Lifecycle | None:
    """Return how the sstables in a directory with these *names* come and go; None if none of them says so.

    One name of Scylla's decides, as all the others are Cassandra's too. So does one of a later version than 2.2: what
    an older one left may lie beside it.
    """
    found: Lifecycle | None = None
    for name in names:
        if name.endswith((sstable.SCYLLA, _SCYLLA_FIRST)):
            return Lifecycle.SCYLLA
        if found is Lifecycle.LOGGED:
            continue
        component = sstable.parse(name)
        if sstable.is_transaction_log(name) if component is None else sstable.has_transactions(component):
            found = Lifecycle.LOGGED
        elif component is not None:
            found = Lifecycle.UNLOGGED
    return found
