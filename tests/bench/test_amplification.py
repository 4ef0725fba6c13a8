from pathlib import Path

import pytest
from bench.amplification import STRATEGIES, policies, replay
from bench.traces import TRACES, Step, Trace, load, save

from tablesnap.rules.txnlog import Kind

ADDITION, REPLACEMENT, REMOVAL = Kind.ADDITION, Kind.REPLACEMENT, Kind.REMOVAL


def trace_of(*steps: Step) -> Trace:
    return Trace("STCS", "5.0.6", {"class": "SizeTieredCompactionStrategy"}, "by hand", steps)


TWO_FLUSHES_COMPACTED = trace_of(
    Step(0.0, ADDITION, {"nb-1-big-": 100}, ()),
    Step(1.0, ADDITION, {"nb-2-big-": 60}, ()),
    Step(2.0, REPLACEMENT, {"nb-3-big-": 90}, ("nb-1-big-", "nb-2-big-")),
    Step(3.0, ADDITION, {"nb-4-big-": 50}, ()),
)


def test_flushes_alone_are_uploaded_while_no_base_is_due() -> None:
    outcome = replay(TWO_FLUSHES_COMPACTED, float("inf"))

    assert (outcome.uploaded, outcome.flushed, outcome.written) == (210, 210, 300)
    assert (outcome.bases, outcome.view, outcome.live) == (0, 210, 140)


def test_a_base_after_each_replacement_uploads_everything_and_a_restore_fetches_what_is_live() -> None:
    outcome = replay(TWO_FLUSHES_COMPACTED, 0.0)

    assert (outcome.uploaded, outcome.bases) == (300, 1)
    assert outcome.fetched == 1.0


def test_a_view_twice_as_large_as_what_is_live_is_followed_by_a_base() -> None:
    trace = trace_of(
        Step(0.0, ADDITION, {"nb-1-big-": 100}, ()),
        Step(1.0, REPLACEMENT, {"nb-2-big-": 40}, ("nb-1-big-",)),
    )

    outcome = replay(trace, float("inf"))

    assert (outcome.bases, outcome.uploaded, outcome.view) == (1, 140, 40)


def test_of_a_table_that_expired_as_a_whole_nothing_is_fetched() -> None:
    trace = trace_of(Step(0.0, ADDITION, {"nb-1-big-": 100}, ()), Step(1.0, REMOVAL, {}, ("nb-1-big-",)))

    outcome = replay(trace, 0.0)

    assert (outcome.live, outcome.view, outcome.uploaded) == (0, 0, 100)


def test_a_trace_that_is_saved_is_read_as_it_was(tmp_path: Path) -> None:
    save(TWO_FLUSHES_COMPACTED, tmp_path / "one.json.gz")
    save(TWO_FLUSHES_COMPACTED, tmp_path / "two.json.gz")

    assert load(tmp_path / "one.json.gz") == TWO_FLUSHES_COMPACTED
    assert (tmp_path / "one.json.gz").read_bytes() == (tmp_path / "two.json.gz").read_bytes()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_fewer_bases_upload_less_of_what_cassandra_wrote(strategy: str) -> None:
    trace = load(TRACES / f"{strategy.lower()}.json.gz")

    seldom, now_and_then, always = (replay(trace, interval) for _, interval in policies(trace))

    assert seldom.flushed <= seldom.uploaded <= now_and_then.uploaded <= always.uploaded <= always.written
    assert seldom.fetched <= 2.0
