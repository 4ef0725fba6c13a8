"""The daemon's promises, on real files and events: what an index names is stored, and what is on disk gets named."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from tests.daemon.in_process import (
    Counting,
    below,
    indexes,
    insist_all_restore,
    newest,
    restored,
    running,
    wait_for_index,
)
from tests.stores import Around, Clock, DeadAfter, Failing, objects
from tests.waiting import wait_until

from tablesnap.daemon.service import Daemon, utc_now
from tablesnap.daemon.settings import Settings
from tablesnap.errors import StoreRefused, StoreUnavailable
from tablesnap.rules.index import Index, encode
from tablesnap.rules.keys import is_index
from tablesnap.rules.retention import GRACE_SECONDS
from tablesnap.store.memory import MemoryStore
from tablesnap.store.port import Content, Store

# As 2.2 names them: it keeps no transactions, so the sstables of a directory are listed like any other files.
DATA, STATISTICS, TOC = "la-1-big-Data.db", "la-1-big-Statistics.db", "la-1-big-TOC.txt"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    return directory


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def put(path: Path, content: bytes = b"x") -> Path:
    """Write a file as programs that take care do: under another name, then by a rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}-tmp")
    unfinished.write_bytes(content)
    unfinished.rename(path)
    return path


def age(*paths: Path, seconds: float = 3600) -> None:
    for path in paths:
        moment = path.stat().st_mtime_ns - int(seconds * 1e9)
        os.utime(path, ns=(moment, moment))


def data_objects(store: Store) -> dict[str, bytes]:
    return {key: body for key, body in objects(store).items() if not key.endswith("-listdir.json")}


class Gate(Around):
    """A store that holds up the requests a test picks until it lets them go."""

    def __init__(self, store: Store, picks: Callable[[str], bool]) -> None:
        super().__init__(store)
        self._picks = picks
        self.reached = threading.Event()
        self.opened = threading.Event()

    def before(self, request: str) -> None:
        super().before(request)
        if self._picks(request):
            self.reached.set()
            assert self.opened.wait(60)


# What arrives.


def test_an_index_names_every_file_of_its_directory_with_its_bytes(data: Path, store: MemoryStore) -> None:
    with running(store, data):
        for name in (DATA, STATISTICS, TOC):
            put(data / "ks" / "t" / name, name.encode())
        put(data / "plain", b"plain")

        wait_for_index(store, data / "ks" / "t", {name: name.encode() for name in (DATA, STATISTICS, TOC)})
        wait_for_index(store, data, {"plain": b"plain"})


def test_what_was_written_last_is_indexed_before_the_daemon_ends(data: Path, store: MemoryStore) -> None:
    with running(store, data):
        put(data / "a", b"a")
        wait_until(lambda: data_objects(store))

    index = newest(store, data)
    assert index is not None
    assert restored(store, index) == {"a": b"a"}


def test_a_name_used_again_for_other_bytes_leaves_both_in_the_store(data: Path, store: MemoryStore) -> None:
    with running(store, data):
        for content in (b"one", b"two!", b"one"):
            put(data / "a", content)
            wait_for_index(store, data, {"a": content})

    assert sorted(data_objects(store).values()) == [b"one", b"two!"]
    assert [restored(store, index) for index in indexes(store, data)] == [{"a": b"one"}, {"a": b"two!"}, {"a": b"one"}]


def test_a_rewritten_component_is_stored_beside_and_listed_plain_for_1x(data: Path, store: MemoryStore) -> None:
    with running(store, data):
        put(data / DATA, b"rows")
        put(data / STATISTICS, b"level 0")
        wait_for_index(store, data, {DATA: b"rows", STATISTICS: b"level 0"})
        put(data / STATISTICS, b"level 1")
        index = wait_for_index(store, data, {DATA: b"rows", STATISTICS: b"level 1"})

    assert set(index.names) == {DATA, STATISTICS}
    assert objects(store)[below(data) + STATISTICS] == b"level 0"


def test_an_empty_directory_gets_no_index_and_one_that_was_emptied_keeps_its_last(
    data: Path, store: MemoryStore
) -> None:
    (data / "empty").mkdir()
    with running(store, data):
        wait_for_index(store, data / "emptied", {put(data / "emptied" / "a").name: b"x"})
        (data / "emptied" / "a").unlink()
        wait_for_index(store, data / "last", {put(data / "last" / "a").name: b"x"})

    assert indexes(store, data / "empty") == []
    assert [sorted(index.files) for index in indexes(store, data / "emptied")] == [["a"]]


