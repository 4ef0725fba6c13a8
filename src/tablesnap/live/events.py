"""What is heard of transactions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tablesnap.capture.pin import Pin
from tablesnap.rules.txnlog import Transaction
from tablesnap.rules.view import Name


@dataclass(frozen=True)
class Committed:
    """A transaction log was read to its COMMIT."""

    directory: str  # one of those that have the log
    transaction: Transaction
    at: datetime  # the moment of the commit
    read_at: float  # monotonic seconds
    brought: Mapping[Name, tuple[str, ...]]  # the names of the components that were seen of what it added
    pins: Mapping[Name, tuple[Pin, ...]]  # the components of what an addition brought


@dataclass(frozen=True)
class LogGone:
    """A transaction log is gone, and nobody has read how it ended; *opened*: it was read, and had not ended."""

    directory: str
    name: str
    opened: bool
    seen_at: float = 0.0  # monotonic seconds


@dataclass(frozen=True)
class IndexLog:
    """The flush log of a secondary index is there, or has ended."""

    directory: str
    name: str
    is_open: bool
