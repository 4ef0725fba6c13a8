"""An index is read by our restore, by 1.x's, and by people with curl: it round-trips, or says that it is damaged."""

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rules.test_keys import names, paths

from tablesnap.errors import UnreadableIndex
from tablesnap.rules.index import Index, Owner, StoredFile, encode, names_for_1x, newest_file
from tablesnap.rules.index_decoding import decode
from tablesnap.rules.json_pull import PIECE
from tablesnap.rules.late import Late
from tablesnap.rules.points import point_of
from tablesnap.rules.writers import Writer

BELOW = "n:/d/"
OWNER = Owner(uid=1, gid=2, user="cassandra", group="cassandra")
MOMENT = datetime(2026, 11, 22, 20, 25, 17, 123456, tzinfo=UTC)


def stored(key: str, *, mtime_ns: int = 5, checksum: int = 7) -> StoredFile:
    return StoredFile(key=key, size=3, checksum=checksum, mtime_ns=mtime_ns, mode=0o100644, owner=OWNER)


def plain(*wanted: str) -> dict[str, StoredFile]:
    return {name: stored(BELOW + name) for name in wanted}


def index_of(files: dict[str, StoredFile], previous: Index | None = None) -> Index:
    return Index(directory="/d", names=names_for_1x(files, BELOW, previous), files=files, node="n", taken_at=MOMENT)


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
owners = st.builds(
    Owner,
    uid=st.integers(0, 2**32 - 2),
    gid=st.integers(0, 2**32 - 2),
    user=st.none() | texts,
    group=st.none() | texts,
)
seconds = st.integers(0, 221_845_391_999)  # up to the year 9000
moments = st.builds(
    lambda s, us: datetime.fromtimestamp(s, UTC).replace(microsecond=us), seconds, st.integers(0, 999_999)
)


@st.composite
def stored_files(draw: st.DrawFn, below: str) -> dict[str, StoredFile]:
    return {
        name: StoredFile(
            key=draw(st.just(below + name) | texts),
            size=draw(st.integers(0, 2**63 - 1)),
            checksum=draw(st.integers(0, 2**64 - 1)),
            mtime_ns=draw(st.integers(-(2**63), 2**63)),
            mode=draw(st.integers(0, 0o177777)),
            owner=draw(owners),
        )
        for name in draw(st.lists(names, max_size=5, unique=True))
    }


@st.composite
def indexes(draw: st.DrawFn) -> Index:
    directory = "/" + draw(names)
    whole = draw(st.just("") | texts)  # such an index has no files of its own
    elsewhere = draw(st.lists(paths.filter(lambda path: path != directory), max_size=0 if whole else 2, unique=True))
    return Index(
        directory=directory,
        names=tuple(draw(st.lists(names, max_size=5))),
        files={} if whole else draw(stored_files(BELOW)),
        missing=tuple(draw(st.lists(names | paths, max_size=3))),
        pending=tuple(draw(st.lists(names | paths, max_size=3))),
        node=draw(texts),
        taken_at=draw(moments),
        seen_at=draw(moments),
        until=draw(st.none() | moments),
        serial=draw(st.none() | st.integers(0, 2**53 - 1)),
        writer=draw(st.none() | st.builds(Writer, machine=texts, host=texts, run=texts)),
        next=tuple(draw(st.lists(texts, max_size=3))),
        live=draw(texts),
        others={
            other: draw(stored_files("n:" + other.encode("ascii", "replace").decode() + "/")) for other in elsewhere
        },
        whole=whole,
        covers=tuple(draw(st.lists(paths, max_size=2))),
        unexplained=tuple(draw(st.lists(names, max_size=2))),
        latest_name=draw(st.none() | st.just("") | names),
        behind=tuple(draw(st.lists(texts, max_size=2))),
        late=tuple(draw(st.lists(st.builds(Late, index=texts, since=moments, until=moments), max_size=2))),
    )


