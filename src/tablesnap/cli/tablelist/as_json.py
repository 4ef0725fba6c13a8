"""What can be restored, for programs: one JSON object a line."""

from datetime import datetime

from tablesnap.catalog.as_of import AsOf
from tablesnap.catalog.summary import Outline, Summary
from tablesnap.cli.console.spelling import spell_moment
from tablesnap.rules.gaps import Gap


def summary_fields(summary: Summary) -> dict[str, object]:
    """Return what is said of one table, or of one directory outside Cassandra."""
    return {
        "node": summary.node,
        "name": summary.name,
        "directories": list(summary.directories),
        "restore_points": summary.count,
        "objects": summary.objects,
        "stored_bytes": summary.stored,
        "oldest": spell_moment(summary.oldest),
        "newest_whole": spell_moment(summary.whole),
        "newest": None if summary.newest is None else outline_fields(summary.newest),
        "silences": [[spell_moment(since), spell_moment(until)] for since, until in summary.silences],
    }


def as_of_fields(found: AsOf, moment: datetime) -> dict[str, object]:
    """Return what a restore as of *moment* takes of one table, or of one directory outside Cassandra."""
    return {
        "node": found.node,
        "name": found.name,
        "directories": list(found.directories),
        "at": spell_moment(moment),
        "as_of": spell_moment(found.moment),
        "taken": None if found.taken is None else outline_fields(found.taken),
        "passed_over": [outline_fields(point) for point in found.passed],
    }


def outline_fields(point: Outline) -> dict[str, object]:
    """Return what is said of one restore point."""
    return {
        "taken_at": spell_moment(point.taken_at),
        "seen_at": spell_moment(point.seen_at),
        "until": spell_moment(point.until),
        "state": point.state.value,
        "files": point.files,
        "live_bytes": point.size,
        "index": point.key,
        "format": point.format,
        "unreadable": point.unreadable,
        "unexplained": list(point.unexplained),
        "behind": list(point.lagging.behind),
        "late": list(point.lagging.late),
        "faults": point.faults,
        "first_faults": [{"key": fault.key, "path": fault.path, "what": fault.what} for fault in point.examples],
    }


def gap_fields(gap: Gap) -> dict[str, object]:
    """Return what is said of one gap."""
    return {
        "since": spell_moment(gap.since),
        "until": spell_moment(gap.until),
        "why": "nothing was recorded" if gap.silent else "no complete restore point",
    }
