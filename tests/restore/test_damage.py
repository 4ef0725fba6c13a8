"""Whatever is damaged: a restore is exact to the byte, or its exit code is not 0 and what is wrong is named."""

import hashlib
import json
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st
from tests.catalog.stored import Past
from tests.download.bringing import AT_ONCE

from tablesnap.cli.console.screen import Screen
from tablesnap.cli.line.printable import printable
from tablesnap.cli.tableslurp.flags import parse
from tablesnap.cli.tableslurp.run import restore
from tablesnap.rules.keys import INDEX_ENDING
from tablesnap.store.port import Listed

T0 = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
NOW = T0 + timedelta(days=1)
DATA = "/var/lib/cassandra/data"
TABLES = [f"{DATA}/shop/{name}-{'5a1c395e' * 4}" for name in ("users", "orders")]
OTHERS = [f"{DATA}/shop/o d'd ~ü", f"{DATA}/archive#1?%41"]
NAMES = [
    "plain",
    "a b",
    "ü\u0301~1",
    "x~0123456789abcdef",
    "%41#?&+;=",
    "quote\"'`$(x)",
    "tab\there",
    "back\\slash",
    "-r",
]
OF_1X = [f"{DATA}/old/t-{'0b1c395e' * 4}"]


@dataclass
class Bucket:
    """A bucket, what its newest restore points hold, and what is wrong with it."""

    serial: int = 0
    past: Past = field(default_factory=Past.in_memory)
    newest: dict[str, dict[str, bytes]] = field(default_factory=dict)  # by directory and name
    keys: dict[tuple[str, str], str] = field(default_factory=dict)  # of what the newest names
    seen: set[str] = field(default_factory=set)  # directories of which a listing shows that they are not as they were
    hidden: set[tuple[str, str]] = field(default_factory=set)  # files whose content alone is another
    lost: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # paths, by directory
    unreadable: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # indexes, by directory

    def body(self, key: str) -> bytes:
        return b"".join(self.past.store.read(key))

    def table(self, directory: str, pasts: Sequence[Sequence[int]]) -> None:
        for hour, generations in enumerate(pasts):
            when = T0 + timedelta(hours=hour)
            files = {
                name: one for number in generations for name, one in self.past.sstable(directory, number, when).items()
            }
            self.past.point({directory: files}, when)
            self.remember(directory, {name: one.key for name, one in files.items()})

    def plain(self, directory: str, names: Sequence[str]) -> None:
        files = {name: self.past.file(directory, name, 100 + len(name), T0) for name in names}
        self.past.point({directory: files}, T0)
        self.remember(directory, {name: one.key for name, one in files.items()})

    def of_1x(self, directory: str, generations: Sequence[int]) -> None:
        """Store what 1.x would have: a listing of names, and objects that have their MD5."""
        keys = {}
        for number in generations:
            for component in ("Index.db", "Statistics.db", "CompressionInfo.db", "Data.db"):
                name = f"mc-{number}-big-{component}"
                body = f"{name} of 1.x".encode() * 10
                keys[name] = self.past.keys.plain(f"{directory}/{name}")
                md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
                self.past.garbage(keys[name], body, T0, {"md5sum": md5})
        listing = json.dumps({directory: [*keys, "snapshots"]}).encode()
        newest = self.past.keys.plain(f"{directory}/mc-{max(generations)}-big-Data.db")
        self.past.garbage(newest + INDEX_ENDING, listing, T0)
        self.remember(directory, keys)

    def remember(self, directory: str, keys: Mapping[str, str]) -> None:
        self.newest[directory] = {name: self.body(key) for name, key in keys.items()}
        for place in [one for one in self.keys if one[0] == directory]:
            del self.keys[place]
        self.keys |= {(directory, name): key for name, key in keys.items()}

    def damage(self, kind: str, which: int) -> None:
        """Do one harm to an object that a newest restore point names, or beside it."""
        places = sorted(self.keys)
        if not places:
            return
        directory, name = places[which % len(places)]
        key = self.keys[directory, name]
        there = any(isinstance(one, Listed) for one in self.past.store.list(key) if one.key == key)
        if kind == "foreign":
            self.serial += 1
            self.past.garbage(f"{key}.foreign{self.serial}", b"not ours", T0)
        elif kind in ("unreadable", "newer"):
            body = (
                b"{" if kind == "unreadable" else json.dumps({directory: [name], "tablesnap": {"format": 99}}).encode()
            )
            index = self.past.keys.plain(f"{directory}/nb-{900 + which}-big-Data.db{INDEX_ENDING}")
            if not any(one.key == index for one in self.past.store.list(index)):
                self.past.garbage(index, body, T0 + timedelta(hours=20))
            self.seen.add(directory)
            self.unreadable[directory].add(index)
        elif there:
            self.harm(kind, directory, name, key)

    def harm(self, kind: str, directory: str, name: str, key: str) -> None:
        body, metadata = self.body(key), self.past.store.head(key).metadata
        self.past.store.delete([key])
        of_1x = directory in OF_1X
        if kind == "lost":
            self.seen.add(directory)
            self.lost[directory].add(f"{directory}/{name}")
        elif kind == "truncated":
            self.past.garbage(key, body[:-1], T0, metadata)
            if of_1x:
                self.hidden.add((directory, name))  # it wrote no size down
            else:
                self.seen.add(directory)
                self.lost[directory].add(f"{directory}/{name}")
        else:
            self.past.garbage(key, bytes([(body[0] + 1) % 256]) + body[1:], T0, metadata)
            self.hidden.add((directory, name))


