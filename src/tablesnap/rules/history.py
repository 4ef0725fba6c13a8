"""What of a directory a restore point holds: the one place where that is decided.

For now a directory's live set is its listing after selection. It does not look into Cassandra's transaction logs yet,
so a listing taken in the middle of a compaction holds some of its inputs and some of its outputs.
"""

import posixpath
from collections.abc import Mapping

from tablesnap.rules import sstable
from tablesnap.rules.incarnation import Incarnation
from tablesnap.rules.selection import Selection


def is_backed_up(directory: str, name: str, selection: Selection) -> bool:
    """Say whether the file *name* in *directory* is ever stored or listed."""
    component = sstable.parse(name)
    if component is not None and component.temporary:
        return False  # never finished under this name, in any version of Cassandra
    if sstable.is_bookkeeping(name):
        return False  # restored, it would make Cassandra delete sstables
    return selection.selects(posixpath.join(directory, name))


def live(directory: str, listing: Mapping[str, Incarnation], selection: Selection) -> dict[str, Incarnation]:
    """Return what of this *listing* of *directory* the restore point of its moment holds."""
    return {name: one for name, one in listing.items() if is_backed_up(directory, name, selection)}
