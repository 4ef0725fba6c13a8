"""What a look says of the components of live sstables."""

from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest
from tests.daemon import fake_cassandra
from tests.daemon.table_points import directory_below

from tablesnap.capture.listing import look_at_directory
from tablesnap.capture.pin import Pins
from tablesnap.daemon.holding import Doing, Holder
from tablesnap.daemon.service import utc_now
from tablesnap.daemon.settings import Settings
from tablesnap.daemon.stamping import StampClock
from tablesnap.daemon.table import Part, Parts, Table
from tablesnap.daemon.timing import Timing
from tablesnap.live.look import TableLook, sort_out
from tablesnap.rules.index import Owner, StoredFile
from tablesnap.rules.selection import Selection
from tablesnap.rules.view import Sstable

NOW = 1000.0
OWNER = Owner(uid=0, gid=0, user="root", group="root")
DIGEST, FILTER = "nb-1-big-Digest.crc32", "nb-1-big-Filter.db"


@pytest.fixture
def written(tmp_path: Path) -> fake_cassandra.Written:
    return fake_cassandra.Table(directory_below(tmp_path)).flush()


@pytest.fixture
def holder() -> Holder:
    def no(*_: object) -> NoReturn:
        raise AssertionError("not asked for here")

    doing = Doing(
        submit=no,
        turn=no,
        list_directory=no,
        now=lambda: NOW,
        stamps=StampClock(utc_now, lambda: NOW),
        announce=no,
        let_go=no,
        timing=Timing(),
    )
    return Holder(Settings(paths=("/data",), node="n"), Pins(), doing)


def look_at(written: fake_cassandra.Written) -> TableLook:
    directory = str(written.directory)
    return sort_out({directory: look_at_directory(directory)}, (), Selection())


def stored(written: fake_cassandra.Written) -> tuple[Table, Parts]:
    """Return a table that has all of *written* stored."""
    directory = str(written.directory)
    one = Sstable(directory, written.stem)
    table = Table("ks/t", begun=True)
    table.history.look([one.name], at=datetime.now(UTC), now=NOW)
    parts = table.parts[one] = Parts(one)
    for name, incarnation in look_at_directory(directory).files.items():
        file = StoredFile(
            key=name, size=incarnation.size, checksum=1, mtime_ns=incarnation.mtime_ns, mode=0o644, owner=OWNER
        )
        parts.parts[name] = Part(name, incarnation, stored=file)
    table.history.stored(one)
    table.needed = frozenset(table.history.needed())
    return table, parts


def test_a_component_that_went_alone_is_no_part_of_what_follows(
    holder: Holder, written: fake_cassandra.Written
) -> None:
    table, parts = stored(written)
    written.path("Digest.crc32").unlink()

    holder.note_moved(table, look_at(written))

    assert parts.parts.keys() == written.files.keys() - {DIGEST}
    assert table.changed_since == NOW


def test_a_listing_of_what_a_compaction_was_deleting_takes_no_component_away(
    holder: Holder, written: fake_cassandra.Written
) -> None:
    table, parts = stored(written)
    look = look_at(written)
    del look.live[str(written.directory), written.stem][DIGEST]  # it was deleted after the listing had Data.db
    written.delete()

    holder.note_moved(table, look)

    assert parts.parts.keys() == written.files.keys()
    assert table.changed_since is None


def test_a_component_that_is_there_and_was_not_heard_of_is_taken_once_it_stands_still(
    holder: Holder, written: fake_cassandra.Written
) -> None:
    table, parts = stored(written)
    del parts.parts[FILTER]

    holder.note_moved(table, look_at(written))

    assert table.moved == {(parts.sstable, FILTER): NOW}
