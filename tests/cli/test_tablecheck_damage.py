"""Whatever was done to a bucket, each damage is named; and where nothing was, nothing is said."""

import io
import json
import threading
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.catalog.stored import Past
from tests.stores import Around

from tablesnap.cli.console.screen import Screen
from tablesnap.cli.line.printable import printable
from tablesnap.cli.tablecheck.flags import parse
from tablesnap.cli.tablecheck.run import Run
from tablesnap.cli.tablecheck.tally import Tally
from tablesnap.download.line import Halted
from tablesnap.rules.keys import is_index
from tablesnap.store.memory import MemoryStore
from tablesnap.store.port import Content, Store

BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
TABLE = f"shop/users-{'5a1c395e' * 4}"
DIRECTORIES = (f"/data/{TABLE}", f"/data2/{TABLE}", "/srv/a b", '/srv/new\nline "x"', "/srv/deep/er~0/ü\udcff")
NAMES = (
    "nb-1-big-Data.db",
    "nb-1-big-Index.db",
    "nb-2-big-Data.db",
    "plain",
    "tab\tand\x1b[31m",
    "q'uo\"te",
    "\udcfe\\x",
    "percent%2F~0000000000000000",
)
GARBAGE = (b"", b"{", b"[]", b"\xff\x00", b'{"/x": "y"}', b'{"/x":[],"tablesnap":{"format":3}}', b"[" * 10_000)
KINDS = {"lost": {"lost"}, "cut": {"size"}, "changed": {"checksum", "content"}, "flipped": {"content"}}


class Clock:
    def __init__(self) -> None:
        self.moment = BEGAN

    def set(self, moment: datetime, _key: str) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment


class Flipped(Around):
    """Gives one bit of some objects otherwise than it has taken them in."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.keys: set[str] = set()

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        body = bytearray(b"".join(super().read(key)))
        if key in self.keys:
            body[len(body) // 2] ^= 4
        return iter([bytes(body)[offset:][:length]])


@dataclass
class World:
    """A bucket, what its indexes name, and what was done to it."""

    clock: Clock = field(default_factory=Clock)
    named: dict[str, set[str]] = field(default_factory=dict)  # objects, by the key of the index
    pointers: set[str] = field(default_factory=set)  # indexes that name another for their files
    damaged: dict[str, set[str]] = field(default_factory=dict)  # kinds of fault, by key

    def __post_init__(self) -> None:
        self.store = Flipped(MemoryStore(self.clock))
        self.pasts = [Past(self.store, self.clock.set, node) for node in ("node1", "nöde 2")]

    def record(self, node: int, held: dict[str, list[str]], hour: int) -> None:
        past = self.pasts[node]
        when = BEGAN + timedelta(hours=hour)
        files = {
            path: {name: past.file(path, name, 100 + len(name), when) for name in names} for path, names in held.items()
        }
        first, *others = past.point(files, when)
        self.named[first] = {file.key for part in files.values() for file in part.values()}
        self.pointers |= set(others)

    def replace(self, key: str, body: bytes) -> None:
        modified = next(one.modified for one in self.store.list(key) if one.key == key)
        self.clock.set(modified, "")
        self.store.delete([key])
        self.store.create(key, Content.of(body))

    def damage(self, key: str, how: str) -> None:
        body = b"".join(self.store.read(key))
        if how == "lost":
            self.store.delete([key])
        elif how == "cut":
            self.replace(key, body[:-1])
        elif how == "changed":
            self.replace(key, bytes([body[0] ^ 1]) + body[1:])
        else:
            self.store.keys.add(key)
        self.damaged[key] = KINDS[how]

    def spoil(self, key: str, body: bytes) -> None:
        """Put something in an index's place."""
        self.replace(key, body)
        self.damaged[key] = {"unreadable"}
        self.named.pop(key, None)

    def expected(self) -> dict[str, set[str]]:
        """Return the kinds of fault that are to be found, by key: of what an index that can be read names."""
        named = set().union(*self.named.values(), (key for key in self.damaged if is_index(key)))
        return {key: kinds for key, kinds in self.damaged.items() if key in named}


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world = World()
    names = st.lists(st.sampled_from(NAMES), min_size=1, unique=True)
    for hour in range(draw(st.integers(1, 5))):
        place = draw(st.integers(0, len(DIRECTORIES) - 1))
        # The table's two directories have one history, and each of its restore points speaks of both.
        paths = DIRECTORIES[:2] if place < 2 else (DIRECTORIES[place],)
        world.record(draw(st.integers(0, 1)), {path: draw(names) for path in paths}, hour)
    for name in draw(st.lists(st.sampled_from(["stray", "node3", "node3:", "a/b:c/d", "node1:x"]), unique=True)):
        world.store.create(name, Content.of(b"foreign"))
    for node in draw(st.sets(st.integers(0, 1))):
        if any(key.startswith(keys := world.pasts[node].keys.below("/srv/a b")) for key in world.named):
            world.store.create(f"{keys}foreign", Content.of(b"foreign"))
    return world


def check(world: World, *arguments: str) -> tuple[str, bool]:
    """Return what is printed, and whether the exit code says that something is wrong."""
    options = parse([*arguments, "memory"], {}, BEGAN)
    run = Run(options, world.store, Screen(), threading.Event(), Tally(began=0))
    with redirect_stdout(io.StringIO()) as out:
        run.check_nodes()
    return out.getvalue(), run.tally.faulty


def faults(printed: str) -> list[dict[str, Any]]:
    return [one for one in map(json.loads, printed.splitlines()) if "fault" in one]


@settings(deadline=None, max_examples=60, derandomize=True)
@given(worlds(), st.sampled_from([(), ("--read",), ("--sample", "1/3")]))
def test_a_bucket_that_is_whole_is_silent(world: World, how: tuple[str, ...]) -> None:
    assert check(world, *how) == ("", False)


@settings(deadline=None, max_examples=150, derandomize=True)
@given(st.data(), worlds())
def test_each_damage_is_named_and_nothing_else(data: st.DataObject, world: World) -> None:
    objects = sorted(set().union(*world.named.values()))
    indexes = sorted({*world.named, *world.pointers})
    for key in data.draw(st.lists(st.sampled_from(objects), max_size=3, unique=True)):
        world.damage(key, data.draw(st.sampled_from(sorted(KINDS))))
    for key in data.draw(st.lists(st.sampled_from(indexes), max_size=2, unique=True)):
        world.spoil(key, data.draw(st.sampled_from(GARBAGE)))

    printed, faulty = check(world, "--read", "--json")
    lines, _ = check(world, "--read")

    found = faults(printed)
    expected = world.expected()
    of_objects = [one for one in found if one["fault"] != "nothing"]
    assert {one["key"] for one in of_objects} == expected.keys()
    assert all(one["fault"] in expected[one["key"]] for one in of_objects)
    assert faulty == bool(expected)
    assert len(lines.splitlines()) == len(found)
    assert all(printable(key) in lines for key in expected)


def test_a_run_that_is_interrupted_ends_and_knows_it() -> None:
    world = World()
    world.record(0, {DIRECTORIES[2]: ["plain"]}, 1)
    stop = threading.Event()
    stop.set()
    run = Run(parse(["memory"], {}, BEGAN), world.store, Screen(), stop, Tally(began=0))

    with pytest.raises(Halted):
        run.check_nodes()

    assert run.interrupted
    assert run.why_ended.endswith("it was interrupted")
