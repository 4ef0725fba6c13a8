"""Cassandra's transaction logs, 3.0 to 5.0: which sstables came and went together, and which are not live.

A log says ``ADD`` before the first file of a new sstable is there, ``REMOVE`` for each one it replaces, and at last
``COMMIT`` or ``ABORT``. A table on several data directories has one replica of the log in each. Source: ``LogFile``,
``LogRecord``, ``LogReplicaSet`` and ``LogAwareFileLister`` in ``org.apache.cassandra.db.lifecycle``.
"""

import posixpath
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from tablesnap.errors import TablesnapError
from tablesnap.rules import sstable

# An sstable: its directory, absolute and free of symbolic links, as Cassandra resolves them all before it writes the
# path down; and the stem of its names, as in `sstable.Component`.
Prefix: TypeAlias = tuple[str, str]

# Truncate, and drop table or index, have no name of their own; HCD gave them one.
TAKES_ROWS_AWAY = frozenset({"unknowncompactiontype", "tabletruncated", "tabledropped"})

# As many digits as Cassandra's own integers surely have room for.
# What only puts some sstables in the place of others. Source: ``o.a.c.db.compaction.OperationType``.
REPLACING = frozenset(
    {
        "compaction",
        "majorcompaction",
        "tombstonecompaction",
        "upgradesstables",
        "scrub",
        "cleanup",
        "removedeleteddata",
        "garbagecollect",
        "anticompaction",
        "anticompactionafterrepair",
        "relocate",
        "relocatesstablestocorrectdisk",
    }
)

_RECORD = re.compile(
    rb"(add|remove|commit|abort):\[([^,]*),([+-]?\d{1,18}),([+-]?\d{1,9})\]\[(\d{1,18})\]", re.IGNORECASE
)


class Outcome(Enum):
    """How far a transaction has come."""

    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"


_FINAL = {b"COMMIT": Outcome.COMMITTED, b"ABORT": Outcome.ABORTED}


class Kind(Enum):
    """What a transaction does to a table, once it is committed."""

    ADDITION = "addition"
    REPLACEMENT = "replacement"
    REMOVAL = "removal"
    TRUNCATION = "truncation"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Transaction:
    """What one log says, all replicas taken together."""

    name: str  # the log's own, the same in every data directory
    operation: str  # ``flush``, ``compaction``
    outcome: Outcome
    added: tuple[Prefix, ...]  # an sstable among them that turned out empty never gets a file
    removed: tuple[Prefix, ...]

    @property
    def kind(self) -> Kind:
        """What the transaction does to the table.

        A truncation takes rows away, other removals only what no read would return. By name it is what has removed
        sstables by truncate or by drop, of a table or of an index: of an index in the index's own directory only. It
        need not remove all that was live: truncate keeps what was flushed since it began, drop what is in a compaction
        just then. And 3.0 to 5.0 give the same name to one thing more: letting go of all sstables of a data directory
        that cannot be read any more, under ``disk_failure_policy: best_effort``. (The redistribution of index
        summaries, which has this name in 3.x, records nothing.) Source: ``Tracker.dropSSTables`` and its callers.
        """
        if self.added:
            return Kind.REPLACEMENT if self.removed else Kind.ADDITION
        if not self.removed:
            return Kind.NOTHING
        return Kind.TRUNCATION if self.operation in TAKES_ROWS_AWAY else Kind.REMOVAL


