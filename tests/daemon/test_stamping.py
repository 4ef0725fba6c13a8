"""The moments that restore points are stamped with: by clocks that the test moves."""

from datetime import timedelta

import pytest
from tests.stores import Clock

from tablesnap.daemon.stamping import StampClock, held_to

MINUTE = timedelta(minutes=1)


class Time:
    """Time itself, this machine's clock and the store's."""

    def __init__(self) -> None:
        self.wall = Clock()
        self.store = Clock()
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds

    def passes(self, seconds: float) -> None:
        self.seconds += seconds
        self.wall.advance(seconds=seconds)
        self.store.advance(seconds=seconds)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def stamps(time: Time) -> StampClock:
    return StampClock(time.wall, time.now)


def test_a_clock_that_agrees_with_the_store_s_is_the_stamp(time: Time, stamps: StampClock) -> None:
    stamps.heed(time.store())
    time.passes(30)

    assert stamps() == time.wall()
    assert stamps.latest() == time.store() + 5 * MINUTE


def test_a_clock_that_is_ahead_is_an_error_and_stamps_the_store_s_and_five_minutes(
    time: Time, stamps: StampClock, caplog: pytest.LogCaptureFixture
) -> None:
    time.wall.advance(days=365)
    stamps.heed(time.store())
    time.passes(60)

    assert stamps() == time.store() + 5 * MINUTE
    assert "clock is 8760.0 h ahead of the store's" in caplog.text
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_clock_that_is_ahead_by_less_is_no_error(
    time: Time, stamps: StampClock, caplog: pytest.LogCaptureFixture
) -> None:
    time.wall.advance(minutes=4)
    stamps.heed(time.store())

    assert stamps() == time.wall()
    assert not caplog.records


def test_before_the_store_has_answered_this_machine_s_clock_is_believed(time: Time, stamps: StampClock) -> None:
    assert stamps() == time.wall()


def test_the_store_is_asked_at_once_and_then_every_hour(time: Time, stamps: StampClock) -> None:
    assert stamps.is_ask_due()
    stamps.note_asked()
    assert not stamps.is_ask_due()
    time.passes(3599)
    assert not stamps.is_ask_due()
    time.passes(1)
    assert stamps.is_ask_due()


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1)])
def test_after_a_jump_the_store_is_asked_and_nothing_is_sure_until_it_has_answered(
    time: Time, stamps: StampClock, jump: timedelta
) -> None:
    stamps.note_asked()
    stamps.heed(time.store())
    time.passes(1)
    time.wall.moment += jump

    assert (stamps.is_ask_due(), stamps.is_unsure) == (True, True)
    stamps.note_asked()
    stamps.heed(time.store())
    assert (stamps.is_ask_due(), stamps.is_unsure) == (False, False)


def test_where_nothing_is_there_to_ask_about_nothing_waits(time: Time, stamps: StampClock) -> None:
    stamps.note_asked()
    time.wall.advance(days=1)
    assert (stamps.is_ask_due(), stamps.is_unsure) == (True, False)

    stamps.heed(time.store())
    time.wall.advance(days=1)
    assert (stamps.is_ask_due(), stamps.is_unsure) == (True, True)
    stamps.heed(None)
    assert (stamps.is_ask_due(), stamps.is_unsure) == (True, False)


def test_a_moment_of_when_the_clock_was_ahead_gives_way_to_the_present(time: Time) -> None:
    latest = time.store() + 5 * MINUTE

    assert held_to(latest, latest, time.wall()) == latest
    assert held_to(latest + MINUTE, latest, time.wall()) == time.wall()
