"""Restore points as a reader sees them: which files, under which keys, and whether all of it is there."""

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import compress, islice
from typing import overload

from tablesnap.rules import sstable
from tablesnap.rules.index import FORMAT, Index
from tablesnap.rules.kept import KeptFile, KeptFiles
from tablesnap.rules.keys import directory_of
from tablesnap.rules.late import Late, merged
from tablesnap.rules.order import believed
from tablesnap.rules.taken import LatestName, later_of, name_of_index
from tablesnap.rules.writers import Writer

# What stands below a table's directory and is no file: 1.x listed it with the files, by its name.
_BELOW = ("snapshots", "backups")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with what is stored."""

    key: str  # of the object that it is about
    path: str  # of the file it stands for; of a directory where it is about an index
    what: str


@dataclass(frozen=True)
class RestorePoint:
    """What one table, or one directory outside Cassandra, held at one moment."""

    key: str  # of its index
    directory: str  # of the index; the table may have others
    # All moments are as far as they are believed: of those later than the store's date and 5 minutes, that.
    taken_at: datetime  # of 1.x and of an index that cannot be read: when the store received it
    seen_at: datetime  # when it was recorded
    since: datetime  # the same as taken_at, but where it is put together from several indexes: of the oldest
    until: datetime  # up to then no commit is known that it lacks; where nobody said so, taken_at
    stored_at: datetime  # the store's date of its index
    serial: int | None = None
    writer: Writer | None = None  # who wrote its index
    ahead: timedelta = timedelta(0)  # how much later than is believed the index says that it was taken
    node: str = ""
    files: Sequence[KeptFile] = ()
    missing: tuple[str, ...] = ()  # absolute paths of what was there and is not stored
    unexplained: tuple[str, ...] = ()
    next: tuple[str, ...] = ()  # keys of what was stored already, and joins a later restore point
    covers: tuple[str, ...] = ()  # the directories it speaks of
    recorded: tuple[
        str, ...
    ] = ()  # of these, those that the index under `key` speaks of, whose serial and writer it has
    doubts: tuple[Fault, ...] = ()  # where it is put together from several indexes: those that cannot be read
    behind: tuple[str, ...] = ()  # directories of secondary indexes that may lack entries of it
    late: tuple[Late, ...] = ()  # what it says of this moment and of earlier ones
    latest_name: LatestName = None  # of all names that an index of its directory was named after, itself included
    format: int = FORMAT
    unreadable: str = ""  # why its index cannot be read; nothing else is known then

    @property
    def is_dated(self) -> bool:
        """Say whether its moments are those of its index: it could be read, and is not of the future."""
        return not self.unreadable and not self.ahead

    @property
    def is_complete(self) -> bool:
        """Say whether the index names nothing that is not stored; whether the objects are there is for `faults`."""
        return not (self.missing or self.unreadable or self.doubts)

    @property
    def is_empty(self) -> bool:
        """Say whether it says that there was nothing."""
        return not self.files and self.is_complete

    @property
    def size(self) -> int:
        """Bytes, as far as they are known."""
        return sum(file.size or 0 for file in self.files)


def point_of(index: Index, key: str, stored_at: datetime) -> RestorePoint:
    """Return the restore point of an *index* of ours that was read under *key*; not of one that names another."""
    claimed = index.taken_at or stored_at
    taken_at = believed(claimed, stored_at)
    everywhere = {index.directory: index.files, **index.others}
    return RestorePoint(
        key=key,
        directory=index.directory,
        taken_at=taken_at,
        seen_at=believed(index.seen_at or claimed, stored_at),
        since=taken_at,
        until=max(taken_at, believed(index.until or claimed, stored_at)),
        stored_at=stored_at,
        serial=index.serial,
        writer=index.writer,
        ahead=claimed - taken_at,
        node=index.node,
        files=KeptFiles(everywhere),
        missing=tuple(posixpath.join(index.directory, name) for name in index.missing),
        unexplained=tuple(posixpath.join(index.directory, stem) for stem in index.unexplained),
        next=index.next,
        covers=index.covers or tuple(everywhere),
        recorded=index.covers or tuple(everywhere),
        behind=tuple(sorted(set(index.behind))),
        late=index.late,
        latest_name=later_of(index.latest_name, name_of_index(key)),
    )


def point_of_1x(index: Index, key: str, stored_at: datetime, objects: Mapping[str, int]) -> RestorePoint:
    """Return the restore point of an *index* of 1.x; *objects* are the sizes of what is stored below its directory,
    where a folder may stand for what is in it.

    1.x listed all names in a directory, before it stored the files: directories are among them, and transaction logs,
    which delete sstables where they are restored.
    """
    directory_key = directory_of(key)
    directory = "/" + re.sub("/+", "/", index.directory).strip("/")
    folders = {rest.split("/")[0] for rest in _below(directory_key, objects) if "/" in rest}
    files: list[KeptFile] = []
    missing: list[str] = []
    for name in index.names:
        if directory_key + name in objects:
            if not _is_unfit(name):
                files.append(KeptFile(directory, name, directory_key + name, objects[directory_key + name]))
        elif name not in folders and name not in _BELOW and not name.startswith(".") and not _is_unfit(name):
            missing.append(posixpath.join(directory, name))
    return RestorePoint(
        key=key,
        directory=directory,
        taken_at=stored_at,
        seen_at=stored_at,
        since=stored_at,
        until=stored_at,
        stored_at=stored_at,
        files=tuple(files),
        missing=tuple(missing),
        covers=(directory,),
        format=1,
    )


def _below(directory_key: str, keys: Iterable[str]) -> Iterable[str]:
    return (key[len(directory_key) :] for key in keys if key.startswith(directory_key))


def _is_unfit(name: str) -> bool:
    component = sstable.parse(name)
    return sstable.is_bookkeeping(name) or (component is not None and component.temporary)


def unreadable_point(key: str, directory: str, stored_at: datetime, why: str) -> RestorePoint:
    """Return what stands for an index that cannot be read."""
    return undated_point(key, directory, stored_at, unreadable=why)


def undated_point(
    key: str, directory: str, moment: datetime, *, covers: tuple[str, ...] = (), unreadable: str = ""
) -> RestorePoint:
    """Return a restore point without files, of which the one *moment* is known that the store dates it to."""
    return RestorePoint(
        key=key,
        directory=directory,
        taken_at=moment,
        seen_at=moment,
        since=moment,
        until=moment,
        stored_at=moment,
        covers=covers,
        unreadable=unreadable,
        format=0 if unreadable else FORMAT,
    )


def merge(points: Sequence[RestorePoint]) -> RestorePoint:
    """Return what the directories of one table held together, where several wrote indexes of their own.

    Its index is that of the first, which can be read; any of the others that cannot is a fault of the whole.
    """
    first = points[0]
    readable = [point for point in points if not point.unreadable]
    taken_at = max(point.taken_at for point in readable)
    return replace(
        first,
        taken_at=taken_at,
        seen_at=max(point.seen_at for point in readable),
        since=min(point.since for point in readable),
        until=min(point.until for point in readable),  # of them together nothing is known where one ends too early
        files=tuple(file for point in readable for file in point.files),
        missing=tuple(path for point in readable for path in point.missing),
        unexplained=tuple(path for point in readable for path in point.unexplained),
        next=tuple(key for point in readable for key in point.next),
        covers=tuple(sorted({directory for point in readable for directory in point.covers})),
        behind=tuple(sorted({index for point in readable for index in point.behind})),
        late=merged(late for point in readable for late in point.late),
        doubts=tuple(_illegible(point) for point in points if point.unreadable),
    )


def _illegible(point: RestorePoint) -> Fault:
    return Fault(point.key, point.directory, f"the index cannot be read: {point.unreadable}")


class Faults(Sequence[Fault]):
    """What is wrong with a restore point: *others*, and of its *files* those that are *marked*.

    Each is put together when its turn comes, as there may be a million. *sizes* are those that marked files have in the
    store, by their place, where they have any.
    """

    def __init__(
        self, others: Sequence[Fault], files: Sequence[KeptFile], marked: bytearray, sizes: Mapping[int, int]
    ) -> None:
        self._others = others
        self._files = files
        self._marked = marked
        self._sizes = sizes

    def __len__(self) -> int:
        return len(self._others) + sum(self._marked)

    def __iter__(self) -> Iterator[Fault]:
        yield from self._others
        for place, file in compress(enumerate(self._files), self._marked):
            size = self._sizes.get(place)
            what = "is not in the store" if size is None else f"has {size} bytes in the store, and had {file.size}"
            yield Fault(file.key, file.path, what)

    @overload
    def __getitem__(self, place: int) -> Fault: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Fault]: ...
    def __getitem__(self, place: int | slice) -> Fault | Sequence[Fault]:
        if isinstance(place, slice):
            return tuple(islice(self, *place.indices(len(self))))
        return next(islice(self, range(len(self))[place], None))


def faults(point: RestorePoint, size_of: Callable[[str], int | None]) -> Sequence[Fault]:
    """Return what is wrong with *point*: no byte of an object is looked at.

    *size_of* tells how large the object of a key is; None: it is not there.
    """
    if point.unreadable:
        return [_illegible(point)]
    marked, sizes = bytearray(), dict[int, int]()
    for place, file in enumerate(point.files):
        size = size_of(file.key)
        is_wrong = size is None or (file.size is not None and size != file.size)
        marked.append(is_wrong)
        if is_wrong and size is not None:
            sizes[place] = size
    others = [*point.doubts, *(Fault(point.key, path, "was there, and was not stored") for path in point.missing)]
    return Faults(others, point.files, marked, sizes) if others or any(marked) else []