def test_a_deleted_file_is_absent_from_the_next_index_and_stays_in_the_store(data: Path, store: MemoryStore) -> None:
    with running(store, data):
        put(data / "a", b"a")
        put(data / "b", b"b")
        wait_for_index(store, data, {"a": b"a", "b": b"b"})
        (data / "a").unlink()
        wait_for_index(store, data, {"b": b"b"})

    assert set(data_objects(store)) == {below(data) + "a", below(data) + "b"}


def test_a_renamed_directory_is_recorded_under_its_new_name(data: Path, store: MemoryStore) -> None:
    with running(store, data):
        put(data / "old" / "a", b"a")
        wait_for_index(store, data / "old", {"a": b"a"})
        (data / "old").rename(data / "new")
        put(data / "new" / "b", b"b")
        wait_for_index(store, data / "new", {"a": b"a", "b": b"b"})

    assert insist_all_restore(store) >= 2


def test_cassandra_s_own_bookkeeping_and_what_is_left_out_are_neither_stored_nor_listed(
    data: Path, store: MemoryStore
) -> None:
    with running(store, data):
        put(data / "nb_txn_flush_0a3c2f10-1111-11ee-8c99-0242ac120002.log")
        (data / "nb-1-big-Data.db.tmp").write_bytes(b"x")
        (data / "x-tmp").write_bytes(b"x")
        put(data / "kept")
        wait_for_index(store, data, {"kept": b"x"})

    assert set(data_objects(store)) == {below(data) + "kept"}


def test_an_index_body_never_changes_while_its_directory_does_not(data: Path, store: MemoryStore) -> None:
    with running(store, data) as it:
        put(data / "a", b"a")
        wait_for_index(store, data, {"a": b"a"})
        it.daemon.rescan()
        os.link(data / "a", data / "a-tmp")  # an event on the very inode, which changes no byte
        wait_for_index(store, data / "other", {put(data / "other" / "b").name: b"x"})

    assert len(indexes(store, data)) == 1


# Files that are not finished.


def test_a_file_that_changes_while_it_is_uploaded_is_stored_again_and_its_torn_copy_never_named(
    data: Path, store: MemoryStore
) -> None:
    gate = Gate(store, lambda request: request == f"create {below(data)}a")
    with running(gate, data):
        put(data / "a", b"first")
        assert gate.reached.wait(60)
        (data / "a").write_bytes(b"later")
        gate.opened.set()
        wait_for_index(store, data, {"a": b"later"})

    assert [restored(store, index) for index in indexes(store, data)] == [{"a": b"later"}]


def test_a_file_replaced_while_it_is_uploaded_is_stored_again(data: Path, store: MemoryStore) -> None:
    gate = Gate(store, lambda request: request == f"create {below(data)}a")
    with running(gate, data):
        put(data / "a", b"first")
        assert gate.reached.wait(60)
        put(data / "a", b"later")
        gate.opened.set()
        wait_for_index(store, data, {"a": b"later"})


def test_a_file_deleted_while_it_is_uploaded_harms_nothing(data: Path, store: MemoryStore) -> None:
    gate = Gate(store, lambda request: request == f"create {below(data)}a")
    with running(gate, data):
        put(data / "a", b"a")
        put(data / "b", b"b")
        assert gate.reached.wait(60)
        (data / "a").unlink()
        gate.opened.set()
        wait_for_index(store, data, {"b": b"b"})

    assert insist_all_restore(store) == 1


@contextmanager
def restless(path: Path) -> Iterator[None]:
    """Keep a file changing."""
    done = threading.Event()

    def write() -> None:
        while not done.wait(0.05):
            with path.open("ab") as file:
                file.write(b"more")

    path.write_bytes(b"")
    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_a_file_that_never_stands_still_holds_up_no_index_and_is_named_missing(data: Path, store: MemoryStore) -> None:
    with running(store, data, events=frozenset({"IN_MOVED_TO", "IN_CREATE"})), restless(data / "restless"):
        put(data / "a", b"a")
        index = wait_for_index(store, data, {"a": b"a"}, missing=("restless",))

    assert restored(store, index) == {"a": b"a"}
    assert index.names == ("a",)


