"""A node, its daemon, a store and purges, with clocks of their own: everything that may meet, one request at a time."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from tests.stores import Around, Clock

from tablesnap.catalog.catalog import Catalog
from tablesnap.catalog.inventory import inventory
from tablesnap.catalog.timeline import timelines
from tablesnap.checksum import crc64nvme
from tablesnap.purge.planning import Terms, plan_purge
from tablesnap.purge.purging import Outcome, purge
from tablesnap.rules.index import Index, Owner, StoredFile
from tablesnap.rules.index_decoding import decode
from tablesnap.rules.index_parts import join
from tablesnap.rules.keys import Keys, directory_of, is_index
from tablesnap.rules.purging import Retention
from tablesnap.store.memory import MemoryStore
from tablesnap.store.port import Content, Store
from tablesnap.upload.one import Uploader

GRACE = timedelta(hours=24)
KEYS = Keys("", "n", ":")
COMPONENTS = ("Statistics.db", "Data.db")
TABLES = {
    "one": ("/d1/ks/one-" + "1" * 32,),
    "two": ("/d1/ks/two-" + "2" * 32, "/d2/ks/two-" + "2" * 32),
}

_decoded = lru_cache(maxsize=1 << 12)(decode)  # the same are looked at after every step

Contents = dict[tuple[str, str], bytes]  # by directory and name


class DiedError(Exception):
    """The process was killed."""


class Stepping(Around):
    """A store that lets others have their turn before a request, and a process die at one.

    Each has the number of its request; numbers below nothing count deletions.
    """

    def __init__(self, store: Store, turns: dict[int, Callable[[], None]], *, dies_at: int | None = None) -> None:
        super().__init__(store)
        self._turns = turns
        self._dies_at = dies_at
        self._number = 0
        self._deletions = 0
        self.is_late = False  # what is deleted now is not looked at again before

    def before(self, request: str) -> None:
        if request.startswith("read"):
            return  # they come side by side, in no order that could be told again
        self._number += 1
        if self._number == self._dies_at:
            raise DiedError
        turn = self._turns.get(self._number)
        if turn is not None:
            turn()

    def delete(self, keys: Iterable[str]) -> None:
        keys = list(keys)
        self._deletions += 1
        self.is_late = not is_index(keys[0])
        turn = self._turns.get(-self._deletions)
        if turn is not None:
            turn()
        if self._dies_at in (self._number + 1, -self._deletions):
            # A joint deletion has no order, and any part of it may have been done.
            drawn = random.Random(f"{self._number} {keys}")
            self.store.delete(drawn.sample(keys, drawn.randint(0, len(keys))))
            raise DiedError
        super().delete(keys)
        self.is_late = False


@dataclass(frozen=True)
class Promise:
    """A restore point that was written, and what it must give."""

    keys: tuple[str, ...]
    stored_at: datetime  # by the store's clock
    contents: Contents


@dataclass
class Table:
    """A table on the node's disk, and what its daemon knows of it."""

    directories: tuple[str, ...]
    live: Contents = field(default_factory=dict)
    stored: dict[tuple[str, str], tuple[bytes, StoredFile]] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)  # by the newest index
    promises: list[Promise] = field(default_factory=list)
    recorded_at: datetime | None = None
    relied_since: datetime | None = None  # on an object for its youth
    generation: int = 0


