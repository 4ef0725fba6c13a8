import posixpath
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablesnap.errors import UsageError
from tablesnap.rules.kept import KeptFile
from tablesnap.rules.placing import Layout, Part, Placed, Placement, Renamed, place

ID = "0123456789abcdef0123456789abcdef"
TABLE = f"ks/t-{ID}"
UUID = "3g9x_0a1b_2cdefghijklmnopqrs"
NODE = "n:"


def kept(path: str, size: int | None = 1, checksum: int | None = None) -> KeptFile:
    directory, name = posixpath.split(path)
    return KeptFile(directory, name, NODE + path, size, hash(path) & 0xFFFF if checksum is None else checksum)


def part(*files: KeptFile, directories: Iterable[str] = (), name: str = TABLE) -> Part:
    return Part(name, tuple(directories) or tuple(dict.fromkeys(file.directory for file in files)), files)


def targets(placement: Placement) -> dict[str, str]:
    assert not placement.misplaced
    return {one.file.path: one.path for one in placement.placed}


def test_a_directory_goes_into_target() -> None:
    file = kept("/srv/files/a.txt")

    placement = place([part(file)], Layout("/srv/files", "/back"))

    assert placement == Placement(placed=(Placed(file, "/back", "a.txt"),), directories=("/back",))


def test_the_slashes_of_origin_do_not_matter() -> None:
    placement = place([part(kept("/srv/files/a.txt"))], Layout("//srv/./files//", "/back//here/"))

    assert targets(placement) == {"/srv/files/a.txt": "/back/here/a.txt"}


def test_all_data_directories_of_a_table_go_into_one_target_and_its_indexes_below() -> None:
    files = [
        kept(f"/data1/{TABLE}/nb-1-big-Data.db"),
        kept(f"/data2/{TABLE}/nb-2-big-Data.db"),
        kept(f"/data2/{TABLE}/.t_by_v/nb-1-big-Data.db"),
    ]

    placement = place([part(*files)], Layout(f"/data1/{TABLE}", "/back"))

    assert sorted(targets(placement).values()) == [
        "/back/.t_by_v/nb-1-big-Data.db",
        "/back/nb-1-big-Data.db",
        "/back/nb-2-big-Data.db",
    ]


def test_an_index_directory_alone_goes_into_target_from_all_data_directories() -> None:
    files = [kept(f"/data1/{TABLE}/.i/nb-1-big-Data.db"), kept(f"/data2/{TABLE}/.i/nb-2-big-Data.db")]

    placement = place([part(*files)], Layout(f"/data1/{TABLE}/.i", "/back"))

    assert sorted(targets(placement).values()) == ["/back/nb-1-big-Data.db", "/back/nb-2-big-Data.db"]


def test_below_origin_paths_are_kept_and_other_data_directories_go_to_the_same_place() -> None:
    files = [
        kept(f"/data1/{TABLE}/nb-1-big-Data.db"),
        kept(f"/data2/{TABLE}/nb-2-big-Data.db"),
        kept(f"/data2/{TABLE}/.i/nb-2-big-Data.db"),
    ]

    node = place([part(*files)], Layout("/data1", "/back"))
    keyspace = place([part(*files)], Layout("/data1/ks", "/back"))

    assert sorted(targets(node).values()) == [
        f"/back/{TABLE}/.i/nb-2-big-Data.db",
        f"/back/{TABLE}/nb-1-big-Data.db",
        f"/back/{TABLE}/nb-2-big-Data.db",
    ]
    assert f"/back/t-{ID}/nb-2-big-Data.db" in targets(keyspace).values()


def test_data_directories_below_origin_stay_apart() -> None:
    files = [kept(f"/c/data1/{TABLE}/nb-1-big-Data.db"), kept(f"/c/data2/{TABLE}/nb-1-big-Data.db")]

    placement = place([part(*files)], Layout("/c", "/back"))

    assert sorted(targets(placement).values()) == [
        f"/back/data1/{TABLE}/nb-1-big-Data.db",
        f"/back/data2/{TABLE}/nb-1-big-Data.db",
    ]


