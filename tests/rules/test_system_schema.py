"""What is known of the tables of system_schema."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablesnap.rules.system_schema import ends_of_changes, is_schema, may_be_empty

MIDNIGHT = datetime(2026, 11, 30, tzinfo=UTC)
ORDER = ("columns", "dropped_columns", "types", "indexes", "tables", "views", "keyspaces")


def at(second: int) -> datetime:
    return MIDNIGHT + timedelta(seconds=second)


def flush(second: int, name: str) -> tuple[datetime, str]:
    return at(second), f"system_schema/{name}-{'1' * 32}"


def test_tables_of_the_schema_are_known_by_their_keyspace() -> None:
    assert is_schema("system_schema/tables-afddfb9dbc1e30688056eed6c302ba09")
    assert not is_schema("shop/tables-afddfb9dbc1e30688056eed6c302ba09")
    assert not is_schema("/data/system_schema/tables-afddfb9dbc1e30688056eed6c302ba09/snapshots/x")
    assert may_be_empty("system_schema/types-5a8b1ca866023f77a0459273d308917a")
    assert not may_be_empty("system_schema/columns-24101c25a2ae3af787c1b40ee1aca33f")


def test_a_change_ends_with_the_flush_of_keyspaces_or_where_the_order_begins_again() -> None:
    made = [flush(1, "columns"), flush(2, "tables"), flush(3, "keyspaces")]
    altered = [flush(4, "columns"), flush(5, "tables")]
    typed = [flush(6, "types")]

    assert ends_of_changes(made[:1]) == ends_of_changes(made[:2]) == []
    assert ends_of_changes(made) == [at(3)]
    assert ends_of_changes(made + altered) == [at(3)]
    assert ends_of_changes(made + altered + typed) == [at(3), at(5)]
    assert ends_of_changes([flush(1, "columns"), flush(2, "columns")]) == [at(1)]


def test_no_change_is_said_to_end_among_flushes_at_one_moment() -> None:
    assert ends_of_changes([flush(1, "columns"), flush(2, "keyspaces"), flush(2, "columns")]) == []
    assert ends_of_changes([flush(1, "keyspaces"), flush(2, "tables"), flush(2, "columns")]) == []
    assert ends_of_changes([flush(1, "columns"), flush(1, "keyspaces"), flush(3, "columns")]) == []


def test_no_change_is_said_to_end_beside_a_table_that_is_not_known() -> None:
    assert ends_of_changes([flush(1, "tables"), flush(2, "comments"), flush(3, "columns")]) == []


changes = st.lists(st.sets(st.sampled_from(ORDER), min_size=1).map(lambda names: sorted(names, key=ORDER.index)))


@given(changes)
def test_no_moment_within_a_change_is_taken_for_its_end(made: Sequence[Sequence[str]]) -> None:
    flushes = [(number, name) for number, names in enumerate(made) for name in names]
    ends = {at(second) for second, (number, _) in enumerate(flushes) if number not in dict(flushes[second + 1 :])}

    found = ends_of_changes([flush(second, name) for second, (_, name) in enumerate(flushes)])

    assert set(found) <= ends
    assert {at(second) for second, (_, name) in enumerate(flushes) if name == "keyspaces"} <= set(found)


@pytest.mark.parametrize("name", ORDER)
def test_a_table_that_is_flushed_twice_was_flushed_by_two_changes(name: str) -> None:
    assert at(1) in ends_of_changes([flush(1, name), flush(2, name)])
