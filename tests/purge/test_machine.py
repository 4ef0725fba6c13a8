"""Whatever a node, its daemon, clocks and two purges do at once: no restore point that was promised is harmed."""

import os
from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.examples import examples
from tests.purge.world import TABLES, DiedError, Stepping, World

# A search: with all cases it takes minutes, and several times as many beside other tests. It cannot hang by waiting.
pytestmark = pytest.mark.timeout(1200)

EXAMPLES, STEPS = examples(250), 50  # some examples are cut short
LEAST = examples(10_000)  # steps

tables = st.sampled_from(sorted(TABLES))
skews = st.sampled_from([timedelta(0), timedelta(days=1), timedelta(days=-1)])
hours = st.sampled_from([0.01, 1.0, 6.0, 11.0, 23.0, 25.0, 60.0, 200.0])
days = st.sampled_from([0.0, 0.5, 1.0, 2.0, 10.0])
requests = st.integers(1, 25)
deletions = st.integers(-4, -1)
moments = requests | deletions
deaths = st.none() | moments


class Purging(RuleBasedStateMachine):
    """The steps."""

    world: World
    taken = 0  # steps of all examples

    @initialize(host=skews, purge=skews, past=st.integers(0, 4))
    def begin(self, host: timedelta, purge: timedelta, past: int) -> None:
        self.world = World(host, purge)
        self.live(past)

    @rule(times=st.integers(1, 4))
    def live(self, times: int) -> None:
        """Have some history pass, or most purges would find nothing to do."""
        for _ in range(times):
            for name, table in self.world.tables.items():
                self.world.compact(table)
                self.world.flush(table, 1, again=False)
                self._back_up(name)
            self.world.pass_time(25.0)

    @rule(name=tables, directory=st.integers(0, 1), again=st.booleans(), uploads=st.integers(0, 3))
    def flush(self, name: str, directory: int, again: bool, uploads: int) -> None:
        table = self.world.tables[name]
        self.world.flush(table, directory, again=again)
        self.world.upload(table, uploads)

    @rule(name=tables, what=st.sampled_from(["rewrite", "compact", "truncate"]))
    def change(self, name: str, what: str) -> None:
        getattr(self.world, what)(self.world.tables[name])

    @rule(name=tables, which=st.integers(0, 20))
    def put_back(self, name: str, which: int) -> None:
        self.world.put_back(self.world.tables[name], which)

    @rule(name=tables)
    def back_up(self, name: str) -> None:
        self._back_up(name)

    @rule(hours=hours)
    def pass_time(self, hours: float) -> None:
        self.world.pass_time(hours)

    @rule()
    def crash(self) -> None:
        self.world.start_daemon()

    @rule(days=days, last=st.integers(0, 2), dies_at=deaths)
    def purge(self, days: float, last: int, dies_at: int | None) -> None:
        self._purge(Stepping(self.world.store, {}, dies_at=dies_at), days, last)

    @rule(
        days=days,
        name=tables,
        uploads_at=moments,
        records_at=moments,
        crash=st.booleans(),
        back=st.none() | st.integers(0, 20),
        dies_at=st.none() | st.none() | st.none() | moments,
    )
    def purge_beside_the_daemon(
        self,
        days: float,
        name: str,
        uploads_at: int,
        records_at: int,
        crash: bool,
        back: int | None,
        dies_at: int | None,
    ) -> None:
        """The daemon uploads before one request and records before another; first *back* may be put back."""
        table = self.world.tables[name]
        if back is not None:
            self.world.put_back(table, back)

        def turn() -> None:
            if crash:
                self.world.start_daemon()
            self.world.upload(table)

        turns = {records_at: lambda: self._back_up(name), uploads_at: turn}
        self._purge(Stepping(self.world.store, turns, dies_at=dies_at), days)

    @rule(
        days=days,
        others=days,
        name=tables,
        at=moments | deletions,
        planned=st.booleans(),
        back=st.none() | st.integers(0, 20),
        crash=st.booleans(),
    )
    def purge_twice_at_once(
        self, days: float, others: float, name: str, at: int, planned: bool, back: int | None, crash: bool
    ) -> None:
        """Another purge, planned before or just now, is carried out in the middle, and the daemon writes an index.

        First *back* may be put back.
        """
        terms = self.world.terms(others)
        table = self.world.tables[name]
        past = [promise.contents for promise in table.promises]
        early = self.world.plans(self.world.store, terms) if planned else None

        def turn() -> None:
            for carry_out in early or self.world.plans(self.world.store, terms):
                carry_out()
            if store.is_late:
                return  # what comes back now is what docs/design/guarantees.md says is left
            if back is not None and past:
                table.live = dict(past[back % len(past)])
            if crash:
                self.world.start_daemon()
            self._back_up(name)

        store = Stepping(self.world.store, {at: turn})
        self._purge(store, days, also=others)

    def _back_up(self, name: str) -> None:
        table = self.world.tables[name]
        self.world.upload(table)
        self.world.record(table)

    def _purge(self, store: Stepping, days: float, last: int = 0, also: float | None = None) -> None:
        world = self.world
        terms = world.terms(days, last)
        world.forgive(terms, days)
        if also is not None:
            world.forgive(world.terms(also), also)
        with suppress(DiedError):
            for carry_out in world.plans(store, terms):
                outcome = carry_out()
                assert not outcome.failures

    @invariant()
    def no_promise_is_broken(self) -> None:
        if hasattr(self, "world"):
            Purging.taken += 1
            self.world.insist_all_promises_are_kept()
            self.world.insist_every_index_restores()


# Other steps each time; `tests/conftest.py` draws the seed and prints it.
class TestPurging(seed(int(os.environ["TABLESNAP_SEED"]))(Purging).TestCase):  # type: ignore[misc] # made by Hypothesis
    def runTest(self) -> None:  # noqa: N802 - unittest's name
        Purging.taken = 0
        super().runTest()
        assert Purging.taken >= LEAST


TestPurging.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    print_blob=True,
)
