"""A table's directories have one history: put the parts of a restore point together, and take them apart."""

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from tablesnap.errors import UnreadableIndex
from tablesnap.rules.index import Index

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def join(parts: Sequence[Index]) -> Index:
    """Return the restore point of a table whose directories hold these *parts*, one each: the first, with `others`.

    The moments, `live` and `covers` are those of the first.
    """
    first, *rest = parts
    return replace(
        first,
        others={part.directory: part.files for part in rest},
        missing=first.missing + tuple(_absolute(part, name) for part in rest for name in part.missing),
        pending=first.pending + tuple(_absolute(part, name) for part in rest for name in part.pending),
        unexplained=first.unexplained + tuple(_absolute(part, stem) for part in rest for stem in part.unexplained),
        next=tuple(dict.fromkeys(key for part in parts for key in part.next)),
    )


def project(index: Index, directory: str) -> Index:
    """Return the part of the restore point *index* that is *directory*'s own; raise `UnreadableIndex` if it has none.

    `next` stays whole. `names` of another directory than the index's own are the ends of the keys: the pair that 1.x
    reads stands in that directory's index, and a rewritten component may be listed there by its plain name.
    """
    own = directory == index.directory
    if index.whole:
        raise UnreadableIndex(f"it holds no files itself, but names {index.whole}")
    if not own and directory not in index.others:
        raise UnreadableIndex(f"it says nothing of {directory}")
    files = index.files if own else index.others[directory]
    return replace(
        index,
        directory=directory,
        names=index.names if own else tuple(file.key.rpartition("/")[2] for file in files.values()),
        files=files,
        others={},
        missing=_within(index, directory, index.missing),
        pending=_within(index, directory, index.pending),
        unexplained=_within(index, directory, index.unexplained),
    )


def newest_of(points: Iterable[Index]) -> Index | None:
    """Return the newest of the restore points of one table; None if there is none.

    A crash may leave some directories of a table one restore point behind: the table's newest is the newest of all.
    Each has its serial, or the number that stands for it (`rules.order`).
    """
    return max(points, key=_rank, default=None)


def _rank(index: Index) -> tuple[int, datetime, datetime]:
    return index.serial or 0, index.taken_at or _LONG_AGO, index.seen_at or _LONG_AGO


def _absolute(part: Index, name: str) -> str:
    return posixpath.join(part.directory, name)


def _within(index: Index, directory: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return those of *names* that are in *directory*, by their names there."""
    paths = (posixpath.join(index.directory, name) for name in names)
    return tuple(path.rpartition("/")[2] for path in paths if posixpath.dirname(path) == directory)
