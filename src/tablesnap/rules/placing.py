"""Where each file of a restore goes. Whatever an index says, nothing leaves the directories that were asked for."""

import posixpath
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tablesnap.errors import UsageError
from tablesnap.rules import sstable
from tablesnap.rules.generations import Brought, Present, is_same_content, name_apart
from tablesnap.rules.kept import KeptFile
from tablesnap.rules.place import place_of

_COPIES = ("snapshots", "backups")


@dataclass(frozen=True)
class Layout:
    """What was asked for. All paths are absolute."""

    origin: str  # a directory of the node that was backed up
    target: str  # where it goes
    data_dirs: Mapping[str, str] = field(default_factory=dict)  # data directory of the node -> directory here
    table_dirs: Mapping[str, str] = field(default_factory=dict)  # name of a table's directory there -> name here


@dataclass(frozen=True)
class Part:
    """What is restored of one table, or of one directory outside Cassandra."""

    name: str
    directories: tuple[str, ...]  # that it had, also where no file is left of them
    files: Sequence[KeptFile]


@dataclass(frozen=True, slots=True)
class Placed:
    """One file, and where it goes."""

    file: KeptFile
    directory: str
    name: str

    @property
    def path(self) -> str:
        """The path it gets."""
        return posixpath.join(self.directory, self.name)


@dataclass(frozen=True, slots=True)
class Renamed:
    """An sstable that gets another generation, because a different one has its name."""

    path: str  # where it was, up to its stem
    target: str  # where it goes, up to its stem


@dataclass(frozen=True, slots=True)
class Misplaced:
    """A file that cannot go anywhere."""

    path: str
    why: str


@dataclass(frozen=True)
class Placement:
    """Where all files go."""

    placed: tuple[Placed, ...] = ()
    renamed: tuple[Renamed, ...] = ()
    misplaced: tuple[Misplaced, ...] = ()
    directories: tuple[str, ...] = ()  # that are restored into, also where no file goes there
    unused: tuple[str, ...] = ()  # what was mapped, and is nowhere in what is restored


def place(
    parts: Sequence[Part],
    layout: Layout,
    *,
    present: Present | None = None,
    unfit: Collection[tuple[str, str]] = (),
) -> Placement:
    """Say where each file of *parts* goes, given what is *present* there.

    An sstable that was renamed by an earlier run keeps the name it got then, told by the sizes of what is there. Where
    the content turns out to be another, the caller says so in *unfit*: the path up to the stem it was taken from, and
    the one that it cannot have. Raises `UsageError` where `table_dirs` says what is no name.
    """
    for name in layout.table_dirs.values():
        if not _is_name(name):
            raise UsageError(f"--table-dir: {name!r} is no directory's name; give the last part of its path alone")
    placed: list[Placed] = []
    misplaced: list[Misplaced] = []
    directories: dict[str, None] = {}
    for part in parts:
        roots = {directory: _target_of(directory, part.directories, layout) for directory in _directories_of(part)}
        directories |= {root: None for directory, root in roots.items() if root and directory in part.directories}
        for file in part.files:
            root = roots[file.directory]
            why = _why_not(file, root)
            if why:
                misplaced.append(Misplaced(file.path, why))
            elif root is not None:
                placed.append(Placed(file, root, file.name))
                directories[root] = None
    distinct, doubled = _each_once(placed, lambda one: normal(one.file.path))
    apart, renamed = _apart(distinct, present or {}, unfit)
    single, clashing = _each_once(apart, lambda one: one.path)
    kept, blocking = _beside(single, directories)
    return Placement(
        placed=tuple(kept),
        renamed=tuple(renamed),
        misplaced=(*misplaced, *doubled, *clashing, *blocking),
        directories=tuple(directories),
        unused=tuple(_unused(parts, layout)),
    )


def named_paths(directories: Iterable[str], layout: Layout) -> set[str]:
    """Return the paths that the operator named, TARGET first of all, among those of *directories* and above them."""
    names = set(layout.table_dirs.values())
    given = {layout.target, *layout.data_dirs.values()}
    return given | {path for one in directories for path in _with_parents(one) if posixpath.basename(path) in names}


def normal(path: str) -> str:
    """Return an absolute *path* without the slashes and dots that say nothing."""
    return "/" + "/".join(part for part in path.split("/") if part not in {"", "."})


def _directories_of(part: Part) -> Iterable[str]:
    return dict.fromkeys((*part.directories, *(file.directory for file in part.files)))


def _target_of(directory: str, siblings: Iterable[str], layout: Layout) -> str | None:
    """Return where the files of *directory* go; None if it is no part of what was asked for.

    *siblings* are the directories of the same table: what another data directory held of it goes to the same place.
    """
    if not directory.startswith("/") or "\0" in directory or ".." in directory.split("/"):
        return None
    directory, origin = normal(directory), normal(layout.origin)
    for data_dir in sorted(layout.data_dirs, key=lambda one: len(normal(one)), reverse=True):
        rest = _below(directory, normal(data_dir))
        if rest is not None:
            return _mapped(layout.data_dirs[data_dir], directory, rest, layout)
    rest = _below(directory, origin)
    if rest is None:
        rest = _place_of_sibling(directory, siblings, origin)
    return None if rest is None else _mapped(layout.target, directory, rest, layout)


