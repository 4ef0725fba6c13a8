"""What a restore point of a Cassandra table holds: exactly the view."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from tests.daemon import fake_cassandra
from tests.daemon.fake_cassandra import BTI, V30, V40, V41, V50, Format, Table
from tests.daemon.in_process import indexes, newest, running, wait_for_index
from tests.daemon.table_points import (
    creates,
    data_keys,
    directory_below,
    following,
    held,
    history,
    insist_all_are_whole,
    stems_of,
    wait_for_live,
    wait_for_view,
)
from tests.waiting import wait_until

from tablesnap.daemon.service import utc_now
from tablesnap.rules.selection import Selection
from tablesnap.store.memory import MemoryStore

TICK = timedelta(milliseconds=20)  # more than the step of the clock that a kernel stamps files with


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def table(data: Path) -> Table:
    return Table(directory_below(data))


@pytest.mark.parametrize("fmt", [V30, V40, V41, V50, BTI], ids=lambda fmt: fmt.version)
def test_each_flush_is_a_restore_point_of_all_flushed_so_far(data: Path, store: MemoryStore, fmt: Format) -> None:
    table = Table(directory_below(data), fmt=fmt)

    with following(store, table):
        for _ in range(3):
            table.flush()
            wait_for_live(store, table)

    first, second, third = table.live
    assert history(store, table.directories[0]) == [
        {first.stem},
        {first.stem, second.stem},
        {first.stem, second.stem, third.stem},
    ]
    insist_all_are_whole(store, table.directories[0])


def test_nothing_of_an_open_transaction_is_stored_or_named(store: MemoryStore, table: Table) -> None:
    with following(store, table):
        first = table.flush()
        wait_for_live(store, table)
        compaction = table.begin("compaction")
        half, whole = compaction.half_write(), compaction.write()
        table.flush()
        wait_for_live(store, table)

    assert first in table.live
    assert not [key for key in data_keys(store) if half.stem in key or whole.stem in key]
    assert all(half.stem not in stems and whole.stem not in stems for stems in history(store, table.directories[0]))


def test_nothing_of_an_aborted_transaction_is_stored_or_named(store: MemoryStore, table: Table) -> None:
    with following(store, table):
        table.flush()
        scrub = table.begin("scrub")
        undone = scrub.write()
        scrub.abort()
        table.flush()
        wait_for_live(store, table)

    assert not [key for key in data_keys(store) if undone.stem in key]


def test_what_compaction_makes_of_a_view_changes_no_restore_point(store: MemoryStore, table: Table) -> None:
    with following(store, table):
        flushed = [table.flush() for _ in range(3)]
        wait_for_live(store, table)
        (output,) = table.compact(*flushed, size=10_000)
        flushed.append(table.flush())
        wait_for_view(store, table.directories[0], flushed)

    assert not [key for key in data_keys(store) if output.stem in key]
    insist_all_are_whole(store, table.directories[0])


def test_a_base_after_every_replacement_where_that_is_asked_for(store: MemoryStore, table: Table) -> None:
    with following(store, table, base_interval=0.0):
        flushed = [table.flush(), table.flush()]
        wait_for_live(store, table)
        table.compact(*flushed)
        wait_for_live(store, table)

    insist_all_are_whole(store, table.directories[0])


def test_a_view_much_larger_than_what_is_live_is_followed_by_a_base(store: MemoryStore, table: Table) -> None:
    with following(store, table):
        flushed = [table.flush(size=100_000) for _ in range(3)]
        wait_for_live(store, table)
        table.compact(*flushed, size=1_000)
        wait_for_live(store, table)


def test_many_inputs_and_many_outputs_are_one_change(store: MemoryStore, table: Table) -> None:
    with following(store, table, base_interval=0.0):
        flushed = [table.flush() for _ in range(4)]
        wait_for_live(store, table)
        outputs = table.compact(*flushed, outputs=9)
        wait_for_live(store, table)

    inputs, made = {one.stem for one in flushed}, {one.stem for one in outputs}
    assert all(not (stems & made) or stems == made for stems in history(store, table.directories[0]))
    assert history(store, table.directories[0])[-2] == inputs


def test_a_log_that_is_kept_because_a_reader_holds_the_inputs_is_believed(store: MemoryStore, table: Table) -> None:
    with following(store, table, base_interval=0.0):
        inputs = [table.flush(), table.flush()]
        wait_for_live(store, table)
        compaction = table.begin("compaction")
        compaction.write()
        compaction.remove(*inputs)
        compaction.commit()
        wait_for_live(store, table)
        table.flush()
        wait_for_live(store, table)
        compaction.tidy()
        table.flush()
        wait_for_live(store, table)


def test_a_streamed_sstable_without_toc_joins_though_its_files_are_still_open(store: MemoryStore, table: Table) -> None:
    with following(store, table):
        table.flush()
        stream = table.stream()
        received = stream.receive()
        stream.end()
        wait_for_live(store, table)
        stream.close()
        table.flush()
        wait_for_live(store, table)

    assert not received.path("TOC.txt").exists()
    assert len(data_keys(store)) == 8 + 7 + 8, "a late close is no reason to store anything again"


def test_an_import_joins_though_no_log_tells_of_it(tmp_path: Path, store: MemoryStore, table: Table) -> None:
    with following(store, table):
        table.flush()
        wait_for_live(store, table)
        table.bring_in(tmp_path / "staging")
        wait_for_live(store, table)


def test_a_truncation_is_preceded_by_the_last_full_restore_point_and_followed_by_an_empty_one(
    store: MemoryStore, table: Table
) -> None:
    with following(store, table, index_interval=300.0):  # so that only an epoch's end is recorded at once
        first = table.flush()
        wait_for_view(store, table.directories[0], [first])  # the interval begins: nothing else will record the others
        flushed = [first, table.flush(), table.flush()]
        wait_until(lambda: len(data_keys(store)) == 24, "the flushes to be stored")
        table.truncate()
        wait_for_view(store, table.directories[0], flushed)

    before, after = indexes(store, table.directories[0])[-2:]
    assert stems_of(before) == {one.stem for one in flushed}
    assert not after.files
    assert before.taken_at is not None
    assert after.taken_at is not None
    assert before.taken_at < after.taken_at
    (empty,) = (listed.key for listed in store.list("") if "/~" in listed.key)
    assert empty.endswith("Z-listdir.json")


def test_what_is_flushed_after_a_truncation_stands_alone(store: MemoryStore, table: Table) -> None:
    with following(store, table):
        table.flush()
        wait_for_live(store, table)
        table.truncate()
        table.flush()
        wait_for_live(store, table)

    insist_all_are_whole(store, table.directories[0])


def test_a_dropped_table_ends_with_its_last_rows_and_then_nothing(data: Path, store: MemoryStore, table: Table) -> None:
    other = Table(data / "ks" / "other-2b255f4def2540a60000000000000002")
    with following(store, table, other):
        flushed = [table.flush(), table.flush()]
        wait_for_live(store, table)
        table.drop()
        other.flush()
        wait_for_live(store, other)

    assert not table.directories[0].exists()
    assert {one.stem for one in flushed} in history(store, table.directories[0])
    assert history(store, table.directories[0])[-1] in (set(), {one.stem for one in flushed})
    insist_all_are_whole(store, table.directories[0])


def test_what_is_on_its_way_when_its_table_is_dropped_is_in_the_last_rows(store: MemoryStore, table: Table) -> None:
    by_name = table.make_index("by_name")
    with held(store, creates("nb-2-")) as slow, following(slow, table) as daemon:
        flushed = [table.flush()]
        wait_for_live(store, table)
        flushed.append(table.flush())
        wait_until(lambda: slow.waiting, "the last flush to be on its way")
        table.drop()
        wait_until(lambda: not table.directories[0].exists(), "the directories to be gone")
        slow.let_through()
        wait_for_view(store, table.directories[0], [])
        assert daemon.thread.is_alive()

    both = {one.stem for one in flushed}
    assert history(store, table.directories[0]) == [{flushed[0].stem}, both, set()]
    of_both = indexes(store, table.directories[0])[1]
    assert len(of_both.others[str(by_name.directories[0])]) == 2 * 8
    insist_all_are_whole(store, table.directories[0])


def test_a_table_that_is_dropped_while_its_last_rows_are_recorded_is_recorded_as_empty_in_all_its_directories(
    store: MemoryStore, table: Table
) -> None:
    by_name = table.make_index("by_name")
    with (
        held(store, lambda request: request.startswith("create") and "nb-2-big-Data.db-listdir" in request) as slow,
        following(slow, table),
    ):
        table.flush()
        wait_for_live(store, table)
        table.flush()
        wait_until(lambda: slow.waiting, "the index of the last flush to be on its way")
        table.drop()
        wait_until(lambda: not table.directories[0].exists(), "the directories to be gone")
        slow.let_through()
        index = wait_for_view(store, table.directories[0], [])

    assert index.others == {str(by_name.directories[0]): {}}


def test_a_flush_on_two_disks_is_recorded_whole_though_one_directory_is_gone_meanwhile(
    tmp_path: Path, store: MemoryStore
) -> None:
    table = Table(*(directory_below(tmp_path / disk) for disk in ("disk1", "disk2")))
    late = table.directories[0]
    with (
        held(store, lambda request: creates("nb-3-big-Data.db")(request) and str(late) in request) as slow,
        following(slow, table),
    ):
        table.flush(*table.directories)
        wait_for_live(store, table)
        table.flush(*table.directories)
        everything = {one.stem for one in table.live}
        wait_until(lambda: slow.waiting and len(data_keys(store)) == 4 * 8 - 1, "all but one file to be stored")
        table.truncate()
        table.directories[1].rmdir()
        slow.let_through()
        wait_for_view(store, late, [])

    assert history(store, late)[-2:] == [everything, set()]
    insist_all_are_whole(store, late)


def test_a_rewritten_component_is_named_exactly_and_the_old_one_kept(store: MemoryStore, table: Table) -> None:
    with following(store, table):
        one = table.flush()
        wait_for_live(store, table)
        before = dict(one.files)
        for rewrite in (
            fake_cassandra.rewrite_statistics,
            fake_cassandra.redistribute_summary,
            fake_cassandra.rebuild_filter,
        ):
            rewrite(one)
            wait_for_live(store, table)

    keys = {file.key: index for index in indexes(store, table.directories[0]) for file in index.files.values()}
    stored = {b"".join(store.read(key)) for key in keys}
    assert stored >= {*before.values(), *one.files.values()}
    last = newest(store, table.directories[0])
    assert last is not None
    assert set(last.names) == set(one.files), "1.x finds the older bytes under the plain name"
    insist_all_are_whole(store, table.directories[0])


def test_an_index_that_is_built_later_joins_its_sstables_and_leaves_when_it_is_dropped(
    store: MemoryStore, table: Table
) -> None:
    components = ("SAI+aa+GroupComplete.db", "SAI+aa+idx+ColumnComplete.db", "SI_other.db")
    with following(store, table):
        one = table.flush()
        wait_for_live(store, table)
        fake_cassandra.add_components(one, *components)
        wait_for_live(store, table)
        fake_cassandra.drop_components(one, *components)
        wait_for_live(store, table)


def test_an_index_that_exists_is_flushed_with_its_table(store: MemoryStore, table: Table) -> None:
    table.components = ("SAI+aa+GroupComplete.db", "SAI+aa+idx+ColumnComplete.db")
    with following(store, table):
        one = table.flush()
        wait_for_live(store, table)

    assert f"{one.stem}SAI+aa+GroupComplete.db" in one.files
    assert len(indexes(store, table.directories[0])) == 1


def test_the_flush_of_an_index_directory_joins_with_that_of_its_table(store: MemoryStore, table: Table) -> None:
    index = table.make_index("by_name")
    with following(store, table):
        for _ in range(3):
            table.flush()
            wait_for_live(store, table)

    for point in indexes(store, table.directories[0]):
        hidden = point.others[str(index.directories[0])]
        assert len(hidden) == len(point.files), "never the rows without their index entries"
    parts = indexes(store, index.directories[0])
    assert len(parts) == len(indexes(store, table.directories[0]))
    assert all(part.whole for part in parts)


def test_a_truncated_table_loses_its_indexes_with_it(store: MemoryStore, table: Table) -> None:
    table.make_index("by_name")
    with following(store, table):
        table.flush()
        wait_for_live(store, table)
        table.truncate()
        wait_for_view(store, table.directories[0], [])
        table.flush()
        wait_for_live(store, table)


def test_a_table_on_several_disks_has_one_history(tmp_path: Path, store: MemoryStore) -> None:
    disks = [tmp_path / "disk1", tmp_path / "disk2"]
    table = Table(*(directory_below(disk) for disk in disks))
    with following(store, table):
        table.flush(*table.directories)
        wait_for_live(store, table)
        both = table.flush(*table.directories)
        wait_for_live(store, table)
        table.compact(both)
        table.flush(table.directories[1])
        wait_for_view(store, table.directories[0], [*table.live[:3], both, *table.live[4:]])

    for point in indexes(store, table.directories[0]):
        assert point.covers == tuple(sorted(map(str, table.directories)))
    assert {len(point.files) for point in indexes(store, table.directories[0])[:1]} == {8}
    for part in indexes(store, table.directories[1]):
        assert part.whole in {listed.key for listed in store.list("")}
        assert part.names


def test_two_daemons_with_a_disk_each_say_what_they_cover(tmp_path: Path, store: MemoryStore) -> None:
    disks = [tmp_path / "disk1", tmp_path / "disk2"]
    table = Table(*(directory_below(disk) for disk in disks))
    with (
        running(store, disks[0], index_interval=0.0) as _,
        running(store, disks[1], index_interval=0.0) as _,
    ):
        table.flush(*table.directories)
        for directory in table.directories:
            index = wait_for_view(store, directory, [one for one in table.live if one.directory == directory])
            assert index.covers == (str(directory),)


def test_a_data_directory_behind_a_link_keeps_the_name_it_was_given(
    tmp_path: Path, store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (tmp_path / "disk").mkdir()
    data = tmp_path / "data"
    data.symlink_to(tmp_path / "disk")
    table = Table(directory_below(data))  # its logs have the paths that the link leads to

    with following(store, table, base_interval=0.0):
        flushed = [table.flush(), table.flush()]
        wait_for_live(store, table)
        half = table.begin("compaction")
        half.half_write()
        table.flush()
        wait_for_live(store, table)
        table.compact(*flushed)
        wait_for_live(store, table)

    assert all(key.startswith(f"n:{data}/") for key in data_keys(store))
    assert "without a transaction" not in caplog.text, "the paths in the logs were understood"


def test_a_keyspace_that_is_left_out_is_left_out_whole(data: Path, store: MemoryStore, table: Table) -> None:
    left_out = Table(data / "system" / "local-7ad54392bcdd35a684174e047860b377")
    selection = Selection(exclude=(re.compile("/system/"),))
    with following(store, table, left_out, selection=selection, base_interval=0.0, backup=True):
        left_out.compact(left_out.flush(), left_out.flush())
        left_out.truncate()
        table.flush()
        wait_for_live(store, table)

    assert all("/system/" not in listed.key for listed in store.list(""))


def test_an_ordinary_file_in_a_tables_directory_is_named_beside_its_sstables(store: MemoryStore, table: Table) -> None:
    with following(store, table):
        one = table.flush()
        (table.directories[0] / "note-tmp").write_text("from the operator")
        (table.directories[0] / "note-tmp").rename(table.directories[0] / "note")
        wait_for_index(store, table.directories[0], one.files | {"note": b"from the operator"})


def test_a_table_made_later_is_followed_from_its_first_flush(data: Path, store: MemoryStore, table: Table) -> None:
    with following(store, table):
        table.flush()
        wait_for_live(store, table)
        later = Table(directory_below(data, "later"))
        later.flush()
        later.flush()
        wait_for_live(store, later)

    insist_all_are_whole(store, later.directories[0])


def test_an_index_made_later_is_followed_with_its_table(store: MemoryStore, table: Table) -> None:
    with following(store, table):
        table.flush()
        wait_for_live(store, table)
        table.make_index("later")
        table.flush()
        wait_for_live(store, table)
        table.flush()
        wait_for_live(store, table)

    insist_all_are_whole(store, table.directories[0])


def test_of_a_view_with_fifty_more_sstables_than_are_live_a_base_is_taken(store: MemoryStore, table: Table) -> None:
    with following(store, table, index_interval=10.0):
        flushed = [table.flush() for _ in range(52)]
        table.compact(*flushed, size=100_000)
        wait_for_live(store, table)


def test_indexes_say_the_moment_of_the_last_commit_in_them(store: MemoryStore, table: Table) -> None:
    moments = []
    with following(store, table):
        for _ in range(3):
            before = utc_now()
            table.flush()
            moments.append((before, utc_now()))
            wait_for_live(store, table)

    taken = [index.taken_at for index in indexes(store, table.directories[0])]
    for moment, (before, after) in zip(taken[1:], moments[1:], strict=True):
        assert moment is not None
        assert before - TICK <= moment <= after
    assert taken == sorted(taken, key=str)


def test_no_index_is_written_where_none_is_wanted(store: MemoryStore, table: Table) -> None:
    with following(store, table, with_index=False):
        table.flush()
        wait_until(lambda: len(data_keys(store)) == 8, "the flush to be stored")
        table.truncate()
        table.flush()
        wait_until(lambda: len(data_keys(store)) == 16, "the next to be stored")

    assert not indexes(store, table.directories[0])
