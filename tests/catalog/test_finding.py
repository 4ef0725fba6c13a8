"""A directory of a node stands for the whole history of its table, wherever the table's other directories are."""

import pytest
from tests.stores import Around, Clock

from tablesnap.catalog.finding import tables_called, timelines_at
from tablesnap.rules.keys import Keys
from tablesnap.rules.table_name import table_name
from tablesnap.store.memory import MemoryStore
from tablesnap.store.port import Content

KEYS = Keys("p/", "n", ":")
USERS, POSTS = f"users-{1:032x}", f"posts-{2:032x}"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(Clock())


def put(store: MemoryStore, *paths: str) -> None:
    for path in paths:
        store.create(KEYS.plain(path), Content.of(b"x"))


def found(
    store: MemoryStore | Around, origin: str, *, recursive: bool = True, copies: bool = False
) -> dict[str, list[str]]:
    histories = timelines_at(store, KEYS, origin, recursive=recursive, with_copies=copies)
    return {one.name: sorted(one.directories) for one in histories}


@pytest.mark.parametrize("origin", [f"/data1/ks/{USERS}", f"/data2/ks/{USERS}", f"//data2//ks/{USERS}//"])
@pytest.mark.parametrize("recursive", [False, True])
def test_a_table_is_found_in_all_data_directories_by_any_of_its_directories(
    store: MemoryStore, origin: str, recursive: bool
) -> None:
    directories = [f"/data1/ks/{USERS}", f"/data2/ks/{USERS}", f"/data2/ks/{USERS}/.idx", f"/mnt/a/b/data/ks/{USERS}"]
    put(store, *(f"{one}/nb-1-big-Data.db" for one in directories))
    put(store, f"/data1/ks/{POSTS}/nb-1-big-Data.db", f"/data2/other/{USERS}/nb-1-big-Data.db")

    assert found(store, origin, recursive=recursive) == {f"ks/{USERS}": directories}


@pytest.mark.parametrize("origin", [f"/data1/ks/{USERS}/.idx", f"/data2/ks/{USERS}/.idx"])
def test_a_hidden_index_directory_is_found_with_the_table_it_belongs_to(store: MemoryStore, origin: str) -> None:
    directories = [f"/data1/ks/{USERS}", f"/data1/ks/{USERS}/.idx", f"/data2/ks/{USERS}/.idx"]
    put(store, *(f"{one}/nb-1-big-Data.db" for one in directories))

    assert found(store, origin) == {f"ks/{USERS}": directories}


@pytest.mark.parametrize("origin", ["/data1", "/data1/ks", "/"])
def test_all_tables_below_a_directory_are_found_with_what_other_disks_have_of_them(
    store: MemoryStore, origin: str
) -> None:
    put(store, *(f"/{disk}/ks/{table}/nb-1-big-Data.db" for disk in ("data1", "data2") for table in (USERS, POSTS)))

    assert found(store, origin) == {
        f"ks/{table}": [f"/data1/ks/{table}", f"/data2/ks/{table}"] for table in (POSTS, USERS)
    }


def test_a_table_without_any_directory_below_the_origin_is_not_found(store: MemoryStore) -> None:
    put(store, f"/data1/ks/{USERS}/nb-1-big-Data.db", f"/data2/ks/{POSTS}/nb-1-big-Data.db")

    assert found(store, "/data1") == {f"ks/{USERS}": [f"/data1/ks/{USERS}"]}


def test_without_recursion_only_the_directory_itself_is_found(store: MemoryStore) -> None:
    put(store, "/srv/a/file", "/srv/a/b/file", "/srv/ab/file")

    assert found(store, "/srv/a", recursive=False) == {"/srv/a": ["/srv/a"]}


def test_what_merely_begins_alike_is_not_below(store: MemoryStore) -> None:
    put(store, "/srv/a/file", "/srv/a/b/file", "/srv/ab/file")

    assert found(store, "/srv/a") == {"/srv/a": ["/srv/a"], "/srv/a/b": ["/srv/a/b"]}


