"""Which archived commit log segments hold writes that the sstables of a restore point lack."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

SPACE = 16 << 30  # bytes; twice the most of commitlog_total_space's defaults

_SEGMENT = re.compile(r"CommitLog-(?:(?P<version>\d+)-)?(?P<id>\d{1,19})\.log", re.ASCII)


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment as it is stored."""

    name: str
    key: str
    size: int  # bytes
    stored_at: datetime

    @property
    def id(self) -> int:
        """What orders the segments of one node, across versions and restarts."""
        return segment_id(self.name) or 0


def segment_id(name: str) -> int | None:
    """Return the id in a segment's *name*; None if it is no segment's.

    Source: ``o.a.c.db.commitlog.CommitLogDescriptor``: ``CommitLog-<version>-<id>.log``, and without a version at
    first. The id, a Java long, is the milliseconds at which the node started, and one more for each segment since.
    """
    match = _SEGMENT.fullmatch(name)
    return int(match["id"]) if match else None


def needed(segments: Iterable[Segment], since: datetime, until: datetime | None, space: int = SPACE) -> list[Segment]:
    """Return the segments to replay over sstables that were flushed by *since*, up to *until*; by their ids.

    Writes that were not flushed at that moment may be in older segments, too: in as many as Cassandra keeps before it
    flushes the tables that have writes in the oldest (``commitlog_total_space``). Older ones than these *space* bytes
    hold nothing that is lacking. A segment is archived when it is full: the one after the last that was stored before
    *until* holds what was written just before. Uploads may have been late, so more may be taken than is needed, and
    all of those since where none was stored before *until*.
    """
    ordered = sorted(segments, key=lambda one: (one.id, one.name))
    first = next((place for place, one in enumerate(ordered) if one.stored_at >= since), len(ordered))
    room = space
    while first > 0 and room > 0:
        first -= 1
        room -= ordered[first].size
    if until is None:
        return ordered[first:]
    before = [place for place, one in enumerate(ordered) if one.stored_at < until]
    return ordered[first : before[-1] + 2] if before else ordered[first:]
