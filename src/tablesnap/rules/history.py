"""What of a directory's listing a restore point holds, where no transaction logs say what is live.

Of a Cassandra table of 3.0 and later a restore point holds a view (`tablesnap.rules.view`). Everywhere else it holds a
listing after selection: ordinary files, snapshots, and the sstables of 2.0 to 2.2 and of Scylla.
"""

import posixpath
from collections.abc import Iterable, Mapping

from tablesnap.rules import sstable
from tablesnap.rules.incarnation import Incarnation
from tablesnap.rules.place import COPIES, is_within, place_of
from tablesnap.rules.selection import Selection

_NFS = ".nfs0"
# A pattern may be for one format, and seldom is.
_EXAMPLES = (*(f"{one}-1-big-Data.db" for one in ("ma", "mc", "md", "me", "na", "nb", "oa")), "da-1-bti-Data.db")


def is_backed_up(directory: str, name: str, selection: Selection) -> bool:
    """Say whether the file *name* in *directory* is ever stored or listed."""
    component = sstable.parse(name)
    if component is not None and component.temporary:
        return False  # never finished under this name, in any version of Cassandra
    if sstable.is_bookkeeping(name):
        return False  # restored, it would make Cassandra delete sstables
    if name.startswith(_NFS):
        return False  # a file that is deleted and still open, ours as a pin perhaps, is called so on NFS
    return selection.selects(posixpath.join(directory, name))


def takes_sstables_of(directory: str, selection: Selection) -> bool:
    """Say whether sstables in *directory* are stored, by the names that Cassandra gives them."""
    return any(is_backed_up(directory, name, selection) for name in _EXAMPLES)


def takes_copies_in(directory: str, asked: Iterable[str], selection: Selection) -> bool:
    """Say whether copies in *directory*, whose bytes are stored already, are stored all the same.

    They are if one of the paths *asked* for is among them, or an ``--include`` names them.
    """
    if any(is_within(directory, path) and place_of(path).copies for path in asked):
        return True
    return any(word in pattern.pattern for pattern in selection.include for word in COPIES)


def live(directory: str, listing: Mapping[str, Incarnation], selection: Selection) -> dict[str, Incarnation]:
    """Return what of this *listing* of *directory* the restore point of its moment holds.

    Scylla gives an sstable's files their names while they are empty still; it is complete when it has a ``TOC.txt``.
    """
    unfinished = (_stems(listing, sstable.SCYLLA) | _stems(listing, "TOC.txt.tmp")) - _stems(listing, "TOC.txt")
    return {
        name: one
        for name, one in listing.items()
        if is_backed_up(directory, name, selection) and not (unfinished and _stem(name) in unfinished)
    }


def _stems(listing: Iterable[str], component: str) -> set[str]:
    return {_stem(name) for name in listing if name.endswith(component)}


def _stem(name: str) -> str:
    return name[: name.rfind("-") + 1]
