"""How a table differs from what is restored of it."""

from tablesnap.rules.differing import Differing, differing, merged
from tablesnap.rules.sstable_header import Column, Header

INT, TEXT, BIGINT = (f"org.apache.cassandra.db.marshal.{name}" for name in ("Int32Type", "UTF8Type", "LongType"))


def test_tables_that_have_the_same_types_do_not_differ_whatever_columns_they_lack() -> None:
    then = Header(INT, (TEXT,), {"a": Column(INT), "gone": Column(INT)})
    now = Header(INT, (TEXT,), {"a": Column(INT), "new": Column(TEXT)})

    assert [*differing(then, now)] == []


def test_a_column_a_clustering_and_the_key_of_another_type_are_named() -> None:
    then = Header(INT, (TEXT, INT), {"a": Column(INT), "b": Column(INT, is_static=True), "c": Column(TEXT)})
    now = Header(TEXT, (TEXT, TEXT), {"a": Column(TEXT), "b": Column(TEXT, is_static=True), "c": Column(TEXT)})

    assert [*differing(then, now)] == [
        Differing("the partition key", "int", "text"),
        Differing("clustering column 2", "int", "text"),
        Differing("column a", "int", "text"),
        Differing("column b", "int", "text"),
    ]


def test_another_number_of_clusterings_and_a_column_that_became_static_are_named() -> None:
    then = Header(INT, (TEXT,), {"a": Column(INT), "b": Column(INT, is_static=True)})
    now = Header(INT, (), {"a": Column(INT, is_static=True), "b": Column(INT)})

    assert [*differing(then, now)] == [
        Differing("the number of clustering columns", "1", "0"),
        Differing("column a", "not static", "static"),
        Differing("column b", "static", "not static"),
    ]


def test_several_sstables_have_the_columns_of_all_and_the_types_of_the_newest() -> None:
    newest = Header(TEXT, (), {"a": Column(BIGINT)})
    older = Header(INT, (TEXT,), {"a": Column(INT), "b": Column(INT)})

    assert merged([newest, older]) == Header(TEXT, (), {"a": Column(BIGINT), "b": Column(INT)})
    assert merged([]) is None
