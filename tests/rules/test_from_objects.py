"""What the objects alone would restore."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from tablesnap.rules.from_objects import Found, assemble
from tablesnap.rules.kept import KeptFile
from tablesnap.rules.purging import Stored

T0 = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
KEY, PATH = "n:/d/ks/t/", "/d/ks/t"
COMPONENTS = ("Data.db", "Index.db", "Statistics.db", "CRC.db")


def sstable(generation: int, when: datetime, ending: str = "", components: Iterable[str] = COMPONENTS) -> list[Stored]:
    return [Stored(f"{KEY}nb-{generation}-big-{component}{ending}", 10, when) for component in components]


def found_among(objects: list[Stored], named: Iterable[Stored] = (), index_stored: datetime | None = None) -> Found:
    kept = {one.key: KeptFile(PATH, one.key[len(KEY) :], one.key) for one in named}
    stored = {KEY: index_stored} if index_stored else {}
    return assemble(objects, {KEY: PATH}, named=kept, stored=stored)


def keys(found: Found) -> set[str]:
    return {file.key for files in found.files.values() for file in files}


def test_an_sstable_that_is_all_there_is_found_with_all_its_components() -> None:
    objects = sstable(1, T0)

    found = found_among(objects)

    assert keys(found) == {one.key for one in objects}
    assert len(found.sstables) == 1
    assert found.size == 40


def test_an_sstable_of_which_something_is_missing_is_named_and_not_taken() -> None:
    without_statistics = sstable(1, T0, components=("Data.db", "Index.db", "CRC.db"))
    without_data = sstable(2, T0, components=("Index.db", "Statistics.db", "CRC.db"))

    found = found_among(without_statistics + without_data)

    assert keys(found) == set()
    assert found.unfinished == (f"{PATH}/nb-1-big-", f"{PATH}/nb-2-big-")


def test_indexes_logs_and_what_was_not_finished_are_never_taken() -> None:
    log = f"{KEY}nb_txn_flush_5a1c395e-5a1c-395e-5a1c-395e5a1c395e.log"
    objects = [
        Stored(key, 10, T0) for key in (log, f"{KEY}nb-1-big-Data.db-listdir.json", f"{KEY}nb-1-big-Statistics.db.tmp")
    ]

    assert keys(found_among(objects)) == set()


def test_what_the_index_names_is_not_taken_twice() -> None:
    old, new = sstable(1, T0), sstable(2, T0 + timedelta(hours=1))

    found = found_among(old + new, named=old, index_stored=T0)

    assert keys(found) == {one.key for one in new}


def test_of_two_lives_of_one_name_the_later_is_taken_with_its_own_components() -> None:
    first, second = sstable(1, T0), sstable(1, T0 + timedelta(hours=1), "~00000000000000aa")

    found = found_among(first + second, named=first, index_stored=T0 + timedelta(minutes=1))

    assert keys(found) == {one.key for one in second}
    assert found.passed_over == (first[0].key,)


def test_a_file_whose_name_looks_like_a_stem_is_a_file() -> None:
    found = found_among([Stored(f"{KEY}nb-1-big-", 10, T0)])

    assert keys(found) == {f"{KEY}nb-1-big-"}
    assert found.sstables == frozenset()
    assert found.unfinished == ()


def test_other_directories_are_left_alone() -> None:
    assert keys(found_among([Stored("n:/d/ks/other/nb-1-big-Data.db", 10, T0)])) == set()