@given(indexes())
def test_an_index_is_read_back_as_it_was_written(index: Index) -> None:
    assert decode(encode(index, BELOW), BELOW) == index


@given(indexes())
def test_1x_finds_its_one_pair_first(index: Index) -> None:
    document = json.loads(encode(index, BELOW))

    assert next(iter(document.items())) == (index.directory, list(index.names))
    assert list(document)[1:] == ["tablesnap"]


def test_an_index_of_1x_is_read_and_names_what_its_names_stand_for() -> None:
    body = b'{"/var/lib/c/ks/t": ["nb-1-big-Data.db", "snapshots", "nb-1-big-TOC.txt"]}'

    index = decode(body, "n:/var/lib/c/ks/t/")

    assert (index.directory, index.format, index.taken_at) == ("/var/lib/c/ks/t", 1, None)
    assert index.files == {}
    assert index.keys("n:/var/lib/c/ks/t/") >= {
        "n:/var/lib/c/ks/t/nb-1-big-Data.db",
        "n:/var/lib/c/ks/t/nb-1-big-TOC.txt",
    }


def test_the_names_for_1x_are_no_keys_of_an_index_of_ours() -> None:
    index = replace(index_of({"a": stored(BELOW + "a~01")}), names=("a",), next=("n:/d/b",))

    assert index.keys(BELOW) == {BELOW + "a~01", "n:/d/b"}


def test_an_index_names_what_its_other_directories_hold_and_the_index_that_holds_its_files() -> None:
    table = replace(index_of(plain("a")), others={"/e": {"b": stored("n:/e/b~01")}, "/e/.idx": {}}, next=("n:/e/c",))

    assert table.keys(BELOW) == {BELOW + "a", "n:/e/b~01", "n:/e/c"}
    assert replace(index_of({}), whole="n:/e/a-listdir.json").keys(BELOW) == {"n:/e/a-listdir.json"}


def test_another_directory_s_entry_has_a_key_only_where_it_is_not_the_plain_one() -> None:
    others = {"/e": {"a": stored("n:/e/a"), "b": stored("n:/e/b~01")}, "/e/.idx": {}}

    spelt = json.loads(encode(replace(index_of(plain("a")), others=others, seen_at=MOMENT), BELOW))["tablesnap"]

    entry = [3, "0000000000000007", 5, 0o100644, 0]
    assert spelt["others"] == {
        "/e": {"key": "n:/e/", "files": {"a": entry, "b": [*entry, "n:/e/b~01"]}},
        "/e/.idx": {"key": "", "files": {}},
    }


def test_what_an_index_of_one_directory_has_no_use_for_is_not_in_it() -> None:
    spelt = json.loads(encode(replace(index_of(plain("a")), seen_at=MOMENT), BELOW))["tablesnap"]

    assert not {"others", "whole", "covers", "unexplained", "latest_name", "behind", "late"} & spelt.keys()


def whole() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(encode(replace(index_of(plain("a", "b")), seen_at=MOMENT), BELOW))
    return document


