"""Plans a restore: what is there, what is to come, and what stands in its way. Nothing is changed here."""

import os
import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tablesnap.download.one import Fetch
from tablesnap.download.owner import SET_IDS, NumericOwner
from tablesnap.restore import ground, joints, linked, owning
from tablesnap.restore.archived import frozen_of
from tablesnap.restore.chosen import Chosen
from tablesnap.restore.comparing import Comparer, look_into
from tablesnap.restore.plan import Different, Plan
from tablesnap.restore.removing import plan_removals, users_of
from tablesnap.restore.request import Request
from tablesnap.restore.types import TypeComparer
from tablesnap.rules import sstable
from tablesnap.rules.place import is_within
from tablesnap.rules.placing import Layout, Part, Placed, Placement, place
from tablesnap.store.port import Store
from tablesnap.units import spell_count

_TABLE = re.compile(r"(?P<name>\w+)-[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True)
class _Findings:
    """Where the files go, and what is there."""

    placement: Placement
    present: Mapping[str, Mapping[str, int]]
    different: Mapping[str, str]  # path -> in what way

    def is_there(self, placed: Placed) -> bool:
        """Say whether something has the path of a file."""
        return placed.name in self.present.get(placed.directory, {})


def make_plan(request: Request, chosen: Chosen, store: Store, *, threads: int, stop: threading.Event) -> Plan:
    """Plan to restore what was *chosen*. Whatever is there already is read and compared, *threads* files at a time.

    Raises what the store raises, `CannotRead` and `comparing.Interrupted`.
    """
    layout = Layout(request.origin, request.target, _data_dirs(request, chosen), request.table_dirs)
    found = _find(_parts(chosen), layout, Comparer(store, threads=threads, stop=stop))
    arriving = [one for one in found.placement.placed if not found.is_there(one) or one.path in found.different]
    there = [one for one in found.placement.placed if found.is_there(one) and one.path not in found.different]
    wanted = [one for one in arriving if request.force or one.path not in found.different]
    spaces, crowded = ground.spaces(
        (ground.Arriving(one.directory, one.file.size or 0, ground.frees(one.path)) for one in wanted), at_once=threads
    )
    directories = found.placement.directories
    roots = linked.follow(found.placement, layout)
    named = {one.path for one in found.placement.placed}
    removals = plan_removals(directories, named) if request.exact else []
    types = TypeComparer(request, store, threads=threads, stop=stop).compare(
        chosen, found.placement.placed, named.union(removals)
    )
    return Plan(
        origin=request.origin,
        target=request.target,
        choices=chosen.choices,
        refusals=chosen.refusals,
        schema=chosen.schema,
        apart=chosen.apart,
        groups=_groups(wanted, found, request),
        size=sum(one.file.size or 0 for one in wanted),
        there=[one.path for one in there],
        there_size=sum(one.file.size or 0 for one in there),
        different=[Different(path, why) for path, why in found.different.items()],
        directories=directories,
        roots=roots,
        new_directories=ground.new_directories(_owners_of_directories(found.placement, request)),
        removals=removals,
        renamed=found.placement.renamed,
        spaces=spaces,
        frozen=frozen_of(chosen, wanted, store, threads=threads, stop=stop),
        obstacles=[
            *linked.obstacles(found.placement, roots),
            *_obstacles_of_files(found, request),
            *_obstacles_of_grounds(found.placement, request),
            *(
                f"{one.path}: {one.needed} bytes are needed and {one.free} are free; "
                "make room, or choose another TARGET"
                for one in spaces
                if not one.is_enough
            ),
            *crowded,
            *_obstacles_of_owners(wanted, request),
            *_obstacles_of_exact(chosen, directories, request),
            *joints.obstacles(chosen.schema),
            *types.obstacles,
        ],
        warnings=[*joints.warnings(request, chosen), *types.warnings, *_warnings(found, request)],
    )


def _data_dirs(request: Request, chosen: Chosen) -> Mapping[str, str]:
    """Return what was mapped, and for commit log segments, which no ORIGIN has, a directory of their own in TARGET."""
    segments = request.commitlogs
    mapped = any(is_within(segments, one) for one in (request.origin, *request.data_dirs)) if segments else True
    if mapped or all(choice.timeline.name != segments for choice in chosen.choices):
        return request.data_dirs
    return {**request.data_dirs, segments: os.path.join(request.target, os.path.basename(segments))}


def _parts(chosen: Chosen) -> list[Part]:
    return [
        Part(
            choice.timeline.name,
            tuple(dict.fromkeys((*choice.point.covers, *choice.timeline.directories))),
            choice.files,
        )
        for choice in chosen.choices
    ]


def _find(parts: Sequence[Part], layout: Layout, comparer: Comparer) -> _Findings:
    """Place the files, until no generation that was given to an sstable turns out to be another's."""
    unfit: set[tuple[str, str]] = set()
    present = look_into(place(parts, layout).directories)
    while True:
        placement = place(parts, layout, present=present, unfit=unfit)
        different = comparer.differences(placement.placed, present)
        more = {pair for one in placement.placed if one.path in different for pair in _pairs(one)} - unfit
        if not more:
            return _Findings(placement, present, different)
        unfit |= more


def _pairs(placed: Placed) -> Iterator[tuple[str, str]]:
    """Yield where an sstable was and where it goes, up to its stem, by one of its components."""
    old, new = sstable.parse(placed.file.name), sstable.parse(placed.name)
    if old is not None and new is not None:
        yield os.path.join(placed.file.directory, old.stem), os.path.join(placed.directory, new.stem)


def _groups(wanted: Iterable[Placed], found: _Findings, request: Request) -> list[list[Fetch]]:
    """Return what is to be fetched, an sstable's components together and its Data.db last."""
    groups: defaultdict[tuple[str, str], list[Placed]] = defaultdict(list)
    for one in wanted:
        component = sstable.parse(one.name)
        groups[one.directory, component.stem if component else one.name].append(one)
    return [
        [_fetch(one, replace=one.path in found.different, request=request) for one in sorted(group, key=_data_last)]
        for group in groups.values()
    ]


def _data_last(placed: Placed) -> tuple[bool, str]:
    return sstable.is_data(placed.name), placed.name


def _fetch(placed: Placed, *, replace: bool, request: Request) -> Fetch:
    file = placed.file
    preserve = request.preserve
    return Fetch(
        key=file.key,
        target=placed.path,
        size=file.size,
        checksum=file.checksum,
        mtime_ns=file.mtime_ns if preserve else None,
        mode=file.mode if preserve else None,
        set_ids=request.set_ids,
        owner=owning.owner_of(file, request),
        preserve_from_metadata=preserve and file.owner is None,
        replace=replace,
    )


def _owners_of_directories(placement: Placement, request: Request) -> dict[str, NumericOwner | None]:
    """Return whose each directory is to be that files are put into: that of the first of them."""
    owners: dict[str, NumericOwner | None] = {}
    for one in placement.placed:
        owners.setdefault(one.directory, owning.owner_of(one.file, request))
    return owners


def _obstacles_of_files(found: _Findings, request: Request) -> Iterator[str]:
    for misplaced in found.placement.misplaced:
        yield f"{misplaced.path}: {misplaced.why}"
    for path, why in found.different.items():
        if why == "is no file":
            yield f"{path} is no file, and a restore replaces nothing else"
        elif not request.force:
            yield f"{path} is there and {why}; --force replaces it"
    if not request.exact:
        yield from _left_of_others(found)


def _left_of_others(found: _Findings) -> Iterator[str]:
    """Name components that would be taken for those of an sstable that is to come, and are another's."""
    arriving: defaultdict[str, set[str]] = defaultdict(set)
    named = {one.path for one in found.placement.placed}
    for one in found.placement.placed:
        component = sstable.parse(one.name)
        is_whole = found.is_there(one) and one.path not in found.different
        if component is not None and sstable.is_data(one.name) and not is_whole:
            arriving[one.directory].add(component.stem)
    for directory, stems in arriving.items():
        for name in sorted(found.present[directory]):
            component = sstable.parse(name)
            path = os.path.join(directory, name)
            if component is not None and component.stem in stems and path not in named:
                yield f"{path} would be taken for a part of the sstable that is restored; --exact removes it"


def _obstacles_of_grounds(placement: Placement, request: Request) -> Iterator[str]:
    for root in sorted({request.target, *request.data_dirs.values()}):
        if why := ground.why_not_there(root):
            yield why
    yield from dict.fromkeys(why for one in placement.directories if (why := ground.why_not_writable(one)))


def _obstacles_of_owners(wanted: Iterable[Placed], request: Request) -> Iterator[str]:
    owners = {owner for one in wanted if (owner := owning.owner_of(one.file, request)) is not None}
    strangers = sorted(owner for owner in owners if not owning.may_own(owner))
    for uid, gid in strangers:
        yield f"only root may give files to user {uid} and group {gid}: run as root, or as that user"


def _obstacles_of_exact(chosen: Chosen, directories: Sequence[str], request: Request) -> Iterator[str]:
    if not request.exact:
        return
    for choice in chosen.choices:
        if choice.superset or choice.faults or not choice.point.is_complete:
            yield f"{choice.timeline.name}: --exact needs a complete restore point; what it lacks may be here alone"
    if chosen.refusals:
        yield "--exact needs a restore point of every table"
    for user in users_of(directories):
        yield f"{user}; --exact removes nothing that is in use: stop it first"


def _warnings(found: _Findings, request: Request) -> Iterator[str]:
    placement = found.placement
    for name in placement.unused:
        yield f"{name} was mapped, and is nowhere in what is restored"
    yield from _warnings_of_ids(placement.directories)
    named = {one.path for one in placement.placed}
    for directory in placement.directories:
        present = found.present.get(directory, {})
        data = [name for name in present if os.path.join(directory, name) not in named and sstable.is_data(name)]
        if data and not request.exact:
            stay = "which stays; --exact removes it" if len(data) == 1 else "which stay; --exact removes them"
            yield f"{directory} has {spell_count(len(data), 'more sstable')}, {stay}"
    if request.force and found.different:
        for user in users_of(placement.directories):
            yield f"{user}: what is replaced under a running database is lost to it; stop it first"
    if request.preserve:
        bits = sum(1 for one in placement.placed if (one.file.mode or 0) & SET_IDS)
        if bits and not request.set_ids:
            yield f"{spell_count(bits, 'file')} had set-user-ID, set-group-ID or sticky bits; --set-ids restores these"
        yield from owning.unknown_names(one.file for one in placement.placed)


def _warnings_of_ids(directories: Sequence[str]) -> Iterator[str]:
    """Say where a table is that has the name of one that is restored, and another id."""
    for directory in directories:
        above, name = os.path.split(directory)
        table = _TABLE.fullmatch(name)
        if table is None:
            continue
        try:
            beside = sorted(os.listdir(above))
        except OSError:
            continue
        for other in beside:
            match = _TABLE.fullmatch(other)
            if match and match["name"] == table["name"] and os.path.join(above, other) not in directories:
                yield (
                    f"{above} has {other}: if that is the table of now, Cassandra will not read {name}; "
                    f"use --table-dir {name}={other}"
                )
