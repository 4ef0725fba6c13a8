"""Check one history: each of its restore points, and of all objects that they name each one once."""

import posixpath
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from hashlib import blake2b

from tablesnap.catalog.timeline import Timeline
from tablesnap.errors import NoSuchObject, StoreError
from tablesnap.rules import sstable
from tablesnap.rules.kept import KeptFile
from tablesnap.rules.keys import directory_of
from tablesnap.rules.order import AHEAD
from tablesnap.rules.points import RestorePoint
from tablesnap.store.port import Listed, Store
from tablesnap.units import spell_count, spell_seconds, spell_utc
from tablesnap.verify.digest import is_digest
from tablesnap.verify.finding import Finding, Kind, Proof
from tablesnap.verify.objects import ObjectChecker, Verdict
from tablesnap.verify.order import OrderCheck

_READERS = 4  # of indexes, at a time
_AHEAD = 64  # objects that are waited for at a time


@dataclass(frozen=True)
class Checked:
    """What the check of one history came to."""

    node: str
    name: str
    points: int  # restore points that were looked at
    findings: tuple[Finding, ...]
    objects: int  # that were there of those that are named
    size: int  # their bytes
    right: Mapping[Proof, int]  # objects, by what they were found right
    read: int  # bytes that were downloaded and compared
    verified: datetime | None  # until when the newest restore point was true of which all was found right
    notes: tuple[str, ...] = ()  # what is no fault, and to be known before a restore
    frozen: int = 0  # objects that are archived, and cannot be read now


@dataclass(frozen=True)
class Tools:
    """What all checks of a run share."""

    store: Store
    checker: ObjectChecker
    reads: Callable[[KeptFile], bool]  # whether it is downloaded
    finished: Callable[[int], None]  # told of each object that was there: the bytes that did not have to come
    workers: Executor


@dataclass
class _Damage:
    """One fault, and what is counted of the restore points that have it."""

    key: str
    what: str
    newest: datetime  # restore points come newest first
    points: int = 0


@dataclass
class _Found:
    """What has been found so far."""

    points: int = 0
    objects: int = 0
    size: int = 0
    damages: dict[tuple[Kind, str, str], _Damage] = field(default_factory=dict)  # by kind, path and object
    right: Counter[Proof] = field(default_factory=Counter)
    read: int = 0
    frozen: int = 0
    verified: datetime | None = None
    lagging: dict[str, list[datetime]] = field(default_factory=dict)  # restore points, by what is to be said of them