def ours(**changes: object) -> bytes:
    document = whole()
    document["tablesnap"] |= changes
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe\x00",
        b"no JSON",
        b"null",
        b"7",
        b'"text"',
        b"[]",
        b"{}",
        b'{"/d": null}',
        b'{"/d": "abc"}',
        b'{"/d": {"a": 1}}',
        b'{"/d": [1, 2]}',
        b'{"/d": ["a", ["b"]]}',
        b'{"tablesnap": {"format": 2}}',
        b'{"/d": ["a"], "tablesnap": 7}',
        b'{"/d": ["a"], "tablesnap": {}}',
        b'{"/d": ["a"], "tablesnap": []}',
        b"[" * 200_000,
        b'{"/d": ' + b"[" * 200_000,
        b'{"/d": ["a"], "tablesnap": {"format": ' + b"9" * 5_000 + b"}}",
        ours(format=3),
        ours(format="2"),
        ours(format=None),
        ours(taken_at=None),
        ours(taken_at=5),
        ours(taken_at="yesterday"),
        ours(taken_at="2026-11-22T20:25:17.123456"),
        ours(seen_at="2026-11-22"),
        ours(node=None),
        ours(live=7),
        ours(missing="abc"),
        ours(missing=[1]),
        ours(missing={"a": 1}),
        ours(next="abc"),
        ours(next=[["a"]]),
        ours(owners=None),
        ours(owners=[]),
        ours(owners=[[1]]),
        ours(owners=[["root", 0, None, None]]),
        ours(owners=[[0, 0, 5, None]]),
        ours(owners=[[0, 0, None, None, None]]),
        ours(files=None),
        ours(files=["a"]),
        ours(files={"a": None}),
        ours(files={"a": []}),
        ours(files={"a": ["3", "0000000000000007", 5, 0o644, 0]}),
        ours(files={"a": [-1, "0000000000000007", 5, 0o644, 0]}),
        ours(files={"a": [3, 7, 5, 0o644, 0]}),
        ours(files={"a": [3, "xyz", 5, 0o644, 0]}),
        ours(files={"a": [3, "-000000000000007", 5, 0o644, 0]}),
        ours(files={"a": [3, "07", 5, 0o644, 0]}),
        ours(files={"a": [3, "1" * 17, 5, 0o644, 0]}),
        ours(files={"a": [3, "0000000000000007", 5.5, 0o644, 0]}),
        ours(files={"a": [3, "0000000000000007", None, 0o644, 0]}),
        ours(files={"a": [3, "0000000000000007", 5, "rw", 0]}),
        ours(files={"a": [3, "0000000000000007", 5, 0o644, 9]}),
        ours(files={"a": [3, "0000000000000007", 5, 0o644, -1]}),
        ours(files={"a": [3, "0000000000000007", 5, 0o644, 0, 5]}),
        ours(files={"a": [3, "0000000000000007", 5, 0o644, 0, ["key"]]}),
        ours(files={"a": [3, "0000000000000007", 5, 0o644, 0, "key", "more"]}),
        ours(files={"a": [True, "0000000000000007", 5, 0o644, 0]}),
        ours(files={"a": [2**63, "0000000000000007", 5, 0o644, 0]}),
        ours(files={"a": [10**330, "0000000000000007", 5, 0o644, 0]}),
        ours(files={"a": [3, "0000000000000007", 10**30, 0o644, 0]}),
        ours(files={"a": [3, "0000000000000007", -(10**30), 0o644, 0]}),
        ours(files={"a": [3, "0000000000000007", 5, 2**70 + 0o4755, 0]}),
        ours(files={"": [3, "0000000000000007", 5, 0o644, 0]}),
        ours(files={"..": [3, "0000000000000007", 5, 0o644, 0]}),
        ours(files={"../../etc/passwd": [3, "0000000000000007", 5, 0o644, 0]}),
        ours(files={"a\0b": [3, "0000000000000007", 5, 0o644, 0]}),
        ours(files={"nb_txn_flush_5a1c395e-0000-11ee-8000-000000000000.log": [3, "0000000000000007", 5, 0o644, 0]}),
        ours(files={"a\ud800": [3, "0000000000000007", 5, 0o644, 0]}),
        ours(files={"a": [3, "0000000000000007", 5, 0o644, 0, "k\0"]}),
        ours(owners=[[2**40, 0, None, None]]),
        ours(owners=[[0, 2**32 - 1, None, None]]),  # which means to change nothing
        ours(owners=[[0, 0, "root\0", None]]),
        ours(taken_at="9999-12-31T23:59:59.999999Z"),
        ours(taken_at="9999-12-31T23:59:59.999999-14:00"),
        ours(taken_at="0001-01-01T00:00:00+14:00"),
        ours(seen_at="0001-01-01T00:00:00Z"),
        ours(until="9999-12-31T23:59:59Z"),
        ours(serial=2**53),
        ours(node="\ud800\x1b"),
        ours(live="\ud800"),
        ours(covers=["rel"]),
        ours(covers=["/d/../e"]),
        ours(others={"e": {"key": "n:/e/", "files": {}}}),
        ours(others={"/e/../d": {"key": "n:/e/", "files": {}}}),
        b'{"d\\ud800": ["a"]}',
        b'{"/d": ["a\\u0000"]}',
        ours(others=None),
        ours(others=["/e"]),
        ours(others={"/e": None}),
        ours(others={"/e": []}),
        ours(others={"/e": {"files": {}}}),
        ours(others={"/e": {"key": "n:/e/"}}),
        ours(others={"/e": {"key": None, "files": {}}}),
        ours(others={"/e": {"key": "n:/e/", "files": []}}),
        ours(others={"/e": {"key": "n:/e/", "files": {"a": [3, "07", 5, 0o644, 0]}}}),
        ours(others={"/d": {"key": "n:/d/", "files": {}}}),
        ours(whole=None),
        ours(whole="n:/e/a-listdir.json"),  # and files of its own
        ours(whole="n:/e/a-listdir.json", files={}, others={"/e": {"key": "", "files": {}}}),
        ours(covers="/d"),
        ours(covers=[None]),
        ours(unexplained={"nb-1-big-": 1}),
        ours(unexplained=[1]),
        ours(behind=".t_by_name_idx"),
        ours(late=[{"index": ".t_by_name_idx", "from": "2026-11-22T20:25:17.123456Z"}]),
        ours(late=[{"index": ".t_by_name_idx", "from": None, "until": None}]),
    ],
    ids=lambda body: ascii(body[-60:]),
)
def test_a_damaged_index_is_unreadable_and_nothing_else(body: bytes) -> None:
    with pytest.raises(UnreadableIndex):
        decode(body, BELOW)