def _place_of_sibling(directory: str, siblings: Iterable[str], origin: str) -> str | None:
    """Return where below *origin* the table of *directory* is, which lies in another data directory."""
    place = place_of(directory)
    if place.index and place.index == place_of(origin).index:
        return "" if place_of(origin).table == place.table else None
    for sibling in sorted(normal(sibling) for sibling in siblings):
        own = posixpath.dirname(sibling) if place_of(sibling).index else sibling
        rest = _below(own, origin)
        if rest is not None and place_of(sibling).table == place.table:
            return posixpath.join(rest, place.index) if place.index else rest
    return None


def _below(path: str, directory: str) -> str | None:
    """Return *path* relative to *directory*, empty for itself; None if it is elsewhere."""
    if path == directory:
        return ""
    front = directory.rstrip("/") + "/"
    return path[len(front) :] if path.startswith(front) else None


def _mapped(target: str, directory: str, rest: str, layout: Layout) -> str:
    """Return the directory *rest* in *target*, the table's own directory under the name it was mapped to."""
    parts = rest.split("/") if rest else []
    depth = _depth_of_table(directory)
    place = len(parts) - (directory.count("/") - depth) - 1
    if 0 <= place < len(parts):
        parts[place] = layout.table_dirs.get(parts[place], parts[place])
    return posixpath.join(normal(target), *parts)


def _depth_of_table(directory: str) -> int:
    """Say how many names deep the directory of the table is that *directory* belongs to."""
    own = posixpath.dirname(directory) if place_of(directory).index else directory
    parts = own.split("/")
    for copies in _COPIES:
        if copies in parts[2:]:
            parts = parts[: parts.index(copies, 2)]
    return len(parts) - 1


def _why_not(file: KeptFile, root: str | None) -> str:
    """Say why a *file* cannot be written into *root*; empty if it can."""
    if not _is_name(file.name):
        return f"{file.name!r} is no file's name; the index is damaged, or not to be trusted"
    if root is None:
        return "is neither in nor below ORIGIN, nor of a table that is"
    if sstable.is_bookkeeping(file.name):
        return "is a transaction log or a lock, by which Cassandra would delete sstables; the index is damaged"
    return ""


def _is_name(text: str) -> bool:
    return text not in {"", ".", ".."} and "/" not in text and "\0" not in text


def _apart(
    placed: Iterable[Placed], present: Present, unfit: Collection[tuple[str, str]]
) -> tuple[list[Placed], list[Renamed]]:
    """Give each sstable a name of its own."""
    components: dict[tuple[str, str, str], dict[str, KeptFile]] = {}
    kept: list[Placed] = []
    for one in placed:
        component = sstable.parse(one.name)
        if component is None:
            kept.append(one)
        else:
            place = one.directory, component.stem, normal(one.file.directory)
            components.setdefault(place, {})[one.name[len(component.stem) :]] = one.file
    brought = [Brought(*place, files) for place, files in components.items()]
    renamed: list[Renamed] = []
    for whole, stem in zip(brought, name_apart(brought, present, unfit), strict=True):
        if stem != whole.stem:
            renamed.append(Renamed(whole.path, posixpath.join(whole.target, stem)))
        kept += [Placed(file, whole.target, stem + ending) for ending, file in whole.components.items()]
    return kept, renamed


def _each_once(placed: Iterable[Placed], path_of: Callable[[Placed], str]) -> tuple[list[Placed], list[Misplaced]]:
    """Part *placed* into what has a path of its own, and what does not: the same content twice is no matter."""
    kept: dict[str, Placed] = {}
    misplaced: list[Misplaced] = []
    for one in placed:
        other = kept.setdefault(path_of(one), one)
        if other is not one and not is_same_content(one.file, other.file):
            misplaced.append(Misplaced(one.file.path, f"would be {one.path}, and so would {other.file.path}"))
    return list(kept.values()), misplaced


def _beside(placed: Iterable[Placed], directories: Collection[str]) -> tuple[list[Placed], list[Misplaced]]:
    """Part *placed* into files that lie beside *directories*, and those that are where one of them has to be."""
    kept: list[Placed] = []
    misplaced: list[Misplaced] = []
    folders = {folder for directory in directories for folder in _with_parents(directory)}
    for one in placed:
        if one.path in folders:
            misplaced.append(Misplaced(one.file.path, f"would be {one.path}, which has to be a directory"))
        else:
            kept.append(one)
    return kept, misplaced


def _with_parents(directory: str) -> Iterable[str]:
    while directory != "/":
        yield directory
        directory = posixpath.dirname(directory)


def _unused(parts: Iterable[Part], layout: Layout) -> Iterable[str]:
    """Yield what was mapped, and is nowhere in what is restored: it is likely to be mistyped."""
    sources = {normal(directory) for part in parts for directory in _directories_of(part)}
    for data_dir in layout.data_dirs:
        if not any(_below(source, normal(data_dir)) is not None for source in sources):
            yield data_dir
    names = {source.split("/")[_depth_of_table(source)] for source in sources}
    yield from (name for name in layout.table_dirs if name not in names)
