"""When the restore points of a table were true: what joint moments are made of."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from tablesnap.catalog.timeline import Timeline
from tablesnap.rules.joint import Known, Span
from tablesnap.rules.points import RestorePoint
from tablesnap.rules.system_schema import is_schema, may_be_empty

_EVER = datetime.min.replace(tzinfo=UTC)
_FOUND = timedelta(
    minutes=1
)  # the first restore point is dated to the look that found the table, not to its first flush


def known_of(timeline: Timeline, is_whole: Callable[[RestorePoint], bool]) -> Known:
    """Return when the restore points of *timeline* that are whole were true. Asking it raises what the store raises.

    Several restore points may have one `taken_at`. Of these that counts which a restore takes; the others may have been
    true for longer, so a joint moment may be missed, and none is made up.
    """

    def known(moment: datetime) -> Span | None:
        is_any = False
        for point in timeline.backward(moment):
            is_any = True
            if is_whole(point):
                return Span(point.taken_at, point.until)
        return None if is_any else _before_the_first(timeline, moment)

    return known


def _before_the_first(timeline: Timeline, moment: datetime) -> Span | None:
    """Return when a table of the schema was empty: it has no restore point before it was flushed for the first time."""
    oldest = timeline.oldest() if is_schema(timeline.name) and may_be_empty(timeline.name) else None
    if oldest is None or oldest.taken_at <= moment:
        return None
    return Span(_EVER, oldest.taken_at - _FOUND)