@st.composite
def buckets(draw: st.DrawFn) -> Bucket:
    bucket = Bucket()
    generations = st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True)
    for directory in draw(st.lists(st.sampled_from(TABLES), unique=True)):
        bucket.table(directory, draw(st.lists(generations, min_size=1, max_size=3)))
    for directory in draw(st.lists(st.sampled_from(OTHERS), unique=True)):
        bucket.plain(directory, draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True)))
    for directory in draw(st.lists(st.sampled_from(OF_1X), unique=True)):
        bucket.of_1x(directory, draw(generations))
    kinds = st.sampled_from(["lost", "truncated", "flipped", "foreign", "unreadable", "newer"])
    for kind, which in draw(st.lists(st.tuples(kinds, st.integers(0, 99)), max_size=4)):
        bucket.damage(kind, which)
    return bucket


def restored(bucket: Bucket, target: Path, *flags: str) -> tuple[int, str]:
    """Run the command, and return its exit code and all that it said."""
    options = parse(["-r", "-n", "node1", *flags, "file:///unused", DATA, str(target)], {}, NOW)
    said = StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = restore(options, bucket.past.store, Screen(), threading.Event, AT_ONCE)
    return code, said.getvalue()


def found_in(target: Path) -> dict[tuple[str, str], bytes]:
    return {
        (f"{DATA}/{one.parent.relative_to(target)}", one.name): one.read_bytes()
        for one in target.rglob("*")
        if one.is_file()
    }


@given(buckets(), st.booleans())
def test_a_restore_is_exact_or_says_what_is_wrong(bucket: Bucket, allow_missing: bool) -> None:
    if not bucket.newest:
        return
    with TemporaryDirectory() as folder:
        target = Path(folder) / "target"
        code, said = restored(bucket, target, *(["--allow-missing"] if allow_missing else []))
        found = found_in(target)

    wanted = {(directory, name): body for directory, files in bucket.newest.items() for name, body in files.items()}
    flat = " ".join(said.split())
    if code == 0:
        assert found == wanted, "silent and wrong"
        assert not bucket.seen
        assert not bucket.hidden
    for directory in bucket.seen:
        # Behind an index that cannot be read nobody looks for what an older one names.
        indexes = bucket.unreadable[directory]
        assert not indexes or any(one in flat for one in indexes)
        assert indexes or all(" ".join(printable(one).split()) in flat for one in bucket.lost[directory])
    for directory, name in bucket.hidden:
        # Its bytes are looked at where the table is restored at all.
        if directory not in bucket.seen:
            assert code != 0
            assert " ".join(printable(name).split()) in flat
            assert (directory, name) not in found
    for directory, name in found:
        if directory not in bucket.seen:
            assert found[directory, name] == wanted[directory, name], "what has its final name is whole"
    if not (bucket.seen or bucket.hidden):
        assert code == 0, said
