"""The first look at a table."""

import os
from collections.abc import Callable
from pathlib import Path

from tests.daemon.fake_cassandra import Table
from tests.daemon.table_points import directory_below

from tablesnap.capture.listing import Listing, look_at_directory
from tablesnap.capture.pin import Pins
from tablesnap.daemon.directory import Directory
from tablesnap.daemon.holding import Doing
from tablesnap.daemon.intake import Intake
from tablesnap.daemon.service import utc_now
from tablesnap.daemon.settings import Settings
from tablesnap.daemon.stamping import StampClock
from tablesnap.daemon.table_recording import TableRecorder, is_due
from tablesnap.daemon.tables import Tables
from tablesnap.daemon.timing import Timing
from tablesnap.live.witness import Witness
from tablesnap.rules.index import Index
from tablesnap.rules.keys import Keys


def tables_of(table: Table, *, after: Callable[[str], None]) -> Tables:
    """Return what the daemon has of a *table* whose directories it watches; *after* each look something may happen."""
    directories = [Directory(str(one), surveyed=True) for one in table.directories]

    def list_directory(directory: Directory) -> Listing:
        listing = look_at_directory(directory.path)
        tables.recognise(directory, listing.files)
        after(directory.path)
        return listing

    doing = Doing(
        submit=lambda task, urgency: None,
        turn=lambda name: 0,
        list_directory=list_directory,
        now=lambda: 0.0,
        stamps=StampClock(utc_now, lambda: 0.0),
        announce=lambda directory, name, size: None,
        let_go=lambda size: None,
        timing=Timing(),
    )
    settings = Settings(paths=(), node="node1.example.com")
    pins = Pins()
    tables = Tables(settings, Keys("", settings.node, ":"), Witness(pins, lambda told: None, lambda: 0.0), pins, doing)
    for directory in directories:
        tables.note_watched(directory)
    tables.recognise(directories[0], os.listdir(directories[0].path))
    return tables


def test_a_flush_to_two_disks_between_the_looks_at_them_is_taken_in_whole(tmp_path: Path) -> None:
    one, other = (directory_below(tmp_path / disk) for disk in ("disk1", "disk2"))
    table = Table(one, other)
    flush = table.begin("flush")
    flush.write(one)
    commit_at = [str(other)]  # once it was looked into, and nothing was there

    def commit(listed: str) -> None:
        if listed in commit_at:
            commit_at.clear()
            flush.write(other)
            flush.commit()

    tables = tables_of(table, after=commit)
    [known] = tables.tables.values()
    for _ in range(3):
        tables.beginner.begin(known, frozenset())

    assert {found.directory for found in known.history.live} == {str(one), str(other)}


def test_the_first_flush_into_a_table_that_was_looked_at_while_it_was_empty_is_recorded_at_once(tmp_path: Path) -> None:
    table = Table(directory_below(tmp_path))
    table.begin("flush").half_write()
    tables = tables_of(table, after=lambda listed: None)
    [known] = tables.tables.values()
    settings, keys = Settings(paths=(), node="node1.example.com"), Keys("", "node1.example.com", ":")
    intake = Intake(settings, keys, lambda task, urgency: None, lambda: 0.0, tables.recognise, Timing())
    written: list[tuple[Index, ...]] = []
    tables.beginner.begin(known, frozenset())
    TableRecorder(settings, keys, tables, intake, written.append).record(known)
    assert not written, "there is nothing to say of an empty table"

    known.note_change(0.0)

    assert is_due(known, 1.0, settings.index_interval)