@given(st.data())
def test_an_index_cut_short_or_with_one_byte_changed_is_read_or_unreadable(data: st.DataObject) -> None:
    body = json.dumps(whole()).encode()
    at = data.draw(st.integers(0, len(body) - 1))
    damaged = data.draw(st.sampled_from([body[:at], body[:at] + data.draw(st.binary(max_size=2)) + body[at + 1 :]]))

    try:
        index = decode(damaged, BELOW)
    except UnreadableIndex:
        return

    encode(replace(index, taken_at=MOMENT, seen_at=MOMENT), BELOW)
    index.keys(BELOW)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


@given(
    st.sampled_from([*whole()["tablesnap"], "others", "whole", "covers", "unexplained", "behind", "late"]), json_values
)
def test_a_field_of_any_other_kind_is_read_or_unreadable(field: str, value: object) -> None:
    try:
        index = decode(ours(**{field: value}), BELOW)
    except UnreadableIndex:
        return

    assert decode(encode(index, BELOW), BELOW) == index


def test_other_names_beside_ours_are_ignored_so_that_a_later_version_may_add_some() -> None:
    body = ours(later={"a": 1})

    assert set(decode(body, BELOW).files) == {"a", "b"}


# What 1.x's restore gets.

DATA, STATISTICS, TOC = "nb-1-big-Data.db", "nb-1-big-Statistics.db", "nb-1-big-TOC.txt"


def test_plain_keys_are_listed_by_their_names() -> None:
    files = plain(DATA, STATISTICS, "other")

    assert names_for_1x(files, BELOW, None) == (DATA, STATISTICS, "other")


def test_other_content_is_listed_by_the_end_of_its_own_key() -> None:
    files = {DATA: stored(BELOW + DATA + "~01"), "other": stored(BELOW + "other~02~20261122T202517123456Z")}

    assert names_for_1x(files, BELOW, None) == (DATA + "~01", "other~02~20261122T202517123456Z")