def test_a_data_directory_goes_where_it_is_mapped() -> None:
    files = [
        kept(f"/data1/{TABLE}/nb-1-big-Data.db"),
        kept(f"/data2/{TABLE}/nb-1-big-Data.db"),
        kept(f"/data20/{TABLE}/nb-3-big-Data.db"),
    ]

    placement = place([part(*files)], Layout(f"/data1/{TABLE}", "/back", data_dirs={"/data2/": "/elsewhere"}))

    assert sorted(targets(placement).values()) == [
        "/back/nb-1-big-Data.db",
        "/back/nb-3-big-Data.db",
        f"/elsewhere/{TABLE}/nb-1-big-Data.db",
    ]


def test_a_tables_directory_gets_the_name_it_is_mapped_to_and_nothing_else_does() -> None:
    files = [
        kept("/data/users/users/nb-1-big-Data.db"),
        kept("/data/users/users/.users/nb-1-big-Data.db"),
        kept("/data/users/users/users"),
    ]

    placement = place([part(*files)], Layout("/data", "/back", table_dirs={"users": f"users-{ID}"}))

    assert sorted(targets(placement).values()) == [
        f"/back/users/users-{ID}/.users/nb-1-big-Data.db",
        f"/back/users/users-{ID}/nb-1-big-Data.db",
        f"/back/users/users-{ID}/users",
    ]


def test_a_mapped_table_is_mapped_in_a_mapped_data_directory_and_above_its_snapshots() -> None:
    data = kept(f"/data2/{TABLE}/nb-1-big-Data.db")
    snapshot = kept(f"/data2/{TABLE}/snapshots/s/.i/nb-1-big-Data.db")
    layout = Layout("/data1", "/back", data_dirs={"/data2": "/new2"}, table_dirs={f"t-{ID}": "t-new"})

    placement = place([part(data), part(snapshot)], layout)

    assert sorted(targets(placement).values()) == [
        "/new2/ks/t-new/nb-1-big-Data.db",
        "/new2/ks/t-new/snapshots/s/.i/nb-1-big-Data.db",
    ]


@pytest.mark.parametrize("name", ["", ".", "..", "../t", "/etc", "a/b", "a\0"])
def test_a_table_is_mapped_to_a_name_only(name: str) -> None:
    with pytest.raises(UsageError, match="--table-dir"):
        place([], Layout("/data", "/back", table_dirs={f"t-{ID}": name}))


def test_what_is_mapped_and_nowhere_is_said() -> None:
    file = kept(f"/data1/{TABLE}/nb-1-big-Data.db")
    layout = Layout("/data1", "/back", data_dirs={"/data": "/x", "/data1": "/y"}, table_dirs={"t-other": "t"})

    placement = place([part(file)], layout)

    assert placement.unused == ("/data", "t-other")


def test_a_directory_of_which_no_file_is_left_is_restored_into_all_the_same() -> None:
    placement = place([part(directories=[f"/data1/{TABLE}", "/elsewhere"])], Layout("/data1/ks", "/back"))

    assert placement == Placement(directories=(f"/back/t-{ID}",))


