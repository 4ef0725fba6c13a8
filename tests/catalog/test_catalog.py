"""The newest index is found whatever else lies in the bucket, and a new one takes nobody's key."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.stores import Around, Clock, Failing, WholeSeconds, objects

from tablesnap.catalog.catalog import Catalog
from tablesnap.catalog.index_reader import IndexReader
from tablesnap.errors import NoSuchObject, StoreRefused, StoreUnavailable, UnreadableIndex, UnwritableIndex
from tablesnap.rules.index import Index, Owner, StoredFile, encode
from tablesnap.rules.index_decoding import LARGEST
from tablesnap.rules.index_fields import LARGEST_SERIAL
from tablesnap.rules.keys import Keys, index_key
from tablesnap.rules.points import RestorePoint
from tablesnap.store.memory import MemoryStore
from tablesnap.store.port import Content, Listed

KEYS = Keys("", "n", ":")
CLOCK_START = Clock().moment


def index(*names: str, directory: str = "/d", seconds: float = 0.0, keys: Keys = KEYS) -> Index:
    below = keys.below(directory)
    files = {
        name: StoredFile(below + name, size=1, checksum=2, mtime_ns=number, mode=0o644, owner=Owner(0, 0))
        for number, name in enumerate(names)
    }
    moment = CLOCK_START + timedelta(seconds=seconds)
    return Index(directory, names=names, files=files, node="n", taken_at=moment, seen_at=moment)


def put(store: MemoryStore, key: str, body: bytes = b"") -> None:
    store.create(key, Content.of(body))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    return MemoryStore(clock)


@pytest.fixture
def catalog(store: MemoryStore) -> Catalog:
    return Catalog(store, KEYS)


# Writing.


def test_an_index_gets_the_key_of_its_newest_file_as_json_and_reads_back(store: MemoryStore, catalog: Catalog) -> None:
    key = catalog.write(index("nb-1-big-Data.db", "nb-2-big-Data.db", "zzz"))

    assert key == "n:/d/nb-2-big-Data.db-listdir.json"
    assert store.head(key).content_type == "application/json"
    assert catalog.read(key) == replace(index("nb-1-big-Data.db", "nb-2-big-Data.db", "zzz"), serial=1)


class Classifying(Around):
    """Notes what is to have the store's own storage class."""

    standard: tuple[str, ...] = ()

    def create(
        self,
        key: str,
        content: Content,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        standard: bool = False,
    ) -> None:
        super().create(key, content, content_type=content_type, metadata=metadata, standard=standard)
        self.standard += (key,) if standard else ()


def test_an_index_has_the_stores_own_class_as_it_is_read_at_every_start(store: MemoryStore) -> None:
    classifying = Classifying(store)

    key = Catalog(classifying, KEYS).write(index("nb-1-big-Data.db"))

    assert classifying.standard == (key,)


def test_an_index_whose_key_is_taken_gets_its_moment_and_overwrites_nothing(
    store: MemoryStore, catalog: Catalog
) -> None:
    first = catalog.write(index("a", "b"))
    before = store.head(first)

    second = catalog.write(index("b", seconds=1))
    third = catalog.write(replace(index("b", seconds=1), missing=("c",)))

    assert store.head(first).checksum == before.checksum
    assert second == "n:/d/b~20261122T202518123456Z-listdir.json"
    assert third == "n:/d/b~20261122T202518123457Z-listdir.json"
    assert (catalog.read(second).missing, catalog.read(third).missing) == ((), ("c",))


def test_the_key_of_an_index_that_was_purged_is_never_taken_again(store: MemoryStore, catalog: Catalog) -> None:
    # Of two purges at once, the later would take the new index for the old one, and delete it.
    first = catalog.write(index("nb-1-big-Data.db"))
    store.delete([first])

    second = catalog.write(index("nb-1-big-Data.db", "nb-1-big-TOC.txt", seconds=1))
    shrunk = [catalog.write(index("nb-1-big-Data.db", "nb-2-big-Data.db", seconds=2))]
    store.delete([first, second])
    shrunk.append(catalog.write(index("nb-1-big-Data.db", seconds=3)))

    assert first not in (second, *shrunk)


