"""A restore point of several directories is written once in each, found from each, and whole or not at all."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.stores import Around, Clock, DeadAfter, Failing, WholeSeconds, objects

from tablesnap.catalog.catalog import Catalog
from tablesnap.errors import NoSuchObject, StoreRefused, StoreUnavailable
from tablesnap.rules.index import Index, Owner, StoredFile
from tablesnap.rules.index_parts import join, project
from tablesnap.rules.keys import Keys
from tablesnap.store.memory import MemoryStore
from tablesnap.store.port import Content

KEYS = Keys("", "n", ":")
FIRST, SECOND, HIDDEN = "/disk1/ks/t-1", "/disk2/ks/t-1", "/disk1/ks/t-1/.idx"
DIRECTORIES = (FIRST, SECOND, HIDDEN)
START = Clock().moment
REQUESTS = 8  # of writing one that finds two of its three keys taken: it looks at what has them, and creates anew


def part(directory: str, *sstables: str, seconds: float = 0.0) -> Index:
    below = KEYS.below(directory)
    files = {
        name: StoredFile(below + name, size=1, checksum=2, mtime_ns=number, mode=0o644, owner=Owner(0, 0))
        for number, name in enumerate(f"nb-{one}-big-Data.db" for one in sstables)
    }
    moment = START + timedelta(seconds=seconds)
    return Index(
        directory, names=tuple(files), files=files, node="n", taken_at=moment, seen_at=moment, covers=DIRECTORIES
    )


def restore_point(seconds: float = 0.0) -> tuple[Index, ...]:
    """One sstable on the first disk, two on the second, none in the hidden directory."""
    first, *others = part(FIRST, "1", seconds=seconds), part(SECOND, "2", "3"), part(HIDDEN)
    moment = first.taken_at
    others = [replace(one, taken_at=moment, seen_at=moment) for one in others]
    return join([first, *others]), *others


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


def test_each_directory_gets_an_index_under_its_own_key_and_the_first_holds_all_files(catalog: Catalog) -> None:
    table, *_ = restore_point()

    keys = catalog.write_restore_point(restore_point())

    assert keys == (
        "n:/disk1/ks/t-1/nb-1-big-Data.db-listdir.json",
        "n:/disk2/ks/t-1/nb-3-big-Data.db-listdir.json",
        "n:/disk1/ks/t-1/.idx/~20261122T202517123456Z-listdir.json",
    )
    whole, *others = [catalog.read(key) for key in keys]
    assert whole == replace(table, serial=1)
    assert [one.serial for one in others] == [1, 1]
    assert [(one.whole, one.files, one.others) for one in others] == [(keys[0], {}, {}), (keys[0], {}, {})]


def test_a_1x_tool_finds_in_each_directory_the_pair_of_that_directory(store: MemoryStore, catalog: Catalog) -> None:
    keys = catalog.write_restore_point(restore_point())

    pairs = [next(iter(json.loads(b"".join(store.read(key))).items())) for key in keys]
    assert pairs == [
        (FIRST, ["nb-1-big-Data.db"]),
        (SECOND, ["nb-2-big-Data.db", "nb-3-big-Data.db"]),
        (HIDDEN, []),
    ]


@pytest.mark.parametrize("afterwards", [False, True])
@pytest.mark.parametrize("number", range(1, REQUESTS + 1))
def test_whenever_the_store_dies_who_is_named_is_there_and_trying_again_completes_it(
    store: MemoryStore, catalog: Catalog, number: int, afterwards: bool
) -> None:
    earlier = catalog.write_restore_point(restore_point())
    dying = DeadAfter(store, number, afterwards=afterwards)
    writer = Catalog(dying, KEYS)
    with pytest.raises(StoreUnavailable):
        writer.write_restore_point(restore_point(seconds=1))
    seen = {key for key in objects(store) if key not in earlier}
    assert all(not (named := catalog.read(key).whole) or named in seen for key in seen)

    dying.revive()
    keys = writer.write_restore_point(restore_point(seconds=1))

    assert set(objects(store)) == {*earlier, *keys}
    assert all(catalog.read(key).whole in {"", keys[0]} for key in keys)


@pytest.mark.parametrize("afterwards", [False, True])
@pytest.mark.parametrize("number", range(1, len(DIRECTORIES) + 1))
def test_what_is_tried_again_gets_the_keys_of_the_first_try_so_no_two_indexes_have_one_serial(
    store: MemoryStore, number: int, afterwards: bool
) -> None:
    dying = DeadAfter(store, number, afterwards=afterwards)
    writer = Catalog(dying, KEYS)
    with pytest.raises(StoreUnavailable):
        writer.write_restore_point(restore_point())

    dying.revive()
    keys = writer.write_restore_point(restore_point())

    assert set(objects(store)) == set(keys)


def test_a_restore_point_is_written_anew_under_other_keys_and_overwrites_none(
    store: MemoryStore, catalog: Catalog
) -> None:
    first = catalog.write_restore_point(restore_point())
    second = catalog.write_restore_point(restore_point(seconds=1))

    assert len({*first, *second}) == len(objects(store)) == 6
    assert catalog.read(second[1]).whole == second[0]


def test_a_truncated_table_has_a_restore_point_that_holds_nothing(
    store: MemoryStore, catalog: Catalog, clock: Clock
) -> None:
    catalog.write(part(FIRST, "1"))
    clock.advance(seconds=1)

    key = catalog.write(part(FIRST, seconds=1))

    assert key == "n:/disk1/ks/t-1/~20261122T202518123456Z-listdir.json"
    assert catalog.survey([FIRST], [FIRST]).newest == {
        FIRST: replace(part(FIRST, seconds=1), latest_name="nb-1-big-Data.db", serial=2)
    }


def test_two_restore_points_of_one_moment_that_hold_nothing_are_both_kept(catalog: Catalog) -> None:
    empty = part(FIRST)

    keys = [catalog.write(one) for one in (empty, replace(empty, live="1f"), empty)]

    assert keys == [
        "n:/disk1/ks/t-1/~20261122T202517123456Z-listdir.json",
        "n:/disk1/ks/t-1/~20261122T202517123457Z-listdir.json",
        "n:/disk1/ks/t-1/~20261122T202517123458Z-listdir.json",
    ]


# Finding.


def test_each_directory_is_found_with_its_part_and_with_the_restore_point_it_is_part_of(catalog: Catalog) -> None:
    table, *others = (replace(one, serial=1) for one in restore_point())
    catalog.write_restore_point((table, *others))

    survey = catalog.survey(["/disk1", "/disk2"], DIRECTORIES)

    assert survey.newest == {FIRST: project(table, FIRST), SECOND: others[0], HIDDEN: others[1]}
    assert survey.points == dict.fromkeys(DIRECTORIES, table)


def test_a_part_found_keeps_the_names_that_1x_reads(catalog: Catalog) -> None:
    table, second, hidden = restore_point()
    listed = replace(second, names=("listed plain",))
    catalog.write_restore_point((table, listed, hidden))

    assert catalog.survey(["/"], DIRECTORIES).newest[SECOND].names == ("listed plain",)


def test_the_index_with_all_files_is_read_once_however_many_directories_name_it(
    store: MemoryStore, catalog: Catalog
) -> None:
    keys = catalog.write_restore_point(restore_point())
    around = Around(store)

    Catalog(around, KEYS).survey(["/"], DIRECTORIES)

    assert sorted(one for one in around.requests if one.startswith("read")) == sorted(f"read {key}" for key in keys)


def test_a_restore_point_is_found_from_a_disk_whose_index_lies_with_another(catalog: Catalog) -> None:
    table, *others = (replace(one, serial=1) for one in restore_point())
    catalog.write_restore_point((table, *others))

    survey = catalog.survey([SECOND], [SECOND])

    assert survey.newest == {SECOND: others[0]}
    assert survey.points == {SECOND: table}


def test_an_index_of_one_directory_is_its_own_restore_point(catalog: Catalog) -> None:
    catalog.write(part(FIRST, "1"))

    survey = catalog.survey([FIRST], [FIRST])

    assert survey.points == survey.newest == {FIRST: replace(part(FIRST, "1"), serial=1)}


@pytest.mark.parametrize("number", range(1, REQUESTS + 1))
def test_after_a_death_between_two_directories_the_newest_restore_point_is_the_newest_of_all(
    store: MemoryStore, catalog: Catalog, clock: Clock, number: int
) -> None:
    catalog.write_restore_point(restore_point())
    clock.advance(seconds=1)
    dying = DeadAfter(store, number, afterwards=False)
    writer = Catalog(dying, KEYS)
    with pytest.raises(StoreUnavailable):
        writer.write_restore_point(restore_point(seconds=1))
    written = any(catalog.read(key).taken_at != START for key in objects(store))

    newest = catalog.survey(["/"], DIRECTORIES).newest_point(DIRECTORIES)

    assert newest == replace(restore_point(seconds=1 if written else 0)[0], serial=1)


def test_of_two_restore_points_of_one_moment_the_later_written_is_found(store: MemoryStore) -> None:
    catalog = Catalog(WholeSeconds(store), KEYS)
    view, *others = restore_point()
    later = START + timedelta(milliseconds=1)
    catalog.write_restore_point((view, *others))
    catalog.write_restore_point([replace(one, seen_at=later, live="the base") for one in (view, *others)])

    survey = catalog.survey(["/"], DIRECTORIES)

    assert {one.live for one in survey.newest.values()} == {"the base"}


def test_a_table_without_a_restore_point_has_no_newest(catalog: Catalog) -> None:
    assert catalog.survey(["/"], DIRECTORIES).newest_point(DIRECTORIES) is None


@pytest.mark.parametrize("error", [StoreRefused, NoSuchObject], ids=["archived", "purged"])
def test_an_index_with_all_files_that_cannot_be_had_vouches_for_no_directory_and_stops_no_survey(
    store: MemoryStore,
    catalog: Catalog,
    error: Callable[[str], Exception],
    caplog: pytest.LogCaptureFixture,
) -> None:
    key, *_ = catalog.write_restore_point(restore_point())
    catalog.write(part("/disk2/ks/u-1", "1"))
    away = Failing(store, lambda request: error(key) if request == f"read {key}" else None)

    survey = Catalog(away, KEYS).survey(["/"], [*DIRECTORIES, "/disk2/ks/u-1"])

    assert [survey.newest[directory].files for directory in DIRECTORIES] == [{}, {}, {}]
    assert survey.points.keys() == {"/disk2/ks/u-1"}
    assert survey.newest_point(DIRECTORIES) is None
    assert caplog.text.count(key) == 1


@pytest.mark.parametrize("body", [b"no JSON", b'{"/disk1/ks/u-1": ["a"]}'], ids=["damaged", "of another table"])
def test_a_name_that_leads_to_no_restore_point_of_the_directory_vouches_for_nothing(
    store: MemoryStore, catalog: Catalog, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = "n:/disk1/ks/u-1/nb-1-big-Data.db-listdir.json"
    store.create(elsewhere, Content.of(body))
    catalog.write(replace(part(SECOND, "2"), whole=elsewhere))

    survey = catalog.survey([SECOND], [SECOND])

    assert survey.newest[SECOND].files == {}
    assert survey.points == {}
    assert elsewhere in caplog.text


def test_an_index_that_names_one_that_names_another_vouches_for_nothing(catalog: Catalog) -> None:
    _, second, _ = catalog.write_restore_point(restore_point())
    catalog.write(replace(part("/disk3/ks/t-1", "4"), whole=second))

    survey = catalog.survey(["/disk3"], ["/disk3/ks/t-1"])

    assert survey.newest["/disk3/ks/t-1"].files == {}
    assert survey.points == {}


def test_a_store_that_does_not_hand_out_the_files_of_all_is_no_empty_store(
    store: MemoryStore, catalog: Catalog
) -> None:
    key, *_ = catalog.write_restore_point(restore_point())
    away = Failing(store, lambda request: StoreUnavailable("away") if request == f"read {key}" else None)

    with pytest.raises(StoreUnavailable):
        Catalog(away, KEYS).survey([SECOND], [SECOND])
