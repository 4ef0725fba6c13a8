"""A pool never gives up by itself, and no item's failure is another's."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.waiting import wait_until

from tablesnap.errors import FileVanished, StoreRefused, StoreUnavailable, TablesnapError
from tablesnap.upload.pool import NAMED_AT_MOST, Cancelled, Cause, Pool, Trouble, joined
from tablesnap.upload.turns import Turns


class Worker:
    """Does what a test scripts for each item, and remembers what came of it."""

    def __init__(self, script: Callable[[str, int], str] = lambda item, attempt: item) -> None:
        self._script = script
        self._lock = threading.Lock()
        self.attempts: Counter[str] = Counter()
        self.order: list[str] = []
        self.reports: list[tuple[str, str | TablesnapError]] = []

    def work(self, item: str) -> str:
        with self._lock:
            self.attempts[item] += 1
            self.order.append(item)
            attempt = self.attempts[item]
        return self._script(item, attempt)

    def report(self, item: str, result: str | TablesnapError) -> None:
        self.reports.append((item, result))

    def await_reports(self, count: int) -> None:
        wait_until(lambda: len(self.reports) >= count)

    @property
    def reported(self) -> dict[str, str | TablesnapError]:
        assert len(self.reports) == len(dict(self.reports)), "an item was reported twice"
        return dict(self.reports)


@contextmanager
def pool_of(
    worker: Worker, *, threads: int = 1, retries: int | None = None, final: tuple[type[TablesnapError], ...] = ()
) -> Iterator[Pool[str, str]]:
    pool = Pool(worker.work, worker.report, threads=threads, retries=retries, final=final)
    with stopped(pool):
        yield pool


@contextmanager
def stopped(pool: Pool[str, str]) -> Iterator[None]:
    try:
        yield
    finally:
        pool.stop()


def held_up(*names: str) -> tuple[threading.Event, Callable[[str, int], str]]:
    """Return a script in which the items of these names, or all, wait for an event."""
    let_go = threading.Event()

    def script(item: str, attempt: int) -> str:
        if item in names or not names:
            assert let_go.wait(60)
        return item

    return let_go, script


def test_every_item_is_worked_on_once_and_its_result_reported() -> None:
    worker = Worker(lambda item, attempt: item.upper())
    wanted = {f"item{number}": f"ITEM{number}" for number in range(200)}

    with pool_of(worker, threads=4) as pool:
        pool.start()
        for item in wanted:
            pool.add(item, urgency=0)
        wait_until(lambda: len(worker.reports) == len(wanted))

    assert worker.reported == wanted
    assert set(worker.attempts.values()) == {1}


def test_the_most_urgent_goes_first_and_of_equals_the_one_that_came_first() -> None:
    worker = Worker()

    with pool_of(worker) as pool:
        for item, urgency in [("found 1", 1), ("found 2", 1), ("new 1", 0), ("found 3", 1), ("new 2", 0)]:
            pool.add(item, urgency=urgency)
        pool.start()
        wait_until(lambda: len(worker.reports) == 5)

    assert worker.order == ["new 1", "new 2", "found 1", "found 2", "found 3"]


def test_urgency_may_have_several_parts() -> None:
    worker = Worker()

    with pool_of(worker) as pool:
        for item, urgency in [("base 2", (1, 0, 2)), ("found", (2,)), ("new 2", (0, 2)), ("base 1", (1,))]:
            pool.add(item, urgency=urgency)
        pool.add("new", urgency=0)
        pool.start()
        wait_until(lambda: len(worker.reports) == 5)

    assert worker.order == ["new", "new 2", "base 1", "base 2", "found"]


def test_an_addition_does_not_wait_behind_large_bases() -> None:
    let_go, script = held_up("base 1", "base 2", "base 3")
    worker = Worker(script)
    pool = Pool(
        worker.work, worker.report, threads=2, reserved=1, retries=None, is_urgent=lambda urgency: urgency < (1,)
    )

    with stopped(pool):
        pool.start()
        for item in ("base 1", "base 2", "base 3"):
            pool.add(item, urgency=1)
        wait_until(lambda: len(worker.order) == 2)
        for count, item in enumerate(("addition 1", "addition 2"), start=1):
            pool.add(item, urgency=0)
            worker.await_reports(count)
        begun = set(worker.order)
        let_go.set()
        wait_until(lambda: len(worker.reports) == 5)

    assert begun == {"base 1", "base 2", "addition 1", "addition 2"}
    assert worker.reported.keys() == {"base 1", "base 2", "base 3", "addition 1", "addition 2"}


def test_a_reserved_thread_tries_an_addition_again_while_others_are_held_up() -> None:
    let_go, _ = held_up()

    def script(item: str, attempt: int) -> str:
        if item == "base":
            assert let_go.wait(60)
        elif attempt == 1:
            raise StoreRefused("not now")
        return item

    worker = Worker(script)
    pool = Pool(
        worker.work, worker.report, threads=1, reserved=1, retries=None, is_urgent=lambda urgency: urgency < (1,)
    )
    with stopped(pool):
        pool.start()
        pool.add("base", urgency=1)
        wait_until(lambda: worker.order)
        pool.add("addition", urgency=0)
        wait_until(lambda: worker.reports)
        let_go.set()

    assert worker.reports[0] == ("addition", "addition")


def test_what_nobody_wants_when_its_turn_comes_is_dropped_without_work() -> None:
    let_go, script = held_up("first")
    worker = Worker(script)
    unwanted: set[str] = set()
    pool = Pool(worker.work, worker.report, threads=1, retries=None, is_wanted=lambda item: item not in unwanted)

    with stopped(pool):
        pool.start()
        for item in ("first", "second", "third"):
            pool.add(item, urgency=0)
        wait_until(lambda: worker.order)
        unwanted.update({"first", "second"})
        let_go.set()
        wait_until(lambda: len(worker.reports) == 3)

    assert worker.reported["first"] == "first"
    assert isinstance(worker.reported["second"], Cancelled)
    assert worker.reported["third"] == "third"
    assert worker.order == ["first", "third"]


def test_what_is_tried_again_is_asked_for_again() -> None:
    unwanted: set[str] = set()

    def script(item: str, attempt: int) -> str:
        unwanted.add(item)
        raise StoreRefused("not now")

    worker = Worker(script)
    pool = Pool(worker.work, worker.report, threads=1, retries=None, is_wanted=lambda item: item not in unwanted)
    with stopped(pool):
        pool.start()
        pool.add("a", urgency=0)
        wait_until(lambda: worker.reports)

    assert isinstance(worker.reported["a"], Cancelled)
    assert worker.attempts == {"a": 1}


def test_what_is_dropped_does_not_say_that_the_store_is_back() -> None:
    def script(item: str, attempt: int) -> str:
        raise StoreUnavailable("away")

    worker = Worker(script)
    pool = Pool(worker.work, worker.report, threads=1, retries=None, is_wanted=lambda item: item != "unwanted")
    with stopped(pool):
        pool.start()
        pool.add("wanted", urgency=1)
        wait_until(lambda: pool.outage is not None)
        pool.add("unwanted", urgency=0)
        wait_until(lambda: worker.reports)

        assert pool.outage is not None


def test_tables_take_turns_and_each_keeps_its_order() -> None:
    turns = Turns()
    given: dict[str, int] = {}
    worker = Worker()
    pool = Pool(worker.work, worker.report, threads=1, retries=None, began=lambda item: turns.began(given[item]))

    with stopped(pool):
        for item in ("a1", "a2", "a3", "a4", "b1", "b2"):
            given[item] = turns.next(item[0])
            pool.add(item, urgency=(0, given[item]))
        pool.start()
        wait_until(lambda: len(worker.reports) == 6)

    assert worker.order == ["a1", "b1", "a2", "b2", "a3", "a4"]
    assert turns.next("c") == given["a4"]


def test_items_need_not_be_comparable() -> None:
    results: list[object] = []
    pool: Pool[object, object] = Pool(lambda item: item, lambda item, _: results.append(item), threads=1, retries=None)
    for _ in range(5):
        pool.add(object(), urgency=0)

    pool.start()
    wait_until(lambda: len(results) == 5)
    pool.stop()


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_with_retries_bounded_the_last_error_is_reported_and_others_go_on(retries: int) -> None:
    def script(item: str, attempt: int) -> str:
        if item == "bad":
            raise StoreRefused(f"attempt {attempt}")
        return item

    worker = Worker(script)
    with pool_of(worker, retries=retries) as pool:
        pool.start()
        for item in ("a", "bad", "b"):
            pool.add(item, urgency=0)
        wait_until(lambda: len(worker.reports) == 3)

    assert str(worker.reported["bad"]) == f"attempt {retries + 1}"
    assert worker.attempts == {"a": 1, "bad": retries + 1, "b": 1}


@pytest.mark.parametrize("error", [StoreRefused("not now"), ValueError("a defect"), AssertionError("another")])
def test_without_a_bound_a_failing_item_is_tried_until_it_succeeds_and_holds_up_nobody(error: Exception) -> None:
    def script(item: str, attempt: int) -> str:
        if item == "bad" and attempt <= 2:
            raise error
        return item

    worker = Worker(script)
    with pool_of(worker) as pool:
        pool.start()
        for item in ("bad", "a", "b"):
            pool.add(item, urgency=0)
        wait_until(lambda: len(worker.reports) == 3)

    assert worker.reported == {"bad": "bad", "a": "a", "b": "b"}
    assert worker.order[:3] == ["bad", "a", "b"]


def test_a_defect_is_told_with_its_traceback_and_a_bound_holds_for_it_too(caplog: pytest.LogCaptureFixture) -> None:
    def script(item: str, attempt: int) -> str:
        raise ValueError("a defect")

    worker = Worker(script)
    with pool_of(worker, retries=0) as pool:
        pool.start()
        pool.add("bad", urgency=0)
        wait_until(lambda: worker.reports)

    assert str(worker.reported["bad"]) == "ValueError: a defect"
    assert "Traceback" in caplog.text


def test_an_error_that_is_final_is_reported_at_once() -> None:
    def script(item: str, attempt: int) -> str:
        raise FileVanished("gone")

    worker = Worker(script)
    with pool_of(worker, final=(FileVanished,)) as pool:
        pool.start()
        pool.add("a", urgency=0)
        wait_until(lambda: worker.reports)

    assert isinstance(worker.reported["a"], FileVanished)
    assert worker.attempts == {"a": 1}


def test_while_the_store_is_away_the_others_wait_with_the_one_that_found_out() -> None:
    away = threading.Event()
    away.set()

    def script(item: str, attempt: int) -> str:
        if away.is_set():
            raise StoreUnavailable("no route to host")
        return item

    worker = Worker(script)
    items = [f"item{number}" for number in range(50)]
    with pool_of(worker, threads=2) as pool:
        pool.start()
        for item in items:
            pool.add(item, urgency=0)
        wait_until(lambda: pool.outage is not None and sum(worker.attempts.values()) >= 3)
        tried_while_away = sum(worker.attempts.values())
        error = pool.outage
        away.clear()
        wait_until(lambda: len(worker.reports) == len(items))
        over = pool.outage

    assert error is not None
    assert error.error == "no route to host"
    assert tried_while_away < len(items) / 2
    assert worker.reported == {item: item for item in items}
    assert over is None


def test_an_outage_that_comes_back_in_between_is_another_outage() -> None:
    def script(item: str, attempt: int) -> str:
        if item == "bad" and attempt in (1, 3):
            raise StoreUnavailable("away")
        if item == "bad" and attempt == 2:
            raise StoreRefused("here, but no")
        return item

    worker = Worker(script)
    with pool_of(worker) as pool:
        pool.start()
        pool.add("bad", urgency=0)
        wait_until(lambda: worker.reports)
        outage = pool.outage

    assert worker.attempts["bad"] == 4
    assert outage is None


def test_an_outage_does_not_use_up_the_retries_of_a_file() -> None:
    def script(item: str, attempt: int) -> str:
        if attempt <= 3:
            raise StoreUnavailable("away")
        return item

    worker = Worker(script)
    with pool_of(worker, retries=1) as pool:
        pool.start()
        pool.add("a", urgency=0)
        wait_until(lambda: worker.reports)

    assert worker.reported == {"a": "a"}


def test_of_those_in_flight_when_an_outage_begins_one_alone_is_charged() -> None:
    both_in_flight = threading.Barrier(2)

    def script(item: str, attempt: int) -> str:
        if attempt == 1:
            both_in_flight.wait(60)
            raise StoreUnavailable("away")
        return item

    worker = Worker(script)
    with pool_of(worker, threads=2, retries=0) as pool:
        pool.start()
        for item in ("a", "b"):
            pool.add(item, urgency=0)
        wait_until(lambda: len(worker.reports) == 2)

    assert sorted(isinstance(result, StoreUnavailable) for result in worker.reported.values()) == [False, True]


def test_a_file_that_the_store_breaks_off_at_each_time_while_it_takes_others_is_given_up() -> None:
    def script(item: str, attempt: int) -> str:
        if item == "bad":
            raise StoreUnavailable("connection reset")
        return item

    worker = Worker(script)
    with pool_of(worker, retries=1) as pool:
        pool.start()
        pool.add("bad", urgency=1)
        while "bad" not in worker.reported:
            known = len(worker.reports)
            pool.add(f"good {known}", urgency=0)
            worker.await_reports(known + 1)

    assert isinstance(worker.reported["bad"], StoreUnavailable)


def test_an_outage_is_not_said_to_go_on_when_nothing_is_left_to_find_out() -> None:
    def script(item: str, attempt: int) -> str:
        raise StoreUnavailable("away")

    worker = Worker(script)
    with pool_of(worker, retries=0) as pool:
        pool.start()
        pool.add("only", urgency=0)
        wait_until(lambda: len(worker.reports) == 1)

        assert pool.outage is None


def test_a_refusal_is_a_trouble_from_the_first_failure_to_the_success(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    mended = threading.Event()

    def refused(item: str, attempt: int) -> str:
        if not mended.is_set():
            raise StoreRefused("no")
        return item

    with pool_of(Worker(refused)) as pool:
        pool.start()
        pool.add("a file", urgency=0)
        wait_until(lambda: pool.troubles)
        first = pool.troubles
        wait_until(lambda: pool.troubles[0].failed_at > first[0].failed_at)
        later = pool.troubles
        mended.set()
        wait_until(lambda: not pool.troubles)

    assert [(one.cause, one.error) for one in first] == [(Cause.REFUSAL, "a file: no")]
    assert [one.since for one in later] == [one.since for one in first]
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "failed, and will be tried again: a file: no"
    ]
    assert "nothing fails any more; a file did for" in caplog.text


def test_a_refusal_after_an_outage_is_named_too(caplog: pytest.LogCaptureFixture) -> None:
    def first_away(item: str, attempt: int) -> str:
        raise StoreUnavailable("away") if attempt == 1 else StoreRefused("no")

    with pool_of(Worker(first_away)) as pool:
        pool.start()
        pool.add("a file", urgency=0)
        wait_until(lambda: any(one.cause is Cause.REFUSAL for one in pool.troubles))

    assert "failed, and will be tried again: a file: no" in caplog.text


def test_where_the_store_refuses_all_there_is_a_few_are_named(caplog: pytest.LogCaptureFixture) -> None:
    def refused(item: str, attempt: int) -> str:
        raise StoreRefused("no")

    worker = Worker(refused)
    with pool_of(worker, threads=4) as pool:
        pool.start()
        for number in range(50):
            pool.add(f"file {number}", urgency=0)
        wait_until(lambda: len(worker.attempts) == 50)

    assert caplog.text.count("failed, and will be tried again") == NAMED_AT_MOST


def test_troubles_of_one_cause_are_one_since_the_first_with_the_latest_error() -> None:
    troubles = [
        Trouble(Cause.REFUSAL, since=2.0, error="first", failed_at=9.0),
        Trouble(Cause.REFUSAL, since=1.0, error="second", failed_at=3.0),
        Trouble(Cause.OUTAGE, since=5.0, error="away", failed_at=5.0),
    ]

    assert joined(troubles) == [troubles[2], Trouble(Cause.REFUSAL, since=1.0, error="first", failed_at=9.0)]


def test_what_is_given_up_is_no_trouble_any_more(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    def refused(item: str, attempt: int) -> str:
        raise StoreRefused("no")

    worker = Worker(refused)
    with pool_of(worker, retries=1) as pool:
        pool.start()
        pool.add("a file", urgency=0)
        worker.await_reports(1)
        assert not pool.troubles

    assert "nothing fails any more" not in caplog.text


def test_after_a_stop_nothing_begins_and_what_is_in_flight_is_reported() -> None:
    let_go, script = held_up()
    worker = Worker(script)
    with pool_of(worker) as pool:
        pool.start()
        pool.add("in flight", urgency=0)
        pool.add("waiting", urgency=0)
        wait_until(lambda: pool.busy == 1)
        pool.stop()
        let_go.set()
        wait_until(lambda: pool.busy == 0)

    assert worker.reported == {"in flight": "in flight"}
    assert worker.attempts == {"in flight": 1}


def test_a_stop_does_not_wait_for_what_is_to_be_tried_again() -> None:
    def script(item: str, attempt: int) -> str:
        raise StoreUnavailable("away")

    worker = Worker(script)
    with pool_of(worker) as pool:
        pool.start()
        pool.add("a", urgency=0)
        wait_until(lambda: pool.outage is not None)
        pool.stop()
        wait_until(lambda: pool.busy == 0)

    assert worker.reports == []


def test_a_pool_may_be_stopped_before_it_was_started() -> None:
    worker = Worker()
    with pool_of(worker) as pool:
        pool.add("a", urgency=0)
        pool.stop()
        pool.start()
        wait_until(lambda: not any(thread.name.startswith("upload-") for thread in threading.enumerate()))

    assert worker.reports == []
