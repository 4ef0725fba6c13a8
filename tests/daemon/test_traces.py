"""What a real Cassandra did to its files, event by event, done again in front of a daemon.

`tests/cassandra/record_traces.py` records the traces; each is one run of a scenario that is also tested with Cassandra
itself. Here rows are not read back: the sstables of each restore point must be those of its moment.
"""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.cassandra.trace import TRACES, Act, Step, load
from tests.daemon.in_process import indexes, running
from tests.daemon.replay import DATA, Life, Replay
from tests.daemon.table_points import contents_of
from tests.daemon.trace_oracle import Lives, lacking, right_sets
from tests.waiting import wait_until

from tablesnap.capture.listing import look_at_directory
from tablesnap.capture.pin import Pins
from tablesnap.live.look import look_at_table
from tablesnap.live.witness import Witness
from tablesnap.rules.index import Index, StoredFile
from tablesnap.rules.selection import Selection
from tablesnap.store.memory import MemoryStore

SCENARIOS = sorted(path.name.removesuffix(".json.gz") for path in TRACES.glob("*.json.gz"))
COMPACTIONS = [scenario for scenario in SCENARIOS if scenario.startswith("compaction-")]
WIPED = "wiped"  # the mark at which everything was gone, without a word
LATER = datetime.max.replace(tzinfo=UTC)


@dataclass
class Scene:
    """A trace, a store, and a daemon that may be there or not."""

    replay: Replay
    base_interval: float = 24 * 3600.0
    store: MemoryStore = field(default_factory=MemoryStore)
    running: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        """Have a daemon watch from now on."""
        daemon = running(
            self.store, *self.replay.disks, index_interval=0.0, backup=True, base_interval=self.base_interval
        )
        self.running.enter_context(daemon)
        self.replay.followed = True

    def stop(self) -> None:
        """Stop the daemon, as a service manager does."""
        self.replay.followed = False
        self.running.close()

    def settle(self) -> None:
        """Wait until the newest restore point of each table has everything."""
        try:
            wait_until(lambda: not self.faults_of_newest(), "restore points with everything")
        except AssertionError as error:
            error.add_note("\n".join(self.faults_of_newest()))
            raise
        self.replay.take_in_moved()

    def tables(self) -> list[str]:
        """Return the tables that ever had sstables, without their secondary indexes."""
        moved = {self.replay.table_of(directory) for directory, _ in self.replay.moving_in}
        return sorted(table for table in {*self.replay.commits, *moved} if "/." not in table)

    def points(self, table: str) -> list[Index]:
        """Return the restore points of a table, the oldest first."""
        found = [index for disk in self.replay.disks for index in indexes(self.store, disk / table) if not index.whole]
        return sorted(found, key=lambda index: (index.taken_at or LATER, index.seen_at or LATER))

    def faults_of_newest(self) -> list[str]:
        """Say what the newest restore points are without."""
        faults = []
        for table in self.tables():
            points = self.points(table)
            if not points:
                faults.append(f"{table} has no restore point")
            elif points[-1].missing:
                faults.append(f"that of {table} misses {points[-1].missing}")
            elif moving := self.replay.moving_in - data_of(points[-1]):
                faults.append(f"that of {table} is without {moving}, which were moved in")
            elif not self.replay.moving_in:
                faults += self.faults_of(table, points[-1], LATER)
            if points:
                faults += self.differences(points[-1])
        return faults

    def differences(self, point: Index) -> list[str]:
        """Say which components of what is live were made since *point*, as an index is, or a component list anew."""
        found = []
        for life in filter(self.replay.is_live, self.lives_in(point)):
            stored = {name for name in files_of(point)[life.directory] if name.startswith(life.stem)}
            there = {name for name in look_at_directory(life.directory).files if name.startswith(life.stem)}
            # A component that was dropped just now is stored all the same.
            gone = {name for name in stored if f"{life.directory}/{name}" in self.replay.dropped}
            found += [f"{life.directory}/{name} differs" for name in sorted((stored ^ there) - gone)]
        return found

    def faults_of(self, table: str, point: Index, at: datetime) -> list[str]:
        """Say in what *point* is not what it should be as of the moment *at*."""
        files = files_of(point)
        held = self.lives_in(point)
        faults = [
            f"{directory}/{name} is not what Cassandra wrote"
            for directory, names in files.items()
            for name, stored in names.items()
            if stored.checksum not in self.replay.finished[f"{directory}/{name}"] or name.endswith((".log", ".tmp"))
        ]
        faults += [
            f"{stem} was not committed" for _, stem in data_of(point) - {(one.directory, one.stem) for one in held}
        ]
        for one in held:
            names = {f"{one.directory}/{name}" for name in files[one.directory] if name.startswith(one.stem)}
            gone = {f"{one.directory}/{name}" for name in one.components} - names - self.replay.dropped
            faults += [f"{path} lacks" for path in gone]
        own = frozenset(one for one in held if self.replay.table_of(one.directory) == table)
        if own not in right_sets(self.replay.commits[table], at):
            faults.append(f"{spell(own)} is no right set of {table} at {at}: {self.spell_commits(table)}")
        for index, commits in self.replay.commits.items():
            if index.startswith(f"{table}/.") and os.path.basename(index) not in point.behind:
                lacks = lacking(held, commits, self.replay.commits[table], at)
                faults += [f"{spell(lacks)} of {index} lack at {at}: {self.spell_commits(index)}"] if lacks else []
        return faults

    def lives_in(self, point: Index) -> Lives:
        """Return the sstables that a restore point has, each known by its Data.db."""
        known = {life.data: life for commits in self.replay.commits.values() for one in commits for life in one.added}
        stored = [files_of(point)[directory][stem + DATA].checksum for directory, stem in data_of(point)]
        return frozenset(known[data] for data in stored if data in known)

    def spell_commits(self, table: str) -> str:
        commits = self.replay.commits[table]
        return "; ".join(f"{one.at} {one.operation} -{spell(one.removed)} +{spell(one.added)}" for one in commits)

    # What is insisted on

    def insist_all_are_right(self) -> None:
        """Insist that each restore point holds the sstables of its moment, whole and stored."""
        faults = []
        for table in self.tables():
            for point in self.points(table):
                if not point.missing:
                    assert point.taken_at
                    faults += self.faults_of(table, point, point.taken_at)
                contents_of(self.store, point)
        assert not faults, "\n".join(faults)

    def insist_the_newest_are_the_present(self) -> None:
        """Insist that the daemon, when stopped, recorded all that there is, as it is, and a later one can go on."""
        assert not self.faults_of_newest()
        for table in self.tables():
            newest = self.points(table)[-1]
            assert newest.live or not any(map(self.replay.is_live, self.lives_in(newest)))

    def insist_it_looks_like(self, mark: Step) -> None:
        """Insist that a look finds live what Cassandra called so."""
        assert mark.live is not None
        tables = defaultdict(list)
        for place in mark.live:
            directory = self.replay.directory(place)
            tables[self.replay.table_of(directory)].append(directory)
        for directories in tables.values():
            found: dict[str, set[str]] = {}
            for (directory, _), files in live_by_a_look(directories).items():
                found.setdefault(directory, set()).update(files)
            assert found == {self.replay.directory(place): set(names) for place, names in mark.live.items()
                             if self.replay.directory(place) in directories}  # fmt: skip


