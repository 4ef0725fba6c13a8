"""What 1.2.1 did not know of Cassandra: transactions, names, disks, and how long a listing gets."""

from pathlib import Path

import pytest
from tests.daemon.fake_cassandra import V41, Table
from tests.daemon.fake_old_cassandra import OldTable
from tests.daemon.harness import Bucket, Daemon, running
from tests.daemon.in_process import indexes
from tests.daemon.table_points import contents_of, data_keys, expected, following, wait_for_live
from tests.defects.support import await_restore_point, key_of
from tests.waiting import wait_until

from tablesnap.rules.index import Index
from tablesnap.store.memory import MemoryStore

STOCK = ("-r", "-a", "-B")  # as every guide has had it, and for every version


def await_view(daemon: Daemon, bucket: Bucket, table: Table) -> Index:
    """Wait until the newest restore point holds what is live."""

    def arrived() -> Index | None:
        index = bucket.newest_index(table.directories[0])
        assert index is not None
        assert not index.missing
        assert contents_of(bucket.store(), index) == expected(table.live)
        return index

    index = daemon.wait_until(arrived, "a restore point of what is live")
    assert index is not None
    return index


def everything_ever_named(bucket: Bucket) -> set[str]:
    return {key for index in bucket.indexes().values() for key in index.keys("")}


def test_d15_no_transaction_log_is_stored_or_listed(data: Path, bucket: Bucket, log: Path) -> None:
    """D15 of tablesnap 1.2.1: restored without its COMMIT, a log made Cassandra delete the sstables in it."""
    table = Table(data)
    table.flush()
    open_at_start = table.begin("compaction")
    open_at_start.half_write()
    with running(bucket, *STOCK, "--index-interval", "0", data.parent.parent, log=log) as daemon:
        await_view(daemon, bucket, table)
        table.followed_by = daemon.process.pid
        table.flush()
        open_later = table.begin("stream")
        open_later.write()
        await_view(daemon, bucket, table)

    assert not [key for key in bucket.keys() | everything_ever_named(bucket) if "_txn_" in key]


def test_d15_a_restore_point_of_mid_compaction_has_its_inputs_and_nothing_of_its_outputs(
    data: Path, bucket: Bucket, log: Path
) -> None:
    """D15 of tablesnap 1.2.1: a listing had inputs and half-written outputs together."""
    table = Table(data)
    with running(bucket, *STOCK, "--index-interval", "0", data.parent.parent, log=log) as daemon:
        table.followed_by = daemon.process.pid
        inputs = [table.flush(), table.flush()]
        compaction = table.begin("compaction")
        outputs = [compaction.write(), compaction.half_write()]
        table.flush()
        await_view(daemon, bucket, table)
        compaction.remove(*inputs)
        compaction.abort()
        table.flush()
        await_view(daemon, bucket, table)

    assert not [key for key in bucket.keys() | everything_ever_named(bucket) if any(it.stem in key for it in outputs)]


def test_d16_no_unfinished_sstable_of_2_2_is_stored(data: Path, bucket: Bucket, log: Path) -> None:
    """D16 of tablesnap 1.2.1: the default exclusion looked for -tmp, and 2.2 writes tmp- and tmplink-."""
    data.rmdir()
    table = OldTable(data, "la")
    with running(bucket, *STOCK, data.parent.parent, log=log) as daemon:
        table.begin()
        (data / "tmplink-la-1-big-Data.db").hardlink_to(data / "tmp-la-1-big-Data.db")
        table.flush()
        await_restore_point(daemon, bucket, data, table.files)

    assert bucket.data().keys() == {key_of(data / name) for name in table.files}


@pytest.mark.parametrize("ending", [".tmp", ".1b255f4d-ef25-40a6-8000-000000000001.tmp"])
def test_d16_no_temporary_file_of_3_0_is_stored(ending: str, data: Path, bucket: Bucket, log: Path) -> None:
    """D16 of tablesnap 1.2.1: 3.0 and later end the names of temporary files in .tmp."""
    table = Table(data, fmt=V41)
    with running(bucket, *STOCK, data.parent.parent, log=log) as daemon:
        table.followed_by = daemon.process.pid
        one = table.flush()
        one.path(f"Statistics.db{ending}").write_bytes(b"half")
        table.flush()
        await_view(daemon, bucket, table)

    assert not [key for key in bucket.keys() | everything_ever_named(bucket) if key.endswith(".tmp")]


def test_d19_a_table_on_two_disks_is_restorable_by_one_restore_point(tmp_path: Path, bucket: Bucket, log: Path) -> None:
    """D19 of tablesnap 1.2.1: each disk had listings of its own, and no two were of one moment."""
    disks = [tmp_path / "disk1", tmp_path / "disk2"]
    table = Table(*(disk / "ks" / "t-1b255f4def2540a60000000000000001" for disk in disks))
    with running(bucket, *STOCK, "--index-interval", "0", *disks, log=log) as daemon:
        table.followed_by = daemon.process.pid
        for _ in range(3):
            table.flush(*table.directories)
            await_view(daemon, bucket, table)

    for index in bucket.indexes().values():
        if not index.whole:
            (other,) = index.others.values()
            assert len(other) == len(index.files), "what one flush wrote to both disks is in both or in none"


def test_o05_a_flush_into_a_large_directory_writes_no_large_index(data: Path) -> None:
    """O5 of tablesnap 1.2.1: each file of each flush was followed by a listing of all there was."""
    store, table = MemoryStore(), Table(data)
    for _ in range(300):
        table.flush()
    with following(store, table, backup=True, index_interval=10.0):
        wait_for_live(store, table)
        before = len(indexes(store, data))
        for number in range(301, 311):
            table.flush()
            wait_until(lambda: len(data_keys(store)) == 8 * number, "the flush to be stored")  # noqa: B023 # at once
        between = len(indexes(store, data)) - before

    assert between <= 1
    wait_for_live(store, table)  # a stop wrote what is
