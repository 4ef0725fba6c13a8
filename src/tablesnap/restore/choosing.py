"""Chooses what is restored: of each history the restore point that was asked for, or why nothing is taken of it."""

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

from tablesnap.catalog.spans import known_of
from tablesnap.catalog.timeline import Timeline
from tablesnap.restore.chosen import Choice, Chosen, Refusal
from tablesnap.restore.joints import Candidate, fit, schema_moment
from tablesnap.restore.proposing import Proposals
from tablesnap.restore.request import ALL, NEWER, Request
from tablesnap.rules import points, sstable
from tablesnap.rules.from_objects import Found, assemble, group_of
from tablesnap.rules.kept import KeptFile
from tablesnap.rules.keys import INDEX_ENDING, file_of_index, is_index, plain_of
from tablesnap.rules.points import Fault, RestorePoint
from tablesnap.rules.purging import Stored
from tablesnap.rules.system_schema import is_schema
from tablesnap.store.port import Listed, Store
from tablesnap.units import spell_count, spell_size, spell_utc

_AT_ONCE = 8  # histories that are looked into at a time


def choose(request: Request, timelines: Sequence[Timeline], store: Store) -> Chosen:
    """Choose of each of the *timelines*, the tables of system_schema as of one moment. Raises what the store raises."""
    choosers = {timeline: _Chooser(request, timeline, store) for timeline in timelines}
    by_time = not (request.file or request.from_objects)
    candidates = [Candidate(one, known_of(one, chooser.is_whole)) for one, chooser in choosers.items() if by_time]
    schema = schema_moment(request, candidates)
    if schema is not None and schema.moment is not None:
        then = replace(request, at=schema.moment)
        choosers |= {one: _Chooser(then, one, store) for one in timelines if is_schema(one.name)}
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="choose") as pool:
        try:
            found = list(pool.map(lambda chooser: chooser.choose(), choosers.values()))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    chosen = Chosen(
        choices=[one for one in found if isinstance(one, Choice)],
        refusals=[one for one in found if isinstance(one, Refusal)],
    )
    return fit(request, chosen, schema, candidates)


