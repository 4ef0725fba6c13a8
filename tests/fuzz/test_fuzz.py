"""Whatever is read from outside: what comes out is what was meant, or an error of ours."""

import re

from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz import harnesses
from tests.fuzz.documents import WORDS, bodies
from tests.rules.headers import MARSHAL
from tests.rules.test_txnlog import COMMITTED, record


@given(bodies())
def test_any_index_is_read_or_unreadable_and_what_is_read_is_of_use(body: bytes) -> None:
    harnesses.index(body)


# What names are made of, in any order: of sstables, logs, segments, indexes, directories and keys.
PLAIN_PARTS = """nb jb ks tmp tmplink big bti - - - _ . / ~ : 1 07 txn flush Data.db Statistics.db TOC.txt SAI+aa+ SI_
    .db .log .tmp .lockfile CommitLog- .sstable -listdir.json snapshots backups 3fw2_0tj4_46w3k2cpidnirvjy7k
    0a3c2f10-1111-11ee-8c99-0242ac120002 5a1c395e5a1c395e5a1c395e5a1c395e 0123456789abcdef 20261122T202517123456Z"""
PARTS = [*PLAIN_PARTS.split(), "9" * 5000, "\n", "\u0661", "\udce9"]
NAMES = ["nb-1-big-Data.db", "ks-cf-tmp-jb-1-Data.db", "nb_txn_flush_0a3c2f10-1111-11ee-8c99-0242ac120002.log"]
NAMES += ["/var/data/ks/t-5a1c395e5a1c395e5a1c395e5a1c395e/snapshots/tag", "CommitLog-7-1700000000000.log"]
NAMES += ["n:/d/nb-1-big-Data.db~0123456789abcdef~20261122T202517123456Z-listdir.json"]

made_of_parts = st.lists(st.sampled_from(PARTS), max_size=12).map("".join)
changed_names = st.builds(
    lambda name, at, size, more: name[:at] + more + name[at + size :],
    st.sampled_from(NAMES),
    st.integers(0, 60),
    st.integers(0, 3),
    st.sampled_from(PARTS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=2),
)


words = st.sampled_from([word for word in WORDS if "\ud800" not in word])


@given(made_of_parts | changed_names | words)
def test_any_name_and_any_key_is_one_thing_or_another(text: str) -> None:
    harnesses.name(text)


NUMBERS = [0, -1, 2**31, 2**32 - 1, 10**17]
records = st.one_of(
    st.sampled_from(COMMITTED.splitlines(keepends=True)),
    st.builds(
        lambda kind, path, updated, files: record(kind, path, updated=updated, files=files & 0xFFFFFFFF),
        st.sampled_from(["ADD", "REMOVE", "COMMIT", "ABORT", "add", "DROP"]),
        changed_names.map(lambda name: name.replace("\udce9", "é"))
        | st.sampled_from(["", ",", "]", "[", "\n", "\0", "/"]),
        st.sampled_from(NUMBERS).filter(lambda number: number >= 0),
        st.sampled_from(NUMBERS),
    ),
    st.sampled_from([b"\n", b"\r\n", b"\0" * 9, b"ADD:[", b"9" * 5000, b"COMMIT:[,0,0][" + b"9" * 5000 + b"]\n"]),
    st.binary(max_size=9),
)
logs = st.lists(st.lists(records, max_size=6).map(b"".join), max_size=3)


@given(logs)
def test_any_log_is_a_transaction_or_corrupt(bodies: list[bytes]) -> None:
    harnesses.log(bodies)


PLAIN_TIMES = "2026 - 11 T : 20 Z +14:00 -23:59 0001 9999 . W47 ago h 1.5 years 0 24 60 999999999"
TIMES = [*PLAIN_TIMES.split(), " ", "\t", "\0", "\u0661", "\udce9", "9" * 5000]
moments = st.lists(st.sampled_from(TIMES), max_size=9).map("".join) | st.builds(
    lambda moment, at, more: moment[:at] + more + moment[at + len(more) :],
    st.sampled_from(["2026-11-22T20:25:17.123456+00:00", "2026-11-22 20:25", "0001-01-01T00:00Z", "1.5 days ago"]),
    st.integers(0, 32),
    st.sampled_from(TIMES),
)


@given(moments)
def test_any_word_is_a_moment_of_the_past_or_none(text: str) -> None:
    harnesses.moment_in_words(text)


LISTING = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>n:/</Prefix><KeyCount>1</KeyCount>
<MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated><NextContinuationToken>t</NextContinuationToken>
<Contents><Key>n%3A/a%20b</Key><LastModified>2026-11-30T00:00:00.000Z</LastModified><ETag>"x"</ETag><Size>5</Size>
<StorageClass>STANDARD</StorageClass></Contents><CommonPrefixes><Prefix>n%3A/c/</Prefix></CommonPrefixes></ListBucketResult>"""
TEXTS = re.findall('(?<=[>"])[^<>"]+(?=[<"])', LISTING)  # also what stands in the declaration
DATES = [
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "9" * 400,
    "1e999",
    "Mon, 30 Nov 2026 00:00:00 GMT",
    "30",
]
ODD_TEXTS = [
    "",
    "x",
    "true",
    "false",
    "-5",
    "9" * 5000,
    "%ff",
    "%00",
    "n:/",
    "&#55296;",
    "&x;",
    "<a/>",
    "]]>",
    "\ufffd",
    *DATES,
]
ODD_TEXTS += ["utf-7", "big5", "utf-16", "1.1", "http://doc.s3.amazonaws.com/2006-03-01"]


@st.composite
def listings(draw: st.DrawFn) -> bytes:
    """Draw a listing of which a few texts or elements are something else."""
    text = LISTING
    for one in draw(st.lists(st.sampled_from(TEXTS), max_size=2)):
        text = text.replace(one, draw(st.sampled_from(ODD_TEXTS) | st.text(max_size=5)), 1)
    elements = re.findall("<[^<>]*>", text)
    for one in draw(st.lists(st.sampled_from(elements), max_size=2)):
        text = text.replace(one, draw(st.sampled_from(["", one * 2, *elements])), 1)
    return text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-16"])), "replace")


@given(listings())
def test_any_listing_is_of_the_bucket_or_not_believed(body: bytes) -> None:
    harnesses.listing(body)


WORDS_OF_TYPES = [
    f"{MARSHAL}Int32Type",
    "UserType",
    "FrozenType",
    "MapType",
    "ReversedType",
    "CompositeType",
    "61",
    "zz",
]
types = st.lists(
    st.sampled_from([*WORDS_OF_TYPES, *WORDS_OF_TYPES, *"((()))),,:= \n", "=>", " " * 99, "(" * 40]), max_size=20
)


@given(types.map("".join), types.map("".join))
def test_any_two_types_are_compared_and_spelt(one: str, other: str) -> None:
    harnesses.types_of_columns(one, other)