def test_nor_is_it_when_its_file_comes_back_after_others(store: MemoryStore, catalog: Catalog, clock: Clock) -> None:
    purged = [catalog.write(index(f"nb-{number}-big-Data.db", seconds=number)) for number in (1, 2)]
    catalog.write(index("nb-3-big-Data.db", seconds=3))
    store.delete(purged)

    again = [catalog.write(index(f"nb-{number}-big-Data.db", seconds=3 + number)) for number in (1, 2)]
    clock.advance(seconds=1)
    later = catalog.write(index("nb-4-big-Data.db", seconds=6))

    assert not set(again) & set(purged)
    assert later == "n:/d/nb-4-big-Data.db-listdir.json"


def test_a_daemon_that_starts_again_takes_no_key_of_an_index_that_was_purged(store: MemoryStore, clock: Clock) -> None:
    first = Catalog(store, KEYS).write(index("nb-1-big-Data.db", "nb-2-big-Data.db"))
    for seconds, name in enumerate(("nb-1-big-Data.db", "nb-1-big-Data.db"), 1):
        clock.advance(seconds=1)
        catalog = Catalog(store, KEYS)
        catalog.survey(["/d"], ["/d"])
        newest = catalog.write(index(name, seconds=seconds))
    store.delete(set(objects(store)) - {newest})  # what a purge takes: all but the newest
    catalog = Catalog(store, KEYS)
    catalog.survey(["/d"], ["/d"])

    assert catalog.write(index("nb-2-big-Data.db", seconds=5)) != first
    assert catalog.read(newest).latest_name == "nb-2-big-Data.db"


def test_where_the_newest_index_does_not_say_which_name_was_the_latest_those_that_are_there_do(
    store: MemoryStore, catalog: Catalog, clock: Clock
) -> None:
    for name in ("nb-8-big-Data.db", "nb-9-big-Data.db~20261122T202517123456Z", "nb-7-big-Data.db"):
        clock.advance(seconds=1)
        put(store, f"n:/d/{name}-listdir.json", b'{"/d": []}')  # 1.x's
    catalog.survey(["/d"], ["/d"])

    taken = catalog.write(index("nb-9-big-Data.db"))
    free = catalog.write(index("nb-10-big-Data.db", seconds=1))

    assert taken == "n:/d/nb-9-big-Data.db~20261122T202517123457Z-listdir.json", "the other moment is taken as well"
    assert free == "n:/d/nb-10-big-Data.db-listdir.json"


def test_where_the_newest_index_cannot_be_read_no_later_one_takes_a_plain_key(
    store: MemoryStore, catalog: Catalog, clock: Clock
) -> None:
    put(store, "n:/d/nb-1-big-Data.db-listdir.json", b"no JSON")
    catalog.survey(["/d"], ["/d"])
    clock.advance(seconds=1)
    first = catalog.write(index("nb-2-big-Data.db"))
    catalog = Catalog(store, KEYS)
    catalog.survey(["/d"], ["/d"])

    second = catalog.write(index("nb-3-big-Data.db", seconds=1))

    assert first == "n:/d/nb-2-big-Data.db~20261122T202517123456Z-listdir.json"
    assert second == "n:/d/nb-3-big-Data.db~20261122T202518123456Z-listdir.json"


def test_what_was_taken_in_one_directory_of_a_table_is_free_in_another(catalog: Catalog) -> None:
    catalog.write(index("nb-9-big-Data.db", directory="/d"))

    assert catalog.write(index("nb-3-big-Data.db", directory="/e")) == "n:/e/nb-3-big-Data.db-listdir.json"