def test_snapshots_and_backups_are_found_only_when_asked_for(store: MemoryStore) -> None:
    table = f"/data1/ks/{USERS}"
    put(
        store,
        f"{table}/nb-1-big-Data.db",
        f"{table}/snapshots/s1/nb-1-big-Data.db",
        f"{table}/backups/nb-1-big-Data.db",
    )

    snapshot = {f"{table}/snapshots/s1": [f"{table}/snapshots/s1"]}
    assert found(store, "/data1") == {f"ks/{USERS}": [table]}
    assert found(store, f"{table}/snapshots") == snapshot
    assert found(store, f"{table}/snapshots/s1", recursive=False) == snapshot
    assert found(store, "/data1", copies=True).keys() == {f"ks/{USERS}", *snapshot, f"{table}/backups"}


def test_snapshots_of_a_table_of_2_0_are_known_by_the_sstables_beside_them(store: MemoryStore) -> None:
    put(store, "/data1/ks/users/ks-users-jb-1-Data.db", "/data1/ks/users/ks-users-jb-1-Data.db-listdir.json")
    put(store, "/data1/ks/users/snapshots/s1/ks-users-jb-1-Data.db", "/srv/snapshots/s1/file")

    assert found(store, "/data1") == {"/data1/ks/users": ["/data1/ks/users"]}
    assert found(store, "/srv") == {"/srv/snapshots/s1": ["/srv/snapshots/s1"]}


def test_looking_for_other_data_directories_lists_no_table_and_no_commit_log(store: MemoryStore) -> None:
    put(store, f"/data1/ks/{USERS}/nb-1-big-Data.db", f"/data2/ks/{POSTS}/nb-1-big-Data.db")
    put(store, "/data2/old/users/ks-users-jb-1-Data.db", "/data2/old/users/snapshots/s1/ks-users-jb-1-Data.db")
    around = Around(store)

    assert found(around, f"/data1/ks/{USERS}", recursive=False) == {f"ks/{USERS}": [f"/data1/ks/{USERS}"]}
    asked = {request.split(" ", 1)[1] for request in around.requests}
    assert not [one for one in asked if POSTS in one or "snapshots" in one]


def test_other_nodes_and_what_lies_outside_the_prefix_are_not_found(store: MemoryStore) -> None:
    put(store, f"/data1/ks/{USERS}/nb-1-big-Data.db")
    for foreign in (Keys("p/", "n2", ":"), Keys("", "n", ":"), Keys("p/", "n", "/")):
        store.create(foreign.plain(f"/data2/ks/{USERS}/nb-1-big-Data.db"), Content.of(b"x"))

    assert found(store, "/data1") == {f"ks/{USERS}": [f"/data1/ks/{USERS}"]}


def test_where_nothing_is_stored_nothing_is_found(store: MemoryStore) -> None:
    put(store, f"/data1/ks/{USERS}/nb-1-big-Data.db")

    assert found(store, "/data3") == {}
    assert found(store, f"/data3/ks/{USERS}", recursive=False) == {}


def called(store: MemoryStore | Around, text: str) -> list[list[str]]:
    name = table_name(text)
    assert name is not None
    return tables_called(store, KEYS, name)


def test_tables_are_found_by_their_name_with_all_their_directories(store: MemoryStore) -> None:
    again = f"users-{3:032x}"
    put(store, *(f"{one}/nb-1-big-Data.db" for one in (f"/data1/ks/{USERS}", f"/mnt/a/data/ks/{USERS}")))
    put(store, f"/data1/ks/{again}/nb-1-big-Data.db", f"/data1/ks/{POSTS}/nb-1-big-Data.db")
    put(store, f"/data1/other/{USERS}/nb-1-big-Data.db", f"/data1/ks/{POSTS}/snapshots/ks/{USERS}/nb-1-big-Data.db")

    assert called(store, "ks.users") == [[f"/data1/ks/{USERS}", f"/mnt/a/data/ks/{USERS}"], [f"/data1/ks/{again}"]]
    assert called(store, "/mnt/a/data/ks/users") == [[f"/mnt/a/data/ks/{USERS}"]]
    assert called(store, f"ks.{again}") == [[f"/data1/ks/{again}"]]
    assert called(store, "ks.nothing") == called(store, "/data9/ks/users") == []


def test_looking_for_a_name_lists_no_table(store: MemoryStore) -> None:
    put(store, f"/data1/ks/{USERS}/nb-1-big-Data.db", f"/data1/ks/{POSTS}/nb-1-big-Data.db")
    around = Around(store)

    assert called(around, "ks.users") == [[f"/data1/ks/{USERS}"]]
    asked = {request.split(" ", 1)[1] for request in around.requests}
    assert not [one for one in asked if POSTS in one or USERS in one]