class World:
    """Everything."""

    def __init__(self, host_skew: timedelta, purge_skew: timedelta, *, relies_on_anything: bool = False) -> None:
        """*relies_on_anything*: the daemon takes whatever it finds for stored, as if there were no purge."""
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        self.host_skew, self.purge_skew = host_skew, purge_skew
        self.tables = {name: Table(directories) for name, directories in TABLES.items()}
        self._serial = 0
        self._indexed = not relies_on_anything
        self.start_daemon()

    def host_now(self) -> datetime:
        return self.clock() + self.host_skew

    # The daemon.

    def start_daemon(self) -> None:
        """Start with nothing but the store and the disk, as after a crash."""
        self._catalog = Catalog(self.store, KEYS)
        self._uploader = Uploader(self.store, self.host_now, indexed=self._indexed)
        for table in self.tables.values():
            survey = self._catalog.survey(table.directories, table.directories)
            point = survey.newest_point(table.directories)
            table.stored, table.named, table.relied_since = {}, set(), None
            if point is None:
                continue
            table.named = point.keys(KEYS.below(point.directory))
            for directory, files in {point.directory: point.files, **point.others}.items():
                for name, file in files.items():
                    body = table.live.get((directory, name))
                    if body is not None and crc64nvme(body) == file.checksum:
                        table.stored[directory, name] = body, file

    def flush(self, table: Table, directory: int, *, again: bool) -> None:
        """Write an sstable; *again*, under a name that another had before."""
        if not (again and table.generation):
            table.generation += 1
        generation = random.Random(self._serial).randint(1, table.generation) if again else table.generation
        for component in COMPONENTS:
            self._write(
                table, table.directories[directory % len(table.directories)], f"nb-{generation}-big-{component}"
            )

    def rewrite(self, table: Table) -> None:
        """Write another Statistics.db under the old name."""
        for directory, name in sorted(table.live)[-2:]:
            if name.endswith("Statistics.db"):
                self._write(table, directory, name)

    def compact(self, table: Table) -> None:
        """Put one new sstable in the place of all."""
        table.live.clear()
        self.flush(table, 0, again=False)

    def truncate(self, table: Table) -> None:
        """Take all away."""
        table.live.clear()

    def _write(self, table: Table, directory: str, name: str) -> None:
        self._serial += 1
        table.live[directory, name] = f"{directory}/{name} {self._serial}".encode()

    def put_back(self, table: Table, which: int) -> None:
        """Have somebody copy an old restore point back by hand: the same names with the same bytes as long ago."""
        if table.promises:
            table.live = dict(table.promises[which % len(table.promises)].contents)

    def upload(self, table: Table, most: int = 1000) -> None:
        """Store what is not stored yet."""
        missing = [place for place, body in table.live.items() if table.stored.get(place, (b"",))[0] != body]
        for place in missing[:most]:
            body, key = table.live[place], KEYS.plain("/".join(place))
            placed = self._uploader.place(Content.of(body), key, metadata={}, is_named=table.named.__contains__)
            if not placed.sent and not placed.because_named and table.relied_since is None:
                table.relied_since = self.clock()
            table.stored[place] = body, _stored(placed.key, body, self.host_now())

    def record(self, table: Table) -> None:
        """Write the restore point; where not all is stored, with what is stored of the next."""
        self.clock.advance(seconds=1)  # no two restore points of a table are of one moment
        now = self.host_now()
        whole = {place: kept for place, kept in table.stored.items() if table.live.get(place) == kept[0]}
        if whole.keys() != table.live.keys() or (not whole and table.recorded_at is None):
            return
        parts = []
        for directory in table.directories:
            files = {name: file for (parent, name), (_, file) in whole.items() if parent == directory}
            parts.append(
                Index(directory, tuple(files), files, node="n", taken_at=now, seen_at=now, covers=table.directories)
            )
        keys = self._catalog.write_restore_point([join(parts), *parts[1:]])
        table.stored = whole
        table.named = {file.key for _, file in whole.values()}
        table.recorded_at, table.relied_since = self.clock(), None
        table.promises.append(Promise(keys, self.clock(), {place: body for place, (body, _) in whole.items()}))

    def pass_time(self, hours: float) -> None:
        """Let time pass; a daemon that relies on the youth of an object writes its index before that is over."""
        for table in self.tables.values():
            if table.relied_since and self.clock() + timedelta(hours=hours) - table.relied_since >= GRACE / 2:
                self.upload(table)
                self.record(table)
        self.clock.advance(hours=hours)
        for table in self.tables.values():
            if table.recorded_at and self.clock() - table.recorded_at >= timedelta(days=1):
                self.upload(table)
                self.record(table)  # an unchanged table is recorded once a day

    # Purges.

    def terms(self, days: float, last: int = 0) -> Terms:
        now = min(self.clock(), self.clock() + self.purge_skew)
        retention = Retention(cutoff=now - timedelta(days=days), settled=self.clock() - GRACE, last=last)
        return Terms(KEYS, "/", retention, self.clock(), GRACE, readers=2)

    def plans(self, store: Store, terms: Terms) -> list[Callable[[], Outcome]]:
        """Plan a purge of every table; each is carried out when it is called.

        A plan may have faults where something was written meanwhile; then nothing is done.
        """
        found = timelines(store, KEYS, inventory(store, KEYS.below("/")))
        planned = [(timeline, plan_purge(store, timeline, terms)) for timeline in found]
        if store is self.store:
            assert not [plan.faults for _, plan in planned if plan.faults]

        def carry_out(place: int) -> Callable[[], Outcome]:
            timeline, plan = planned[place]
            return lambda: purge(store, timeline, plan, terms)

        return [carry_out(place) for place in range(len(planned))]

    def forgive(self, terms: Terms, days: float) -> None:
        """Take from the promises those that a purge on these *terms* may have broken."""
        cutoff = self.clock() - timedelta(days=days)
        for table in self.tables.values():
            before = [one for one in table.promises if one.stored_at <= cutoff]
            after = [one for one in table.promises if one.stored_at > cutoff]
            last = table.promises[len(table.promises) - terms.retention.last :] if terms.retention.last else []
            kept = {id(one) for one in (*before[-1:], *after, *table.promises[-1:], *last)}
            table.promises = [one for one in table.promises if id(one) in kept]

    def insist_all_promises_are_kept(self) -> None:
        for table in self.tables.values():
            for promise in table.promises:
                assert restored(self.store, promise.keys[0]) == promise.contents, f"{promise.keys[0]} is harmed"
                for key in promise.keys[1:]:
                    self.store.head(key)

    def insist_every_index_restores(self) -> None:
        """Whoever sees an index must be able to restore all it names, also one that was to be forgotten."""
        for listed in list(self.store.list("")):
            if is_index(listed.key):
                index = _decoded(b"".join(self.store.read(listed.key)), directory_of(listed.key))
                for key in index.keys(directory_of(listed.key)) - set(index.next):
                    self.store.head(key)


def restored(store: Store, key: str) -> Contents:
    """Return what a restore by the index under *key* gives."""
    index = _decoded(b"".join(store.read(key)), directory_of(key))
    return {
        (directory, name): b"".join(store.read(file.key))
        for directory, files in {index.directory: index.files, **index.others}.items()
        for name, file in files.items()
    }


def _stored(key: str, body: bytes, now: datetime) -> StoredFile:
    moment = int(now.timestamp() * 1e9)
    return StoredFile(key, len(body), crc64nvme(body), moment, 0o100644, Owner(0, 0))
