"""The names of every version of Cassandra, and what is none of them."""

import pytest

from tablesnap.rules import sstable
from tablesnap.rules.sstable import may_be_mapped, parse

UUID = "3fw2_0tj4_46w3k2cpidnirvjy7k"


@pytest.mark.parametrize(
    ("name", "stem", "component"),
    [
        ("ks-cf-ic-1-Data.db", "ks-cf-ic-1-", "Data.db"),
        ("ks-cf-jb-12-Digest.sha1", "ks-cf-jb-12-", "Digest.sha1"),
        ("Keyspace1-Standard_1-jb-3-Compacted", "Keyspace1-Standard_1-jb-3-", "Compacted"),
        ("ks-cf-ka-7-Index.db", "ks-cf-ka-7-", "Index.db"),
        ("ks-cf.by_name-ka-7-Data.db", "ks-cf.by_name-ka-7-", "Data.db"),
        ("la-4-big-Digest.adler32", "la-4-big-", "Digest.adler32"),
        ("mc-1-big-CompressionInfo.db", "mc-1-big-", "CompressionInfo.db"),
        ("me-2147483647-big-CRC.db", "me-2147483647-big-", "CRC.db"),
        ("nb-1-big-TOC.txt", "nb-1-big-", "TOC.txt"),
        (f"nb-{UUID}-big-Data.db", f"nb-{UUID}-big-", "Data.db"),
        (f"oa-{UUID}-big-Digest.crc32", f"oa-{UUID}-big-", "Digest.crc32"),
        (f"da-{UUID}-bti-Partitions.db", f"da-{UUID}-bti-", "Partitions.db"),
        ("da-5-bti-Rows.db", "da-5-bti-", "Rows.db"),
        ("bb-1-bti-Data.db", "bb-1-bti-", "Data.db"),  # DSE
        ("mt-1-big-Scylla.db", "mt-1-big-", "Scylla.db"),
        (f"me-{UUID}-big-TemporaryHashes.db", f"me-{UUID}-big-", "TemporaryHashes.db"),
        ("mc-1-big-SI_by_name.db", "mc-1-big-", "SI_by_name.db"),
        ("nb-1-big-SAI+aa+GroupMeta.db", "nb-1-big-", "SAI+aa+GroupMeta.db"),
        ("nb-1-big-SAI+aa+by_name+TermsData.db", "nb-1-big-", "SAI+aa+by_name+TermsData.db"),
        ("bb-1-bti-SAI_by_name_Meta.db", "bb-1-bti-", "SAI_by_name_Meta.db"),
    ],
)
def test_a_component_is_known_by_its_name(name: str, stem: str, component: str) -> None:
    parsed = parse(name)

    assert parsed is not None
    assert (parsed.stem, parsed.component, parsed.temporary) == (stem, component, False)


@pytest.mark.parametrize(
    "name",
    [
        "ks-cf-tmp-jb-1-Data.db",
        "ks-cf-tmplink-ka-1-Data.db",
        "ks-cf.idx-tmp-ka-1-Data.db",
        "tmp-la-1-big-Data.db",
        "tmplink-la-1-big-Index.db",
        "nb-1-big-TOC.txt.tmp",
        "na-1-big-Statistics.db.tmp",
        "nb-1-big-Statistics.db.0a3c2f10-1111-11ee-8c99-0242ac120002.tmp",
        "ks-cf-jb-1-Statistics.db-tmp",
    ],
)
def test_a_component_that_is_still_being_written_is_temporary(name: str) -> None:
    parsed = parse(name)

    assert parsed is not None
    assert parsed.temporary


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Data.db",
        "nb-1-big-",
        "nb-1-big-Data.db.bak",
        "nb-1-big-Data.db~00000000000000ab",
        "nb-1-big-Data.dbx",
        "nb-1-big-data.db",
        "nb-x-big-Data.db",
        "nb-12345678901-big-Data.db",
        "NB-1-big-Data.db",
        "nb-\N{ARABIC-INDIC DIGIT ONE}-big-Data.db",
        "nb-1-big-Data.db\n",
        "nb_txn_flush_0a3c2f10-1111-11ee-8c99-0242ac120002.log",
        "manifest.json",
        "schema.cql",
        "CommitLog-7-1700000000000.log",
        "nb-1-big-Data.db-listdir.json",
        "nb-1-big-Unknown.db",
    ],
)
def test_any_other_name_is_an_ordinary_file_s(name: str) -> None:
    assert parse(name) is None


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("nb-1-big-Data.db", True),
        ("da-1-bti-Rows.db", True),
        ("nb-1-big-Statistics.db", False),
        ("nb-1-big-Summary.db", False),
        ("tmp-la-1-big-Data.db", False),
        ("nb-1-big-Data.db.tmp", False),
        ("mydata.bin", False),
    ],
)
def test_only_what_cassandra_never_writes_again_may_be_mapped(name: str, verdict: bool) -> None:
    assert may_be_mapped(name) is verdict


def test_nothing_is_both_rewritten_and_written_once() -> None:
    assert not sstable.REWRITTEN & sstable.WRITTEN_ONCE
