"""What a purge would do, and what it did, for programs: one JSON object a line."""

from collections.abc import Sequence

from tablesnap.catalog.timeline import Timeline
from tablesnap.cli.console.spelling import spell_moment
from tablesnap.purge.planning import Plan
from tablesnap.purge.purging import Outcome
from tablesnap.rules.purging import Fate, Record
from tablesnap.store.upkeep import Unfinished


def purge_fields(node: str, timeline: Timeline, plan: Plan, outcome: Outcome | None) -> dict[str, object]:
    """Return what is said of one history; *outcome* is None where nothing was to be done."""
    faults = plan.faults if outcome is None else outcome.faults
    return {
        "node": node,
        "name": timeline.name,
        "directories": sorted(timeline.directories),
        "kept": [_point_fields(record, why) for record, why in plan.kept],
        "forgotten": [_point_fields(record, [why]) for record, why in plan.forgotten],
        "planned": {
            "indexes": len(plan.pointers) + len(plan.indexes),
            "objects": len(plan.needless),
            "bytes": plan.size,
        },
        "total": {"objects": plan.total, "bytes": plan.total_size},
        "left": {fate.value: plan.left[fate] for fate in Fate if fate is not Fate.NEEDLESS},
        "unindexed_bytes": plan.unindexed_size,
        "left_alone": [{"key": fault.key, "path": fault.path, "what": fault.what} for fault in faults],
        "deleted": None if outcome is None else _outcome_fields(outcome),
    }


def deleted_fields(key: str) -> dict[str, object]:
    """Return what is said of an object that was deleted, or would be."""
    return {"delete": key}


def tidying_fields(stale: Sequence[Unfinished], failures: Sequence[str], *, dry_run: bool) -> dict[str, object]:
    """Return what is said of uploads that nobody finished."""
    return {
        "unfinished": [{"key": one.key, "begun": spell_moment(one.begun)} for one in stale],
        "given_up": 0 if dry_run else len(stale) - len(failures),
        "failures": list(failures),
    }


def _outcome_fields(outcome: Outcome) -> dict[str, object]:
    return {
        "indexes": outcome.indexes,
        "objects": outcome.objects,
        "bytes": outcome.size,
        "spared": outcome.spared,
        "failures": outcome.failures,
    }


def _point_fields(record: Record, why: Sequence[str]) -> dict[str, object]:
    return {
        "index": record.key,
        "taken_at": spell_moment(record.taken_at),
        "complete": record.is_complete,
        "bytes": record.size,
        "reasons": list(why),
    }