@pytest.mark.parametrize("name", ["", ".", "..", "/etc/passwd", "../t/x", "a/../../x", "a\0b"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    damaged = KeptFile("/srv/files", name, "key", 1, 2)

    placement = place([part(damaged, kept("/srv/files/a"))], Layout("/srv/files", "/back"))

    assert [one.path for one in placement.placed] == ["/back/a"]
    assert "no file's name" in placement.misplaced[0].why


@pytest.mark.parametrize("directory", ["/srv/files/../../etc", "/etc", "etc", "", "/srv/files2", "/srv/fi\0les"])
def test_a_directory_outside_of_what_was_asked_for_is_refused(directory: str) -> None:
    damaged = KeptFile(directory, "a", "key", 1, 2)

    placement = place([part(damaged, directories=["/srv/files"])], Layout("/srv/files", "/back"))

    assert not placement.placed
    assert "ORIGIN" in placement.misplaced[0].why


def test_a_transaction_log_is_never_restored() -> None:
    log = kept(f"/d/{TABLE}/nb_txn_flush_6d1fbd50-0000-11ee-8080-808080808080.log")

    placement = place([part(log)], Layout(f"/d/{TABLE}", "/back"))

    assert not placement.placed
    assert "transaction log" in placement.misplaced[0].why


def test_different_sstables_of_one_name_get_different_generations_with_all_their_components() -> None:
    files = [
        kept(f"/data{disk}/{TABLE}/nb-1-big-{component}")
        for disk in (1, 2)
        for component in ("Data.db", "Index.db", "SAI+aa+i+Meta.db")
    ]
    other = kept(f"/data1/{TABLE}/nb-7-big-Data.db")

    placement = place([part(*files, other)], Layout(f"/data1/{TABLE}", "/back"))

    assert {old: new for old, new in targets(placement).items() if old.startswith("/data2")} == {
        f"/data2/{TABLE}/nb-1-big-Data.db": "/back/nb-8-big-Data.db",
        f"/data2/{TABLE}/nb-1-big-Index.db": "/back/nb-8-big-Index.db",
        f"/data2/{TABLE}/nb-1-big-SAI+aa+i+Meta.db": "/back/nb-8-big-SAI+aa+i+Meta.db",
    }
    assert placement.renamed == (Renamed(f"/data2/{TABLE}/nb-1-big-", "/back/nb-8-big-"),)


def test_a_new_generation_is_above_those_that_are_there() -> None:
    files = [kept(f"/data1/{TABLE}/ks-t-ka-1-Data.db"), kept(f"/data2/{TABLE}/ks-t-ka-1-Data.db")]

    placement = place([part(*files)], Layout("/data1", "/back"), present={f"/back/{TABLE}": {"nb-41-big-Data.db": 9}})

    assert placement.renamed[0].target == f"/back/{TABLE}/ks-t-ka-42-"


def test_no_generation_is_more_than_cassandra_can_count() -> None:
    files = [kept(f"/data{disk}/{TABLE}/nb-1-big-Data.db") for disk in (1, 2)]
    last = kept(f"/data1/{TABLE}/nb-2147483647-big-Data.db")

    placement = place([part(*files, last)], Layout("/data1", "/back"))

    assert placement.renamed[0].target == f"/back/{TABLE}/nb-2-big-"


def test_one_sstable_in_two_data_directories_is_restored_once() -> None:
    files = [kept(f"/data{disk}/{TABLE}/nb-1-big-Data.db", 5, 77) for disk in (1, 2)]

    placement = place([part(*files)], Layout("/data1", "/back"))

    assert [one.path for one in placement.placed] == [f"/back/{TABLE}/nb-1-big-Data.db"]
    assert not placement.misplaced


def test_of_1x_equal_sizes_do_not_make_two_sstables_one() -> None:
    files = [
        KeptFile(f"/data{disk}/{TABLE}", "nb-1-big-Data.db", f"n:/data{disk}/{TABLE}/nb-1-big-Data.db", 5)
        for disk in (1, 2)
    ]

    placement = place([part(*files)], Layout("/data1", "/back"))

    assert sorted(targets(placement).values()) == [
        f"/back/{TABLE}/nb-1-big-Data.db",
        f"/back/{TABLE}/nb-2-big-Data.db",
    ]


def test_different_files_that_have_no_generation_cannot_share_a_name() -> None:
    files = [kept(f"/data{disk}/{TABLE}/{name}") for disk in (1, 2) for name in ("notes", f"da-{UUID}-bti-Data.db")]

    placement = place([part(*files)], Layout("/data1", "/back"))

    assert len(placement.placed) == 2
    reasons = {one.path: one.why for one in placement.misplaced}
    assert reasons.keys() == {f"/data2/{TABLE}/da-{UUID}-bti-Data.db", f"/data2/{TABLE}/notes"}
    assert f"/data1/{TABLE}/notes" in reasons[f"/data2/{TABLE}/notes"]


def test_a_file_cannot_be_where_a_directory_has_to_be() -> None:
    files = [kept(f"/data/{TABLE}/.i"), kept(f"/data/{TABLE}/.i/nb-1-big-Data.db")]

    placement = place([part(*files)], Layout("/data", "/back"))

    assert [one.path for one in placement.misplaced] == [f"/data/{TABLE}/.i"]


def two_of_one_name() -> list[KeptFile]:
    return [
        kept(f"/data{disk}/{TABLE}/nb-1-big-{name}", disk * 10) for disk in (1, 2) for name in ("Data.db", "Index.db")
    ]


def test_an_sstable_keeps_the_generation_that_an_earlier_run_gave_it() -> None:
    present = {"nb-1-big-Data.db": 10, "nb-1-big-Index.db": 10, "nb-5-big-Index.db": 20, "nb-9-big-Data.db": 3}

    placement = place([part(*two_of_one_name())], Layout("/data1", "/back"), present={f"/back/{TABLE}": present})

    assert placement.renamed[0].target == f"/back/{TABLE}/nb-5-big-"


def test_a_generation_whose_content_turned_out_to_be_another_is_not_taken() -> None:
    present = {f"/back/{TABLE}": {"nb-5-big-Index.db": 20}}
    unfit = [(f"/data2/{TABLE}/nb-1-big-", f"/back/{TABLE}/nb-5-big-")]

    placement = place([part(*two_of_one_name())], Layout("/data1", "/back"), present=present, unfit=unfit)

    assert placement.renamed[0].target == f"/back/{TABLE}/nb-6-big-"


def test_the_sstable_that_is_there_already_keeps_its_name() -> None:
    present = {f"/back/{TABLE}": {"nb-1-big-Index.db": 20}}

    placement = place([part(*two_of_one_name())], Layout("/data1", "/back"), present=present)

    assert placement.renamed == (Renamed(f"/data1/{TABLE}/nb-1-big-", f"/back/{TABLE}/nb-2-big-"),)


odd_parts = st.sampled_from(["ks", f"t-{ID}", ".i", "..", ".", "", "a\0b", "snapshots", "data1", "data2", "x"])
odd_names = st.one_of(
    st.sampled_from(["nb-1-big-Data.db", "nb-1-big-Index.db", "nb-2-big-Data.db", f"da-{UUID}-bti-Data.db", "..", "x"]),
    st.text(max_size=6),
)
odd_files = st.builds(
    lambda parts, name, size, checksum: KeptFile("/" + "/".join(parts), name, "key", size, checksum),
    st.lists(odd_parts, max_size=5),
    odd_names,
    st.integers(0, 2),
    st.one_of(st.none(), st.integers(0, 2)),
)


@given(st.lists(odd_files, max_size=12), st.lists(odd_parts, max_size=3), st.booleans())
def test_every_file_has_one_path_below_target_or_is_named_as_refused(
    files: list[KeptFile], origin: list[str], mapped: bool
) -> None:
    layout = Layout("/" + "/".join(origin), "/back", data_dirs={"/data2": "/new2"} if mapped else {})
    unique = [replaced(file, number) for number, file in enumerate(files)]

    placement = place([part(*unique)], layout)

    paths = Counter(one.path for one in placement.placed)
    assert all(count == 1 for count in paths.values())
    for path in paths:
        assert posixpath.normpath(path) == path
        assert path.startswith("/back/") or (mapped and path.startswith("/new2/"))
    named = {one.file.key for one in placement.placed}
    refused = {one.path for one in placement.misplaced}
    contents = {(one.file.size, one.file.checksum) for one in placement.placed if one.file.checksum is not None}
    for file in unique:
        assert file.key in named or file.path in refused or (file.size, file.checksum) in contents


def replaced(file: KeptFile, number: int) -> KeptFile:
    return KeptFile(file.directory, file.name, f"key {number}", file.size, file.checksum)
