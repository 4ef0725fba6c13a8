"""What is restored has other types than its table has on this machine now."""

import os
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.catalog.stored import Past
from tests.rules.headers import MARSHAL, statistics_of

from tablesnap.catalog.summary import timelines_below
from tablesnap.restore.chosen import Choice, Chosen
from tablesnap.restore.plan import Plan
from tablesnap.restore.planning import make_plan
from tablesnap.restore.request import Request
from tablesnap.rules.sstable_header import Column, Header

T0 = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
OLD, NEW = ("-" + "5a1c395e" * 4, "-" + "9f3b395e" * 4)
INT, TEXT = f"{MARSHAL}Int32Type", f"{MARSHAL}UTF8Type"
REFUSED = "has other types in"


def statistics(**columns: str) -> bytes:
    return statistics_of(Header(TEXT, (), {name: Column(kind) for name, kind in columns.items()}))


class Machine:
    """A node with a data directory, a backup of it, and somewhere to restore it to."""

    def __init__(self, tmp_path: Path) -> None:
        self.past = Past.in_memory()
        self.data = tmp_path / "data"
        self.elsewhere = tmp_path / "restored"
        self.held: dict[str, dict[str, bytes]] = {}

    def back_up(self, table: str, sstables: Mapping[int, bytes]) -> str:
        """Write a restore point of a table that is not there any more, and return its directory."""
        directory = f"{self.data}/{table}"
        files = {
            name: file
            for generation, body in sstables.items()
            for name, file in self.past.sstable(directory, generation, T0, statistics=body).items()
        }
        self.past.point({directory: files}, T0)
        return directory

    def live(self, directory: Path, generation: int, body: bytes, age: int = 0) -> Path:
        """Write an sstable that is live, so many seconds old, and return its Statistics.db."""
        directory.mkdir(parents=True, exist_ok=True)
        statistics, data = (directory / f"nb-{generation}-big-{name}" for name in ("Statistics.db", "Data.db"))
        statistics.write_bytes(body)
        data.write_bytes(b"data")
        os.utime(data, (T0.timestamp() - age,) * 2)
        return statistics

    def plan(self, origin: str | Path, target: Path, **more: object) -> Plan:
        """Plan to restore *origin*, and all that is below it, into *target*."""
        chosen = Chosen(
            [
                Choice(timeline, point, point.files)
                for timeline in timelines_below(self.past.store, self.past.keys, str(origin))
                for point in [next(timeline.backward())]
            ]
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        request = replace(Request(self.past.keys, str(origin), str(target), recursive=True), **more)  # type: ignore[arg-type]  # of whatever type each is
        return make_plan(request, chosen, self.past.store, threads=2, stop=threading.Event())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_column_of_another_type_is_refused_where_the_table_was_made_again(machine: Machine) -> None:
    users = machine.back_up(f"shop/users{OLD}", {1: statistics(x=INT, y=TEXT)})
    now = machine.data / f"shop/users{NEW}"
    machine.live(now, 1, statistics(x=TEXT, y=TEXT))

    plan = machine.plan(users, machine.elsewhere / "shop/users")

    [refused] = plan.obstacles
    assert refused.startswith(f"shop/users{OLD} has other types in {now}: column x was int and is text now. Cassandra")
    assert '"A column has another type"' in refused
    assert "--allow-other-types" in refused
    assert not plan.warnings


def test_it_is_restored_all_the_same_if_that_is_asked_for(machine: Machine) -> None:
    users = machine.back_up(f"shop/users{OLD}", {1: statistics(x=INT)})
    machine.live(machine.data / f"shop/users{NEW}", 1, statistics(x=TEXT))

    plan = machine.plan(users, machine.elsewhere / "shop/users", allow_other_types=True)

    assert not plan.obstacles
    assert any("column x was int and is text now" in one for one in plan.warnings)


@pytest.mark.parametrize("oldest", [1, 2])
def test_every_sstable_is_read_as_one_alone_may_have_the_column(machine: Machine, oldest: int) -> None:
    bodies = {1: statistics(y=TEXT), 2: statistics(y=TEXT), 3: statistics(), oldest: statistics(x=INT)}
    users = machine.back_up(f"shop/users{OLD}", bodies)
    now = machine.data / f"shop/users{NEW}"
    machine.live(now, 1, statistics(x=TEXT), age=100)
    machine.live(now, 2, statistics(y=TEXT))

    plan = machine.plan(users, machine.elsewhere / "shop/users")

    assert [REFUSED in one for one in plan.obstacles] == [True]


def test_the_newest_live_sstable_is_right_where_the_type_was_altered(machine: Machine) -> None:
    users = machine.back_up(f"shop/users{OLD}", {1: statistics(x=TEXT)})
    now = machine.data / f"shop/users{OLD}"
    machine.live(now, 8, statistics(x=f"{MARSHAL}AsciiType"), age=100)
    machine.live(now, 7, statistics(x=TEXT))

    assert not machine.plan(users, machine.elsewhere / "shop/users").obstacles


@pytest.mark.parametrize("table_dirs", [{}, {f"users{OLD}": f"users{NEW}"}])
def test_what_goes_into_the_data_directory_is_compared_with_what_is_there(
    machine: Machine, table_dirs: dict[str, str]
) -> None:
    machine.back_up(f"shop/users{OLD}", {1: statistics(x=INT)})
    here = machine.elsewhere / "data"
    machine.live(here / f"shop/users{NEW}", 7, statistics(x=TEXT))

    plan = machine.plan(machine.data, here, table_dirs=table_dirs)

    assert [REFUSED in one for one in plan.obstacles] == [True]


def test_a_target_that_is_called_anything_is_meant_for_the_table_that_is_restored(machine: Machine) -> None:
    users = machine.back_up(f"shop/users{OLD}", {1: statistics(x=INT)})
    machine.live(machine.data / f"shop/users{NEW}", 1, statistics(x=TEXT))

    assert [REFUSED in one for one in machine.plan(users, machine.elsewhere / "x").obstacles] == [True]


@pytest.mark.parametrize("place", ["shop/users_restored", "archive/users"])
def test_what_is_restored_for_another_table_is_compared_with_that(machine: Machine, place: str) -> None:
    users = machine.back_up(f"shop/users{OLD}", {1: statistics(x=INT)})
    machine.live(machine.data / f"shop/users{NEW}", 1, statistics(x=TEXT))
    (machine.data / "archive").mkdir()

    assert not machine.plan(users, machine.elsewhere / place).obstacles

    machine.live(machine.data / f"{place}{NEW}", 1, statistics(x=TEXT))
    assert [REFUSED in one for one in machine.plan(users, machine.elsewhere / place).obstacles] == [True]


def test_with_the_schema_come_the_types(machine: Machine) -> None:
    machine.back_up(f"shop/users{OLD}", {1: statistics(x=INT)})
    machine.back_up(f"system_schema/tables{OLD}", {1: statistics()})
    machine.live(machine.data / f"shop/users{NEW}", 1, statistics(x=TEXT))

    assert not machine.plan(machine.data, machine.elsewhere / "data").obstacles

    machine.live(machine.elsewhere / f"data/shop/users{OLD}", 7, statistics(x=TEXT))
    assert [REFUSED in one for one in machine.plan(machine.data, machine.elsewhere / "data").obstacles] == [True]


def test_cassandras_own_tables_change_with_its_version(machine: Machine) -> None:
    peers = machine.back_up(f"system/peers{OLD}", {1: statistics(x=INT)})
    machine.live(machine.data / f"system/peers{OLD}", 7, statistics(x=TEXT))

    assert not machine.plan(peers, machine.elsewhere / "system/peers").obstacles


def test_what_the_restore_takes_away_does_not_count(machine: Machine) -> None:
    users = machine.back_up(f"shop/users{OLD}", {1: statistics(x=INT)})
    target = machine.elsewhere / f"shop/users{OLD}"
    machine.live(target, 1, statistics(x=TEXT))
    machine.live(target, 7, statistics(x=TEXT))

    assert any(REFUSED in one for one in machine.plan(users, target, force=True).obstacles)
    assert not any(REFUSED in one for one in machine.plan(users, target, force=True, exact=True).obstacles)


def test_columns_that_one_of_them_has_alone_are_said(machine: Machine) -> None:
    users = machine.back_up(f"shop/users{OLD}", {1: statistics(x=INT, old=TEXT)})
    now = machine.data / f"shop/users{OLD}"
    machine.live(now, 7, statistics(x=INT, **{f"new{number}": TEXT for number in range(7)}))

    plan = machine.plan(users, machine.elsewhere / "shop/users")

    assert not plan.obstacles
    dropped, added = plan.warnings
    assert f"users{OLD}: no sstable in {now} has column old. An import leaves out what was dropped" in dropped
    assert '"A column was dropped"' in dropped
    assert f"has columns new0, new1, new2, new3, new4, and 2 more, which {now} has: null in its rows" in added


def test_a_header_that_cannot_be_read_refuses_nothing_and_is_said(machine: Machine) -> None:
    users = machine.back_up(f"shop/users{OLD}", {1: b"torn", 2: statistics(y=TEXT)})
    now = machine.data / f"shop/users{NEW}"
    machine.live(now, 1, statistics(x=TEXT, y=TEXT))
    pipe = machine.live(now, 2, b"")
    pipe.unlink()
    os.mkfifo(pipe)

    plan = machine.plan(users, machine.elsewhere / "shop/users")

    assert not plan.obstacles
    unread = [one for one in plan.warnings if "not all types were compared with those of now: " in one]
    assert len(unread) == 2
    assert f"{pipe} is no file" in unread[0]
    assert f"{users}/nb-1-big-Statistics.db is no Statistics.db that can be read" in unread[1]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_where_this_user_may_not_look_it_is_said() -> None:
    with tempfile.TemporaryDirectory() as directory:  # not pytest's, where nobody else may enter
        machine = Machine(Path(directory))
        users = machine.back_up(f"shop/users{OLD}", {1: statistics(x=INT)})
        machine.live(machine.data / f"shop/users{NEW}", 1, statistics(x=TEXT))
        Path(directory).chmod(0o711)
        machine.data.chmod(0o700)
        machine.elsewhere.mkdir(mode=0o755)
        os.seteuid(65534)
        try:
            plan = machine.plan(users, machine.elsewhere / "users")
        finally:
            os.seteuid(0)

    assert f"now: {machine.data}/shop cannot be looked into: Permission denied" in " ".join(plan.warnings)


def test_what_is_not_as_it_was_stored_is_not_believed(machine: Machine) -> None:
    users = machine.back_up(f"shop/users{OLD}", {1: statistics(x=INT)})
    machine.live(machine.data / f"shop/users{NEW}", 1, statistics(x=TEXT))
    key = machine.past.keys.plain(f"{users}/nb-1-big-Statistics.db")
    machine.past.store.delete([key])
    machine.past.garbage(key, statistics(z=INT), T0)

    plan = machine.plan(users, machine.elsewhere / "shop/users")

    assert not plan.obstacles
    assert any(f"{key} is not what was stored" in one for one in plan.warnings)


def test_nothing_is_read_where_the_table_has_no_live_sstables(machine: Machine) -> None:
    users = machine.back_up(f"shop/users{OLD}", {1: statistics(x=INT)})
    (machine.data / f"shop/users{NEW}").mkdir(parents=True)
    machine.past.store.delete([machine.past.keys.plain(f"{users}/nb-1-big-Statistics.db")])

    plan = machine.plan(users, machine.elsewhere / "shop/users")

    assert not plan.obstacles
    assert not plan.warnings