class HistoryCheck:
    """The check of one *timeline* of a *node*. For one thread; the objects are checked by those of *tools*.

    Memory grows with the number of objects in the directories of the timeline, and of indexes, by some 400 bytes each.
    """

    def __init__(self, node: str, timeline: Timeline, tools: Tools) -> None:
        self._node = node
        self._timeline = timeline
        self._tools = tools
        self._sizes = _Sizes(tools.store)
        self._seen: set[bytes] = set()  # claims that were checked
        self._wrong: dict[bytes, Verdict] = {}  # those of them that are not true
        self._counted: set[bytes] = set()  # objects; two indexes may claim different things of one
        self._paths = {one.key: path for path, one in timeline.directories.items()}
        self._order = OrderCheck()
        self._found = _Found()

    def run(self) -> Checked:
        """Check everything; raise `Halted` where the run has ended."""
        extra: list[Finding] = []
        try:
            for point in self._timeline.all(_READERS):
                self._found.points += 1
                self._look_at(point)
        except StoreError as error:
            extra.append(self._of_all(Kind.UNCHECKED, f"could not be checked to its end: {error}"))
        else:
            if self._found.verified is None:
                extra.append(self._of_all(Kind.NOTHING, self._why_nothing()))
        found = self._found
        return Checked(
            self._node,
            self._timeline.name,
            found.points,
            (*extra, *self._findings()),
            found.objects,
            found.size,
            found.right,
            found.read,
            found.verified,
            tuple(_spell_note(note, moments) for note, moments in sorted(found.lagging.items())),
            found.frozen,
        )

    def _look_at(self, point: RestorePoint) -> None:
        self._order.note(point)
        for note in self._timeline.lagging(point).notes():
            self._found.lagging.setdefault(note, []).append(point.taken_at)
        wrong = [*self._of_index(point), *self._of_files(point)]
        if not wrong and self._found.verified is None:
            self._found.verified = point.until
        wrong += _of_moment(point)  # what it names can be restored all the same
        if not wrong or self._is_forgotten(point):
            return
        for kind, key, path, what in wrong:
            # Of these the key is that of whichever index says so: what was never stored has no object.
            same = (kind, path, "" if kind in (Kind.MISSING, Kind.FUTURE) else key)
            self._found.damages.setdefault(same, _Damage(key, what, point.taken_at)).points += 1

    def _of_index(self, point: RestorePoint) -> Iterator[tuple[Kind, str, str, str]]:
        """Yield what the index alone tells."""
        if point.unreadable:
            what = f"the index cannot be read: {point.unreadable}"
            yield Kind.UNREADABLE, point.key, self._path(point.directory), what
        for doubt in point.doubts:
            yield Kind.UNREADABLE, doubt.key, self._path(doubt.path), doubt.what
        for path in point.missing:
            yield Kind.MISSING, point.key, path, "was there, and was not stored"

    def _of_files(self, point: RestorePoint) -> list[tuple[Kind, str, str, str]]:
        """Check what no other restore point has named so before, and return what is wrong with the objects of this."""
        digests = self._digests(point)
        claims = [(_claim(file, digest := digests.get(file.path)), file, digest) for file in point.files]
        for claim, file, verdict in self._verdicts(self._unseen(claims)):
            self._count(file, verdict)
            if verdict.kind is not None:
                self._wrong[claim] = verdict
        if not self._wrong:
            return []
        wrong = [(file, self._wrong[claim]) for claim, file, _ in claims if claim in self._wrong]
        return [(verdict.kind, file.key, file.path, verdict.what) for file, verdict in wrong if verdict.kind]

    def _unseen(
        self, claims: Iterable[tuple[bytes, KeptFile, KeptFile | None]]
    ) -> Iterator[tuple[bytes, KeptFile, KeptFile | None]]:
        for claim, file, digest in claims:
            if claim not in self._seen:
                self._seen.add(claim)
                yield claim, file, digest

    def _verdicts(
        self, claims: Iterable[tuple[bytes, KeptFile, KeptFile | None]]
    ) -> Iterator[tuple[bytes, KeptFile, Verdict]]:
        waiting: deque[tuple[bytes, KeptFile, Future[Verdict]]] = deque()
        for claim, file, digest in claims:
            size, is_archived = self._sizes.of(file.key)
            checking = partial(self._tools.checker.check, file, size, digest, is_archived=is_archived)
            waiting.append((claim, file, self._tools.workers.submit(checking)))
            if len(waiting) > _AHEAD:
                claim, file, verdict = waiting.popleft()
                yield claim, file, verdict.result()
        for claim, file, verdict in waiting:
            yield claim, file, verdict.result()

    def _count(self, file: KeptFile, verdict: Verdict) -> None:
        reads = verdict.size > 0 and not verdict.frozen and self._tools.reads(file)
        if reads:
            self._found.read += verdict.size
        if (known := _short(file.key)) in self._counted:
            return
        self._counted.add(known)
        self._found.frozen += verdict.frozen
        if verdict.kind is None and verdict.proof is not None:
            self._found.right[verdict.proof] += 1
        if verdict.kind is not Kind.LOST:
            self._found.objects += 1
            self._found.size += verdict.size
            self._tools.finished(0 if reads else verdict.size)

    def _digests(self, point: RestorePoint) -> Mapping[str, KeptFile]:
        """Return Cassandra's digest for the path of each Data.db that is to be downloaded."""
        found = {}
        for file in point.files:
            if self._tools.reads(file) and is_digest(file.name):
                component = sstable.parse(file.name)
                assert component is not None
                found[posixpath.join(file.directory, component.stem + sstable.DATA)] = file
        return found

    def _is_forgotten(self, point: RestorePoint) -> bool:
        """Say whether a purge has forgotten *point* meanwhile: then its objects may be gone as well."""
        try:
            self._tools.store.head(point.key)
        except NoSuchObject:
            return True
        except StoreError:
            pass  # that something is wrong with it is said all the same
        return False

    def _path(self, directory: str) -> str:
        """Return the path of a directory that is known by its key, as that of an index that cannot be read is."""
        return self._paths.get(directory, directory)

    def _of_all(self, kind: Kind, what: str) -> Finding:
        path, directory = min(self._timeline.directories.items())
        return Finding(kind, self._node, self._timeline.name, directory.key, path, what, self._found.points)

    def _why_nothing(self) -> str:
        if self._found.points:
            return f"none of {spell_count(self._found.points, 'restore point')} is right"
        objects = sum(one.objects for one in self._timeline.directories.values())
        return f"{spell_count(objects, 'object')}, and no index that says what belongs together"

    def _findings(self) -> Iterator[Finding]:
        for (kind, path, _), one in self._found.damages.items():
            yield Finding(kind, self._node, self._timeline.name, one.key, path, one.what, one.points, one.newest)
        for two in self._order.disorders():
            name = self._timeline.name
            yield Finding(two.kind, self._node, name, two.key, two.directory, two.what, two.points, two.newest)


class _Sizes:
    """The sizes of objects, by a listing of each directory when it is first asked for.

    Whoever asks has read an index that names the object, so that it was stored before this listing begins.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sizes: dict[str, dict[str, int]] = {}  # by the key of the directory, then by the rest of the key
        self._archived: set[str] = set()  # keys

    def of(self, key: str) -> tuple[int | None, bool]:
        """Return the size of an object, None if it is not there, and whether it is archived."""
        directory_key = directory_of(key)
        sizes = self._sizes.get(directory_key)
        if sizes is None:
            listed = [one for one in self._store.level(directory_key) if isinstance(one, Listed)]
            self._archived.update(one.key for one in listed if one.archived)
            sizes = self._sizes[directory_key] = {one.key[len(directory_key) :]: one.size for one in listed}
        return sizes.get(key[len(directory_key) :]), key in self._archived


def _spell_note(note: str, moments: Sequence[datetime]) -> str:
    points = spell_count(len(moments), "restore point")
    return f"{note} ({points}, the newest that of {spell_utc(max(moments))})"


def _of_moment(point: RestorePoint) -> list[tuple[Kind, str, str, str]]:
    if not point.ahead:
        return []
    ahead = spell_seconds((point.ahead + AHEAD).total_seconds())
    what = f"says that it was taken {ahead} after the store received it: the clock of the node was wrong"
    return [(Kind.FUTURE, point.key, point.directory, what)]


def _claim(file: KeptFile, digest: KeptFile | None) -> bytes:
    """Return what stands for what an index says of an object: it is not checked twice for the same."""
    return _short(file.key, str(file.size), str(file.checksum), digest.key if digest is not None else "")


def _short(*words: str) -> bytes:
    """Return 16 bytes that stand for these *words*."""
    return blake2b("\0".join(words).encode("utf-8", "surrogatepass"), digest_size=16).digest()
