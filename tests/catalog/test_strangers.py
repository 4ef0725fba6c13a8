"""What another run writes beside this one is found by few requests, and what was there before is not taken for it."""

from dataclasses import replace

import pytest
from tests.catalog.test_catalog import KEYS, index
from tests.stores import Around, Clock, Failing

from tablesnap.catalog.catalog import Catalog
from tablesnap.catalog.strangers import Stranger
from tablesnap.errors import StoreUnavailable
from tablesnap.rules.index import encode
from tablesnap.rules.writers import Writer
from tablesnap.store.memory import MemoryStore
from tablesnap.store.port import Content, Store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    return MemoryStore(clock)


def run(store: Store, name: str, *directories: str) -> Catalog:
    """Return the catalog of a run that begins now."""
    catalog = Catalog(store, KEYS, Writer(f"machine of {name}", f"host of {name}", name))
    catalog.survey(["/"], directories or ["/d"])
    return catalog


def look(catalog: Catalog) -> list[tuple[str, str]]:
    return [(one.directory, one.writer.run) for one in catalog.strangers.look()]


def test_two_runs_that_write_by_turns_each_find_the_other(store: MemoryStore, clock: Clock) -> None:
    one, other = run(store, "one"), run(store, "other")
    one.write(index("a", seconds=1))
    clock.advance(seconds=1)
    other.write(index("b", seconds=2))
    clock.advance(seconds=1)
    one.write(index("a", seconds=3))

    found = list(other.strangers.look())

    assert found == [Stranger("/d", Writer("machine of one", "host of one", "one"), clock.moment)]
    assert look(one) == [("/d", "other")]


def test_a_run_that_goes_on_from_an_earlier_one_finds_nobody(store: MemoryStore, clock: Clock) -> None:
    before = run(store, "before")
    for second in range(5):
        clock.advance(seconds=1)
        before.write(index("a", seconds=second))
    after = run(store, "after")
    after.write(index("a", seconds=9))  # while the clock of the store stands still

    assert look(after) == []


def test_each_stranger_is_found_once_and_one_who_goes_on_again(store: MemoryStore, clock: Clock) -> None:
    one, other = run(store, "one"), run(store, "other")
    one.write(index("a", seconds=1))
    other.write(index("b", seconds=2))

    assert [look(one), look(one)] == [[("/d", "other")], []]

    one.write(index("a", seconds=3))
    assert look(one) == []
    one.write(index("a", seconds=4))
    clock.advance(seconds=1)
    other.write(index("b", seconds=5))
    assert look(one) == [("/d", "other")]


def test_a_daemon_for_another_directory_is_no_stranger(store: MemoryStore) -> None:
    one, other = run(store, "one", "/d", "/e"), run(store, "other", "/d", "/e")
    one.write(index("a", directory="/d"))
    other.write(index("a", directory="/e"))

    assert (look(one), look(other)) == ([], [])


def test_indexes_that_were_there_before_are_no_strangers_whatever_date_they_get(
    store: MemoryStore, clock: Clock
) -> None:
    key = run(store, "before").write(index("a", seconds=1))
    body = b"".join(store.read(key))
    run(store, "between").write(index("b", seconds=2))
    after = run(store, "after")
    clock.advance(hours=1)
    store.delete([key])
    store.create(key, Content.of(body))  # as whoever changes the storage class in place does
    after.write(index("c", seconds=3))

    assert look(after) == []


def test_an_index_of_an_older_version_says_nothing_of_its_writer_and_is_no_stranger(store: MemoryStore) -> None:
    one = run(store, "one")
    one.write(index("a", seconds=1))
    Catalog(store, KEYS).write(index("b", seconds=2))

    assert look(one) == []


def test_a_key_that_another_took_is_a_reason_to_look_and_its_index_is_found(store: MemoryStore) -> None:
    one, other = run(store, "one"), run(store, "other")
    other.write(index("nb-1-big-Data.db", seconds=1))
    one.write(index("nb-1-big-Data.db", seconds=2))

    assert one.strangers.are_suspected
    assert not other.strangers.are_suspected
    assert look(one) == [("/d", "other")]
    assert not one.strangers.are_suspected


def test_a_key_that_an_earlier_run_took_names_nobody(store: MemoryStore) -> None:
    # It died before it heard that its index was stored, and the listing of the next run came before that.
    one = Catalog(store, KEYS, Writer("m", "h", "one"))
    body = encode(replace(index("nb-1-big-Data.db"), serial=1, writer=Writer("m", "h", "one")), KEYS.below("/d"))
    store.create("n:/d/nb-1-big-Data.db-listdir.json", Content.of(body))

    one.write(index("nb-1-big-Data.db", seconds=2))

    assert one.strangers.are_suspected
    assert look(one) == []


def test_only_directories_that_were_written_since_the_last_look_are_listed(store: MemoryStore) -> None:
    around = Around(store)
    one = run(around, "one", "/d", "/e", "/f")
    for directory in ("/d", "/e"):
        one.write(index("a", directory=directory))
    look(one)
    one.write(index("b", directory="/e", seconds=1))
    around.requests.clear()

    assert look(one) == []
    assert around.requests == ["level n:/e/"]


def test_what_could_not_be_looked_at_is_looked_at_the_next_time(store: MemoryStore, clock: Clock) -> None:
    away = Failing(store, lambda request: StoreUnavailable("away") if request == "level n:/d/" else None)
    one, other = run(away, "one"), run(store, "other")
    one.write(index("a", seconds=1))
    clock.advance(seconds=1)
    other.write(index("b", seconds=2))
    with pytest.raises(StoreUnavailable):
        look(one)
    away.fails = lambda request: None

    assert look(one) == [("/d", "other")]


def test_the_indexes_of_all_directories_of_a_table_say_who_wrote_them(store: MemoryStore) -> None:
    catalog = run(store, "one", "/d", "/e")
    first = replace(index("a"), covers=("/d", "/e"))
    other = index("b", directory="/e")
    keys = catalog.write_restore_point((replace(first, others={"/e": other.files}), other))

    assert [catalog.read(key).writer for key in keys] == [Writer("machine of one", "host of one", "one")] * 2