class _Chooser:
    """Chooses of one history."""

    def __init__(self, request: Request, timeline: Timeline, store: Store) -> None:
        self._request = request
        self._timeline = timeline
        self._store = store
        self._listed: dict[str, Listed] | None = None
        self._proposals = Proposals(request, timeline, self._faults)

    def choose(self) -> Choice | Refusal:
        if self._request.file:
            return self._by_file(self._request.file)
        if self._request.from_objects:
            return self._from_objects()
        return self._by_time()

    def _by_file(self, file: str) -> Choice | Refusal:
        """Take the restore point that was recorded when *file* had been stored; or that of an index by its key."""
        wanted = plain_of(self._request.keys.plain(posixpath.join(self._request.origin, file)))
        keys = [
            one.key for one in self._timeline.indexes if file == one.key or wanted in {file_of_index(one.key), one.key}
        ]
        point = self._timeline.recorded_by(keys[-1]) if keys else None
        if point is None:
            return self._refuse(
                f"no restore point was recorded for {file.removesuffix(INDEX_ENDING)}; "
                f"see tablelist for the restore points there are, and take one with --at"
            )
        found = self._faults(point)
        if found and not (self._request.allow_missing and not point.unreadable):
            return self._refuse(f"the restore point of {file} is {_spell(found, point)}{self._ways_out(point)}", found)
        notes = [f"{keys[-1]} is the newest of {len(keys)} indexes of {file}"] if len(keys) > 1 else []
        return self._take(point, found, notes)

    def _by_time(self) -> Choice | Refusal:
        """Take the newest; with a moment given the newest complete one not later than that."""
        at = self._request.at
        passed: list[tuple[RestorePoint, Sequence[Fault]]] = []
        for point in self._timeline.backward(at):
            found = self._faults(point)
            if not found and at is None and (why := self._why_not_empty(point)):
                return self._refuse(why)
            if not found or (self._request.allow_missing and not point.unreadable):
                # What was asked for is the newest; with a moment it is the newest complete one.
                unread = [fault for _, faults in passed for fault in faults] if at is None else []
                return self._take(point, [*unread, *found], self._notes(passed))
            passed.append((point, found))
            if at is None and not self._request.allow_missing:
                break
        if passed:
            point, found = passed[0]
            what = "the newest restore point" if at is None else "the newest not later"
            ways_out = self._ways_out(point)
            return self._refuse(f"{what}, of {spell_utc(point.taken_at)}, is {_spell(found, point)}{ways_out}", found)
        return self._refuse(self._why_none())

    def _from_objects(self) -> Choice | Refusal:
        """Take what the objects hold besides the newest complete restore point; or without one all they hold.

        Which objects came after an index only the store's dates can tell.
        """
        if self._timeline.is_copied:
            return self._refuse(
                "this bucket is a copy: its objects have the dates of the copy, so that nothing tells which came after "
                "the newest restore point; use --from-objects on the original, or restore without it"
            )
        passed: list[tuple[RestorePoint, Sequence[Fault]]] = []
        for point in self._timeline.backward():
            found = self._faults(point)
            if not found:
                if self._request.from_objects == NEWER and (why := self._why_not_empty(point)):
                    return self._refuse(f"{why}; --from-objects=all takes all there is")
                return self._extend(point, passed, [])
            passed.append((point, found))
        objects = self._objects()
        if not objects:
            return self._refuse("nothing is stored of it")
        newest = max(one.modified for one in objects.values())
        directories = tuple(sorted(self._timeline.directories))
        nothing = points.undated_point("", directories[0], newest, covers=directories)
        return self._extend(nothing, passed, ["there is no complete restore point of it"])

    def _extend(
        self, point: RestorePoint, passed: Sequence[tuple[RestorePoint, Sequence[Fault]]], notes: Sequence[str]
    ) -> Choice:
        """Take what the objects hold besides *point*. What the *passed* restore points lack may be lacking still."""
        notes = [*notes, *self._notes(passed)]
        found = self._beyond(point, everything=self._request.from_objects == ALL)
        taken = {file.path for files in found.files.values() for file in files}
        replaced = [file for file in point.files if file.path in taken]
        stems = {group.stem for group in found.sstables}
        there = taken | {file.path for file in point.files}
        lacking = {fault.path: fault for _, those in passed for fault in those if fault.path not in there}
        faults = [*lacking.values()]
        faults += [
            Fault(path, path, "is not all there, and is not taken") for path in found.unfinished if path not in lacking
        ]
        faults += [
            Fault(key, key, "has the name of a newer sstable, and is not taken: restore it by itself, with --at")
            for key in found.passed_over
            if sstable.is_data(plain_of(key).rpartition("/")[2])
        ]
        if stems:
            count = spell_count(len(stems), "sstable")
            superset = (
                f"{count}, {spell_size(found.size)}, in no restore point, among what is taken: nothing that was stored "
                "is left out, and rows that were deleted may show again"
            )
            notes = [*notes, superset]
        files = [file for file in point.files if file not in replaced]
        files += [file for group in found.files.values() for file in group]
        return Choice(
            self._timeline,
            point,
            tuple(files),
            faults,
            superset=bool(found.sstables),
            notes=[*notes, *self._timeline.lagging(point).notes()],
            lagging=self._timeline.lagging(point),
            archived=self._archived(files),
            is_emptied=not files and bool(self._proposals.why_empty(point)),
        )

    def _take(self, point: RestorePoint, faults: Sequence[Fault], notes: Sequence[str]) -> Choice:
        files, more = self._fetchable(point, faults)
        if self._request.at is None and not self._request.file:
            notes = [*notes, *self._offer(point)]
        is_emptied = bool(why := self._proposals.why_empty(point))
        notes = [*notes, f"comes EMPTY: {why}"] if is_emptied else notes
        lagging = self._timeline.lagging(point)
        notes = [*notes, *more, *lagging.notes()]
        return Choice(
            self._timeline,
            point,
            files,
            faults,
            notes=notes,
            lagging=lagging,
            archived=self._archived(files),
            is_emptied=is_emptied,
        )

    def _fetchable(self, point: RestorePoint, faults: Sequence[Fault]) -> tuple[Sequence[KeptFile], list[str]]:
        """Return the files of *point* without what is missing or wrong, and without what is of no use then."""
        wrong = {fault.path for fault in faults}
        if not wrong:
            return point.files, []
        there: defaultdict[tuple[str, str], list[KeptFile]] = defaultdict(list)
        others: list[KeptFile] = []
        for file in point.files:
            component = sstable.parse(file.name)
            if file.path in wrong:
                continue
            if component is None:
                others.append(file)
            else:
                there[file.directory, component.stem].append(file)
        useless = {
            (directory, stem)
            for directory, stem in there
            if not sstable.is_complete([file.name[len(stem) :] for file in there[directory, stem]])
        }
        notes = [
            f"{posixpath.join(directory, stem)}* is left out: Cassandra cannot read it without what is missing of it"
            for directory, stem in sorted(useless)
        ]
        kept = [file for name, files in there.items() if name not in useless for file in files]
        return (*others, *kept), notes

    # What there is.

    def _objects(self) -> Mapping[str, Listed]:
        """Return what is stored of the history. Listed after an index was read: what it names is there before it."""
        if self._listed is None:
            self._listed = {
                one.key: one
                for part in self._timeline.directories.values()
                for one in self._store.level(part.key)
                if isinstance(one, Listed)
            }
        return self._listed

    def _archived(self, files: Iterable[KeptFile]) -> frozenset[str]:
        return frozenset(file.key for file in files if self._is_archived(file.key))

    def _is_archived(self, key: str) -> bool:
        listed = self._objects().get(key)
        return listed is not None and bool(listed.archived)

    def is_whole(self, point: RestorePoint) -> bool:
        """Say whether all of *point* is there."""
        return not self._faults(point)

    def _faults(self, point: RestorePoint) -> Sequence[Fault]:
        return points.faults(point, self._size_of)

    def _size_of(self, key: str) -> int | None:
        listed = self._objects().get(key)
        return None if listed is None else listed.size

    def _beyond(self, point: RestorePoint, *, everything: bool) -> Found:
        """Return what the objects hold besides *point*: what was stored later, or joins a later one; or everything."""
        objects = self._objects()
        index = objects.get(point.key)
        stored = index.modified if index is not None else None
        directories = {part.key: path for path, part in self._timeline.directories.items()}
        taken: Iterable[Listed] = objects.values()
        if not everything and stored is not None:
            late = [one for one in taken if one.modified >= stored or one.key in point.next]
            # A late component of an sstable that was there already brings no rows; one without a Data.db is told of.
            headed = {group_of(one.key) for one in taken if _leads(one.key)}
            wanted = {group_of(one.key) for one in late if _leads(one.key) or group_of(one.key) not in headed}
            taken = [one for one in taken if group_of(one.key) in wanted]
        return assemble(
            (Stored(one.key, one.size, one.modified) for one in taken),
            directories,
            named={file.key: file for file in point.files},
            stored=dict.fromkeys(directories, stored) if stored is not None else {},
        )

    # What is said.

    def _refuse(self, why: str, found: Sequence[Fault] = ()) -> Refusal:
        archived = (one for one in found if is_index(one.key) and self._is_archived(one.key))
        return Refusal(self._timeline.name, why, found, tuple(archived))

    def _why_none(self) -> str:
        """Say why there is no restore point to choose from."""
        if self._timeline.count:
            oldest = self._timeline.oldest()
            begins = f"; the oldest is of {spell_utc(oldest.taken_at)}" if oldest is not None else ""
            return f"there is no restore point of {spell_utc(self._request.at or datetime.now(UTC))} or before{begins}"
        offer = next(iter(self._offer(None)), "nothing that can be read by itself is stored")
        return f"it has no restore point, as nothing that is stored has an index; {offer}"

    def _why_not_empty(self, point: RestorePoint) -> str:
        """Say why *point*, the newest, is not taken though it is complete; empty if it may be."""
        why = self._proposals.why_empty(point)
        return why and f"its newest restore point, of {spell_utc(point.taken_at)}, holds nothing: {why}"

    def _ways_out(self, refused: RestorePoint) -> str:
        """Say what to try in place of a restore point that was *refused*."""
        nearest = self._nearest_complete(refused)
        at = f"; the nearest complete one is of {spell_utc(nearest.taken_at)}" if nearest else ""
        how = f"{at}: take it with {self._proposals.way(nearest)}" if nearest else "; there is no complete one"
        return how if refused.unreadable else f"{how}; --allow-missing takes this one without what is missing"

    def _nearest_complete(self, refused: RestorePoint) -> RestorePoint | None:
        """Return the newest complete restore point before *refused*, or else the first after it."""
        later: RestorePoint | None = None
        for point in self._timeline.all():
            if point.key == refused.key or self._faults(point):
                continue
            if point.taken_at <= refused.taken_at:
                return point
            later = point
        return later

    def _notes(self, passed: Iterable[tuple[RestorePoint, Sequence[Fault]]]) -> list[str]:
        return [
            f"the later one of {spell_utc(point.taken_at)} is passed over: it is {_spell(found, point)}"
            for point, found in passed
        ]

    def _offer(self, point: RestorePoint | None) -> Iterator[str]:
        """Offer what the objects alone would bring besides *point*."""
        if point is None:
            point = points.undated_point("", min(self._timeline.directories), datetime.now(UTC))
        found = self._beyond(point, everything=False) if not self._timeline.is_copied else None
        if found is not None and found.sstables:
            count = spell_count(len(found.sstables), "sstable")
            size, how = spell_size(found.size), self._proposals.objects
            yield f"{count}, {size}, in no restore point yet: {how} takes them as well"


def _leads(key: str) -> bool:
    """Say whether the object is the Data.db of an sstable, or a file that is none's."""
    name = plain_of(key).rpartition("/")[2]
    return sstable.parse(name) is None or sstable.is_data(name)


def _spell(found: Sequence[Fault], point: RestorePoint) -> str:
    """Spell what is wrong, at its shortest."""
    if point.unreadable:
        return f"unreadable, {point.key}: {point.unreadable}"
    more = f", and {len(found) - 1} more like it" if len(found) > 1 else ""
    return f"incomplete: {found[0].path} {found[0].what}{more}"