def test_a_file_whose_event_is_not_listened_for_is_found_by_the_look_before_the_next_index(
    data: Path, store: MemoryStore
) -> None:
    with running(store, data, events=frozenset({"IN_MOVED_TO"})):
        (data / "written").write_bytes(b"in place")
        put(data / "moved", b"moved")
        wait_for_index(store, data, {"moved": b"moved", "written": b"in place"})


def test_a_stored_file_rewritten_unheard_is_stored_again(data: Path, store: MemoryStore) -> None:
    with running(store, data, events=frozenset({"IN_MOVED_TO"})):
        put(data / "a", b"first")
        wait_for_index(store, data, {"a": b"first"})
        (data / "a").write_bytes(b"in place")
        wait_for_index(store, data, {"a": b"in place"})


# Death.


def two_tables(data: Path) -> dict[Path, dict[str, bytes]]:
    wanted = {
        data / table: {name: f"{table} {name}".encode() for name in (DATA, STATISTICS, TOC)} for table in ("t1", "t2")
    }
    for directory, files in wanted.items():
        for name, content in files.items():
            put(directory / name, content)
    return wanted


def is_whole(store: Store, wanted: dict[Path, dict[str, bytes]]) -> bool:
    found = {directory: newest(store, directory) for directory in wanted}
    return all(
        index is not None and not index.missing and restored(store, index) == wanted[directory]
        for directory, index in found.items()
    )


@pytest.mark.parametrize("afterwards", [False, True], ids=["refused", "answer-lost"])
def test_whenever_the_store_dies_every_index_restores_and_the_next_run_makes_it_whole(
    tmp_path: Path, afterwards: bool
) -> None:
    def die_at(number: int) -> bool:
        """Run until the store dies at its *number*-th request, then again with a store that lives."""
        data = tmp_path / str(number)
        for table in ("t1", "t2"):
            (data / table).mkdir(parents=True)
        store = MemoryStore()
        dying = DeadAfter(store, number, afterwards=afterwards)
        with running(dying, data):
            wanted = two_tables(data)
            wait_until(lambda: dying.died.is_set() or is_whole(store, wanted), f"the end of run {number}")
        insist_all_restore(store)
        with running(store, data, backup=True):
            wait_until(lambda: is_whole(store, wanted), f"the second run after {number}")
        insist_all_restore(store)
        contents = [body for files in wanted.values() for body in files.values()]
        assert sorted(data_objects(store).values()) == sorted(contents), f"stored twice after {number}"
        return dying.died.is_set()

    with ThreadPoolExecutor(9) as threads:
        died = list(threads.map(die_at, range(1, 19)))

    assert died[0]
    assert not died[-1], "there are more requests than were made to fail"


def test_a_store_that_fails_now_and_then_costs_nothing_but_time(data: Path, store: MemoryStore) -> None:
    failed: set[str] = set()

    def first_time(request: str) -> Exception | None:
        if request == "check" or request in failed:
            return None
        failed.add(request)
        return StoreRefused(f"not now: {request}")

    (data / "t1").mkdir()
    (data / "t2").mkdir()
    with running(Failing(store, first_time, afterwards=True), data):
        wanted = two_tables(data)
        wait_until(lambda: is_whole(store, wanted), "all to be stored")

    assert insist_all_restore(store) == len(indexes(store, data / "t1")) + len(indexes(store, data / "t2"))
    assert len(data_objects(store)) == 6


