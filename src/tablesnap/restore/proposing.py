"""What is proposed in place of a restore point. Each proposal is tried first: typed, it does what it says."""

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from tablesnap.catalog.timeline import Timeline
from tablesnap.restore.request import Request
from tablesnap.rules.keys import directory_of, file_of_index
from tablesnap.rules.points import Fault, RestorePoint
from tablesnap.units import spell_utc


class Proposals:
    """Proposes restore points of one history."""

    def __init__(
        self, request: Request, timeline: Timeline, faults_of: Callable[[RestorePoint], Sequence[Fault]]
    ) -> None:
        self._request = request
        self._timeline = timeline
        self._faults_of = faults_of

    def way(self, point: RestorePoint) -> str:
        """Spell the flags that take exactly *point*, and those given that do not go with them."""
        request = self._request
        without = {"--from-objects": request.from_objects, "--exact": request.exact and bool(self._faults_of(point))}
        if self._is_taken_by_its_moment(point):
            return f"--at {spell_utc(point.taken_at)}{_spell_without({'-f': request.file, **without})}"
        flags = "--allow-missing -f" if self._faults_of(point) else "-f"
        without |= {"-r": request.recursive, "--at": request.at, "--commitlogs": request.commitlogs}
        origin = f" (ORIGIN is {point.directory} then)" if request.recursive else ""
        return f"{flags} {shlex.quote(point.key)}{_spell_without(without)}{origin}"

    @property
    def objects(self) -> str:
        """Spell the flag that takes what no index names, and those given that do not go with it."""
        request = self._request
        given = {"--at": request.at, "--exact": request.exact, "--allow-missing": request.allow_missing}
        return f"--from-objects{_spell_without(given)}"

    def why_empty(self, point: RestorePoint) -> str:
        """Say what *point* lost if it holds nothing, and how to take either; empty if there is nothing to say."""
        held = self._last_not_empty(point) if point.is_empty else None
        if held is None:
            return ""
        return (
            "it was truncated or dropped, or all it held had expired. The last restore point that holds something is "
            f"of {spell_utc(held.taken_at)}: take it with {self.way(held)}, or the empty one with {self.way(point)}"
        )

    def _last_not_empty(self, point: RestorePoint) -> RestorePoint | None:
        """Return the newest before *point* that holds something: a complete one where there is any."""
        incomplete: RestorePoint | None = None
        for earlier in self._before(point):
            if earlier.files and not self._faults_of(earlier):
                return earlier
            if earlier.files and incomplete is None:
                incomplete = earlier
        return incomplete

    def _before(self, point: RestorePoint) -> Iterable[RestorePoint]:
        if all(file_of_index(one.key) == directory_of(one.key) for one in self._timeline.indexes):
            return ()  # each index says by its name that there was nothing
        is_newest = self._request.at is None and not self._request.file
        return self._timeline.all() if is_newest else self._timeline.backward(point.taken_at)

    def _is_taken_by_its_moment(self, point: RestorePoint) -> bool:
        """Say whether ``--at`` with the moment of *point* takes it: another restore point may have the same one."""
        if point.taken_at > datetime.now(UTC) or self._faults_of(point):
            return False
        for one in self._timeline.backward(point.taken_at):
            if one.key == point.key:
                return True
            if not self._faults_of(one) or (self._request.allow_missing and not one.unreadable):
                return False
        return False


def _spell_without(given: Mapping[str, object]) -> str:
    flags = [flag for flag, value in given.items() if value]
    return f" without {', '.join(flags)}" if flags else ""
