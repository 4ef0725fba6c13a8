"""How the tables of a restore fit together: the one moment of system_schema, and how far apart all tables are."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from tablesnap.catalog.timeline import Timeline
from tablesnap.restore.chosen import Apart, Choice, Chosen, Disagreement, SchemaMoment
from tablesnap.restore.request import Request
from tablesnap.rules.joint import Known, Span, apart, joint_moment
from tablesnap.rules.system_schema import is_schema
from tablesnap.units import spell_seconds, spell_utc

_LATEST = datetime.max.replace(tzinfo=UTC)
_SYSTEM = "system/"  # its tables tell of the node alone, and need not fit anything
_FEW = 20  # so many tables that disagree, and earlier restore points, are looked at: each costs requests


@dataclass(frozen=True)
class Candidate:
    """A history that is restored by time, and when its complete restore points were true."""

    timeline: Timeline
    known: Known


def schema_moment(request: Request, candidates: Sequence[Candidate]) -> SchemaMoment | None:
    """Return the moment as of which the tables of system_schema are restored; None where there are not several."""
    tables = [one for one in candidates if is_schema(one.timeline.name)]
    if len(tables) < 2:
        return None
    latest = request.at or _LATEST
    last = {one.timeline.name: span for one in tables if (span := one.known(latest)) is not None}
    moment = joint_moment([one.known for one in tables], latest)
    if moment is not None:
        later = tuple(name for name, span in last.items() if span.taken_at > moment)
        return SchemaMoment(moment=moment, passed=later)
    newest = max((span.taken_at for span in last.values()), default=latest)
    disagreeing = [
        Disagreement(name, span.taken_at, span.until, newest - span.until)
        for name, span in last.items()
        if span.until < newest
    ]
    unknown = tuple(one.timeline.name for one in tables if one.timeline.name not in last)
    return SchemaMoment(disagreeing=disagreeing, unknown=unknown, is_allowed=request.allow_mixed_schema)


def fit(request: Request, chosen: Chosen, schema: SchemaMoment | None, candidates: Sequence[Candidate]) -> Chosen:
    """Return what was *chosen* with what there is to say of how it fits together."""
    if schema is not None and schema.moment is not None:
        schema = replace(schema, may_lack=_may_lack(schema.moment, chosen.choices))
    return replace(chosen, schema=schema, apart=_apart(request, chosen.choices, candidates))


def obstacles(schema: SchemaMoment | None) -> Iterator[str]:
    """Yield why the tables of system_schema are not restored."""
    if schema is not None and schema.moment is None and not schema.is_allowed:
        yield (
            f"{_spell_mixed(schema)}. Cassandra may not start on them: give --at another moment, or take them as they "
            "are with --allow-mixed-schema"
        )


def warnings(request: Request, chosen: Chosen) -> Iterator[str]:
    """Yield what may be wrong with the schema that is restored."""
    schema = chosen.schema
    if schema is None:
        tables = [choice for choice in chosen.choices if is_schema(choice.timeline.name)]
        if request.from_objects and len(tables) > 1:
            yield (
                "the tables of system_schema may be of different moments with --from-objects: Cassandra may not start "
                "on them"
            )
    elif schema.moment is None:
        if schema.is_allowed:
            yield f"{_spell_mixed(schema)}. Cassandra may not start on them"
    else:
        if schema.passed:
            yield (
                f"system_schema is restored as of {spell_utc(schema.moment)}, before the newest restore points of "
                f"{', '.join(schema.passed)}: at no later moment all of its tables are known"
            )
        if schema.may_lack:
            yield (
                f"the schema of {spell_utc(schema.moment)} may not have {', '.join(schema.may_lack)}: "
                f"{'its' if len(schema.may_lack) == 1 else 'their'} oldest restore point is later"
            )


def _spell_mixed(schema: SchemaMoment) -> str:
    """Say which tables of system_schema are of another moment than the newest, and by how much."""
    found = [
        f"{one.name} is known until {spell_utc(one.until)}, {spell_seconds(one.by.total_seconds())} before the newest"
        for one in schema.disagreeing
    ]
    found += [f"{name} has no complete restore point" for name in schema.unknown]
    return f"the tables of system_schema are of different moments: {'; '.join(found)}"


def _may_lack(moment: datetime, choices: Sequence[Choice]) -> tuple[str, ...]:
    """Return the tables that were perhaps made after *moment*: they have no restore point of then."""
    return tuple(
        choice.timeline.name
        for choice in choices
        if _is_table(choice) and not is_schema(choice.timeline.name) and choice.point.taken_at > moment
        # Only of those: most have one that is older than the schema.
        if (oldest := choice.timeline.oldest()) is not None and oldest.taken_at > moment
    )


def _apart(request: Request, choices: Sequence[Choice], candidates: Sequence[Candidate]) -> Apart | None:
    """Return how far apart tables are; None where there are not several."""
    tables = [choice for choice in choices if _is_table(choice) and not choice.timeline.name.startswith(_SYSTEM)]
    earlier = {one.timeline.name: one.known for one in candidates}
    if len(tables) < 2 or not earlier:
        return None
    spans = {choice.timeline.name: Span(choice.point.taken_at, choice.point.until) for choice in tables}
    first, last = min(spans, key=lambda name: spans[name].until), max(spans, key=lambda name: spans[name].taken_at)
    moment: datetime | None = None
    if sum(span.taken_at > spans[first].until for span in spans.values()) <= _FEW:
        asked = [_from(span, earlier[name]) for name, span in spans.items()]
        moment = joint_moment(asked, request.at or _LATEST, enough=len(asked) + _FEW)
    return Apart(
        by=apart(spans.values()),
        first=first,
        first_until=spans[first].until,
        last=last,
        last_taken_at=spans[last].taken_at,
        moment=moment,
    )


def _from(chosen: Span, earlier: Callable[[datetime], Span | None]) -> Known:
    """Begin with the restore point that was chosen: it is known already."""
    return lambda moment: chosen if chosen.taken_at <= moment else earlier(moment)


def _is_table(choice: Choice) -> bool:
    return not choice.timeline.name.startswith("/")
