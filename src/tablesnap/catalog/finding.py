"""Which histories a directory of a node stands for, with what they have in other data directories."""

import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

from tablesnap.catalog.inventory import StoredDirectory, inventory
from tablesnap.catalog.timeline import Timeline, timelines
from tablesnap.rules import sstable
from tablesnap.rules.keys import INDEX_ENDING, Keys
from tablesnap.rules.place import is_copies_of, is_within, place_of, tidy
from tablesnap.rules.table_name import TableName
from tablesnap.store.port import Store

FINDERS = 8  # folders looked into at a time
_LEVELS = 12  # of folders above a table's directory
_SEGMENT = re.compile(r"CommitLog-[\d-]+\.log")  # there may be very many in one folder, and no data directory beside


def timelines_at(
    store: Store, keys: Keys, origin: str, *, recursive: bool, with_copies: bool = False
) -> list[Timeline]:
    """Return the history of the directory *origin*, or all that have a directory at or below it.

    Each is whole: a table's is that of all its directories, wherever on the node they are. Snapshots and backups,
    which hold what is elsewhere as well, are found by an *origin* at or below one, else only *with_copies*. Raises
    what the store raises.
    """
    origin = tidy(origin)
    place = place_of(origin)
    # The history of a hidden index directory is its table's.
    top = posixpath.dirname(origin) if place.index else origin
    found = inventory(store, keys.below(top))
    here = {_path_of(keys, key): directory for key, directory in found.items()}
    if recursive:
        wanted = {place_of(path).table for path in here if is_within(path, origin)}
        if not (place.copies or with_copies):
            wanted -= {place_of(path).table for path in here if _holds_copies(path, here)}
    else:
        wanted = {place.table}
    found |= _elsewhere(store, keys, top, {path for path in here if place_of(path).table in wanted})
    found = {key: one for key, one in found.items() if place_of(_path_of(keys, key)).table in wanted}
    return timelines(store, keys, found)


def is_stored(store: Store, keys: Keys, directory: str) -> bool:
    """Say whether anything at all is stored of what was at or below *directory*. Raises what the store raises."""
    return next(iter(store.list(keys.below(directory))), None) is not None


def tables_called(store: Store, keys: Keys, name: TableName) -> list[list[str]]:
    """Return the tables that *name* fits, in order, each by its directories. Raises what the store raises."""
    if name.data_directory is None:
        folders = _table_folders(store, keys, name.fits)
    else:
        folders = _folders_in(store, keys.below(posixpath.join(name.data_directory, name.keyspace)))
    found: dict[str, list[str]] = {}
    for path in sorted(_path_of(keys, folder) for folder in folders):
        if name.fits(path):
            found.setdefault(place_of(path).table, []).append(path)
    return [directories for _, directories in sorted(found.items())]


def _path_of(keys: Keys, directory_key: str) -> str:
    return "/" + directory_key[len(keys.below("/")) :].rstrip("/")


def _holds_copies(path: str, here: Mapping[str, StoredDirectory]) -> bool:
    while path != "/":
        parent = posixpath.dirname(path)
        if is_copies_of(path, parent_holds_sstables=parent in here and _has_sstables(here[parent])):
            return True
        path = parent
    return False


def _has_sstables(directory: StoredDirectory) -> bool:
    names = (listed.key[len(directory.key) :].removesuffix(INDEX_ENDING) for listed in directory.indexes)
    return any(sstable.parse(name.partition("~")[0]) is not None for name in names)


def _elsewhere(store: Store, keys: Keys, top: str, paths: Collection[str]) -> dict[str, StoredDirectory]:
    """Return what is stored outside *top* of the tables that have these *paths* there.

    The folders are asked, and not an index, which names the directories that its daemon watched: there may be another
    daemon for another disk, and 1.x names its own directory alone.
    """
    depths: dict[str, int] = {}
    for path in filter(_is_tables, paths):
        place = place_of(path)
        own = posixpath.dirname(path) if place.index else path
        depths[place.table] = min(2, len(PurePosixPath(own).relative_to(top).parts))
    if not depths or top == "/":
        return {}
    folders = set()
    for folder in _table_folders(store, keys, lambda path: place_of(path).table in depths, skip=keys.below(top)):
        # A whole keyspace or data directory is listed as one, and not a thousand tables one by one.
        above = depths[place_of(_path_of(keys, folder)).table]
        folders.add("/".join(folder.split("/")[: -1 - above]) + "/")
    found: dict[str, StoredDirectory] = {}
    for folder in _outermost(folders):
        found |= inventory(store, folder)
    return {key: one for key, one in found.items() if not key.startswith(keys.below(top))}


def _is_tables(path: str) -> bool:
    """Say whether the directory is one of a table whose name says so, in whatever data directory."""
    return not place_of(path).table.startswith("/")


def _table_folders(store: Store, keys: Keys, wanted: Callable[[str], bool], *, skip: str | None = None) -> list[str]:
    """Return the folders of those tables whose paths are *wanted*, by going down all but the folder *skip*."""

    def below(folder: str) -> list[str]:
        return _folders_in(store, folder)

    found: list[str] = []
    folders = [keys.below("/")]
    with ThreadPoolExecutor(FINDERS, thread_name_prefix="find") as finders:
        for _ in range(_LEVELS):
            deeper = [folder for some in finders.map(below, folders) for folder in some]
            if skip is not None:
                deeper = [folder for folder in deeper if not folder.startswith(skip)]
            found += [folder for folder in deeper if wanted(_path_of(keys, folder))]
            # What is below a table are its own index directories, and copies.
            folders = [folder for folder in deeper if not _is_tables(_path_of(keys, folder))]
    return found


def _folders_in(store: Store, folder: str) -> list[str]:
    """Return the folders in *folder*; none where there are files that no folder above a table's has."""
    folders: list[str] = []
    for one in store.level(folder):
        if isinstance(one, str):
            folders.append(one)
        elif sstable.parse(name := one.key[len(folder) :]) is not None or _SEGMENT.match(name):
            return []
    return folders


def _outermost(folders: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for folder in sorted(folders):
        if not kept or not folder.startswith(kept[-1]):
            kept.append(folder)
    return kept
