"""Reads the index: the body of the object that records a restore point, ours or 1.x's."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from tablesnap.errors import UnreadableIndex
from tablesnap.rules import index_fields as field_of
from tablesnap.rules import sstable
from tablesnap.rules.columns import Columns
from tablesnap.rules.index import FORMAT, OURS, Index, Owner
from tablesnap.rules.json_pull import Document
from tablesnap.rules.late import Late
from tablesnap.rules.taken import LatestName
from tablesnap.rules.writers import Writer

LARGEST = 1 << 30  # bytes: ten million files. What is larger is read by nobody, and written by nobody of ours

_LONGEST = 300  # characters of what an error quotes
_CHECKSUM = re.compile("[0-9a-f]{16}")


def decode(body: bytes, directory_key: str) -> Index:
    """Read the body of an index, ours or 1.x's; *directory_key* is its own key up to the last slash.

    Raises `UnreadableIndex`, which names what is wrong; whoever knows the key adds it.
    """
    expect_size(len(body))
    try:
        return _document(Document(body), directory_key)
    # RecursionError: to say what stands in the wrong place may take more of the stack than to read it.
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise UnreadableIndex(f"it is damaged ({type(error).__name__}: {_shortened(error)})") from error


def expect_size(size: int, largest: int = LARGEST) -> None:
    """Raise `UnreadableIndex` for an index of so many bytes that nobody reads it."""
    if size > largest:
        raise UnreadableIndex(f"it has {size} bytes, and an index has {largest} at the most")


def _shortened(said: object) -> str:
    """Spell what an error says of an index: what stands in there may be a million characters long."""
    text = str(said)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _document(document: Document, directory_key: str) -> Index:
    index: Index | None = None
    directory, names = "", None
    for name in document.members():
        if names is None:
            directory, names = field_of.text(name), _texts(document)
        elif name == directory or (name == OURS and index is not None):
            raise ValueError(f"{name!r} is in it twice")
        elif name == OURS:
            index = _ours(directory, names, document, directory_key)
        else:
            document.skip()
    document.end()
    if names is None:
        raise ValueError("it has no pair of a directory and a list of names")
    return index or Index(directory=directory, names=names, format=1)


def _ours(directory: str, names: tuple[str, ...], document: Document, directory_key: str) -> Index:
    """Read what is ours. Our format comes first of all, and owners before the files that they own."""
    found: dict[str, Any] = {}
    for name in document.members():
        if name in found:
            raise ValueError(f"{name!r} is in it twice")
        if name != "format" and "format" not in found:
            raise ValueError("it does not begin with its format")
        if name == "files":
            found[name] = _files(document, found["owners"], directory_key, names)
        elif name == "others":
            found[name] = _others(document, found["owners"])
        elif name in _FIELDS:
            found[name] = _FIELDS[name](document)
        else:
            document.skip()
    found.setdefault("latest_name", "")
    lacking = _NEEDED - found.keys()
    if lacking:
        raise KeyError(*sorted(lacking))
    del found["format"], found["owners"]
    index = Index(directory=field_of.directory(directory), names=names, **found)
    if directory in index.others:
        raise ValueError(f"{directory} is the index's own directory and one of the others")
    if index.whole and (index.files or index.others):
        raise ValueError("it has files of its own, and another index for its files")
    return index


def _format(document: Document) -> int:
    found = document.value()
    if found != FORMAT or isinstance(found, bool):
        raise UnreadableIndex(f"its format is {_shortened(found)}, and this version reads {FORMAT}; use a newer one")
    return FORMAT


def _texts(document: Document) -> tuple[str, ...]:
    return tuple(field_of.text(one) for one in document.elements())


def _owners(document: Document) -> list[Owner]:
    return [_owner(*field_of.list_of(one)) for one in document.elements()]


def _owner(uid: object, gid: object, user: object, group: object) -> Owner:
    return Owner(
        uid=field_of.natural(uid, field_of.LARGEST_ID),
        gid=field_of.natural(gid, field_of.LARGEST_ID),
        user=None if user is None else field_of.text(user),
        group=None if group is None else field_of.text(group),
    )


def _writer(document: Document) -> Writer:
    spelt = field_of.members(document.value())
    return Writer(
        machine=field_of.text(spelt["machine"]), host=field_of.text(spelt["host"]), run=field_of.text(spelt["run"])
    )


def _latest_name(document: Document) -> LatestName:
    spelt = document.value()
    return None if spelt is None else field_of.text(spelt)


def _late(document: Document) -> tuple[Late, ...]:
    spelt = (field_of.members(one) for one in document.elements())
    return tuple(
        Late(field_of.text(one["index"]), field_of.moment(one["from"]), field_of.moment(one["until"])) for one in spelt
    )


def _others(document: Document, owners: list[Owner]) -> dict[str, Columns]:
    found: dict[str, Columns] = {}
    for directory in document.members():
        if directory in found:
            raise ValueError(f"{directory!r} is in it twice")
        found[field_of.directory(directory)] = _other(document, owners)
    return found


def _other(document: Document, owners: list[Owner]) -> Columns:
    key: str | None = None
    files: Columns | None = None
    for name in document.members():
        if name == "key":
            key = field_of.text(document.value())
        elif name == "files":
            if key is None:
                raise ValueError("the key of a directory comes after its files")
            files = _files(document, owners, key, ())
        else:
            document.skip()
    if files is None:
        raise ValueError("a directory has no files")
    return files


def _files(document: Document, owners: list[Owner], directory_key: str, names: tuple[str, ...]) -> Columns:
    """Read files. Those of *names* that are the same are kept once."""
    files = Columns(directory_key, owners)
    known = iter(names)
    for name in document.members():
        same = next(known, None)
        _add(files, same if same == name else name, document.value(), len(owners))
    if files.has_doubles:
        raise ValueError("a file is in it twice")
    return files


def _add(files: Columns, name: str, entry: object, owners: int) -> None:
    size, checksum, mtime_ns, mode, owner, *key = field_of.list_of(entry)
    if len(key) > 1 or not _CHECKSUM.fullmatch(field_of.text(checksum)):
        raise ValueError(f"{entry!r} describes no file")
    if sstable.is_bookkeeping(name):
        raise ValueError(f"{name} is a transaction log or a lock, by which Cassandra would delete sstables")
    numbers = (
        field_of.natural(size, field_of.LARGEST_SIZE),
        int(field_of.text(checksum), 16),
        field_of.mtime_ns(mtime_ns),
        field_of.natural(mode, field_of.LARGEST_MODE),
        field_of.natural(owner, owners - 1),
    )
    files.add(field_of.name(name), numbers, field_of.text(key[0]) if key else None)


_FIELDS: Mapping[str, Callable[[Document], object]] = {
    "format": _format,
    "owners": _owners,
    "node": lambda document: field_of.text(document.value()),
    "taken_at": lambda document: field_of.moment(document.value()),
    "seen_at": lambda document: field_of.moment(document.value()),
    "until": lambda document: field_of.moment(document.value()),
    "serial": lambda document: field_of.natural(document.value(), field_of.LARGEST_SERIAL),
    "writer": _writer,
    "missing": _texts,
    "pending": _texts,
    "next": _texts,
    "live": lambda document: field_of.text(document.value()),
    "whole": lambda document: field_of.text(document.value()),
    "covers": lambda document: tuple(field_of.directory(one) for one in document.elements()),
    "unexplained": _texts,
    "latest_name": _latest_name,
    "behind": _texts,
    "late": _late,
}
_NEEDED = {"format", "owners", "files", "node", "taken_at", "seen_at", "missing", "pending", "next", "live"}
