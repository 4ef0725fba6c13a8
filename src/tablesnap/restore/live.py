"""The live sstables that a table has on this machine, and the types that they tell.

They are looked for by the table's name: in the directories that are restored into, and beside them and in the data
directories that the node had, if those are here. A table that was made again has another directory than it had.
"""

import os
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from tablesnap.errors import CannotRead, TablesnapError
from tablesnap.rules import sstable
from tablesnap.rules.differing import merged
from tablesnap.rules.sstable_header import Header, read_header
from tablesnap.rules.table_name import TableName, table_name

STATISTICS = "Statistics.db"
LARGEST = 16 << 20  # bytes of a Statistics.db; most have some thousand


@dataclass(frozen=True)
class Live:
    """A directory that has live sstables of a table."""

    directory: str
    header: Header | None  # what they say together; None: none of them could be read
    unread: str = ""  # of one that could not be read, why


def live_of(directories: Iterable[str], gone: Collection[str]) -> Iterator[Live]:
    """Yield what live sstables of one table tell; those whose paths are *gone* are to be replaced or removed.

    Whatever a transaction log says of them, as types do not depend on it.
    """
    for directory in directories:
        headers: list[Header] = []
        unread = ""
        try:
            paths = _statistics_in(directory, gone)
        except PermissionError as error:
            yield Live(directory, None, f"{directory} cannot be looked into: {error.strerror}")
            continue
        for path in paths:
            try:
                headers.append(read_header(_read(path)))
            except TablesnapError as error:
                unread = unread or f"{path} {error}"
        if headers or unread:
            yield Live(directory, merged(headers), unread)


def directories_beside(table: str, target: str, data_dirs: Collection[str]) -> Iterator[str]:
    """Yield the directories of the table that *target* is restored for, whatever its id, by its name and place.

    *table* is ``<keyspace>/<table>-<id>`` as it was. The directory of a keyspace is yielded where only that is known.
    """
    wanted = _meant_for(table, target, data_dirs)
    if wanted is None:
        return
    folders = [os.path.join(one, wanted.keyspace) for one in data_dirs]
    above = os.path.dirname(target)
    if os.path.basename(above) == wanted.keyspace:
        folders.insert(0, above)
    for folder in dict.fromkeys(folders):
        try:
            yield from (path for name in sorted(os.listdir(folder)) if wanted.fits(path := os.path.join(folder, name)))
        except PermissionError:
            yield folder
        except OSError:
            continue


def _meant_for(table: str, target: str, data_dirs: Iterable[str]) -> TableName | None:
    """Return the table that *target* is called after: in the directory of a keyspace, that is the one it is meant for.

    A target that is called anything is meant for the table that it comes from.
    """
    own, named = table_name(f"/{table}"), table_name(target)
    if named is not None:
        is_own = own is not None and named.keyspace == own.keyspace
        if is_own or any(os.path.isdir(os.path.join(one, named.keyspace)) for one in data_dirs):
            own = named
    return own and TableName(own.keyspace, own.table)


def _statistics_in(directory: str, gone: Collection[str]) -> list[str]:
    """Return the Statistics.db of each sstable in *directory* that has a header, the newest first.

    Raises `PermissionError`.
    """
    found: list[tuple[int, str]] = []
    try:
        with os.scandir(directory) as entries:
            names = {entry.name for entry in entries if entry.path not in gone}
    except (FileNotFoundError, NotADirectoryError):
        return []
    for name in names:
        component = sstable.parse(name)
        if component is None or component.temporary or component.component != STATISTICS:
            continue
        data = component.stem + sstable.DATA
        if data in names and sstable.has_header(component):
            with suppress(OSError):
                # By the data, which is written once: repairs and compactions rewrite the other in its place.
                written = os.stat(os.path.join(directory, data), follow_symlinks=False).st_mtime_ns
                found.append((written, os.path.join(directory, name)))
    return [path for _, path in sorted(found, reverse=True)]


def _read(path: str) -> bytes:
    """Return what is in a file; raise `CannotRead`."""
    try:
        # O_NONBLOCK, because opening a pipe waits for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise CannotRead("is no file")
            body = file.read(LARGEST + 1)
    except OSError as error:
        raise CannotRead(f"cannot be read: {error.strerror}") from error
    if len(body) > LARGEST:
        raise CannotRead(f"has more than {LARGEST} bytes")
    return body