def test_a_rewritten_component_is_listed_plain_while_the_sstable_is_the_same() -> None:
    first = index_of(plain(DATA, STATISTICS))
    second = index_of({DATA: stored(BELOW + DATA), STATISTICS: stored(BELOW + STATISTICS + "~02")}, first)
    third = index_of({DATA: stored(BELOW + DATA), STATISTICS: stored(BELOW + STATISTICS + "~03")}, second)

    assert second.names == third.names == (DATA, STATISTICS)


def test_a_rewritten_component_without_a_witness_is_never_listed_plain() -> None:
    files = {DATA: stored(BELOW + DATA), STATISTICS: stored(BELOW + STATISTICS + "~02")}
    of_1x = Index(directory="/d", names=(DATA, STATISTICS), format=1)

    for previous in (None, index_of(plain(STATISTICS)), index_of(plain(DATA)), of_1x):
        assert names_for_1x(files, BELOW, previous)[1] == STATISTICS + "~02"


def test_a_component_of_another_incarnation_of_the_sstable_is_never_listed_plain() -> None:
    first = index_of(plain(DATA, STATISTICS))
    reborn = {DATA: stored(BELOW + DATA + "~09"), STATISTICS: stored(BELOW + STATISTICS + "~02")}
    second = index_of(reborn, first)
    third = index_of(reborn | {STATISTICS: stored(BELOW + STATISTICS + "~03")}, second)

    assert second.names == (DATA + "~09", STATISTICS + "~02")
    assert third.names == (DATA + "~09", STATISTICS + "~03")


@pytest.mark.parametrize("component", ["Index.db", "CompressionInfo.db", "Digest.crc32", "Data.db", "Partitions.db"])
def test_a_component_that_cassandra_never_rewrites_is_never_listed_plain_for_other_bytes(component: str) -> None:
    name = f"nb-1-big-{component}"
    first = index_of(plain(DATA, name))

    assert f"{name}~02" in names_for_1x({**plain(DATA), name: stored(f"{BELOW}{name}~02")}, BELOW, first)


def test_an_ordinary_file_that_was_rewritten_is_never_listed_plain() -> None:
    first = index_of(plain("a"))

    assert names_for_1x({"a": stored(BELOW + "a~02")}, BELOW, first) == ("a~02",)