def test_an_index_named_after_a_file_beside_its_plain_key_is_an_index_of_that_directory(catalog: Catalog) -> None:
    one = index("a")
    beside = replace(one, files={"a": replace(one.files["a"], key="n:/d/a~00000000000000ab")})

    key = catalog.write(beside)

    assert key == "n:/d/a~00000000000000ab-listdir.json"
    assert catalog.survey(["/d"], ["/d"]).newest == {"/d": replace(beside, serial=1)}


def test_an_index_whose_writing_failed_too_late_is_not_written_twice(store: MemoryStore, catalog: Catalog) -> None:
    catalog.write(index("b", "a"))
    late = Failing(
        store, lambda request: StoreUnavailable("lost") if request.startswith("create") else None, afterwards=True
    )
    writer = Catalog(late, KEYS)
    writer.survey(["/d"], ["/d"])
    with pytest.raises(StoreUnavailable):
        writer.write(index("a"))
    late.fails = lambda request: None

    key = writer.write(index("a"))

    assert key == "n:/d/a~20261122T202517123456Z-listdir.json"
    assert catalog.read(key) == replace(index("a"), serial=2)
    assert len(objects(store)) == 2


def test_an_index_that_could_not_be_written_is_an_error_and_gets_no_other_key(store: MemoryStore) -> None:
    away = Failing(store, lambda request: StoreUnavailable("away"))

    with pytest.raises(StoreUnavailable):
        Catalog(away, KEYS).write(index("a"))

    assert away.requests == ["create n:/d/a-listdir.json"]


# Finding.


def test_the_newest_index_is_the_one_stored_last_whatever_its_key(catalog: Catalog, clock: Clock) -> None:
    for number, names in enumerate([("a", "b", "c"), ("c",), ("a", "b")]):
        clock.advance(seconds=1)
        catalog.write(index(*names, seconds=number))

    assert catalog.survey(["/d"], ["/d"]).newest["/d"].names == ("a", "b")


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_of_indexes_stored_within_one_second_the_one_written_last_is_the_newest_whatever_the_clock_said(
    store: MemoryStore, clock: Clock, order: tuple[str, str]
) -> None:
    catalog = Catalog(WholeSeconds(store), KEYS)
    for name in order:
        clock.advance(milliseconds=1)
        catalog.write(index(name, seconds=5.0 if name == "b" else 2.0))

    assert catalog.survey(["/d"], ["/d"]).newest["/d"].names == order[1:]


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_of_indexes_without_serials_stored_within_one_second_the_one_taken_last_is_the_newest(
    store: MemoryStore, order: tuple[str, str]
) -> None:
    for name in order:
        put(store, f"n:/d/{name}-listdir.json", encode(index(name, seconds=0.5 if name == "b" else 0.2), "n:/d/"))

    assert Catalog(WholeSeconds(store), KEYS).survey(["/d"], ["/d"]).newest["/d"].names == ("b",)


# Serials.


def test_each_restore_point_of_a_table_has_the_next_serial_whichever_of_its_directories_it_is_in(
    catalog: Catalog, store: MemoryStore
) -> None:
    first = replace(index("a", directory="/d"), covers=("/d", "/e"))
    second = replace(index("b", directory="/e", seconds=1), covers=("/d", "/e"))
    other = index("c", directory="/f", seconds=2)

    serials = [catalog.read(catalog.write(one)).serial for one in (first, second, other)]

    assert serials == [1, 2, 1]


def test_a_daemon_that_starts_goes_on_from_the_highest_serial_in_the_bucket(store: MemoryStore, clock: Clock) -> None:
    before = Catalog(store, KEYS)
    for number in range(3):
        clock.advance(seconds=1)
        before.write(index(str(number), seconds=number))
    after = Catalog(store, KEYS)
    after.survey(["/d"], ["/d"])

    assert after.read(after.write(index("later", seconds=-3600))).serial == 4, "also with its clock set back"


