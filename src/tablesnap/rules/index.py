"""The index: one restore point of one directory, or of all directories of one table, as the object that records it.

The body keeps the single pair of 1.x first, so that its restore reads ours; what is ours stands under ``tablesnap``.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tablesnap.checksum import to_hex
from tablesnap.rules import index_fields as field_of
from tablesnap.rules import sstable
from tablesnap.rules.incarnation import Incarnation
from tablesnap.rules.keys import directory_of
from tablesnap.rules.late import Late
from tablesnap.rules.taken import LatestName
from tablesnap.rules.writers import Writer

FORMAT = 2
OURS = "tablesnap"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who owns a file; a name is None where the system knows none."""

    uid: int
    gid: int
    user: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)  # slots: an index of 10,000 sstables has 80,000 of these
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
    """What one directory held at one moment; with `others`, what all directories of one table did.

    In `missing`, `pending` and `unexplained` what was in the index's own directory stands by its name, what was in
    one of `others` by its absolute path.
    """

    directory: str
    names: tuple[str, ...]  # the pair 1.x reads: what its restore fetches, by the last part of the key
    files: Mapping[str, StoredFile] = field(default_factory=dict)
    missing: tuple[str, ...] = ()  # was there, and is not stored
    pending: tuple[str, ...] = ()  # of the missing, those that were on their way
    node: str = ""
    taken_at: datetime | None = None  # None: written by 1.x, which did not say
    seen_at: datetime | None = None  # when it was recorded
    # Up to then no commit is known that it lacks; None: nobody looked. Not before `taken_at`.
    until: datetime | None = None
    serial: int | None = None  # one more than the highest known of the table; None: written by an older version
    writer: Writer | None = None  # None: likewise
    next: tuple[str, ...] = ()  # keys of a base that is being stored; a purge counts them as named
    live: str = ""  # fingerprint of what was live
    others: Mapping[str, Mapping[str, StoredFile]] = field(default_factory=dict)  # by absolute directory, then by name
    whole: str = ""  # the key of the index that holds the files of all directories of the table; none are here then
    covers: tuple[str, ...] = ()  # the directories of the table that were watched by who wrote this
    unexplained: tuple[str, ...] = ()  # stems of sstables that went without a transaction since the last restore point
    # The latest name, in the order of `rules.taken`, that an index of the directory was named after, this one included;
    # empty if its key says it, None if nobody knows.
    latest_name: LatestName = ""
    behind: tuple[str, ...] = ()  # names of the directories of secondary indexes that may lack entries of its rows
    late: tuple[Late, ...] = ()  # restore points that lack index entries and do not say so, of this moment and before
    format: int = FORMAT

    def keys(self, directory_key: str) -> set[str]:
        """Return every key this index names; *directory_key* is its own key up to the last slash."""
        return set(self.each_key(directory_key))

    def each_key(self, directory_key: str) -> Iterator[str]:
        """Yield every key this index names, in as little memory as can be; one may come twice."""
        for files in (self.files, *self.others.values()):
            yield from (file.key for file in files.values())
        yield from self.next
        if self.whole:
            yield self.whole
        if self.format < FORMAT:
            # 1.x writes names alone. It listed before it uploaded, so such a key may never have existed.
            yield from (directory_key + name for name in self.names)


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
    everywhere = [index.files, *index.others.values()]
    owners = list(dict.fromkeys(file.owner for files in everywhere for file in files.values()))
    places = {owner: place for place, owner in enumerate(owners)}
    ours: dict[str, object] = {
        "format": FORMAT,
        "node": index.node,
        "taken_at": field_of.spell(index.taken_at),
        "seen_at": field_of.spell(index.seen_at),
        **({} if index.until is None else {"until": field_of.spell(index.until)}),
        **({} if index.serial is None else {"serial": index.serial}),
        **({} if index.writer is None else {"writer": _spell_writer(index.writer)}),
        "missing": list(index.missing),
        "pending": list(index.pending),
        "owners": [[owner.uid, owner.gid, owner.user, owner.group] for owner in owners],
        "files": _spell_files(index.files, directory_key, places),
        "next": list(index.next),
        "live": index.live,
    }
    if index.others:
        ours["others"] = {directory: _spell_other(files, places) for directory, files in index.others.items()}
    if index.whole:
        ours["whole"] = index.whole
    if index.covers:
        ours["covers"] = list(index.covers)
    if index.unexplained:
        ours["unexplained"] = list(index.unexplained)
    if index.latest_name != "":
        ours["latest_name"] = index.latest_name
    if index.behind:
        ours["behind"] = list(index.behind)
    if index.late:
        ours["late"] = [
            {"index": late.index, "from": field_of.spell(late.since), "until": field_of.spell(late.until)}
            for late in index.late
        ]
    return json.dumps({index.directory: list(index.names), OURS: ours}, separators=(",", ":")).encode("ascii")


def _spell_files(
    files: Mapping[str, StoredFile], directory_key: str, places: Mapping[Owner, int]
) -> dict[str, list[object]]:
    return {
        name: [file.size, to_hex(file.checksum), file.mtime_ns, file.mode, places[file.owner]]
        + ([] if file.key == directory_key + name else [file.key])
        for name, file in files.items()
    }


def _spell_other(files: Mapping[str, StoredFile], places: Mapping[Owner, int]) -> dict[str, object]:
    # Whatever key the files of a directory have, plain or beside, it begins with that of the directory.
    directory_key = directory_of(next(iter(files.values())).key) if files else ""
    return {"key": directory_key, "files": _spell_files(files, directory_key, places)}


def _spell_writer(writer: Writer) -> dict[str, str]:
    return {"machine": writer.machine, "host": writer.host, "run": writer.run}
