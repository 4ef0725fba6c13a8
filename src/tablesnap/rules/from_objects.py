"""What the objects alone would restore, besides or without an index: every sstable that is all there.

It is a superset of what was live: nothing that was stored is left out, and rows that were deleted may show again,
because sstables that compaction had replaced are among them, and the tombstones it dropped are not.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tablesnap.rules import sstable
from tablesnap.rules.kept import KeptFile
from tablesnap.rules.keys import directory_of, is_index, plain_of
from tablesnap.rules.purging import Stored

_CHECKSUM_AT = 1  # the part of ``name~checksum~moment``


@dataclass(frozen=True, slots=True)
class Group:
    """An sstable by its name, or a file that is none's."""

    directory_key: str
    stem: str  # of the sstable; the name of what is none
    is_sstable: bool


@dataclass(frozen=True)
class Found:
    """What the objects hold besides an index's files."""

    files: Mapping[Group, tuple[KeptFile, ...]] = field(default_factory=dict)
    sstables: frozenset[Group] = frozenset()  # those of `files` that are sstables
    unfinished: tuple[str, ...] = ()  # sstables of which something is missing
    passed_over: tuple[str, ...] = ()  # keys of others of the same name, of which one alone can be restored

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(file.size or 0 for files in self.files.values() for file in files)


def group_of(key: str) -> Group | None:
    """Return what an object belongs to; None where it is never restored: an index, a log, what was not finished."""
    if is_index(key):
        return None
    directory_key = directory_of(key)
    name = plain_of(key)[len(directory_key) :]
    component = sstable.parse(name)
    if not name or sstable.is_bookkeeping(name) or (component is not None and component.temporary):
        return None
    return Group(directory_key, component.stem if component else name, component is not None)


def assemble(
    objects: Iterable[Stored],
    directories: Mapping[str, str],
    *,
    named: Mapping[str, KeptFile],
    stored: Mapping[str, datetime],
) -> Found:
    """Put together what *objects* hold that *named*, the files of the newest index by key, does not have.

    *directories* are the paths by key; what is in another is left out. *stored* says when the newest index of each
    directory was stored, by its key.
    """
    groups: defaultdict[Group, list[Stored]] = defaultdict(list)
    for listed in objects:
        group = group_of(listed.key)
        if group is not None and group.directory_key in directories:
            groups[group].append(listed)
    files: dict[Group, tuple[KeptFile, ...]] = {}
    sstables: set[Group] = set()
    unfinished: list[str] = []
    passed_over: list[str] = []
    for group, candidates in sorted(groups.items(), key=lambda one: (one[0].directory_key, one[0].stem)):
        path = directories[group.directory_key]
        lead = _lead(group, candidates, named, stored.get(group.directory_key))
        if lead is None:
            unfinished.append(f"{path}/{group.stem}")
            continue
        passed_over += sorted(one.key for one in candidates if _name(one) == _name(lead) and one.key != lead.key)
        if lead.key in named:
            continue  # with what belongs to it, as the index says
        chosen = _components(lead, candidates, named)
        if group.is_sstable and not sstable.is_complete({name[len(group.stem) :] for name in chosen}):
            unfinished.append(f"{path}/{group.stem}")
            continue
        files[group] = tuple(_kept(path, name, listed) for name, listed in sorted(chosen.items()))
        sstables |= {group} if group.is_sstable else set()
    return Found(files, frozenset(sstables), tuple(unfinished), tuple(passed_over))


def _name(listed: Stored) -> str:
    return plain_of(listed.key)[len(directory_of(listed.key)) :]


def _lead(
    group: Group, candidates: Sequence[Stored], named: Collection[str], index_stored: datetime | None
) -> Stored | None:
    """Return the Data.db, or the file, that is taken of those with the same name: the newest.

    But where none came after the index, the one that the index names: it is the better witness.
    """
    leading = group.stem + sstable.DATA if group.is_sstable else group.stem

    def rank(listed: Stored) -> tuple[bool, bool, datetime, bool, str]:
        is_named = listed.key in named
        later = not is_named and index_stored is not None and listed.modified >= index_stored
        return later, is_named, listed.modified, _is_beside(listed), listed.key

    return max((one for one in candidates if _name(one) == leading), key=rank, default=None)


def _components(data: Stored, candidates: Sequence[Stored], named: Collection[str]) -> dict[str, Stored]:
    """Return the components that belong to *data*, by name; those of another life of the sstable are not among them.

    Where the sstable had one life, of each the newest, since Cassandra rewrites some. Else those that were stored
    nearest to *data*: what was rewritten since differs in marks alone, and what is another life's in all.
    """
    lives = {one.key for one in candidates if _name(one) == _name(data)}
    by_name: defaultdict[str, list[Stored]] = defaultdict(list)
    for one in candidates:
        by_name[_name(one)].append(one)
    chosen = {_name(data): data}
    for name, some in by_name.items():
        if name == _name(data):
            continue
        if len(lives) == 1:
            chosen[name] = max(some, key=lambda one: (one.modified, _is_beside(one), one.key))
        else:
            # What the index names is an older life's.
            own = [one for one in some if one.key not in named] or some
            chosen[name] = min(own, key=lambda one: (abs(one.modified - data.modified), not _is_beside(one), one.key))
    return chosen


def _is_beside(listed: Stored) -> bool:
    return plain_of(listed.key) != listed.key


def _kept(directory: str, name: str, listed: Stored) -> KeptFile:
    checksum = None
    if _is_beside(listed):
        checksum = int(listed.key[len(plain_of(listed.key)) :].split("~")[_CHECKSUM_AT], 16)
    return KeptFile(directory, name, listed.key, size=listed.size, checksum=checksum)
