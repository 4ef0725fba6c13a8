"""The index: one restore point of one directory, as the object that records it.

The body keeps the single pair of 1.x first, so that its restore reads ours; what is ours stands under ``tablesnap``.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tablesnap.checksum import to_hex
from tablesnap.errors import UnreadableIndex
from tablesnap.rules import sstable
from tablesnap.rules.incarnation import Incarnation

FORMAT = 2
_OURS = "tablesnap"
_CHECKSUM = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True)
class Owner:
    """Who owns a file; a name is None where the system knows none."""

    uid: int
    gid: int
    user: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class StoredFile:
    """One file that is stored: what a restore and a check need without asking the store."""

    key: str
    size: int  # bytes
    checksum: int  # CRC-64/NVME
    mtime_ns: int
    mode: int
    owner: Owner

    @property
    def incarnation(self) -> Incarnation:
        """The life of the file that was stored."""
        return Incarnation(size=self.size, mtime_ns=self.mtime_ns)


@dataclass(frozen=True)
class Index:
    """What one directory held at one moment."""

    directory: str
    names: tuple[str, ...]  # the pair 1.x reads: what its restore fetches, by the last part of the key
    files: Mapping[str, StoredFile] = field(default_factory=dict)
    missing: tuple[str, ...] = ()  # was there, and is not stored
    pending: tuple[str, ...] = ()  # of the missing, those that were on their way
    node: str = ""
    taken_at: datetime | None = None  # None: written by 1.x, which did not say
    seen_at: datetime | None = None
    next: tuple[str, ...] = ()  # keys of a base that is being stored; a purge counts them as named
    live: str = ""  # fingerprint of what was live
    format: int = FORMAT

    def keys(self, directory_key: str) -> set[str]:
        """Return every key this index names; *directory_key* is its own key up to the last slash."""
        named = {file.key for file in self.files.values()} | set(self.next)
        # 1.x writes names alone. It listed before it uploaded, so such a key may never have existed.
        return named if self.format >= FORMAT else named | {directory_key + name for name in self.names}


def names_for_1x(files: Mapping[str, StoredFile], directory_key: str, previous: Index | None) -> tuple[str, ...]:
    """Return the names under which 1.x's restore fetches *files*: the last part of each key.

    But a component that Cassandra rewrites is listed by its plain name where the plain object belongs to the same
    sstable: 1.x then restores a complete sstable whose level and repair marks alone are older. *previous*, the index
    before this one, is the witness of that: it has the same Data.db, and the component under its plain name.
    """
    return tuple(
        name if _was_plain(name, files, directory_key, previous) else file.key[len(directory_key) :]
        for name, file in files.items()
    )


def _was_plain(name: str, files: Mapping[str, StoredFile], directory_key: str, previous: Index | None) -> bool:
    component = sstable.parse(name)
    if previous is None or component is None or component.component not in sstable.REWRITTEN:
        return False
    data = files.get(component.stem + sstable.DATA)
    data_before = previous.files.get(component.stem + sstable.DATA)
    if data is None or data_before is None or data.key != data_before.key:
        return False
    before = previous.files.get(name)
    return before is not None and (before.key == directory_key + name or name in previous.names)


def newest_file(files: Mapping[str, StoredFile]) -> StoredFile | None:
    """Return the file whose key an index takes: the newest Data.db, or outside Cassandra the newest file."""
    data = {
        name: file
        for name, file in files.items()
        if (component := sstable.parse(name)) and component.component == sstable.DATA
    }
    candidates = data or files
    if not candidates:
        return None
    return candidates[max(candidates, key=lambda name: (candidates[name].mtime_ns, name))]


def encode(index: Index, directory_key: str) -> bytes:
    """Return the body of *index*; *directory_key* is its own key up to the last slash."""
    owners = list(dict.fromkeys(file.owner for file in index.files.values()))
    numbers = {owner: number for number, owner in enumerate(owners)}
    files = {
        name: [file.size, to_hex(file.checksum), file.mtime_ns, file.mode, numbers[file.owner]]
        + ([] if file.key == directory_key + name else [file.key])
        for name, file in index.files.items()
    }
    ours = {
        "format": FORMAT,
        "node": index.node,
        "taken_at": _spell(index.taken_at),
        "seen_at": _spell(index.seen_at),
        "missing": list(index.missing),
        "pending": list(index.pending),
        "owners": [[owner.uid, owner.gid, owner.user, owner.group] for owner in owners],
        "files": files,
        "next": list(index.next),
        "live": index.live,
    }
    return json.dumps({index.directory: list(index.names), _OURS: ours}, separators=(",", ":")).encode("ascii")


def decode(body: bytes, directory_key: str) -> Index:
    """Read the body of an index, ours or 1.x's; *directory_key* is its own key up to the last slash.

    Raises `UnreadableIndex`, which names what is wrong; whoever knows the key adds it.
    """
    try:
        document = json.loads(body)
        directory, names = next(iter(document.items()))
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UnreadableIndex("its first pair is no directory with a list of names")
        ours = document.get(_OURS)
        if ours is None:
            return Index(directory=directory, names=tuple(names), format=1)
        if ours["format"] != FORMAT:
            raise UnreadableIndex(f"its format is {ours['format']}, and this version reads {FORMAT}; use a newer one")
        owners = [_owner(*owner) for owner in ours["owners"]]
        return Index(
            directory=directory,
            names=tuple(names),
            files={name: _stored(name, entry, owners, directory_key) for name, entry in ours["files"].items()},
            missing=_texts(ours["missing"]),
            pending=_texts(ours["pending"]),
            node=_text(ours["node"]),
            taken_at=_moment(ours["taken_at"]),
            seen_at=_moment(ours["seen_at"]),
            next=_texts(ours["next"]),
            live=_text(ours["live"]),
        )
    except RecursionError as error:
        raise UnreadableIndex("it is nested deeper than any index") from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, StopIteration) as error:
        raise UnreadableIndex(f"it is damaged ({type(error).__name__}: {error})") from error


# Every field is looked at here, because whoever has an `Index` goes by it: a purge above all.


def _stored(name: str, entry: list[object], owners: list[Owner], directory_key: str) -> StoredFile:
    size, checksum, mtime_ns, mode, owner, *key = entry
    if len(key) > 1 or not _CHECKSUM.fullmatch(_text(checksum)):
        raise ValueError(f"{entry!r} describes no file")
    return StoredFile(
        key=_text(key[0]) if key else directory_key + name,
        size=_natural(size),
        checksum=int(_text(checksum), 16),
        mtime_ns=_whole(mtime_ns),
        mode=_natural(mode),
        owner=owners[_natural(owner)],
    )


def _owner(uid: object, gid: object, user: object, group: object) -> Owner:
    return Owner(
        uid=_natural(uid),
        gid=_natural(gid),
        user=None if user is None else _text(user),
        group=None if group is None else _text(group),
    )


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    return value


def _natural(value: object) -> int:
    number = _whole(value)
    if number < 0:
        raise ValueError(f"{number} is below nothing")
    return number


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return tuple(_text(one) for one in value)


def _moment(value: object) -> datetime:
    moment = datetime.fromisoformat(_text(value))
    if moment.tzinfo is None:
        raise ValueError(f"{value!r} does not say its time zone")
    return moment


def _spell(moment: datetime | None) -> str:
    if moment is None:
        raise ValueError("a restore point without a moment")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
