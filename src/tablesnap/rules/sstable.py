"""The names of sstables and their components, for Cassandra 2.0 to 5.0, DSE, HCD and Scylla.

Source: ``org.apache.cassandra.io.sstable.Descriptor`` and ``Component`` of each version. A name that is none of these
is an ordinary file's.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

DATA = "Data.db"

# Only Scylla writes it: the names of the others are Cassandra's, but a transaction log never comes with them.
SCYLLA = "Scylla.db"

# Written once and never again in place: where one of these differs, it is another sstable's.
WRITTEN_ONCE = frozenset({"Data.db", "Index.db", "Partitions.db", "Rows.db"})

# Nothing can make these anew from the others; all else is regenerable, or Cassandra can do without.
INDISPENSABLE = WRITTEN_ONCE | {"Statistics.db", "CompressionInfo.db", "CRC.db"}

# Rewritten by Cassandra under the old name: level and repair marks, index summary, bloom filter, component list.
REWRITTEN = frozenset({"Statistics.db", "Summary.db", "Filter.db", "TOC.txt"})

_OTHERS = {"CompressionInfo.db", "CRC.db", "Digest.sha1", "Digest.adler32", "Digest.crc32"}
_OTHERS |= {"Compacted", "SAI.db", SCYLLA, "TemporaryHashes.db"}
_FIXED = WRITTEN_ONCE | REWRITTEN | _OTHERS

_HEAD = r"""
    (?: \w+-\w+(?:\.\w+)?-(?P<tmp20>tmp-|tmplink-)?(?P<version20>[a-z]{1,2})-\d+
      | (?P<tmp22>tmp-|tmplink-)?(?P<version22>[a-z]{2})-(?:\d{1,10}|[0-9a-z]{4}_[0-9a-z]{4}_[0-9a-z]{18})-[a-z]+ )
"""
_INDEXED = r"(?:SI_|SAI[+_]).*\.db"  # SASI's, and SAI's in all spellings, which have the index's name in them
_COMPONENT = rf"(?P<component>{'|'.join(map(re.escape, sorted(_FIXED)))}|{_INDEXED})"
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_UNFINISHED = rf"(?P<unfinished>\.tmp|\.{_UUID}\.tmp|-tmp)?"

_ANY_HEAD = re.compile(_HEAD, re.VERBOSE | re.ASCII)
_ANY_NAME = re.compile(rf"(?P<head>{_HEAD})-{_COMPONENT}{_UNFINISHED}", re.VERBOSE | re.ASCII)
_TRANSACTION_LOG = re.compile(rf"(?:(?:[a-z]+-)?[a-z]{{2}}_)?txn_(?P<operation>[a-z-]+)_{_UUID}\.log", re.ASCII)
_LOCK = re.compile(rf"{_UUID}\.lockfile", re.ASCII)


@dataclass(frozen=True, slots=True)
class Component:
    """One file of an sstable."""

    stem: str  # what the sstable's components share: ``nb-1-big-``
    component: str  # ``Data.db``
    temporary: bool  # still being written, under a name that says so
    version: str  # of the format: ``nb``


def parse(name: str) -> Component | None:
    """Read a file's own *name*; None means that it is no sstable's.

    It is asked of every name in every look at a directory, so the names there are thousands of go by no long pattern.
    """
    head, _, component = name.rpartition("-")
    if component in _FIXED or (component.startswith(("SAI+", "SAI_", "SI_")) and component.endswith(".db")):
        sstable = _parse_head(head)
        if sstable is not None:
            stem, version, temporary = sstable
            return Component(stem, component, temporary, version)
    elif not name.endswith((".db", "tmp")):
        return None
    return _parse_rare(name)


@lru_cache(maxsize=1 << 14)  # an sstable has eight components and more, and a listing is looked at again and again
def _parse_head(head: str) -> tuple[str, str, bool] | None:
    match = _ANY_HEAD.fullmatch(head)
    if match is None:
        return None
    return head + "-", match["version20"] or match["version22"], bool(match["tmp20"] or match["tmp22"])


def _parse_rare(name: str) -> Component | None:
    """Read a name with a temporary ending, or with a hyphen in an index's name."""
    match = _ANY_NAME.fullmatch(name)
    sstable = _parse_head(match["head"]) if match else None
    if match is None or sstable is None:
        return None
    stem, version, temporary = sstable
    return Component(stem, match["component"], temporary or match["unfinished"] is not None, version)


def is_data(name: str) -> bool:
    """Say whether *name* is that of a Data.db, a temporary one included."""
    component = parse(name)
    return component is not None and component.component == DATA


def is_complete(components: Collection[str]) -> bool:
    """Say whether these *components* are all that an sstable cannot be read without.

    TOC.txt is no part of the answer: a streamed sstable never gets one, and others get theirs before their data is
    closed. Compressed tables have CompressionInfo.db, the others CRC.db.
    """
    return (
        DATA in components
        and "Statistics.db" in components
        and ("Index.db" in components or "Partitions.db" in components)
        and ("CompressionInfo.db" in components or "CRC.db" in components)
    )


def has_transactions(component: Component) -> bool:
    """Say whether Cassandra writes a transaction log when it makes sstables of this version: 3.0 and later, DSE, HCD.

    Scylla writes none under the same versions' names; its sstables have the component `SCYLLA`. And sstables of 2.x,
    which came without a log, may go by one, when 3.x rewrites them.
    """
    return has_header(component)


def has_header(component: Component) -> bool:
    """Say whether an sstable of this version says which types it has, in its Statistics.db: 3.0 and later, DSE, HCD."""
    return len(component.version) == 2 and component.version[0] not in "hijkl"


def is_transaction_log(name: str) -> bool:
    """Say whether a file of this *name* is a transaction log, as 3.0 and later write. Source: ``LogFile``."""
    return name.endswith(".log") and _TRANSACTION_LOG.fullmatch(name) is not None


def operation_of(name: str) -> str:
    """Return what a transaction is for, by its log's *name*: ``flush``, ``compaction``; empty if it is no log's."""
    match = _TRANSACTION_LOG.fullmatch(name)
    return match["operation"] if match else ""


def is_lock(name: str) -> bool:
    """Say whether a file of this *name* is a lock: what 2.0 to 2.2 were streaming. Source: ``StreamLockfile``."""
    return name.endswith(".lockfile") and _LOCK.fullmatch(name) is not None


def is_bookkeeping(name: str) -> bool:
    """Say whether a file of this *name* is a transaction log or a lock.

    Neither is ever backed up: a restored log without its last record makes Cassandra delete, at its next start, the
    sstables that the log says were being added.
    """
    return is_transaction_log(name) or is_lock(name)