def test_after_an_index_without_a_serial_they_go_on_from_its_date_in_milliseconds(store: MemoryStore) -> None:
    put(store, "n:/d/b-listdir.json", encode(index("b"), "n:/d/"))
    catalog = Catalog(store, KEYS)
    catalog.survey(["/d"], ["/d"])

    serial = catalog.read(catalog.write(index("c", seconds=1))).serial

    assert serial == 1 + min(CLOCK_START, index("b").seen_at or CLOCK_START).timestamp() * 1000 // 1


def test_the_largest_serial_in_an_index_does_not_stop_those_after_it(store: MemoryStore, clock: Clock) -> None:
    body = encode(replace(index("a"), serial=LARGEST_SERIAL), "n:/d/")
    put(store, "n:/d/a-listdir.json", body)
    clock.advance(seconds=1)
    catalog = Catalog(store, KEYS)
    catalog.survey(["/d"], ["/d"])

    written = catalog.write(index("b", seconds=1))

    assert catalog.read(written).serial == LARGEST_SERIAL
    assert Catalog(store, KEYS).survey(["/d"], ["/d"]).newest["/d"].files.keys() == {"b"}


def test_an_unreadable_newest_index_does_not_let_serials_begin_again(store: MemoryStore, clock: Clock) -> None:
    before = Catalog(store, KEYS)
    before.write(index("a"))
    second = before.write(index("b", seconds=1))
    store.delete([second])
    clock.advance(seconds=1)
    put(store, second, b"no JSON")
    after = Catalog(store, KEYS)
    after.survey(["/d"], ["/d"])

    serial = after.read(after.write(index("c", seconds=2))).serial

    assert serial is not None
    assert serial > 2


def copied(store: MemoryStore, clock: Clock) -> MemoryStore:
    """A copy of all that is stored, with the dates of the copy, in the order of keys."""
    clock.advance(days=1)
    copy = MemoryStore(clock)
    for key, body in sorted(objects(store).items()):
        clock.advance(seconds=1)
        put(copy, key, body)
    return copy