class _Fault(TablesnapError):
    """A line that cannot stand where it does."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line} {what}")


class CorruptLog(TablesnapError):
    """A transaction log that Cassandra would not believe either, so that nobody knows whether it was committed.

    Its `transaction` has every sstable that a sound line names, and is open: nothing it added may be taken for live.
    """

    def __init__(self, name: str, fault: TablesnapError, transaction: Transaction) -> None:
        super().__init__(
            f"transaction log {name} cannot be believed, as {fault}; what it added is taken for unfinished, and not "
            "backed up. Cassandra will not start with it: see its system.log before you delete anything"
        )
        self.transaction = transaction


def read_log(name: str, bodies: Sequence[bytes]) -> Transaction:
    """Read a transaction from the replicas of its log, in any order; raise `CorruptLog` if they make no sense.

    A last line that is torn, or whose checksum is wrong, is as if it were not there. A replica that is empty or ends
    early says nothing against the others: Cassandra writes one after the other.
    """
    replicas = [_lines(body) for body in bodies]
    try:
        records = _records(_merged(replicas))
    except _Fault as fault:
        sound = [record for lines in replicas for line in lines if (record := _sound(line)) and not record.is_final]
        raise CorruptLog(name, fault, _transaction(name, dict.fromkeys(sound))) from fault
    return _transaction(name, records)


def dead(transactions: Iterable[Transaction]) -> frozenset[Prefix]:
    """Return what of a listing is not live, by the *transactions* whose logs were there.

    What a committed one removed, and what any other added. An sstable that is in no log is live.
    """
    prefixes: set[Prefix] = set()
    for transaction in transactions:
        is_committed = transaction.outcome is Outcome.COMMITTED
        prefixes.update(transaction.removed if is_committed else transaction.added)
    return frozenset(prefixes)


@dataclass(frozen=True)
class _Record:
    """What one line says."""

    type: bytes  # ``ADD``, ``REMOVE``, ``COMMIT`` or ``ABORT``
    path: bytes = b""
    updated: int = 0  # ms; known of a ``REMOVE`` only
    files: int = 0

    @property
    def is_final(self) -> bool:
        return self.type in _FINAL

    @property
    def checksum(self) -> int:
        """The CRC-32 of what the line says; of the low half of the time first."""
        numbers = (self.updated, self.updated >> 32, self.files)
        return zlib.crc32(self.path + self.type + b"".join((number & 0xFFFFFFFF).to_bytes(4) for number in numbers))

    @property
    def prefix(self) -> Prefix:
        """The sstable. 3.x leaves out the last hyphen, without which ``na-1`` would be the beginning of ``na-10``."""
        path = self.path if self.path.endswith(b"-") else self.path + b"-"
        directory, stem = posixpath.split(path.decode("utf-8", "surrogateescape"))
        return directory, stem


def _transaction(name: str, records: Iterable[_Record]) -> Transaction:
    outcomes = [_FINAL[record.type] for record in records if record.is_final]
    return Transaction(
        name=name,
        operation=sstable.operation_of(name),
        outcome=outcomes[0] if outcomes else Outcome.OPEN,
        added=tuple(record.prefix for record in records if record.type == b"ADD"),
        removed=tuple(record.prefix for record in records if record.type == b"REMOVE"),
    )


def _lines(body: bytes) -> list[bytes]:
    lines = body.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def _merged(replicas: list[list[bytes]]) -> list[bytes]:
    """Return the lines that the replicas have between them; raise `_Fault` where one contradicts another."""
    merged: list[bytes] = []
    for index in range(max(map(len, replicas), default=0)):
        having = [lines for lines in replicas if index < len(lines)]
        longest = max((lines[index] for lines in having), key=len)
        for lines in having:
            # Where a replica ends, half a line may be all that has been written to it yet.
            is_torn = index == len(lines) - 1 and longest.startswith(lines[index])
            if lines[index] != longest and not is_torn:
                raise _Fault(index + 1, "is not the same in all data directories")
        merged.append(longest)
    return merged


def _records(lines: list[bytes]) -> list[_Record]:
    """Return what the lines say, in order; raise `_Fault` at one that cannot stand where it does."""
    records: dict[_Record, None] = {}
    for number, line in enumerate(lines, start=1):
        record = _sound(line)
        is_last = number == len(lines)
        if record is None and not is_last:
            raise _Fault(number, "is damaged, and more follows")
        if record is None:
            break
        if record in records:
            raise _Fault(number, "says what an earlier one said")
        if record.is_final and not is_last:
            raise _Fault(number, "ends the transaction, and more follows")
        records[record] = None
    return list(records)


def _sound(line: bytes) -> _Record | None:
    """Read a *line*; None if it is no record, or not of its checksum."""
    match = _RECORD.fullmatch(line)
    if match is None:
        return None
    kind, path, updated, files, checksum = match.groups()
    kind = kind.upper()
    # A field that a record of the type has no use for does not count, whatever stands there.
    record = _Record(
        type=kind,
        path=b"" if kind in _FINAL else path,
        updated=int(updated) if kind == b"REMOVE" else 0,
        files=0 if kind in _FINAL else int(files),
    )
    return record if record.checksum == int(checksum) else None