def live_by_a_look(directories: list[str]) -> Mapping[tuple[str, str], Mapping[str, object]]:
    pins = Pins()
    witness = Witness(pins, lambda message: None, time.monotonic)
    looked = look_at_table(directories, look_at_directory, witness, Selection())
    assert looked is not None
    return looked[0].live


def files_of(point: Index) -> dict[str, Mapping[str, StoredFile]]:
    return {point.directory: point.files, **point.others}


def data_of(point: Index) -> set[tuple[str, str]]:
    """Return the sstables that a restore point names: directory and stem."""
    return {
        (directory, name[: -len(DATA)])
        for directory, files in files_of(point).items()
        for name in files
        if name.endswith(f"-{DATA}")
    }


def spell(lives: frozenset[Life]) -> str:
    return ",".join(sorted(life.stem[:-1] for life in lives)) or "nothing"


def is_first_removal() -> Callable[[Step], bool]:
    """Pick the steps before which all of a compaction's output is there, and nothing is committed; three of them."""
    seen: set[str] = set()

    def picks(step: Step) -> bool:
        if len(seen) == 3 or step.name in seen or not any(record.startswith("REMOVE") for record in step.records):
            return False
        seen.add(step.name)
        return True

    return picks


def replay_of(scenario: str, root: Path) -> Replay:
    return Replay(load(TRACES / f"{scenario}.json.gz"), root)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_restore_point_holds_the_sstables_of_its_moment(
    scenario: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene(replay_of(scenario, tmp_path))
    with scene.running:
        scene.start()
        for mark in scene.replay.marks():
            if mark.name != WIPED:
                scene.settle()
                scene.insist_it_looks_like(mark)
        scene.stop()

    scene.insist_all_are_right()
    scene.insist_the_newest_are_the_present()
    if scenario != "rebuilt":
        assert not [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("scenario", [*COMPACTIONS, "disks", "operations"])
def test_each_base_is_what_was_live_at_one_commit(scenario: str, tmp_path: Path) -> None:
    scene = Scene(replay_of(scenario, tmp_path), base_interval=0.0)
    with scene.running:
        scene.start()
        for _ in scene.replay.marks():
            scene.settle()
        scene.stop()

    scene.insist_all_are_right()
    scene.insist_the_newest_are_the_present()


@pytest.mark.parametrize("scenario", [*COMPACTIONS, "disks"])
def test_a_daemon_that_starts_in_the_middle_of_a_transaction_names_nothing_of_it(scenario: str, tmp_path: Path) -> None:
    scene = Scene(replay_of(scenario, tmp_path))
    with scene.running:
        scene.start()
        for step in scene.replay.marks(and_before=is_first_removal()):
            if step.act is not Act.MARKED:
                scene.stop()
                scene.start()
            scene.settle()
        scene.stop()

    scene.insist_all_are_right()
    scene.insist_the_newest_are_the_present()


@pytest.mark.parametrize("scenario", [*COMPACTIONS, "disks", "flushes", "rebuilt"])
def test_what_happened_while_no_daemon_ran_is_in_the_next_restore_point(scenario: str, tmp_path: Path) -> None:
    scene = Scene(replay_of(scenario, tmp_path))
    with scene.running:
        scene.start()
        for mark in scene.replay.marks():
            if scene.replay.followed:
                scene.settle()
                scene.stop()
            elif mark.name != WIPED:
                scene.start()
                scene.settle()
        scene.stop()

    scene.insist_all_are_right()
