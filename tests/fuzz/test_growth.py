"""Twice as much of anything is twice as much work, and no more: nobody keeps us busy for long with little."""

import json
from collections.abc import Callable
from functools import partial

import pytest
from tests.fuzz import harnesses
from tests.fuzz.documents import BELOW, DIRECTORY, FULL, NOW
from tests.fuzz.steps import steps
from tests.hostile import SUM, index_of
from tests.rules.headers import MARSHAL, statistics_of
from tests.rules.test_txnlog import COMMIT, TABLE, add, remove

from tablesnap.rules.sstable_header import Column, Header

ENTRY = [5, SUM, 5, 0o100644, 0]
MOMENT = "2026-11-22T20:25:17Z"


def index(**odd: object) -> bytes:
    return index_of(DIRECTORY, BELOW, {**FULL, **odd}, NOW)


def many(number: int) -> dict[str, object]:
    return {f"nb-{one}-big-Data.db": ENTRY for one in range(number)}


INDEXES: dict[str, Callable[[int], bytes]] = {
    "files": lambda n: index(files=many(n)),
    "directories": lambda n: index(others={f"/d/{one}": {"key": f"n:/d/{one}/", "files": {}} for one in range(n)}),
    "files of another directory": lambda n: index(others={"/e": {"key": "n:/e/", "files": many(n)}}),
    "owners": lambda n: index(owners=[[one, one, None, None] for one in range(n)]),
    "missing files": lambda n: index(missing=[f"nb-{one}-big-Data.db" for one in range(n)]),
    "late flushes": lambda n: index(late=[{"index": f".{one}", "from": MOMENT, "until": MOMENT} for one in range(n)]),
    "members that nobody knows": lambda n: index(later=[{str(one): [one]} for one in range(n)]),
    "names of 1.x": lambda n: json.dumps({DIRECTORY: [f"nb-{one}-big-Data.db" for one in range(n)]}).encode(),
    "blanks": lambda n: b" " * n + index() + b"\n" * n,
    "a long text": lambda n: index(live="x" * 1000 * n),
    "a text without an end": lambda n: b'{"' + b"x" * 1000 * n,
    "lists in each other": lambda n: b'{"/d": [], "x": ' + b"[" * n,
    "a list without an end": lambda n: b'{"/d": [' + b'"x",' * n,
    "numbers": lambda n: b'{"/d": [], "x": [' + b"1234567890," * n + b"1]}",
}
LOGS: dict[str, Callable[[int], list[bytes]]] = {
    "lines": lambda n: [b"".join(add(f"{TABLE}/nb-{one}-big-") for one in range(n)) + COMMIT],
    "replicas": lambda n: [remove(f"{TABLE}/nb-1-big-") + COMMIT] * n,
    "empty lines": lambda n: [b"\n" * n],
    "the same line": lambda n: [add(f"{TABLE}/nb-1-big-") * n],
    "replicas that differ": lambda n: [add(f"{TABLE}/nb-{one}-big-") for one in range(n)],
}
PARTS = ["-", "nb-", "a/", "~", "-1-big", "SI_", ".db", "\n", "../", "9", "_", ":", "a.", "-listdir.json", "tmp-"]
ENTRY_OF_A_LISTING = (
    "<Contents><Key>n:/{0:06}</Key><LastModified>2026-11-30T00:00:00Z</LastModified><Size>1</Size></Contents>"
)


def listing(number: int) -> bytes:
    entries = "".join(ENTRY_OF_A_LISTING.format(one) for one in range(number))
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode()


def header(number: int) -> bytes:
    return statistics_of(Header("k", ("c",) * number, {str(one): Column("t") for one in range(number)}))


def words(part: str, number: int) -> str:
    return part * number


CASES = [
    *(pytest.param(harnesses.index, make, id=name) for name, make in INDEXES.items()),
    *(pytest.param(harnesses.log, make, id=f"a log of {name}") for name, make in LOGS.items()),
    *(pytest.param(harnesses.name, partial(words, part), id=f"a name of {part!a}") for part in PARTS),
    *(pytest.param(harnesses.moment_in_words, partial(words, part), id=f"a moment of {part!a}") for part in "9 .aT:"),
    pytest.param(harnesses.listing, listing, id="a listing"),
    pytest.param(harnesses.header, header, id="a header"),
    *(
        pytest.param(
            lambda text: harnesses.types_of_columns(text, MARSHAL), partial(words, part), id=f"types of {part}"
        )
        for part in ("(", ")", "a,", "a:", "a=>", "FrozenType(", "a(b),", " ", "=")
    ),
]


@pytest.mark.parametrize(("read", "make"), CASES)
def test_twice_as_much_is_twice_the_work(read: Callable[[object], None], make: Callable[[int], object]) -> None:
    once, twice = make(100), make(200)
    read(make(3))  # what is made ready at the first time counts for neither

    assert steps(lambda: read(twice)) <= 2.2 * steps(lambda: read(once)) + 200
