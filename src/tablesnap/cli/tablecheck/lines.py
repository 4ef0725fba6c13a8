"""What a check finds, as lines: for people, and for programs."""

import json
from datetime import UTC, datetime

from tablesnap.cli.line.printable import printable
from tablesnap.cli.tablecheck.tally import Tally
from tablesnap.rules.keys import Keys
from tablesnap.units import spell_count
from tablesnap.verify.finding import Finding, Kind
from tablesnap.verify.history import Checked

_WIDTH = max(len(kind.value) for kind in Kind)


def finding_line(finding: Finding, keys: Keys) -> str:
    """Say one fault in one line: of what kind, of which object, and of how many restore points."""
    subject = finding.key or finding.path
    file = "" if finding.path == finding.key or _says(finding, keys) else f"{finding.path} "
    return printable(f"{finding.kind.value:{_WIDTH}}  {subject}  ({file}{finding.what}{_of_points(finding)})")


def note_line(note: str, checked: Checked, keys: Keys) -> str:
    """Say in one line what is no fault, and to be known before a restore."""
    return printable(f"{'note':{_WIDTH}}  {keys.node}  {checked.name}  {note}")


def finding_json(finding: Finding) -> str:
    """Say one fault for programs."""
    return json.dumps(
        {
            "fault": finding.kind.value,
            "node": finding.node,
            "name": finding.name,
            "key": finding.key,
            "path": finding.path,
            "what": finding.what,
            "restore_points": finding.points,
            "newest_restore_point": _moment(finding.newest),
        }
    )


def checked_json(checked: Checked) -> str:
    """Say for programs what the check of one table came to."""
    return json.dumps(
        {
            "node": checked.node,
            "name": checked.name,
            "restore_points": checked.points,
            "faults": len(checked.findings),
            "objects": {proof.value: count for proof, count in checked.right.items()},
            "read_bytes": checked.read,
            "not_readable_now": checked.frozen,
            "last_verified": _moment(checked.verified),
            "notes": list(checked.notes),
        }
    )


def tally_json(tally: Tally) -> str:
    """Say for programs what all of it came to."""
    return json.dumps(
        {
            "summary": {
                "tables": len(tally.tables),
                "restore_points": sum(one.points for one in tally.tables),
                "faults": {kind.value: count for kind, count in tally.faults.items() if count},
                "objects": {proof.value: count for proof, count in tally.right.items() if count},
                "read_bytes": tally.read,
                "not_readable_now": tally.frozen,
            }
        }
    )


def _says(finding: Finding, keys: Keys) -> bool:
    """Say whether the key tells the path."""
    return finding.key in (keys.plain(finding.path), keys.below(finding.path))


def _of_points(finding: Finding) -> str:
    if finding.newest is None:
        return ""
    if finding.points == 1:
        return f"; of the restore point of {_moment(finding.newest)}"
    return f"; of {spell_count(finding.points, 'restore point')}, the newest that of {_moment(finding.newest)}"


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
