"""The names of sstables and their components, for Cassandra 2.0 to 5.0, DSE and Scylla.

Source: ``org.apache.cassandra.io.sstable.Descriptor`` and ``Component`` of each version. A name that is none of these
is an ordinary file's.
"""

import re
from dataclasses import dataclass

_COMPONENT = r"""
    (?P<component>
        Data\.db | Index\.db | Partitions\.db | Rows\.db | Filter\.db | Statistics\.db | Summary\.db
        | CompressionInfo\.db | CRC\.db | Digest\.(?:sha1|adler32|crc32) | TOC\.txt | Compacted
        | SI_.+\.db | SAI[+_].+\.db | SAI\.db | Scylla\.db | TemporaryHashes\.db
    )
    (?P<unfinished>\.tmp|\.[0-9a-f-]{36}\.tmp|-tmp)?
"""
_NAME = re.compile(
    r"""
    (?P<stem>
        \w+-\w+(?:\.\w+)?-(?P<tmp20>tmp-|tmplink-)?[a-z]{1,2}-\d+-
        | (?P<tmp22>tmp-|tmplink-)?[a-z]{2}-(?:\d{1,10}|[0-9a-z]{4}_[0-9a-z]{4}_[0-9a-z]{18})-[a-z]+-
    )
    """
    + _COMPONENT,
    re.VERBOSE | re.ASCII,
)

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_BOOKKEEPING = re.compile(rf"(?:(?:[a-z]+-)?[a-z]{{2}}_)?txn_[a-z]+_{_UUID}\.log|{_UUID}\.lockfile", re.ASCII)

DATA = "Data.db"

# Written once and never again in place, so that a memory map of them cannot be truncated under a reader.
WRITTEN_ONCE = frozenset({"Data.db", "Index.db", "Partitions.db", "Rows.db"})

# Rewritten by Cassandra under the old name: level and repair marks, index summary, bloom filter, component list.
REWRITTEN = frozenset({"Statistics.db", "Summary.db", "Filter.db", "TOC.txt"})


@dataclass(frozen=True)
class Component:
    """One file of an sstable."""

    stem: str  # what the sstable's components share: ``nb-1-big-``
    component: str  # ``Data.db``
    temporary: bool  # still being written, under a name that says so


def parse(name: str) -> Component | None:
    """Read a file's own *name*; None means that it is no sstable's."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    temporary = bool(match["tmp20"] or match["tmp22"] or match["unfinished"])
    return Component(stem=match["stem"], component=match["component"], temporary=temporary)


def may_be_mapped(name: str) -> bool:
    """Say whether a file of this *name* may be memory-mapped: truncating a mapped file kills the process."""
    component = parse(name)
    return component is not None and not component.temporary and component.component in WRITTEN_ONCE


def is_bookkeeping(name: str) -> bool:
    """Say whether a file of this *name* is a transaction log (3.0 and later) or a streaming lock (2.0 to 2.2).

    Neither is ever backed up: a restored log without its last record makes Cassandra delete, at its next start, the
    sstables that the log says were being added. Source: ``o.a.c.db.lifecycle.LogFile``, ``StreamLockfile``.
    """
    return _BOOKKEEPING.fullmatch(name) is not None
