"""The tables of system_schema are recorded together: there are moments at which all of them are known."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from tests.daemon.fake_cassandra import Table, wait_for_another_tick
from tests.daemon.in_process import BRISK, indexes, newest
from tests.daemon.table_points import data_keys, following, held
from tests.waiting import wait_until

from tablesnap.rules.index import Index
from tablesnap.rules.joint import Known, Span, joint_moment
from tablesnap.store.memory import MemoryStore
from tablesnap.store.port import Store

LATEST = datetime.max.replace(tzinfo=UTC)
NEVER = 1e6  # seconds
IN_PAUSES = replace(BRISK, schema_quiet=0.3, schema_busy=NEVER, schema_patience=NEVER)
WITHOUT_PAUSES = replace(BRISK, schema_quiet=NEVER, schema_busy=0.0, schema_patience=NEVER)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


class Schema:
    """The tables of system_schema; a change of the schema flushes some of them, in Cassandra's order."""

    def __init__(self, data: Path) -> None:
        self.columns, self.types, self.tables, self.keyspaces = self.all = tuple(
            Table(data / "system_schema" / f"{name}-{str(number) * 32}")
            for number, name in enumerate(("columns", "types", "tables", "keyspaces"))
        )

    def flush(self, *tables: Table) -> None:
        for table in tables:
            written = table.flush()
            with suppress(FileNotFoundError):
                wait_for_another_tick(written.path("Data.db"))  # no two commits have the same time

    def change(self) -> None:
        """Make a table, say."""
        self.flush(self.columns, self.tables, self.keyspaces)

    def changed(self) -> tuple[Table, ...]:
        return self.columns, self.tables, self.keyspaces


def held_by(index: Index) -> int:
    return sum(name.endswith("-Data.db") for name in index.files)


def known(store: Store, table: Table, taken: Sequence[Index] | None = None) -> Known:
    """Return when the restore points of *table* were true."""
    spans = [
        Span(index.taken_at, index.until)
        for index in (taken if taken is not None else indexes(store, table.directories[0]))
        if index.taken_at and index.until and not index.missing
    ]

    def last(moment: datetime) -> Span | None:
        begun = [span for span in spans if span.taken_at <= moment]
        return max(begun, key=lambda span: (span.taken_at, span.until), default=None)

    return last


def greatest(store: Store, tables: Iterable[Table], latest: datetime = LATEST) -> datetime | None:
    """Return the greatest moment at which all *tables* are known."""
    return joint_moment([known(store, table) for table in tables], latest)


def counts_at(store: Store, tables: Iterable[Table], moment: datetime) -> list[int]:
    """Return how many flushes each of *tables* has in the restore point of *moment*."""
    return [
        held_by(
            max(
                (one for one in indexes(store, table.directories[0]) if one.taken_at and one.taken_at <= moment),
                key=lambda one: (one.taken_at or LATEST, one.until or LATEST),
            )
        )
        for table in tables
    ]


def is_stored(store: Store, *tables: Table) -> bool:
    """Say whether all that is live is stored."""
    paths = [one.directory / name for table in tables for one in table.live for name in one.files]
    return {f"n:{path}" for path in paths} <= data_keys(store)


def has_more_than(store: Store, table: Table, number: int) -> bool:
    return len(indexes(store, table.directories[0])) > number


def has_all_of(store: Store, schema: Schema) -> bool:
    """Say whether there is a moment at which all is known that is live."""
    moment = greatest(store, schema.all)
    return moment is not None and counts_at(store, schema.all, moment) == [len(table.live) for table in schema.all]


def test_once_the_schema_rests_all_of_its_tables_are_known_at_one_moment(data: Path, store: MemoryStore) -> None:
    schema = Schema(data)
    schema.flush(*schema.all)

    with following(store, *schema.all, backup=True, timing=IN_PAUSES):
        wait_until(lambda: has_all_of(store, schema), "a joint moment of what was there at start")
        for _ in range(2):
            schema.change()
            wait_until(lambda: has_all_of(store, schema), "a joint moment of a change")

    assert {held_by(index) for index in indexes(store, schema.types.directories[0])} == {1}, "it never changed"


def test_while_changes_do_not_pause_moments_between_two_of_them_are_known(data: Path, store: MemoryStore) -> None:
    schema = Schema(data)
    schema.flush(*schema.all)
    moments: set[datetime] = set()

    def has_another() -> bool:
        for table in schema.changed():
            schema.flush(table)
            wait_until(partial(is_stored, store, table), "a flush to be stored")
        moment = greatest(store, schema.all)
        if moment is not None:
            moments.add(moment)
        return len(moments) >= 4

    with following(store, *schema.all, backup=True, timing=WITHOUT_PAUSES):
        wait_until(has_another, "moments during changes")

    for moment in sorted(moments):
        columns, tables, keyspaces = counts_at(store, schema.changed(), moment)
        assert columns == tables == keyspaces, f"half of a change at {moment}"


