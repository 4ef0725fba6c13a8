"""Where a directory stands in a node's data directories.

Since 2.1 a table's directory is ``<keyspace>/<table>-<32 hex digits>``, in every data directory alike. In it are a
hidden directory for each secondary index, and the copies that Cassandra makes by hard links: ``snapshots/<tag>`` and
``backups``, each with the index directories again. Source: ``org.apache.cassandra.db.Directories``.
"""

import posixpath
import re
from dataclasses import dataclass

# The outermost that looks like a table's is one: a snapshot may have any tag.
_TABLE = re.compile(r"(?:.*?/)??(?P<table>[^/]+/\w+-[0-9a-f]{32})(?P<below>/.*)?", re.ASCII)
_INDEX = re.compile(r"\.[\w-]+", re.ASCII)
_SCRATCH = re.compile(r"[0-9a-z_]+\.sstable", re.ASCII)
COPIES = ("snapshots", "backups")

# Of Cassandra and Scylla; an operator's own keyspace may begin with the same word.
SYSTEM_KEYSPACES = frozenset(
    {
        "system",
        "system_auth",
        "system_cluster_metadata",
        "system_distributed",
        "system_distributed_everywhere",
        "system_replicated_keys",
        "system_schema",
        "system_traces",
    }
)


@dataclass(frozen=True)
class Place:
    """Whose directory a directory is."""

    table: str  # what all directories of one table share
    index: str  # ``.idx`` for the directory of a secondary index, else empty
    copies: bool  # it holds what is elsewhere as well


def place_of(directory: str) -> Place:
    """Return the place of a *directory* that holds sstables, given by its absolute path without a slash at the end.

    `table` is ``<keyspace>/<table>-<id>`` for a table's directory and the directories of its indexes, so the same on
    every data directory. For any other, as a snapshot or a table of 2.0, it is the directory's path.
    """
    parent, name = posixpath.split(directory)
    index = name if _INDEX.fullmatch(name) else ""
    own = parent if index else directory
    match = _TABLE.fullmatch(own)
    if match is None:
        return Place(table=own, index=index, copies=False)
    below = match["below"]
    if not below:
        return Place(table=match["table"], index=index, copies=False)
    return Place(table=own, index=index, copies=below.split("/")[1] in COPIES)


def is_copies_of(directory: str, *, parent_holds_sstables: bool) -> bool:
    """Say whether *directory* is the ``snapshots`` or ``backups`` of a table, or below it.

    The table directories of 2.0, which later versions go on using, have no id by which to know them: there it takes a
    parent that holds sstables itself.
    """
    is_named_so = posixpath.basename(directory) in COPIES
    return place_of(directory).copies or (is_named_so and parent_holds_sstables)


def is_scratch(directory: str) -> bool:
    """Say whether *directory* is where Scylla builds one sstable: ``<generation>.sstable``. Nothing stays there."""
    return _SCRATCH.fullmatch(posixpath.basename(directory)) is not None


def is_within(path: str, directory: str) -> bool:
    """Say whether *path* is *directory* or below it; both are tidy."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def tidy(path: str) -> str:
    """Return an absolute *path* without what a shell's completion or a careless hand adds: slashes."""
    return re.sub("/+", "/", path).rstrip("/") or "/"
