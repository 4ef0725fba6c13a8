"""What a purge would do, and what it did, for people: 80 columns, or as many as the terminal has."""

import textwrap
from collections.abc import Iterator

from tablesnap.catalog.timeline import Timeline
from tablesnap.cli.console.spelling import spell_second, wrapped
from tablesnap.cli.line.printable import printable
from tablesnap.purge.planning import Plan
from tablesnap.purge.purging import Outcome
from tablesnap.purge.total import Total
from tablesnap.rules.purging import Fate, Record
from tablesnap.units import spell_count, spell_size

_POINT = "  {:6}  {:19}  {:>9}  "
_FAULTS = 5  # of one table, before the rest is counted


def heading(timeline: Timeline) -> str:
    """Return what stands above all that is said of one history."""
    return printable(", ".join(sorted(timeline.directories)))


def plan_lines(plan: Plan, width: int) -> Iterator[str]:
    """Yield a line for each restore point, with the reason, and the counts."""
    points = [(record, "keep", ", ".join(why)) for record, why in plan.kept]
    points += [(record, "forget", why) for record, why in plan.forgotten]
    for record, verdict, why in sorted(points, key=lambda point: point[0].taken_at, reverse=True):
        yield from _point_lines(record, verdict, why, width)
    if not plan.faults:
        indexes = len(plan.pointers) + len(plan.indexes)
        yield f"  to be deleted: {spell_deleted(indexes, len(plan.needless), plan.size)}"
        kept = spell_count(plan.total - plan.number, "object")
        yield f"  to be kept: {kept} with {spell_size(plan.total_size - plan.size)}"


def _point_lines(record: Record, verdict: str, why: str, width: int) -> list[str]:
    front = _POINT.format(verdict, spell_second(record.taken_at), spell_size(record.size))
    return textwrap.wrap(
        printable(why), max(width, 80), initial_indent=front, subsequent_indent=" " * len(front), break_on_hyphens=False
    )


def outcome_lines(outcome: Outcome) -> Iterator[str]:
    """Yield what was done to one history, if anything was."""
    if outcome.indexes or outcome.objects:
        yield f"  deleted: {spell_deleted(outcome.indexes, outcome.objects, outcome.size)}"
    if outcome.spared:
        yield f"  {spell_count(outcome.spared, 'object')} came into use meanwhile, and stayed"


def notes(plan: Plan, outcome: Outcome | None, width: int) -> Iterator[str]:
    """Yield what needs somebody's attention: faults, failures, and what no index can speak for."""
    faults = plan.faults if outcome is None else outcome.faults
    said = [f"left alone: {fault.key}: {fault.what}" for fault in faults[:_FAULTS]]
    if len(faults) > _FAULTS:
        said.append(f"and {len(faults) - _FAULTS} more like that")
    said += [f"not deleted: {failure}" for failure in (outcome.failures if outcome else [])]
    unindexed = plan.left[Fate.UNINDEXED]
    if unindexed:
        said.append(
            f"{spell_count(unindexed, 'object')} with {spell_size(plan.unindexed_size)} kept, for no index was written "
            "after them that could say whether they are needed; see --unindexed-older-than"
        )
    for note in said:
        yield from wrapped(note, width, indent=2)


def spell_deleted(indexes: int, objects: int, size: int) -> str:
    """Spell how much is deleted."""
    spelt = "1 index" if indexes == 1 else f"{indexes} indexes"
    return f"{spelt} and {spell_count(objects, 'object')}, {spell_size(size)}"


def spell_total(total: Total, *, dry_run: bool) -> str:
    """Spell what it came to, in one line."""
    if dry_run:
        done = f"would forget {spell_count(total.forgotten, 'restore point')} and delete"
        return f"{done} {spell_deleted(total.planned_indexes, total.planned_objects, total.planned_size)}"
    return f"deleted {spell_deleted(total.indexes, total.objects, total.size)}"