def test_in_a_bucket_that_was_copied_the_newest_index_is_the_one_written_last(
    store: MemoryStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    catalog = Catalog(store, KEYS)
    for number, name in enumerate(("z", "m", "a")):
        clock.advance(seconds=1)
        catalog.write(index(name, seconds=number))
    after = Catalog(copied(store, clock), KEYS)

    with caplog.at_level("INFO"):
        newest = after.survey(["/d"], ["/d"]).newest["/d"]

    assert newest.names == ("a",)
    assert "all 3 were read" in caplog.text
    assert after.read(after.write(index("b", seconds=100_000))).serial == 4


def test_where_a_clock_was_set_back_the_newest_index_without_a_serial_is_the_one_stored_last(
    store: MemoryStore, clock: Clock
) -> None:
    before = replace(index("b"), seen_at=CLOCK_START - timedelta(seconds=1))
    after = replace(index("a"), seen_at=CLOCK_START - timedelta(seconds=31))
    for one, name in ((before, "b"), (after, "a")):
        clock.advance(seconds=1)
        put(store, index_key(f"n:/d/{name}", one.seen_at), encode(one, "n:/d/"))

    assert Catalog(store, KEYS).survey(["/d"], ["/d"]).newest["/d"].names == ("a",)


def test_an_index_of_the_future_counts_as_taken_when_it_was_stored(store: MemoryStore, catalog: Catalog) -> None:
    ahead = replace(index("a", seconds=365 * 86400), until=index("a", seconds=366 * 86400).taken_at)
    catalog.write(ahead)

    newest = catalog.survey(["/d"], ["/d"]).newest["/d"]

    latest = CLOCK_START + timedelta(minutes=5)
    assert (newest.taken_at, newest.seen_at, newest.until, newest.serial) == (CLOCK_START, latest, latest, 1)


def test_each_directory_has_its_own_newest_index_and_one_without_has_none(catalog: Catalog) -> None:
    catalog.write(index("a", directory="/d"))
    catalog.write(index("b", directory="/d/below"))
    catalog.write(index("c", directory="/d/below/that"))

    newest = catalog.survey(["/d"], ["/d", "/d/below", "/d/empty"]).newest

    assert {directory: one.names for directory, one in newest.items()} == {"/d": ("a",), "/d/below": ("b",)}


def test_a_directory_whose_name_begins_alike_or_another_node_is_none_of_ours(
    store: MemoryStore, catalog: Catalog
) -> None:
    catalog.write(index("a", directory="/d_archive"))
    other_node = Keys("", "n2", ":")
    Catalog(store, other_node).write(index("a", keys=other_node))
    put(store, "n:/d")
    put(store, "n:/d-listdir.json", b"{}")

    assert catalog.survey(["/d"], ["/d"]).newest == {}


def test_an_index_that_cannot_be_read_is_told_and_vouches_for_nothing(
    store: MemoryStore, catalog: Catalog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    catalog.write(index("a"))
    clock.advance(seconds=1)
    put(store, "n:/d/b-listdir.json", b"no JSON")

    newest = catalog.survey(["/d"], ["/d"]).newest["/d"]

    assert (newest.files, newest.names, newest.missing) == ({}, (), ())
    assert "n:/d/b-listdir.json" in caplog.text


def test_one_directory_s_damaged_index_is_no_other_directory_s_fault(store: MemoryStore, catalog: Catalog) -> None:
    put(store, "n:/d/b-listdir.json", b"[" * 100_000)
    catalog.write(index("a", directory="/d/below"))

    newest = catalog.survey(["/d"], ["/d", "/d/below"]).newest

    assert newest["/d/below"].names == ("a",)


def test_an_index_that_the_store_does_not_hand_out_does_not_keep_the_others_from_being_read(
    store: MemoryStore, catalog: Catalog
) -> None:
    key = catalog.write(index("a"))
    catalog.write(index("b", directory="/d/below"))
    archived = Failing(store, lambda request: StoreRefused("archived") if request == f"read {key}" else None)

    newest = Catalog(archived, KEYS).survey(["/d"], ["/d", "/d/below"]).newest

    assert newest["/d/below"].names == ("b",)
    assert newest["/d"].files == {}
    assert newest["/d"].missing == ()


def test_an_index_that_is_purged_between_the_listing_and_the_reading_does_not_stop_a_survey(
    store: MemoryStore, catalog: Catalog, clock: Clock
) -> None:
    key = catalog.write(index("a"))
    catalog.write(index("b", directory="/d/below"))
    purged = Failing(store, lambda request: NoSuchObject(key) if request == f"read {key}" else None)

    newest = Catalog(purged, KEYS).survey(["/d"], ["/d", "/d/below"]).newest

    assert newest["/d/below"].names == ("b",)
    # It had one, so earlier runs were responsible for the directory: nothing there is left alone.
    assert newest["/d"].missing == ()


@pytest.mark.parametrize("kind", ["list", "read"])
def test_a_store_that_does_not_answer_is_no_empty_store(store: MemoryStore, catalog: Catalog, kind: str) -> None:
    catalog.write(index("a"))
    away = Failing(store, lambda request: StoreUnavailable(kind) if request.startswith(kind) else None)

    with pytest.raises(StoreUnavailable):
        Catalog(away, KEYS).survey(["/d"], ["/d"])


def test_keys_asked_about_are_told_apart_from_all_others(store: MemoryStore, catalog: Catalog) -> None:
    for key in ("n:/d/a", "n:/d/a~00", "n:/d/below/b", "n:/d/c-listdir.json"):
        put(store, key, b"{}")

    survey = catalog.survey(["/d"], ["/d"], frozenset({"n:/d/a", "n:/d/b", "n:/d/below/b"}))

    assert survey.taken == {"n:/d/a", "n:/d/below/b"}


@pytest.mark.parametrize(
    "key",
    ["n:/d/", "n:/d//a", "n:/d/./a", "n:/d/../a", "n:/d/\x01", "n:/d/-listdir.json", "n:/d/a/-listdir.json", "n:/d/é/"],
)
def test_odd_keys_of_other_people_break_nothing_and_are_taken_for_nothing(
    store: MemoryStore, catalog: Catalog, clock: Clock, key: str
) -> None:
    put(store, key, b"{}")
    clock.advance(seconds=1)
    catalog.write(index("a"))

    survey = catalog.survey(["/d"], ["/d"], frozenset({"n:/d/a", "n:/d"}))

    assert survey.newest["/d"].names == ("a",)
    assert survey.taken == frozenset()


def test_each_root_is_listed_once_and_only_the_newest_indexes_are_read(store: MemoryStore, clock: Clock) -> None:
    catalog = Catalog(store, KEYS)
    for number in range(20):
        clock.advance(seconds=1)
        catalog.write(index(f"a{number:02}"))
    around = Around(store)

    Catalog(around, KEYS).survey(["/d/below/", "/d", "/d/", "/d_archive", "/d/below"], ["/d", "/d/below"])

    assert sorted(request for request in around.requests if request.startswith("list")) == [
        "list n:/d/",
        "list n:/d_archive/",
    ]
    assert [request for request in around.requests if request.startswith("read")] == ["read n:/d/a19-listdir.json"]


def test_the_root_directory_can_be_surveyed(store: MemoryStore) -> None:
    keys = Keys("", "n", ":")
    Catalog(store, keys).write(index("a", directory="/d"))

    assert Catalog(store, keys).survey(["/"], ["/d"]).newest["/d"].names == ("a",)


def test_an_index_of_1x_is_found_and_vouches_for_the_keys_of_its_names(store: MemoryStore, catalog: Catalog) -> None:
    put(store, "n:/d/nb-1-big-Data.db-listdir.json", b'{"/d": ["nb-1-big-Data.db"]}')

    newest = catalog.survey(["/d"], ["/d"]).newest["/d"]

    assert newest.keys("n:/d/") == {"n:/d/nb-1-big-Data.db"}


def test_reading_a_damaged_index_names_it(store: MemoryStore, catalog: Catalog) -> None:
    body = encode(index("a"), "n:/d/")
    put(store, "n:/d/a-listdir.json", body[:-1])

    with pytest.raises(UnreadableIndex, match=r"n:/d/a-listdir\.json"):
        catalog.read("n:/d/a-listdir.json")


def test_an_index_that_nobody_would_read_is_not_written_and_that_is_an_error(store: MemoryStore) -> None:
    catalog = Catalog(store, KEYS, largest=100)

    with pytest.raises(UnwritableIndex, match=r"/d is not recorded, as nobody could read its index: it has .* bytes"):
        catalog.write(index("a"))
    with pytest.raises(UnwritableIndex, match="is not between 1970 and 9000"):
        Catalog(store, KEYS).write(replace(index("a"), taken_at=datetime.max.replace(tzinfo=UTC)))

    assert objects(store) == {}


class Huge(Around):
    """Says of each index that it has more than a gigabyte, and does not hand it out."""

    def list(self, prefix: str) -> Iterator[Listed]:
        return (replace(one, size=LARGEST + 1) for one in super().list(prefix))

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        raise AssertionError(f"{key} was read")


def test_an_index_of_more_than_a_gigabyte_is_not_read(store: MemoryStore) -> None:
    key = Catalog(store, KEYS).write(index("a"))
    huge = Huge(store)

    survey = Catalog(huge, KEYS).survey(["/d"], ["/d"])
    point = IndexReader(huge).read(next(iter(huge.list(key))))

    assert survey.newest["/d"].format == 1
    assert isinstance(point, RestorePoint)
    assert point.unreadable == f"it has {LARGEST + 1} bytes, and an index has {LARGEST} at the most"
