"""The names of every version of Cassandra, and what is none of them."""

import pytest

from tablesnap.rules import sstable
from tablesnap.rules.sstable import (
    Component,
    has_transactions,
    is_bookkeeping,
    is_complete,
    is_lock,
    is_transaction_log,
    operation_of,
    parse,
)

UUID = "3fw2_0tj4_46w3k2cpidnirvjy7k"
LOG_ID = "0a3c2f10-1111-11ee-8c99-0242ac120002"

# What Cassandra itself wrote: its own sstables for the tests of later versions, one of each format.
BIG = "CompressionInfo.db Data.db Filter.db Index.db Statistics.db Summary.db TOC.txt"
BTI = "CompressionInfo.db Data.db Digest.crc32 Filter.db Partitions.db Rows.db Statistics.db TOC.txt"
REAL = {
    ("legacy_tables-legacy_jb_simple-jb-1-", "jb"): BIG,
    ("legacy_tables-legacy_ka_simple-ka-1-", "ka"): f"{BIG} Digest.sha1",
    ("la-1-big-", "la"): f"{BIG} Digest.adler32",
    ("ma-1-big-", "ma"): f"{BIG} Digest.crc32",
    ("mc-1-big-", "mc"): f"{BIG} Digest.crc32",
    ("me-1-big-", "me"): f"{BIG} Digest.crc32",
    ("na-1-big-", "na"): f"{BIG} Digest.crc32",
    ("nb-1-big-", "nb"): f"{BIG} Digest.crc32",
    ("oa-1-big-", "oa"): f"{BIG} Digest.crc32",
    ("da-1-bti-", "da"): BTI,
}
SAI_OF_ONE_SSTABLE = ["GroupMeta", "GroupComplete", "RowToToken", "RowToPartition", "PartitionToSize"]
SAI_OF_ONE_SSTABLE += ["PartitionKeyBlocks", "PartitionKeyBlockOffsets"]
SAI_OF_ONE_SSTABLE += ["ClusteringKeyBlocks", "ClusteringKeyBlockOffsets"]
SAI_OF_ONE_INDEX = ["Meta", "ColumnComplete", "TermsData", "BalancedTree", "PostingLists", "CompressedVectors"]
SINCE_3_0 = ["ma", "mb", "mc", "md", "me", "na", "nb", "nc", "oa", "da", "aa", "ac", "ad", "ba", "bb", "ca", "cb", "cc"]
BEFORE_3_0 = ["g", "hd", "ia", "ib", "ic", "ja", "jb", "ka", "la", "lb"]


def versioned(version: str) -> Component:
    return Component(stem=f"{version}-1-big-", component="Data.db", temporary=False, version=version)


@pytest.mark.parametrize(
    ("stem", "version", "component"),
    [(stem, version, component) for (stem, version), components in REAL.items() for component in components.split()],
)
def test_every_component_of_a_real_sstable_is_known(stem: str, version: str, component: str) -> None:
    assert parse(stem + component) == Component(stem, component, temporary=False, version=version)


@pytest.mark.parametrize(
    "component",
    [f"SAI+aa+{of_sstable}.db" for of_sstable in SAI_OF_ONE_SSTABLE]
    + [f"SAI+aa+by_name+{of_index}.db" for of_index in SAI_OF_ONE_INDEX]
    + ["SAI+ca+2+by_name+TermsData.db", "SAI+ba+GroupMeta.db", "SAI_GroupMeta.db", "SAI_by_name_Meta.db", "SAI.db"],
)
def test_every_spelling_of_a_storage_attached_index_is_known(component: str) -> None:
    assert parse(f"nb-12-big-{component}") == Component("nb-12-big-", component, temporary=False, version="nb")