def test_with_retries_bounded_a_file_that_fails_is_named_missing_and_the_others_live_on(
    data: Path, store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    refuses = {"now": True}

    def fails(request: str) -> Exception | None:
        bad = refuses["now"] and request == f"create {below(data)}bad"
        return StoreRefused("the store does not like this one") if bad else None

    with running(Failing(store, fails), data, retries=0) as it:
        put(data / "bad", b"bad")
        put(data / "good", b"good")
        wait_for_index(store, data, {"good": b"good"}, missing=("bad",))
        put(data / "later", b"later")
        wait_for_index(store, data, {"good": b"good", "later": b"later"}, missing=("bad",))
        refuses["now"] = False
        it.daemon.rescan()
        wait_for_index(store, data, {"bad": b"bad", "good": b"good", "later": b"later"})

    assert caplog.text.count("gave up on") == 1


def test_a_file_that_appears_while_its_directory_s_index_is_written_is_in_the_next(
    data: Path, store: MemoryStore
) -> None:
    gate = Gate(store, lambda request: request == f"create {below(data)}a-listdir.json")
    with running(gate, data):
        put(data / "a", b"a")
        assert gate.reached.wait(60)
        put(data / "b", b"b")
        wait_until(lambda: below(data) + "b" in objects(store))
        gate.opened.set()
        wait_for_index(store, data, {"a": b"a", "b": b"b"})

    assert [sorted(index.files) for index in indexes(store, data)] == [["a"], ["a", "b"]]


# Clocks.


def test_the_moment_of_an_index_never_goes_back_though_the_clock_does(data: Path, store: MemoryStore) -> None:
    clock = Clock()
    with running(store, data, wall_clock=clock):
        put(data / "a", b"a")
        wait_for_index(store, data, {"a": b"a"})
        clock.advance(days=-2)
        put(data / "b", b"b")
        wait_for_index(store, data, {"a": b"a", "b": b"b"})
    clock.advance(days=-2)
    with running(store, data, wall_clock=clock):
        put(data / "c", b"c")
        wait_for_index(store, data, {"a": b"a", "b": b"b", "c": b"c"})

    moments = [index.taken_at for index in indexes(store, data)]
    assert len(moments) == 3
    assert moments == sorted(set(moments), key=lambda moment: (moment is not None, moment))


def test_a_clock_that_was_ahead_once_is_told_and_holds_up_no_later_restore_point(
    data: Path, store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    ahead = [timedelta(days=365)]
    begun = utc_now()

    def is_told(words: str) -> Callable[[], bool]:
        return lambda: any(words in record.getMessage() for record in caplog.records)

    with running(store, data, wall_clock=lambda: utc_now() + ahead[0]):
        put(data / "a", b"a")
        first = wait_for_index(store, data, {"a": b"a"})
        wait_until(is_told("clock is 8760.0 h ahead of the store's"), "the error")
        put(data / "b", b"b")
        second = wait_for_index(store, data, {"a": b"a", "b": b"b"})
        caplog.clear()
        ahead[0] = timedelta()
        wait_until(is_told("agrees with the store's again"), "the clock to be asked for")
        put(data / "c", b"c")
        third = wait_for_index(store, data, {"a": b"a", "b": b"b", "c": b"c"})

    moments = [index.taken_at for index in (first, second, third) if index.taken_at is not None]
    assert moments[0] > begun + timedelta(days=364), "the store could not be asked before it held anything"
    assert moments[1] <= utc_now() + timedelta(minutes=5)
    assert moments[1] <= moments[2] <= utc_now() + timedelta(minutes=5)
    assert [index.serial for index in (first, second, third)] == [1, 2, 3]


def test_after_a_start_an_index_of_the_future_holds_up_no_later_one(data: Path, store: MemoryStore) -> None:
    with running(store, data, wall_clock=lambda: utc_now() + timedelta(days=365)):
        put(data / "a", b"a")
        wait_for_index(store, data, {"a": b"a"})
    with running(store, data):
        put(data / "b", b"b")
        index = wait_for_index(store, data, {"a": b"a", "b": b"b"})

    assert index.taken_at is not None
    assert index.taken_at <= utc_now()


def test_an_index_has_the_moment_at_which_its_directory_was_looked_at(data: Path, store: MemoryStore) -> None:
    clock = Clock()
    with running(store, data, wall_clock=clock):
        put(data / "a", b"a")
        index = wait_for_index(store, data, {"a": b"a"})

    assert index.taken_at == index.seen_at == clock.moment


# Start.


def test_without_b_files_of_before_are_left_alone_counted_and_named_missing(
    data: Path, store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("old1", "old2"):
        put(data / name)
    with running(store, data):
        wait_until(lambda: "left unprotected, because -B was not given: 2 files" in caplog.text, "the warning")
        put(data / "new", b"new")
        wait_for_index(store, data, {"new": b"new"}, missing=("old1", "old2"))
    caplog.clear()
    with running(store, data):
        wait_until(lambda: "left unprotected, because -B was not given: 2 files" in caplog.text, "the warning again")

    assert set(data_objects(store)) == {below(data) + "new"}


def test_with_b_all_is_stored_and_progress_is_told_to_its_end(data: Path, store: MemoryStore) -> None:
    for name in ("old1", "old2"):
        put(data / name, name.encode())
    with running(store, data, backup=True) as it:
        wait_for_index(store, data, {"old1": b"old1", "old2": b"old2"})
        wait_until(lambda: it.progress.ended, "the progress to end")

        assert it.progress.begun == (2, 8)
        assert it.progress.done == 2


def test_progress_ends_though_files_go_before_their_turn(data: Path, store: MemoryStore) -> None:
    for name in ("old1", "old2"):
        put(data / name)
    with running(store, data, backup=True) as it:
        wait_until(lambda: it.progress.begun)
        (data / "old1").unlink()
        wait_until(lambda: it.progress.ended, "the progress to end")

        assert it.progress.done == 2


def test_a_second_start_with_b_sends_nothing_again(data: Path, store: MemoryStore) -> None:
    for name in ("old1", "old2"):
        put(data / name, name.encode())
    with running(store, data, backup=True):
        wait_for_index(store, data, {"old1": b"old1", "old2": b"old2"})
    before = objects(store)

    around = Around(store)
    with running(around, data, backup=True):
        put(data / "new" / "a", b"a")
        wait_for_index(store, data / "new", {"a": b"a"})

    assert {key: body for key, body in objects(store).items() if "/new/" not in key} == before
    # One question there is: about an index, what time it is by the store's clock.
    asked = [request for request in around.requests if request.startswith(("create", "head")) and "/old" in request]
    assert [request for request in asked if not is_index(request)] == []
    assert len(asked) <= 1


def test_what_an_earlier_run_missed_is_made_good_without_b(data: Path, store: MemoryStore) -> None:
    with running(store, data):
        put(data / "a", b"a")
        put(data / "b", b"b")
        wait_for_index(store, data, {"a": b"a", "b": b"b"})
    put(data / "b", b"another")
    put(data / "c", b"c")
    (data / "a").unlink()

    with running(store, data):
        wait_for_index(store, data, {"b": b"another", "c": b"c"})

    assert insist_all_restore(store) == 2


def test_a_directory_with_a_damaged_index_is_compared_and_recorded_anew(data: Path, store: MemoryStore) -> None:
    put(data / "a", b"a")
    put(data / "b", b"b")
    store.create(below(data) + "a", Content.of(b"a"))
    store.create(below(data) + "b", Content.of(b"other"))
    store.create(below(data) + "a-listdir.json", Content.of(b"damaged"))

    with running(store, data):
        wait_until(lambda: len([key for key in objects(store) if key.endswith("-listdir.json")]) == 2, "a new index")

    assert sorted(data_objects(store).values()) == [b"a", b"b", b"other"]


def test_md5_on_start_finds_an_object_that_is_not_what_the_index_says(data: Path, store: MemoryStore) -> None:
    put(data / "a", b"right")
    with running(store, data, backup=True):
        wait_for_index(store, data, {"a": b"right"})
    store.delete([below(data) + "a"])
    store.create(below(data) + "a", Content.of(b"wrong"))

    with running(store, data, verify_on_start=True):
        wait_until(lambda: len(indexes(store, data)) == 2, "a new index")

    assert restored(store, indexes(store, data)[1]) == {"a": b"right"}
    assert objects(store)[below(data) + "a"] == b"wrong"


def test_what_is_old_and_named_as_awaited_is_compared_and_not_sent_again(data: Path) -> None:
    clock = Clock()
    store = MemoryStore(clock)
    put(data / "a", b"a")
    store.create(below(data) + "a", Content.of(b"a"))
    awaited = Index(
        str(data), names=(), missing=("a",), node="n", taken_at=clock(), seen_at=clock(), next=(below(data) + "a",)
    )
    store.create(below(data) + "a-listdir.json", Content.of(encode(awaited, below(data))))
    clock.advance(seconds=GRACE_SECONDS * 30)

    with running(store, data, backup=True):
        wait_for_index(store, data, {"a": b"a"})

    assert data_objects(store) == {below(data) + "a": b"a"}


# Deleting.


def test_with_delete_on_backup_a_file_goes_once_an_index_names_it_and_not_before(
    data: Path, store: MemoryStore
) -> None:
    gate = Gate(store, lambda request: request.endswith("-listdir.json") and request.startswith("create"))
    with running(gate, data, delete_on_backup=True):
        put(data / "a", b"a")
        assert gate.reached.wait(60)
        assert (data / "a").exists()
        gate.opened.set()
        wait_until(lambda: not (data / "a").exists(), "the deletion")

        index = newest(store, data)
        assert index is not None
        assert restored(store, index) == {"a": b"a"}


def test_without_index_a_file_goes_once_it_is_stored_and_no_index_is_written(data: Path, store: MemoryStore) -> None:
    gate = Gate(store, lambda request: request == f"create {below(data)}a")
    with running(gate, data, delete_on_backup=True, with_index=False):
        put(data / "a", b"a")
        assert gate.reached.wait(60)
        assert (data / "a").exists()
        gate.opened.set()
        wait_until(lambda: not (data / "a").exists(), "the deletion")

    assert objects(store) == {below(data) + "a": b"a"}


def test_a_file_that_is_another_one_by_now_is_not_deleted(data: Path, store: MemoryStore) -> None:
    gate = Gate(store, lambda request: request == f"create {below(data)}a-listdir.json")
    with running(gate, data, delete_on_backup=True):
        put(data / "a", b"first")
        assert gate.reached.wait(60)
        put(data / "a", b"later")
        gate.opened.set()
        wait_until(lambda: not (data / "a").exists(), "the deletion of the second")

    assert sorted(data_objects(store).values()) == [b"first", b"later"]
    assert [restored(store, index) for index in indexes(store, data)] == [{"a": b"first"}, {"a": b"later"}]


def test_what_an_earlier_run_stored_and_did_not_live_to_delete_is_deleted(data: Path, store: MemoryStore) -> None:
    with running(store, data):
        put(data / "a", b"a")
        wait_for_index(store, data, {"a": b"a"})

    with running(store, data, delete_on_backup=True):
        wait_until(lambda: not (data / "a").exists(), "the deletion")


def test_what_was_left_alone_is_not_deleted(data: Path, store: MemoryStore) -> None:
    put(data / "old", b"old")
    with running(store, data, delete_on_backup=True):
        put(data / "a", b"a")
        wait_until(lambda: not (data / "a").exists(), "the deletion")

    assert (data / "old").read_bytes() == b"old"


# Refusal.


def test_a_store_that_refuses_at_start_ends_the_daemon_with_its_error(data: Path, store: MemoryStore) -> None:
    refusing = Failing(store, lambda request: StoreRefused("no such bucket") if request == "check" else None)
    daemon = Daemon(Settings(paths=(str(data),), node="n"), refusing, Counting())

    with pytest.raises(StoreRefused, match="no such bucket"):
        daemon.run()


def test_a_store_that_does_not_answer_at_start_is_waited_for(data: Path, store: MemoryStore) -> None:
    away = threading.Event()
    away.set()
    dead = Failing(store, lambda request: StoreUnavailable("no route") if away.is_set() else None)
    # Also what is there when the daemon looks for the first time: it may look after it has tried the store.
    with running(dead, data, backup=True) as it:
        wait_until(lambda: dead.requests, "the first try")
        put(data / "a", b"a")
        away.clear()
        wait_for_index(store, data, {"a": b"a"})

        assert it.thread.is_alive()


def test_a_stop_in_a_burst_of_events_is_heeded(data: Path, store: MemoryStore) -> None:
    with running(store, data) as it:
        for _ in range(25_000):
            it.daemon.rescan()
        it.stop()


def test_what_comes_under_the_name_of_a_file_that_went_is_stored_though_size_and_mtime_are_the_same(
    data: Path, store: MemoryStore
) -> None:
    """As cp -p and rsync make them; the inode is often that of the file that went."""
    put(data / "f", b"AAAA")
    before = os.stat(data / "f").st_mtime_ns
    with running(store, data, backup=True):
        wait_for_index(store, data, {"f": b"AAAA"})
        os.unlink(data / "f")
        put(data / ".new", b"BBBB")
        os.utime(data / ".new", ns=(before, before))
        os.rename(data / ".new", data / "f")
        wait_for_index(store, data, {"f": b"BBBB"})
