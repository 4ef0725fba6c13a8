"""Every file arrives whole, the last of a group after the others, and each that does not is named."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.download.bringing import AT_ONCE, MIB, Count, bring, leftovers, standing, stored, whys
from tests.stores import Around, Failing

from tablesnap.download.one import Fetch
from tablesnap.download.pool import fetch_all
from tablesnap.errors import StoreRefused, StoreUnavailable
from tablesnap.store.memory import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def test_files_arrive_in_directories_that_were_not_there(store: MemoryStore, tmp_path: Path) -> None:
    files = {"a/b/c/one": b"1", "a/two": b"22", "empty": b""}
    progress = Count()

    failures = bring(
        store, *([stored(store, key, data, tmp_path / key)] for key, data in files.items()), progress=progress
    )

    assert failures == []
    assert standing(tmp_path) == files
    assert leftovers(tmp_path) == []
    assert (progress.files, progress.size) == (3, 3)


def test_the_last_of_a_group_is_begun_when_all_others_are_there(store: MemoryStore, tmp_path: Path) -> None:
    there: list[set[str]] = []

    class Watching(Around):
        def before(self, request: str) -> None:
            if request == "read Data.db":
                there.append(set(standing(tmp_path)))

    names = [f"component-{number}" for number in range(10)]
    group = [stored(store, name, name.encode(), tmp_path / name) for name in [*names, "Data.db"]]

    assert bring(Watching(store), group) == []

    assert there == [set(names)]
    assert set(standing(tmp_path)) == {*names, "Data.db"}


def test_the_last_of_a_group_does_not_come_without_the_others(store: MemoryStore, tmp_path: Path) -> None:
    group = [
        Fetch("nowhere", str(tmp_path / "Index.db"), 1, 1),
        stored(store, "Statistics.db", b"s", tmp_path / "Statistics.db"),
        stored(store, "Data.db", b"d", tmp_path / "Data.db"),
    ]
    other = [stored(store, "other", b"o", tmp_path / "other")]

    failures = bring(store, group, other)

    assert standing(tmp_path) == {"Statistics.db": b"s", "other": b"o"}
    assert whys(failures) == {
        str(tmp_path / "Index.db"): "nothing is stored as nowhere",
        str(tmp_path / "Data.db"): "not begun, because what belongs to it was not brought",
    }


def test_a_large_file_comes_in_ranges_that_idle_threads_take(store: MemoryStore, tmp_path: Path) -> None:
    data = bytes(range(256)) * (100 * MIB // 256) + b"the end"
    reading = threading.Barrier(4, timeout=60)

    class Together(Around):
        """Answers the first requests when four have come."""

        def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
            if offset < 64 * MIB:
                reading.wait()
            return super().read(key, offset=offset, length=length)

    progress = Count()

    failures = bring(Together(store), [stored(store, "big", data, tmp_path / "big")], progress=progress)

    assert failures == []
    assert (tmp_path / "big").read_bytes() == data
    assert (progress.files, progress.size) == (1, len(data))


def test_a_name_asked_for_twice_is_given_once(store: MemoryStore, tmp_path: Path) -> None:
    first = stored(store, "first", b"first", tmp_path / "name")
    second = stored(store, "second", b"second", tmp_path / "name", replace=True)

    failures = bring(store, [first], [second], threads=1)

    assert standing(tmp_path) == {"name": b"first"}
    assert whys(failures) == {str(tmp_path / "name"): "another file of this run has the same name"}


def test_what_a_stopped_run_did_not_bring_is_named(store: MemoryStore, tmp_path: Path) -> None:
    stop = threading.Event()

    class Stopping(Around):
        def after(self, request: str) -> None:
            if request == "read 5":
                stop.set()

    names = [str(number) for number in range(20)]
    groups = [[stored(store, name, b"x" * 10, tmp_path / name)] for name in names]
    group = [stored(store, name, b"x" * 10, tmp_path / name) for name in ("Index.db", "Data.db")]
    progress = Count()

    failures = bring(Stopping(store), *groups, group, stop=stop, threads=1, progress=progress)

    there = set(standing(tmp_path))
    assert there == {"0", "1", "2", "3", "4"}
    assert set(whys(failures)) == {str(tmp_path / name) for name in {*names, "Index.db", "Data.db"} - there}
    assert set(whys(failures).values()) == {"not brought, because the run ended: it was interrupted"}
    assert (progress.files, progress.size) == (len(there), 10 * len(there))
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("error", [StoreUnavailable("away"), StoreRefused("denied")])
def test_no_error_of_the_store_hangs_a_run(store: MemoryStore, tmp_path: Path, error: Exception) -> None:
    groups = [[stored(store, str(number), b"x", tmp_path / str(number))] for number in range(50)]

    failures = bring(Failing(store, lambda request: error), *groups)

    assert len(failures) == 50
    assert standing(tmp_path) == {}
    assert leftovers(tmp_path) == []


def test_a_store_that_is_away_ends_the_run(store: MemoryStore, tmp_path: Path) -> None:
    groups = [[stored(store, str(number), b"x", tmp_path / str(number))] for number in range(1000)]
    away = Failing(store, lambda request: StoreUnavailable("nobody there"))

    failures = bring(away, *groups)

    assert len(failures) == 1000
    assert len(away.requests) <= (3 + 4) * AT_ONCE.tries
    assert failures[-1].why == "not brought, because the run ended: the store does not answer: nobody there"


@pytest.mark.parametrize("threads", [1, 4])
def test_one_object_that_cannot_be_had_does_not_keep_the_others(
    store: MemoryStore, tmp_path: Path, threads: int
) -> None:
    groups = [[stored(store, str(number), b"x", tmp_path / str(number))] for number in range(1000)]
    flaky = Failing(store, lambda request: StoreUnavailable("cut off") if request == "read 7" else None)

    failures = bring(flaky, *groups, threads=threads)

    assert whys(failures) == {str(tmp_path / "7"): "cut off"}
    assert len(standing(tmp_path)) == 999


def test_a_defect_is_raised_and_not_taken_for_success(store: MemoryStore, tmp_path: Path) -> None:
    groups = [[stored(store, str(number), b"x", tmp_path / str(number))] for number in range(10)]
    broken = Failing(store, lambda request: ZeroDivisionError() if request == "read 3" else None)

    with pytest.raises(ZeroDivisionError):
        bring(broken, *groups)


def test_a_list_of_files_that_cannot_be_made_is_no_success(store: MemoryStore, tmp_path: Path) -> None:
    def groups() -> Iterator[list[Fetch]]:
        yield [stored(store, "a", b"a", tmp_path / "a")]
        raise StoreRefused("the plan broke")

    with pytest.raises(StoreRefused, match="the plan broke"):
        fetch_all(store, groups(), threads=2, progress=Count(), stop=threading.Event())


def test_nothing_to_bring_is_no_failure(store: MemoryStore) -> None:
    assert bring(store) == []
    assert bring(store, []) == []