@pytest.mark.parametrize("component", ["SI_by-name.db", "SAI+aa+by-name+Meta.db", "SI_nb-1-big-Data.db"])
def test_the_name_of_an_index_may_have_a_hyphen(component: str) -> None:
    assert parse(f"nb-12-big-{component}") == Component("nb-12-big-", component, temporary=False, version="nb")


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
    ("name", "stem", "component", "version"),
    [
        ("ks-cf-tmp-jb-1-Data.db", "ks-cf-tmp-jb-1-", "Data.db", "jb"),
        ("ks-cf-tmplink-ka-1-Data.db", "ks-cf-tmplink-ka-1-", "Data.db", "ka"),
        ("ks-cf.idx-tmp-ka-1-Data.db", "ks-cf.idx-tmp-ka-1-", "Data.db", "ka"),
        ("tmp-la-1-big-Data.db", "tmp-la-1-big-", "Data.db", "la"),
        ("tmplink-la-1-big-Index.db", "tmplink-la-1-big-", "Index.db", "la"),
        ("nb-1-big-TOC.txt.tmp", "nb-1-big-", "TOC.txt", "nb"),
        ("na-1-big-Statistics.db.tmp", "na-1-big-", "Statistics.db", "na"),
        (f"nb-1-big-Statistics.db.{LOG_ID}.tmp", "nb-1-big-", "Statistics.db", "nb"),
        (f"da-{UUID}-bti-Statistics.db.{LOG_ID}.tmp", f"da-{UUID}-bti-", "Statistics.db", "da"),
        ("ks-cf-jb-1-Statistics.db-tmp", "ks-cf-jb-1-", "Statistics.db", "jb"),
        ("nb-1-big-SAI+aa+by_name+Meta.db.tmp", "nb-1-big-", "SAI+aa+by_name+Meta.db", "nb"),
    ],
)
def test_a_component_that_is_still_being_written_is_temporary(
    name: str, stem: str, component: str, version: str
) -> None:
    assert parse(name) == Component(stem, component, temporary=True, version=version)


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
        f"nb_txn_flush_{LOG_ID}.log",
        "-",
        "-Data.db",
        "nb-1-Data.db",
        "nb--big-Data.db",
        "nb-1-big-Data.db-",
        "nb-1-big-SAIx.db",
        "nb-1-big-SI_by_name.txt",
        "nb-1-big-Data.db.tmp.tmp",
        "nb-1-big-Statistics.db.0a3c2f10.tmp",
        "da-3fw2_0tj4_46w3k2cpid-bti-Data.db",
        "my-report-Data.db",
        "report-tmp",
        "foo.cql",
        "manifest.json",
        "schema.cql",
        "CommitLog-7-1700000000000.log",
        "nb-1-big-Data.db-listdir.json",
        "nb-1-big-Unknown.db",
    ],
)
def test_any_other_name_is_an_ordinary_file_s(name: str) -> None:
    assert parse(name) is None


def test_nothing_is_both_rewritten_and_written_once() -> None:
    assert not sstable.REWRITTEN & sstable.WRITTEN_ONCE


def test_an_sstable_is_complete_without_what_can_be_made_again() -> None:
    compressed_big = {"Data.db", "Statistics.db", "Index.db", "CompressionInfo.db"}
    plain_bti = ["CRC.db", "Partitions.db", "Rows.db", "Statistics.db", "Data.db"]

    assert is_complete(compressed_big)
    assert is_complete(plain_bti)


@pytest.mark.parametrize("missing", ["Data.db", "Statistics.db", "Index.db", "CompressionInfo.db"])
def test_an_sstable_that_could_not_be_read_is_incomplete(missing: str) -> None:
    present = set(REAL["nb-1-big-", "nb"].split()) - {missing}

    assert not is_complete(present)


@pytest.mark.parametrize("components", REAL.values(), ids=[version for _, version in REAL])
def test_a_real_sstable_is_complete(components: str) -> None:
    assert is_complete(components.split())


@pytest.mark.parametrize("version", SINCE_3_0)
def test_since_3_0_sstables_come_by_transactions(version: str) -> None:
    assert has_transactions(versioned(version))


@pytest.mark.parametrize("version", BEFORE_3_0)
def test_before_3_0_they_do_not(version: str) -> None:
    assert not has_transactions(versioned(version))


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        (f"na_txn_flush_{LOG_ID}.log", "flush"),
        (f"mc_txn_compaction_{LOG_ID}.log", "compaction"),
        (f"bti-da_txn_flush_{LOG_ID}.log", "flush"),
        (f"nb_txn_unknowncompactiontype_{LOG_ID}.log", "unknowncompactiontype"),
        (f"txn_stream_{LOG_ID}.log", "stream"),
        (f"cc_txn_local-onlysstablediscard_{LOG_ID}.log", "local-onlysstablediscard"),
    ],
)
def test_a_transaction_log_says_in_its_name_what_it_is_for(name: str, operation: str) -> None:
    assert is_transaction_log(name)
    assert is_bookkeeping(name)
    assert operation_of(name) == operation


@pytest.mark.parametrize(
    "name",
    [
        f"nb_txn_flush_{LOG_ID}.log.gz",
        "nb_txn_flush_.log",
        f"nb_txn__{LOG_ID}.log",
        f"nbx_txn_flush_{LOG_ID}.log",
        f"nb_txn_flush_{LOG_ID}.log\n",
        "CommitLog-7-1700000000000.log",
        "debug.log",
        "nb-1-big-Data.db",
        f"{LOG_ID}.lockfile",
    ],
)
def test_no_other_name_is_a_transaction_log_s(name: str) -> None:
    assert not is_transaction_log(name)
    assert operation_of(name) == ""


def test_a_lock_of_2_x_is_bookkeeping_and_no_log() -> None:
    assert is_lock(f"{LOG_ID}.lockfile")
    assert is_bookkeeping(f"{LOG_ID}.lockfile")
    assert not is_lock("apt.lockfile")
    assert not is_lock(f"nb_txn_flush_{LOG_ID}.log")
