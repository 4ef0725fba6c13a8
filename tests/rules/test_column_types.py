"""Which types read what another wrote, and what they are called."""

import pytest

from tablesnap.rules.column_types import reads, spell_types

MARSHAL = "org.apache.cassandra.db.marshal."


def full(text: str) -> str:
    """Write a type as an sstable has it, from one without the package."""
    for name in ("Int32Type", "UTF8Type", "UserType", "FrozenType", "ListType", "MapType", "TupleType", "ReversedType"):
        text = text.replace(name, f"{MARSHAL}{name}")
    return text


STREET = "737472656574:UTF8Type"
ADDRESS = f"UserType(shop,61646472657373,{STREET})"


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ("Int32Type", "Int32Type"),
        ("UTF8Type", "AsciiType"),
        ("IntegerType", "Int32Type"),
        ("IntegerType", "LongType"),
        ("UUIDType", "TimeUUIDType"),
        ("TimestampType", "DateType"),
        ("ListType(UTF8Type)", "ListType(AsciiType)"),
        # A field that the type got, a new name of one, and the keyspace that it was restored into.
        (f"UserType(shop,61646472657373,{STREET},7a6970:Int32Type)", ADDRESS),
        ("UserType(shop,61646472657373,726f6164:UTF8Type)", ADDRESS),
        ("UserType(archive,61646472657373,737472656574:UTF8Type)", ADDRESS),
        # What 3.x wrote of the same column.
        (f"FrozenType({ADDRESS})", ADDRESS),
        (f"MapType(UTF8Type,FrozenType({ADDRESS}))", f"MapType(UTF8Type,{ADDRESS})"),
        ("FrozenType(TupleType(Int32Type,UTF8Type))", "TupleType(Int32Type,UTF8Type)"),
        ("FrozenType(ListType(FrozenType(ListType(Int32Type))))", "FrozenType(ListType(ListType(Int32Type)))"),
        ("VectorType(FloatType , 3)", "VectorType(FloatType,3)"),
    ],
)
def test_types_that_read_right(now: str, then: str) -> None:
    assert reads(full(now), full(then))


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ("UTF8Type", "Int32Type"),
        ("AsciiType", "UTF8Type"),
        ("Int32Type", "LongType"),
        ("BytesType", "Int32Type"),
        ("LongType", "TimestampType"),
        ("LongType", "CounterColumnType"),
        ("ListType(Int32Type)", "ListType(UTF8Type)"),
        ("ListType(Int32Type)", "SetType(Int32Type)"),
        ("ListType(Int32Type)", "FrozenType(ListType(Int32Type))"),
        ("MapType(UTF8Type,Int32Type)", "MapType(Int32Type,UTF8Type)"),
        ("TupleType(Int32Type)", "TupleType(Int32Type,UTF8Type)"),
        ("VectorType(FloatType , 3)", "VectorType(FloatType , 4)"),
        ("UserType(shop,61646472657373,737472656574:Int32Type)", ADDRESS),
        # Sorted otherwise.
        ("SetType(UUIDType)", "SetType(TimeUUIDType)"),
        ("ReversedType(Int32Type)", "Int32Type"),
        ("CompositeType(Int32Type,UTF8Type)", "CompositeType(UTF8Type,Int32Type)"),
        ("com.example.OurType", "com.example.TheirType"),
        ("not a type (", "not a type"),
    ],
)
def test_types_that_do_not(now: str, then: str) -> None:
    assert not reads(full(now), full(then))


@pytest.mark.parametrize(("now", "then"), [("IntegerType", "Int32Type"), ("UUIDType", "TimeUUIDType")])
def test_what_rows_are_found_by_must_keep_its_order(now: str, then: str) -> None:
    assert reads(full(now), full(then))
    assert not reads(full(now), full(then), ordered=True)
    assert reads("UTF8Type", "AsciiType", ordered=True)


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("UTF8Type", "text"),
        ("FrozenType(MapType(UTF8Type,ListType(Int32Type)))", "frozen<map<text, list<int>>>"),
        (f"FrozenType({ADDRESS})", "frozen<address (street text)>"),
        ("ReversedType(Int32Type)", "int DESC"),
        ("CompositeType(Int32Type,UTF8Type)", "(int, text)"),
        ("VectorType(FloatType , 3)", "vector<float, 3>"),
        ("com.example.OurType", "com.example.OurType"),
        ("x" * 300, "x" * 200 + "..."),
        ("UTF8Type(" * 50, "UTF8Type(" * 22 + "UT" + "..."),
    ],
)
def test_types_are_called_as_in_cql(text: str, spelt: str) -> None:
    assert spell_types(text, "Int32Type")[0] == spelt
    if MARSHAL not in text and "Our" not in text:
        assert reads(text, text)


def test_two_types_that_cql_calls_the_same_are_told_apart() -> None:
    assert spell_types("DateType", "TimestampType") == ("DateType", "TimestampType")


def test_a_type_as_deep_as_the_stack_is_one_word() -> None:
    deep = "ListType(" * 100_000 + "Int32Type" + ")" * 100_000

    assert reads(deep, deep)
    assert not reads(deep, "Int32Type")


def test_a_type_of_a_million_blanks_is_read_at_once() -> None:
    # Where each blank was looked at again for each one before it, this took an hour.
    assert not reads(" " * (1 << 20), "x")