def test_no_table_of_the_schema_is_recorded_by_itself_in_the_midst_of_a_change(data: Path, store: MemoryStore) -> None:
    schema = Schema(data)
    schema.flush(*schema.all)

    with following(store, *schema.all, backup=True, timing=IN_PAUSES):
        wait_until(lambda: has_all_of(store, schema), "a joint moment of what was there at start")
        schema.flush(schema.columns)
        flush = schema.tables.begin("flush")  # longer than the schema is to rest
        flush.add()
        before = {table: len(indexes(store, table.directories[0])) for table in schema.all}
        other = Table(data / "shop" / f"users-{'5' * 32}")
        other.followed_by = schema.columns.followed_by
        other.flush()
        wait_until(lambda: newest(store, other.directories[0]) is not None, "a restore point of another table")
        assert {table: len(indexes(store, table.directories[0])) for table in schema.all} == before
        flush.abort()


def test_nothing_is_written_again_while_nothing_changes(data: Path, store: MemoryStore) -> None:
    schema = Schema(data)
    schema.flush(*schema.all)
    other = Table(data / "shop" / f"users-{'5' * 32}")

    with following(store, *schema.all, other, backup=True, timing=IN_PAUSES):
        wait_until(lambda: has_all_of(store, schema), "a joint moment")
        before = {table: len(indexes(store, table.directories[0])) for table in schema.all}
        for number in range(5):
            other.flush()
            wait_until(partial(has_more_than, store, other, number), "another table's restore point")

    assert {table: len(indexes(store, table.directories[0])) for table in schema.all} == before


def _is_second_of_tables(request: str) -> bool:
    return request.startswith("create ") and "/tables-" in request and request.endswith("/nb-2-big-Data.db")


def test_a_table_that_cannot_be_stored_holds_up_the_others_for_so_long_and_no_longer(
    data: Path, store: MemoryStore
) -> None:
    schema = Schema(data)
    schema.flush(*schema.all)
    timing = replace(BRISK, schema_quiet=0.3, schema_busy=0.3, schema_patience=2.0)

    with held(store, _is_second_of_tables) as slow, following(slow, *schema.all, backup=True, timing=timing):
        wait_until(lambda: has_all_of(store, schema), "a joint moment of what was there at start")
        moment = greatest(store, schema.all)
        schema.flush(schema.tables)
        wait_until(lambda: slow.kept, "the upload that is held")
        for table in (schema.columns, schema.keyspaces):
            table.flush()
        wait_until(
            lambda: (found := newest(store, schema.columns.directories[0])) and held_by(found) == 2,
            "a restore point of columns alone",
        )
        assert slow.kept
        assert greatest(store, schema.all) == moment, "what was known at one moment is known still"
        slow.let_through()


def test_the_last_change_before_a_stop_is_known_at_one_moment(data: Path, store: MemoryStore) -> None:
    schema = Schema(data)
    schema.flush(*schema.all)
    timing = replace(BRISK, schema_quiet=0.0, schema_busy=NEVER, schema_patience=NEVER)

    with following(store, *schema.all, backup=True, timing=timing, index_interval=NEVER) as daemon:
        wait_until(lambda: has_all_of(store, schema), "a joint moment of what was there at start")
        schema.change()
        wait_until(lambda: is_stored(store, *schema.all), "the change to be stored")
        daemon.stop()

    assert has_all_of(store, schema)


def test_after_a_start_tables_that_agree_on_no_moment_are_recorded_again(data: Path, store: MemoryStore) -> None:
    schema = Schema(data)
    schema.flush(*schema.all)
    apart = replace(BRISK, schema_quiet=NEVER, schema_busy=NEVER, schema_patience=0.0)
    with following(store, *schema.all, backup=True, timing=apart):
        wait_until(lambda: all(newest(store, one.directories[0]) for one in schema.all), "restore points")
        schema.flush(schema.tables)
        wait_until(
            lambda: (found := newest(store, schema.tables.directories[0])) and held_by(found) == 2,
            "a restore point of tables alone",
        )
        assert not has_all_of(store, schema)

    with following(store, *schema.all, backup=True, timing=IN_PAUSES):
        wait_until(lambda: has_all_of(store, schema), "a joint moment")
