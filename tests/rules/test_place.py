"""Where a directory stands, by its path alone."""

import pytest

from tablesnap.rules.place import Place, is_copies_of, is_scratch, place_of

ID = "0a3c2f10111111ee8c990242ac120002"
TABLE = f"/var/lib/cassandra/data/ks/cf-{ID}"


@pytest.mark.parametrize("data", ["/var/lib/cassandra/data", "/mnt/disk2", "/mnt/snapshots/backups", ""])
def test_a_table_is_the_same_on_every_data_directory(data: str) -> None:
    assert place_of(f"{data}/ks/cf-{ID}") == Place(table=f"ks/cf-{ID}", index="", copies=False)


@pytest.mark.parametrize("index", [".by_name", ".by-name"])
def test_an_index_belongs_to_its_table(index: str) -> None:
    assert place_of(f"{TABLE}/{index}") == Place(table=f"ks/cf-{ID}", index=index, copies=False)


def test_two_lives_of_a_dropped_table_are_two_tables() -> None:
    other = place_of(f"/var/lib/cassandra/data/ks/cf-{'f' * 32}")

    assert other.table != place_of(TABLE).table


@pytest.mark.parametrize(
    "directory",
    [
        "/var/lib/cassandra/data/ks/cf",
        "/srv/reports",
        f"/cf-{ID}",
        f"/d/ks/cf-{ID[1:]}",
        f"/d/ks/cf-{ID}0",
        f"/d/ks/{ID}",
    ],
)
def test_any_other_directory_stands_for_itself(directory: str) -> None:
    assert place_of(directory) == Place(table=directory, index="", copies=False)


def test_an_index_of_a_table_without_an_id_belongs_to_that_table() -> None:
    assert place_of("/d/ks/cf/.by_name") == Place(table="/d/ks/cf", index=".by_name", copies=False)


@pytest.mark.parametrize("below", ["staging", "upload", "pending_delete", "7.sstable"])
def test_what_else_is_below_a_table_is_no_part_of_it(below: str) -> None:
    assert place_of(f"{TABLE}/{below}") == Place(table=f"{TABLE}/{below}", index="", copies=False)


@pytest.mark.parametrize("below", ["backups", "snapshots", "snapshots/before-upgrade", f"snapshots/cf-{ID}"])
def test_snapshots_and_backups_are_copies_with_a_history_of_their_own(below: str) -> None:
    assert place_of(f"{TABLE}/{below}") == Place(table=f"{TABLE}/{below}", index="", copies=True)


@pytest.mark.parametrize("below", ["backups", "snapshots/before-upgrade", f"snapshots/cf-{ID}"])
def test_an_index_in_a_snapshot_belongs_to_the_snapshot(below: str) -> None:
    assert place_of(f"{TABLE}/{below}/.by_name") == Place(table=f"{TABLE}/{below}", index=".by_name", copies=True)


@pytest.mark.parametrize(
    ("directory", "parent_holds_sstables", "verdict"),
    [
        (f"{TABLE}/snapshots", False, True),
        (f"{TABLE}/backups/.by_name", False, True),
        ("/d/ks/cf/snapshots", True, True),
        ("/d/ks/cf/backups", True, True),
        ("/d/ks/cf/other", True, False),
        ("/d/ks/backups", False, False),  # a table of that name, in a keyspace
        ("/d/ks/cf", True, False),
        (TABLE, True, False),
    ],
)
def test_without_an_id_copies_are_known_by_the_sstables_beside_them(
    directory: str, parent_holds_sstables: bool, verdict: bool
) -> None:
    assert is_copies_of(directory, parent_holds_sstables=parent_holds_sstables) is verdict


@pytest.mark.parametrize(
    ("name", "verdict"),
    [("7.sstable", True), ("3fw2_0tj4_46w3k2cpidnirvjy7k.sstable", True), (".sstable", False), ("7.sstables", False)],
)
def test_scylla_builds_an_sstable_in_a_directory_of_its_own(name: str, verdict: bool) -> None:
    assert is_scratch(f"{TABLE}/{name}") is verdict
