"""What a listing alone tells of a bucket: nodes, directories, and every object once, in bounded memory."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stores import Around
from tests.waiting import wait_until

from tablesnap.catalog import inventory as inventories
from tablesnap.catalog.inventory import inventory, list_all, nodes
from tablesnap.errors import StoreUnavailable
from tablesnap.rules.keys import Keys
from tablesnap.store.memory import MemoryStore
from tablesnap.store.port import Content, Listed

MOMENT = datetime(2026, 11, 22, tzinfo=UTC)
TABLE = "ks/t-1b255f4def2540a60000000000000005"


def store_of(*keys: str) -> MemoryStore:
    store = MemoryStore()
    for key in keys:
        store.create(key, Content.of(b"rows"))
    return store


@pytest.mark.parametrize("separator", [":", "", "/", "--", ":/", "//", "/of/", "::"])
@pytest.mark.parametrize("prefix", ["", "backups/", "backups", "a/b/", "/a//b", "x:"])
@pytest.mark.parametrize("names", [["node1"], ["node1", "node2.example.org"], ["a:b", "a"], ["-"]])
def test_the_nodes_are_found_whatever_stands_before_and_after_their_names(
    prefix: str, separator: str, names: list[str]
) -> None:
    store = store_of(*(Keys(prefix, name, separator).plain(f"/var/lib/{TABLE}/x") for name in names))

    assert nodes(store, prefix, separator) == sorted(names)


@pytest.mark.parametrize("separator", [":", "--"])
def test_names_with_slashes_in_them_are_found_as_well(separator: str) -> None:
    store = store_of(*(Keys("p/", name, separator).plain("/var/x") for name in ("dc1/node1", "dc2/node1")))

    assert nodes(store, "p/", separator) == ["dc1/node1", "dc2/node1"]


def test_what_other_people_store_is_no_node() -> None:
    store = store_of("node1:/var/x", "readme", "photos/2026/1.jpg", "node2", "node3:", ":/var/x", "node4:x/y")

    assert nodes(store, "", ":") == ["node1"]


def test_a_node_with_slashes_in_its_name_is_found_beside_one_without() -> None:
    store = store_of("node1:/var/x", "dc1/node2:/var/x", "dc1/rack1/node3:/var/x", "photos/2026/1.jpg")

    assert nodes(store, "", ":") == ["dc1/node2", "dc1/rack1/node3", "node1"]


def test_in_an_empty_store_there_is_no_node() -> None:
    assert nodes(MemoryStore(), "", ":") == []


def test_nodes_are_found_without_listing_what_they_hold() -> None:
    store = Around(store_of("node1:/var/x", "node2:/var/x"))

    nodes(store, "", ":")

    assert store.requests == ["level "]


class FoldersWithoutEnd(MemoryStore):
    """Somebody else's: in every folder there are ten more."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def level(self, prefix: str) -> "Iterator[Listed | str]":
        self.asked += 1
        return iter([f"{prefix}{number}/" for number in range(10)])


def test_folders_without_end_are_not_looked_into_for_nodes() -> None:
    store = FoldersWithoutEnd()

    assert nodes(store, "", ":") == []
    assert store.asked <= 1111


def test_a_directory_has_its_indexes_its_objects_and_their_bytes() -> None:
    below = f"n:/d/{TABLE}/"
    store = store_of(f"{below}a", f"{below}b", f"{below}a-listdir.json", f"{below}.idx/c", "m:/d/x")

    found = inventory(store, "n:/")

    assert {key: (one.objects, one.size) for key, one in found.items()} == {below: (3, 12), f"{below}.idx/": (1, 4)}
    assert [listed.key for listed in found[below].indexes] == [f"{below}a-listdir.json"]


names = st.text("ab:~.", min_size=0, max_size=2)
keys = st.lists(names, min_size=1, max_size=6).map("/".join).filter(bool)


@given(st.sets(keys, max_size=60), st.text("ab/", max_size=3))
def test_a_listing_of_all_has_each_object_once(stored: set[str], below: str) -> None:
    store = store_of(*stored)

    found = [listed.key for listed in list_all(store, below)]

    assert sorted(found) == sorted(key for key in stored if key.startswith(below))


@pytest.mark.parametrize("folders", [1, 31, 32, 33, 200])
def test_a_listing_of_all_has_each_object_once_however_many_folders_there_are(folders: int) -> None:
    stored = [f"n:/d/{number % folders}/{number}" for number in range(1000)] + ["n:/top", "n:/d/top"]

    found = [listed.key for listed in list_all(store_of(*stored), "n:/")]

    assert sorted(found) == sorted(stored)


class Endless(Around):
    """A store of very many objects in so many *folders*, which exist only while they are listed; it counts them."""

    def __init__(self, folders: int, objects: int) -> None:
        super().__init__(MemoryStore())
        self._names = [f"n:/{number}/" for number in range(folders)]
        self._objects = objects
        self._lock = threading.Lock()
        self.listed = 0
        self.at_once = 0

    def level(self, prefix: str) -> "Iterator[Listed | str]":
        assert prefix == "n:/"
        return iter(self._names)

    def list(self, prefix: str) -> Iterator[Listed]:
        with self._lock:
            self.at_once += 1
        try:
            for number in range(self._objects // len(self._names)):
                with self._lock:
                    self.listed += 1
                yield Listed(f"{prefix}{number}", 1, MOMENT)
        finally:
            with self._lock:
                self.at_once -= 1


def listers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("list")]


def test_who_takes_slowly_is_not_overrun() -> None:
    # No folder ends meanwhile: a lister that waits with the last of one has ended its listing already.
    store = Endless(folders=64, objects=64_000_000)

    found = list_all(store, "n:/")
    taken = sum(1 for _ in zip(found, range(10_000), strict=False))
    # What is in the queue, what each lister holds, and what was taken from the queue and not yet from us.
    most = (inventories.AHEAD + inventories.LISTERS + 1) * inventories.BATCH
    # All of it: with less, a lister may not have begun.
    wait_until(lambda: store.listed - taken >= most, "the listers to go ahead as far as they may")

    assert taken == 10_000
    assert store.at_once == inventories.LISTERS
    assert store.listed - taken <= most < 100_000
    found.close()


def test_a_listing_that_is_abandoned_ends() -> None:
    store = Endless(folders=64, objects=10_000_000)
    found = list_all(store, "n:/")
    next(found)

    found.close()

    assert listers() == []
    assert store.listed < 200_000


def test_a_listing_that_fails_is_told_and_ends_the_others() -> None:
    class Broken(Endless):
        def list(self, prefix: str) -> Iterator[Listed]:
            if prefix == "n:/40/":
                raise StoreUnavailable("gone")
            return super().list(prefix)

    with pytest.raises(StoreUnavailable, match="gone"):
        list(list_all(Broken(folders=64, objects=10_000), "n:/"))

    assert listers() == []


def test_a_level_that_fails_is_told() -> None:
    class Broken(MemoryStore):
        def level(self, prefix: str) -> "Iterator[Listed | str]":
            raise StoreUnavailable("gone")

    with pytest.raises(StoreUnavailable, match="gone"):
        list(list_all(Broken(), "n:/"))
