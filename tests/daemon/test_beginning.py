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
from tablesnap.daemon.service import utc_now
from tablesnap.daemon.settings import Settings
from tablesnap.daemon.stamping import StampClock
from tablesnap.daemon.tables import Tables
from tablesnap.daemon.timing import Timing
from tablesnap.daemon.witness import Witness
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