@given(
    st.lists(st.sampled_from(["", "~01", "~02"]), min_size=1, max_size=6),
    st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_a_plain_name_never_stands_for_a_plain_object_of_another_sstable(
    data_endings: list[str], rewritten: list[bool]
) -> None:
    previous: Index | None = None
    witnessed: str | None = None  # which Data.db the plain Statistics.db came with
    for number, ending in enumerate(data_endings):
        fresh = previous is None and not rewritten[number]
        statistics = BELOW + STATISTICS + ("" if fresh else f"~{number}")
        if fresh:
            witnessed = ending
        files = {DATA: stored(BELOW + DATA + ending), STATISTICS: stored(statistics)}
        index = index_of(files, previous)
        if STATISTICS in index.names:
            assert witnessed == ending
        previous = index


# What an index is named after.


def test_the_newest_data_file_gives_an_index_its_key() -> None:
    files = {
        "nb-9-big-Data.db": stored("old", mtime_ns=1),
        "nb-10-big-Data.db": stored("new", mtime_ns=2),
        "nb-11-big-Index.db": stored("newer", mtime_ns=3),
        "other": stored("newest", mtime_ns=4),
    }

    newest = newest_file(files)

    assert newest is not None
    assert newest.key == "new"


def test_outside_cassandra_the_newest_file_does_and_of_equal_ones_always_the_same() -> None:
    files = {"a": stored("a"), "b": stored("b"), "c": stored("c", mtime_ns=1)}
    backwards = dict(reversed(files.items()))

    assert newest_file(files) == newest_file(backwards) == files["b"]


def test_nothing_has_no_newest_file() -> None:
    assert newest_file({}) is None


# Versions.


EARLY: dict[str, Any] = {
    "/d": ["nb-1-big-Data.db"],
    "tablesnap": {
        "format": 2,
        "node": "n",
        "taken_at": "2026-11-22T20:25:17.123456Z",
        "seen_at": "2026-11-22T20:25:18.000000Z",
        "missing": [],
        "pending": [],
        "owners": [[112, 117, "cassandra", "cassandra"]],
        "files": {"nb-1-big-Data.db": [3, "0000000000000007", 5, 33188, 0]},
        "next": ["n:/d/nb-2-big-Data.db"],
        "live": "9b0f4c1d27a8e6530b4d19c2a75fe388",
        "covers": ["/d"],
        "latest_name": "nb-9-big-Data.db",
    },
}


def test_an_index_of_before_there_were_serials_says_none_and_all_else_as_ever() -> None:
    index = decode(json.dumps(EARLY).encode(), BELOW)

    assert (index.serial, index.until) == (None, None)
    assert (index.taken_at, index.latest_name, index.next) == (MOMENT, "nb-9-big-Data.db", ("n:/d/nb-2-big-Data.db",))
    assert json.loads(encode(index, BELOW)) == EARLY, "and it is written as it was"


def test_a_reader_of_before_there_were_serials_finds_every_member_that_it_knows() -> None:
    index = replace(decode(json.dumps(EARLY).encode(), BELOW), serial=7, until=MOMENT)

    document = json.loads(encode(index, BELOW))

    new = {member: document["tablesnap"].pop(member) for member in ("serial", "until")}
    assert new == {"serial": 7, "until": "2026-11-22T20:25:17.123456Z"}
    assert document == EARLY


@pytest.mark.parametrize("wrong", [{"serial": -1}, {"serial": "7"}, {"serial": True}, {"until": "yesterday"}])
def test_a_serial_or_a_moment_that_is_none_makes_an_index_unreadable(wrong: dict[str, object]) -> None:
    with pytest.raises(UnreadableIndex):
        decode(json.dumps({**EARLY, "tablesnap": {**EARLY["tablesnap"], **wrong}}).encode(), BELOW)


# Large ones.


def large() -> bytes:
    files = {
        f"nb-{number}-big-Data.db": replace(stored(f"n:/d/nb-{number}-big-Data.db"), mtime_ns=10**18 + number)
        for number in range(20_000)
    }
    return encode(replace(index_of(files), seen_at=MOMENT), BELOW)


def peak_of(task: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        task()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_large_index_takes_little_more_memory_than_its_body() -> None:
    body = large()

    peak = peak_of(lambda: decode(body, BELOW))

    assert peak < 3 * len(body)


def test_so_do_its_files_where_they_are_gone_through() -> None:
    body = large()

    peak = peak_of(lambda: sum(file.size or 0 for file in point_of(decode(body, BELOW), "n:/d/k", MOMENT).files))

    assert peak < 3 * len(body)


@pytest.mark.parametrize(
    "body", [b"[" * 10_000_000, b'{"/d": [], "a": ' + b"[" * 10_000_000, b'{"/d": ["' + b"a" * 10_000_000]
)
def test_what_is_no_index_is_refused_before_it_is_read_to_its_end(body: bytes) -> None:
    def refused() -> None:
        with pytest.raises(UnreadableIndex):
            decode(body, BELOW)

    assert peak_of(refused) < len(body)


def test_an_index_may_be_spelt_with_blanks_and_be_cut_anywhere_by_the_reading() -> None:
    index = replace(index_of(plain(*(f"ä{number}" for number in range(2000)))), seen_at=MOMENT, until=MOMENT)
    body = json.dumps(json.loads(encode(index, BELOW)), indent=3, ensure_ascii=False).encode()

    assert len(body) > 2 * PIECE
    assert decode(body, BELOW) == index


@pytest.mark.parametrize("name", ["/d", "tablesnap"])
def test_what_an_index_says_twice_it_does_not_say(name: str) -> None:
    body = ours()[:-1] + b', "' + name.encode() + b'": []}'

    with pytest.raises(UnreadableIndex, match="twice"):
        decode(body, BELOW)
