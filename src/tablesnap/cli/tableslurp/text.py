"""A restore's plan for people: what from when, how much, and what stands in its way."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from tablesnap.cli.console.spelling import spell_exact
from tablesnap.cli.line.printable import printable
from tablesnap.restore.chosen import Apart, Choice
from tablesnap.restore.plan import Plan
from tablesnap.rules.points import Fault
from tablesnap.units import spell_count, spell_seconds, spell_size

_SHOWN = 20  # paths of a kind, before the rest is counted


def plan_lines(plan: Plan, node: str, width: int) -> Iterator[str]:
    """Yield the lines of a plan."""
    yield printable(f"from {node}  {plan.origin}")
    yield printable(f"into {plan.target}")
    for choice in plan.choices:
        yield from _choice_lines(choice, width)
    for refusal in plan.refusals:
        yield printable(f"  {refusal.name}")
        yield from _wrapped("    ! ", f"left out: {refusal.why}", width)
        yield from _fault_lines(refusal.faults, width)
    if len(plan.choices) > 1:
        first = min(choice.point.since for choice in plan.choices)
        last = max(choice.point.taken_at for choice in plan.choices)
        yield f"taken between {spell_exact(first)} and {spell_exact(last)} UTC"
    if plan.schema is not None and plan.schema.moment is not None:
        yield f"system_schema is as of {spell_exact(plan.schema.moment)} UTC: all of its tables are known then"
    if plan.apart is not None:
        yield from _wrapped("", _spell_apart(plan.apart), width)
    yield f"to fetch: {spell_count(plan.files, 'file')}, {spell_size(plan.size)}"
    if plan.there:
        yield f"there already: {spell_count(len(plan.there), 'file')}, {spell_size(plan.there_size)}"
    for space in plan.spaces:
        yield printable(f"free on the file system of {space.path}: {spell_size(space.free)}")
    yield from _paths("replaced (--force)", [one.path for one in plan.different] if not plan.obstacles else [])
    yield from _paths("removed (--exact)", plan.removals)
    yield from _paths("gets another generation", [f"{one.path}* -> {one.target}*" for one in plan.renamed])
    if plan.frozen:
        size = spell_size(sum(one.size for one in plan.frozen))
        yield f"archived, and cannot be read now: {spell_count(len(plan.frozen), 'file')}, {size}"
        for one in plan.frozen:
            yield printable(f"  {one.path} ({one.storage_class}{', is being thawed' if one.is_thawing else ''})")
    for warning in plan.warnings:
        yield from _wrapped("! ", warning, width)
    for obstacle in plan.obstacles:
        yield from _wrapped("in the way: ", obstacle, width)


def _choice_lines(choice: Choice, width: int) -> Iterator[str]:
    point = choice.point
    figures = f"{spell_count(len(choice.files), 'file')}, {spell_size(sum(file.size or 0 for file in choice.files))}"
    span = f"{spell_exact(point.since)} to " if point.since != point.taken_at else ""
    yield printable(f"  {choice.timeline.name}")
    if point.until > point.taken_at and not span:
        yield f"    unchanged from {spell_exact(point.taken_at)} until {spell_exact(point.until)} UTC: {figures}"
    else:
        yield f"    as of {span}{spell_exact(point.taken_at)} UTC: {figures}"
    yield from _fault_lines(choice.faults, width)
    for note in choice.notes:
        yield from _wrapped("    ! ", note, width)


def _spell_apart(apart: Apart) -> str:
    """Say how far apart the tables are, and when all of them are known."""
    if not apart.by and apart.moment is not None:
        return f"all tables are known at {spell_exact(apart.moment)} UTC"
    known = (
        f"all are known at {spell_exact(apart.moment)} UTC, which --at takes"
        if apart.moment is not None
        else "no earlier moment was found at which all are known"
    )
    first = f"{apart.first} is known until {spell_exact(apart.first_until)} UTC"
    last = f"{apart.last} is as of {spell_exact(apart.last_taken_at)} UTC"
    return f"tables are up to {spell_seconds(apart.by.total_seconds())} apart: {first}, and {last}; {known}"


def _fault_lines(faults: Sequence[Fault], width: int) -> Iterator[str]:
    """Yield every one, however many they are: what is not restored must be known by name."""
    for fault in faults:
        yield from _wrapped("    ! ", f"{fault.path} {fault.what}", width)


def _paths(what: str, paths: Sequence[str]) -> Iterator[str]:
    if not paths:
        return
    yield f"{what}: {len(paths)}"
    yield from (printable(f"  {path}") for path in paths[:_SHOWN])
    if len(paths) > _SHOWN:
        yield f"  and {len(paths) - _SHOWN} more; --json names all"


def _wrapped(lead: str, text: str, width: int) -> Iterable[str]:
    """Break lines between words; a path is never broken."""
    return textwrap.wrap(
        printable(text),
        max(width, 40),
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
    )
