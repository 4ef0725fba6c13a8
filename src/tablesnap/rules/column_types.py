"""The types of columns as Cassandra writes them down: whether one reads what another wrote, and their names in CQL.

Source: ``o.a.c.db.marshal.TypeParser``, and ``isCompatibleWith`` and ``isValueCompatibleWith`` of each type.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache

_PACKAGE = "org.apache.cassandra.db.marshal."
_TOKEN = re.compile(r"=>|[(),:]|[^\s(),:=]+|\S")  # blanks are passed over, each once
_DEEPEST = 32  # types within types; Cassandra's own tests have five
_LONGEST = 200  # characters of a spelling, before the rest is left out

_COLLECTIONS = frozenset({"ListType", "SetType", "MapType"})
# What the first reads as the second wrote it, with the same bytes in the same order.
_WIDER = frozenset({("UTF8Type", "AsciiType"), ("TimestampType", "DateType"), ("DateType", "TimestampType")})
# And what is shown as the same value, though it would be in another order, or another partition.
_WIDER_VALUES = _WIDER | {("UUIDType", "TimeUUIDType"), ("IntegerType", "Int32Type"), ("IntegerType", "LongType")}

_CQL = {
    "AsciiType": "ascii",
    "BooleanType": "boolean",
    "ByteType": "tinyint",
    "BytesType": "blob",
    "CounterColumnType": "counter",
    "DateType": "timestamp",
    "DecimalType": "decimal",
    "DoubleType": "double",
    "DurationType": "duration",
    "FloatType": "float",
    "FrozenType": "frozen",
    "InetAddressType": "inet",
    "Int32Type": "int",
    "IntegerType": "varint",
    "ListType": "list",
    "LongType": "bigint",
    "MapType": "map",
    "SetType": "set",
    "ShortType": "smallint",
    "SimpleDateType": "date",
    "TimeType": "time",
    "TimeUUIDType": "timeuuid",
    "TimestampType": "timestamp",
    "TupleType": "tuple",
    "UTF8Type": "text",
    "UUIDType": "uuid",
    "VectorType": "vector",
}


@dataclass(frozen=True)
class _Type:
    """A type, or another word between the parentheses of one."""

    name: str
    parts: "tuple[_Type, ...]" = ()
    label: str = ""  # ``737472656574:`` before a field of a user's type


def reads(now: str, then: str, *, ordered: bool = False) -> bool:
    """Say whether a column of the type *now* shows what was written as the type *then*.

    *ordered* for what rows and partitions are found by: the order must be the same as well. A user's type may have got
    fields, and fields may have got other names.
    """
    return now == then or _reads(_plain(_parse(now)), _plain(_parse(then)), ordered=ordered)


def spell_types(now: str, then: str) -> tuple[str, str]:
    """Spell two types as CQL does; where that is the same for both, as Cassandra's files do."""
    spelt = _spell(_parse(now)), _spell(_parse(then))
    one, other = spelt if spelt[0] != spelt[1] else (now, then)
    return _shortened(one), _shortened(other)


def _reads(now: _Type, then: _Type, *, ordered: bool) -> bool:
    if now.name != then.name:
        wider = _WIDER if ordered else _WIDER_VALUES
        return not (now.parts or then.parts) and (now.name, then.name) in wider
    if now.name == "UserType":
        # Beside its fields, its keyspace and its name, which a restore into another keyspace changes.
        fields = zip(now.parts[2:], then.parts[2:], strict=False)
    elif len(now.parts) == len(then.parts):
        fields = zip(now.parts, then.parts, strict=True)
    else:
        return False
    return all(_reads(one, other, ordered=True) for one, other in fields)


def _plain(whole: _Type, *, within: bool = False) -> _Type:
    """Return a type without the word frozen where it says nothing.

    That is within another type, where all is frozen; and of user's types and tuples, whose freezing 3.x left out of the
    header before 3.11.6. Source: CASSANDRA-15035.
    """
    if whole.name == "FrozenType" and len(whole.parts) == 1:
        [part] = whole.parts
        inner = _plain(part, within=True)
        return inner if within or part.name not in _COLLECTIONS else replace(whole, parts=(inner,))
    return replace(whole, parts=tuple(_plain(part, within=True) for part in whole.parts))


@lru_cache(maxsize=1 << 10)  # thousands of sstables have the same few
def _parse(text: str) -> _Type:
    """Parse a type; what is none of ours is one word, which is the same as itself alone."""
    tokens = _TOKEN.findall(text)
    try:
        found, end = _parse_one(tokens, 0, 0)
    except (IndexError, ValueError):
        return _Type(text)
    return found if end == len(tokens) else _Type(text)


def _parse_one(tokens: list[str], place: int, depth: int) -> tuple[_Type, int]:
    if depth > _DEEPEST or tokens[place] in "(),:=>":
        raise ValueError
    name = tokens[place].removeprefix(_PACKAGE)
    place += 1
    if place < len(tokens) and tokens[place] in (":", "=>"):
        found, end = _parse_one(tokens, place + 1, depth + 1)
        return replace(found, label=name), end
    parts: list[_Type] = []
    if place < len(tokens) and tokens[place] == "(":
        while tokens[place] != ")":
            part, place = _parse_one(tokens, place + 1, depth + 1)
            parts.append(part)
            if tokens[place] not in (",", ")"):
                raise ValueError
        place += 1
    return _Type(name, tuple(parts)), place


def _spell(one: _Type) -> str:
    if one.name == "ReversedType" and len(one.parts) == 1:
        return f"{_spell(one.parts[0])} DESC"
    if one.name == "CompositeType":
        return f"({', '.join(map(_spell, one.parts))})"
    if one.name == "UserType" and len(one.parts) >= 2:
        fields = (f"{_from_hex(part.label)} {_spell(part)}" for part in one.parts[2:])
        return f"{_from_hex(one.parts[1].name)} ({', '.join(fields)})"
    parts = f"<{', '.join(map(_spell, one.parts))}>" if one.parts else ""
    return f"{_CQL.get(one.name, one.name)}{parts}"


def _from_hex(text: str) -> str:
    try:
        return bytes.fromhex(text).decode()
    except ValueError:
        return text


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
