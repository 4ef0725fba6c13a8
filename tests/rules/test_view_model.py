"""Any history of a table, backed up by any course of uploads: every view reads as the table did at its moment.

What is right is decided by merging the contents of sstables (`tests.rules.engine`), never by a second idea of views.
More examples: ``VIEW_EXAMPLES=20000 pytest tests/rules/test_view_model.py``.
"""

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.examples import examples
from tests.rules.engine import PARTITIONS, ROWS, Collect, Content, Engine, Family, Transaction, cells_of, read

from tablesnap.rules.txnlog import Kind
from tablesnap.rules.view import History, Name, Sstable, View

QUIET, PATIENCE, LATE_SECONDS = 2.0, 60.0, 2.0
ROUNDS = 12  # of waiting, uploading and beginning bases, until there must be a present view

partitions = st.integers(0, PARTITIONS - 1)
rows = st.integers(0, ROWS - 1)
few = st.integers(1, 3)
dice = st.integers(0, 2**16)
# What one client does: a write if *last* is negative, else a deletion of a row, a range or a partition.
changes = st.lists(st.tuples(partitions, rows, st.integers(-4, ROWS - 1)), min_size=1, max_size=4)


@dataclass(frozen=True)
class Index:
    """What a daemon that starts finds in the store."""

    sstables: dict[Name, int]
    taken_at: datetime
    live: dict[Name, int] | None  # None: something was on its way, so that what is live proves nothing
    behind: tuple[str, ...]


def some(things: Collection[Sstable], chosen: int) -> list[Sstable]:
    """Choose by the bits of a number."""
    return [one for place, one in enumerate(sorted(things)) if chosen >> (place % 16) & 1]


class TableUnderBackup(RuleBasedStateMachine):
    """A table, the daemon that hears of its transactions, and the store."""

    @initialize(disks=st.integers(1, 2), indexed=st.booleans())
    def begin(self, disks: int, indexed: bool) -> None:
        self.engine = Engine(disks, indexed)
        self.store: set[int] = set()
        self.index: Index | None = None
        self.last_taken_at: datetime | None = None
        self.last_view: View | None = None  # of this daemon
        self.unindexed: set[int] = set()  # values whose index entries came too late, as is allowed
        self.unpaired = False  # a flush of the index may join another one of the table than its own
        self.unheard = False  # nobody heard of the flush log of the index while it was open
        self._start_daemon()
        self._look()

    # Clients and Cassandra.

    @rule(changes=changes)
    def write(self, changes: list[tuple[int, int, int]]) -> None:
        for partition, first, last in changes:
            if last < 0:
                self.engine.write(partition, first)
            else:
                self.engine.delete(partition, min(first, last), max(first, last))

    @rule(
        changes=changes,
        pieces=few,
        index_later=st.booleans(),
        unheard=st.integers(0, 4).map(lambda number: number == 0),
    )
    def write_and_flush(
        self, changes: list[tuple[int, int, int]], pieces: int, index_later: bool, unheard: bool = False
    ) -> None:
        self.write(changes)
        self.unheard = self.unheard or unheard
        self.unpaired = self.unpaired or unheard
        self.untold += self.engine.flush(pieces)
        if not index_later:
            self.finish_index_flush()

    @precondition(lambda self: self.engine.index is not None and self.engine.index.flushing)
    @rule()
    def finish_index_flush(self) -> None:
        self.untold += self.engine.finish_index_flush()

    @precondition(lambda self: self.engine.index is not None)
    @rule()
    def query_by_index(self) -> None:
        self.engine.query_index()

    @rule(cells=st.lists(st.tuples(partitions, rows, st.integers(0, 9)), min_size=1, max_size=3), built=st.booleans())
    def stream_or_import(self, cells: list[tuple[int, int, int]], built: bool) -> None:
        self.untold += self.engine.receive(cells)
        if built:
            self.finish_index_flush()

    @rule(chosen=dice, pieces=few, purge=st.booleans(), collect=st.sampled_from(Collect), of_index=st.booleans())
    def start_compaction(self, chosen: int, pieces: int, purge: bool, collect: Collect, of_index: bool) -> None:
        family = self._family(of_index)
        inputs = [name for place, name in enumerate(family.idle) if chosen >> (place % 16) & 1]
        if inputs:
            self.engine.start_compaction(family, inputs, pieces, purge, collect)

    @precondition(lambda self: self.engine.table.compactions)
    @rule(chosen=dice, of_index=st.booleans())
    def finish_compaction(self, chosen: int, of_index: bool) -> None:
        family = self._family(of_index)
        if family.compactions:
            compaction = family.compactions[chosen % len(family.compactions)]
            self.untold += self.engine.finish_compaction(family, compaction)

    @rule(chosen=dice, pieces=few, purge=st.booleans(), collect=st.sampled_from(Collect), of_index=st.booleans())
    def compact(self, chosen: int, pieces: int, purge: bool, collect: Collect, of_index: bool) -> None:
        family = self._family(of_index)
        if not family.compactions:
            self.start_compaction(chosen, pieces, purge, collect, of_index)
            self.finish_compaction(0, of_index)

    @precondition(lambda self: self.engine.table.compactions)
    @rule(of_index=st.booleans())
    def abort_compactions(self, of_index: bool) -> None:
        self._family(of_index).compactions.clear()

    @rule(changes=changes, survives=st.booleans())
    def truncate(self, changes: list[tuple[int, int, int]], survives: bool) -> None:
        def between() -> list[Transaction]:
            if not survives:
                return []
            self.write(changes)
            return self.engine.flush(1)

        self.untold += self.engine.truncate(between)

    @rule()
    def restart_cassandra(self) -> None:
        if self.early:
            self.tell_all()
        self.untold += self.engine.restart()

    @rule(changes=changes, purge=st.booleans())
    def compact_all_and_restart_cassandra(self, changes: list[tuple[int, int, int]], purge: bool) -> None:
        """Where nothing is left, as all was deleted, generations start again."""
        if purge:
            for partition in range(PARTITIONS):
                self.engine.delete(partition, 0, ROWS - 1)
        self.untold += self.engine.flush(1)
        self.restart_cassandra()
        self.compact(-1, 1, True, Collect.NOTHING, False)
        self.restart_cassandra()
        self.write_and_flush(changes, 1, False)

    @rule(chosen=dice, told=st.booleans())
    def lose_sstables_without_a_transaction(self, chosen: int, told: bool) -> None:
        gone = [name for place, name in enumerate(sorted(self.engine.live)) if chosen >> (place % 16) & 1]
        if gone:
            if told:
                self.tell_all()
            self.engine.lose(gone)
            self.unindexed |= set(range(self.engine.values + 1))  # a row may be back whose entry was stale
            self._look()

    # The daemon.

    @precondition(lambda self: self.untold)
    @rule(number=few, stored=st.booleans())
    def tell(self, number: int, stored: bool) -> None:
        for transaction in self.untold[:number]:
            self._tell(transaction)
            if stored:
                self.upload_all()

    @rule()
    def tell_all(self) -> None:
        for transaction in list(self.untold):
            self._tell(transaction)

    @precondition(lambda self: not self.early and len(self.untold) > 1 and not self._restart_is_untold())
    @rule(chosen=dice, more=st.integers(0, 2))
    def tell_early(self, chosen: int, more: int) -> None:
        """Tell a removal before the additions it removes, and what follows it while those are still to come."""
        candidates = [
            place
            for place, one in enumerate(self.untold)
            if place and all(one.removed & before.added.keys() for before in self.untold[:place])
        ]
        if candidates:
            place = candidates[chosen % len(candidates)]
            self.early |= {name for before in self.untold[:place] for name in before.added}
            for one in self.untold[place : place + 1 + more]:
                self._tell(one)

    @precondition(lambda self: not self.early and not self.engine.table.compactions)
    @rule(changes=changes, chosen=dice, purge=st.booleans(), later=changes, missed=st.booleans())
    def compact_at_once(
        self,
        changes: list[tuple[int, int, int]],
        chosen: int,
        purge: bool,
        later: list[tuple[int, int, int]],
        missed: bool,
    ) -> None:
        """A flush is compacted so soon that its removal is told before it, and another flush, too; or it never is."""
        self.come_up_to_date()
        self.write(changes)
        told = self.engine.flush(1)
        table = self.engine.table
        others = [name for place, name in enumerate(table.idle) if chosen >> (place % 16) & 1]
        compaction = self.engine.start_compaction(
            table, {*told[0].added, *others}, pieces=1, purge=purge, collect=Collect.DELETED
        )
        self.untold += told + self.engine.finish_compaction(table, compaction)
        if missed:
            self._miss_an_addition()
            return
        self.early |= told[0].added.keys()
        self._tell(self.untold[1])
        self.write_and_flush(later, 1, True)
        if len(self.untold) > 1:
            self._tell(self.untold[-1])

    def come_up_to_date(self) -> None:
        """Tell and store all that there is."""
        while self.engine.index is not None and self.engine.index.flushing:
            self.finish_index_flush()
        self.tell_all()
        self.upload_all()

    def _miss_an_addition(self) -> None:
        """Its log is never read; only its removal is."""
        first, second = self.untold
        self.untold.remove(first)
        self._tell(second)
        self.whole = self.steady = False
        self._never_mind_index(first)
        self.unpaired = True
        self.engine.millis += int(LATE_SECONDS * 1000) + 1
        assert set(self.history.settle(self.engine.now)) == first.added.keys()

    @rule(millis=st.sampled_from([10, 400, 1000, 2500]))
    def wait(self, millis: int) -> None:
        if not self.early:  # what is told in another order is told at once
            self._wait(millis)

    @precondition(lambda self: self._due())
    @rule(chosen=dice)
    def upload(self, chosen: int) -> None:
        for one in some(self._due(), chosen):
            self._upload(one)

    @precondition(lambda self: self._due())
    @rule()
    def upload_all(self) -> None:
        self.upload(-1)

    @precondition(lambda self: self._due())
    @rule()
    def upload_additions(self) -> None:
        """An addition waits for no base."""
        for one in sorted(self._due()):
            if self.history.is_addition(one):
                self._upload(one)
        if self.steady and not self.early and not self.awaiting and not self.log_is_open:
            self._wait(int(QUIET * 1000))
            assert self.history.is_present(self.engine.now)

    @precondition(lambda self: self._due())
    @rule(chosen=dice)
    def let_go(self, chosen: int) -> None:
        """Pins cost room: what is held open and unlinked may have to go."""
        for one in some(self._due(), chosen):
            self.pinned.discard(self.content[one])

    @precondition(lambda self: self._due())
    @rule(chosen=dice)
    def fail_to_read(self, chosen: int) -> None:
        for one in some(self._due(), chosen)[:1]:
            self._give_up(one)

    @rule()
    def record(self) -> None:
        """Write an index: of the last view of an epoch if there is one, of the present one otherwise."""
        self.views_read_as_the_table_did()
        now = self.engine.now
        view = self.history.view(now)
        if view is None:
            return
        present = self.history.is_present(now)
        live = {one.name: self.content[one] for one in self.history.live}
        self.index = Index(
            {one.name: self.content[one] for one in view.sstables},
            view.taken_at,
            live if present else None,
            view.behind,
        )
        if self.history.is_ending(now):
            end = min((at for at in self.ends if at > view.taken_at), default=None)
            if self.whole and end and self.ends[end]:
                assert self._rows(view.sstables) == self.engine.rows_before(end), "all there was is restored"
            self.history.recorded()
            self.recorded = True

    @rule()
    def begin_base(self) -> None:
        """Begin one for any reason."""
        self._hold(self.history.begin_base(self.engine.now))

    @rule(interval=st.sampled_from([0.0, 20.0]), stored=st.booleans())
    def begin_base_if_due(self, interval: float, stored: bool) -> None:
        now = self.engine.now
        if self.history.base_reason(now, interval=interval, size_of=lambda one: len(self._content(one))):
            self._hold(self.history.begin_base(now))
            if stored:
                self.upload_all()

    @rule(cleanly=st.booleans())
    def restart_daemon(self, cleanly: bool) -> None:
        if cleanly:
            self.come_up_to_date()
            self.record()
        index, live = self.index, self.engine.live
        self.last_taken_at = index.taken_at if index else None
        self._start_daemon()
        if index is None or index.live != live:
            self.engine.millis += 1
            self._look()
            return
        self._expect_indexes()
        self.history.resume(
            index.sstables, index.taken_at, live, now=self.engine.now, indexes=self._indexes(), behind=index.behind
        )
        self.content |= {one: index.sstables[one.name] for one in self.history.needed()}
        self.content |= {one: live[one.name] for one in self.history.live}
        self.steady = True

    @rule()
    def come_to_rest(self) -> None:
        """Once all is told and stored, the view is the table, whatever was lost before."""
        self.come_up_to_date()
        for _ in range(ROUNDS):
            self._wait(int(LATE_SECONDS * 1000) + 10)
            assert not self.history.settle(self.engine.now)
            self.upload_all()
            while self.history.is_ending(self.engine.now):
                self.record()
                self.views_read_as_the_table_did()
            self.begin_base_if_due(interval=20, stored=False)
            self.views_read_as_the_table_did()
            if self.history.is_present(self.engine.now):
                break
        assert self.history.is_present(self.engine.now)
        view = self.history.view(self.engine.now)
        assert view is not None
        assert self._rows(view.sstables) == self.engine.rows
        self.steady = True

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self.come_to_rest()

    # What must hold.

    @invariant()
    def views_read_as_the_table_did(self) -> None:
        self._purge_store()
        view = self.history.view(self.engine.now)
        if view is None:
            assert self.last_view is None, "the old view goes on until a new base is whole"
            self._check_unfinished()
            return
        assert all(self.history.is_stored(one) for one in view.sstables)
        assert {self.content[one] for one in view.sstables} <= self.store, "what was not needed is not missed"
        assert self.last_taken_at is None or view.taken_at >= self.last_taken_at
        self.last_taken_at = view.taken_at
        assert len({one.name for one in view.sstables}) == len(view.sstables), "a directory has no two of a name"
        self._check_succession(view)
        rows = self._rows(view.sstables)
        assert rows == self.engine.rows_at(view.taken_at)
        if self.engine.index is not None and not view.behind:
            self._check_index(rows, view.sstables)
        if self.history.is_present(self.engine.now):
            self.steady = True

    def _check_succession(self, view: View) -> None:
        """The last view before a truncation is recorded before there is one from after it."""
        if self.last_view is not None and any(
            self.last_view.taken_at < end <= view.taken_at for end in self.truncations
        ):
            assert self.recorded
            self.recorded = False
        self.last_view = view

    def _check_unfinished(self) -> None:
        unfinished = self.history.unfinished()
        assert unfinished is not None
        if self.whole and self.history.next is not None:
            assert self._rows(unfinished.sstables) == self.engine.rows_at(unfinished.taken_at)

    def _check_index(self, rows: dict[tuple[int, int], int], sstables: Iterable[Sstable]) -> None:
        """A row with no index entry would be hidden; an entry with no row is harmless."""
        if self.unheard:
            self.unindexed |= self.awaiting.keys()  # whether that is said afterwards is `test_view`'s to show
        entries = read(self._content(one) for one in sstables if self.engine.is_index(one.directory))
        assert set(rows.values()) <= set(entries.values()) | self.unindexed

    # How.

    def _start_daemon(self) -> None:
        self.history = History(
            self.engine.is_index, index_flushes=QUIET, index_patience=PATIENCE, told_late=LATE_SECONDS
        )
        self.content: dict[Sstable, int] = {}
        self.ends: dict[datetime, bool] = {}  # moments after which nothing joins; whether all before them was told
        self.last_view = None
        self.recorded = False  # as the last of its epoch, since the view came to be of this one
        self.truncations: set[datetime] = set()
        self.untold: list[Transaction] = []
        self.early: frozenset[Name] = frozenset()  # whose removals were told before their additions
        self.pinned: set[int] = set()
        self.given_up: set[Sstable] = set()
        self.whole = True  # no addition was lost since the daemon started
        self.steady = False  # the view was present, and nothing came since that it cannot simply take in
        self.awaiting: dict[int, float] = {}  # values, and since when their index entries are awaited
        self.log_is_open = False  # the flush log of the index, as far as the daemon has heard

    def _look(self) -> None:
        engine = self.engine
        if self.early:  # a truncation that was told may not have been taken in
            self.ends = dict.fromkeys(self.ends, False)
        self.ends[engine.at] = not self.untold
        self.untold.clear()
        self.early = frozenset()
        self.steady = False
        anew = {one.name for one in self.history.live if self.content[one] != engine.live.get(one.name)}
        self._expect_indexes()
        self.history.look(engine.live, at=engine.at, now=engine.now, anew=anew, indexes=self._indexes())
        self.content |= {one: engine.live[one.name] for one in self.history.live}
        self._hold(self.history.live)

    def _restart_is_untold(self) -> bool:
        """Say whether a name returned lately: a restart takes seconds, and no order of telling is lost over it."""
        names = [name for transaction in self.untold for name in transaction.added]
        return len(set(names)) < len(names) or any(self.history.find(name) for name in names)

    def _tell(self, transaction: Transaction) -> None:
        self.untold.remove(transaction)
        now = self.engine.now
        new = self.history.commit(
            tuple(transaction.added),
            tuple(transaction.removed),
            transaction.kind,
            at=transaction.at,
            now=now,
            indexes=transaction.indexes,
            waits=transaction.waits,
        )
        self._hear_of_log()
        self.content |= {one: transaction.added[one.name] for one in new}
        if transaction.kind is Kind.ADDITION:
            self._hold(new)
        of_table = any(not self.engine.is_index(directory) for directory, _ in transaction.removed)
        if transaction.kind is Kind.TRUNCATION or any(one.life for one in new):
            self.ends[transaction.at] = transaction.kind is Kind.TRUNCATION and of_table
            self.steady = False
        if self.ends.get(transaction.at):
            self.truncations.add(transaction.at)
        self._hold(self.history.next.sstables if self.history.next else ())
        self._note_index(transaction, now)
        self.early -= transaction.added.keys()

    def _note_index(self, transaction: Transaction, now: float) -> None:
        """Note which rows have no index entry that is stored with them."""
        told = {name: number for name, number in transaction.added.items() if transaction.kind is Kind.ADDITION}
        entries = {cell.partition for cell in cells_of(self.engine.of_index(told))}
        if self.unheard:
            self._lose_pairs()
        if self.early:
            self.unindexed |= entries
        for value in entries:
            self.awaiting.pop(value, None)
        if transaction.indexes:
            self.awaiting |= {cell.value: now for cell in cells_of(self.engine.of_table(told))}
            if self.unpaired:
                self.unindexed |= self.awaiting.keys()
        if self.early:
            self._lose_pairs()  # an epoch may begin when this is taken in
        if not self.awaiting and not self.untold and not (self.engine.index and self.engine.index.flushing):
            self.unpaired = self.unheard = False

    def _hear_of_log(self) -> None:
        """Hear of the flush logs of the index, unless that is what fails: Cassandra makes one after another."""
        index = self.engine.index
        if index is None:
            return
        told = any(self.engine.is_index(directory) for one in self.untold for directory, _ in one.added)
        is_open = (bool(index.flushing) or told) and not self.unheard
        if is_open != self.log_is_open:
            self.log_is_open = is_open
            self.history.note_index_log(index.directories[0], "log", is_open=is_open, now=self.engine.now)

    def _indexes(self) -> Collection[str]:
        return self.engine.index.directories if self.engine.index is not None else ()

    def _lose_pairs(self) -> None:
        """Which flush of an index belongs to which of the table is known by their order only.

        Where nobody heard of a log, one that comes late is an addition of its own, or joins the table's next flush; the
        entries are there as soon as all that was told is stored.
        """
        self.unindexed |= self.awaiting.keys()
        self.unpaired = self.unpaired or bool(self.awaiting)

    def _never_mind_index(self, transaction: Transaction) -> None:
        contents = map(self.engine.contents.__getitem__, transaction.added.values())
        self.unindexed |= {cell.value for cell in cells_of(contents)}

    def _expect_indexes(self) -> None:
        """A look falls between the flush of a table and that of its index, or finds the index's sstables lost."""
        self._hear_of_log()
        entries = set(read(self.engine.of_index(self.engine.live)).values())
        missing = set(self.engine.rows.values()) - entries
        if self.unheard or not self.log_is_open:
            self.unindexed |= missing
        self.awaiting |= dict.fromkeys(missing, self.engine.now)

    def _family(self, of_index: bool) -> Family:
        return self.engine.index if of_index and self.engine.index is not None else self.engine.table

    def _content(self, one: Sstable) -> Content:
        return self.engine.contents[self.content[one]]

    def _rows(self, sstables: Iterable[Sstable]) -> dict[tuple[int, int], int]:
        return read(self._content(one) for one in sstables if not self.engine.is_index(one.directory))

    def _wait(self, millis: int) -> None:
        self.engine.millis += millis
        self.history.settle(self.engine.now)

    def _due(self) -> set[Sstable]:
        """What is on its way into the store."""
        if self.history.next is not None:
            self.given_up -= self.history.next.sstables
        needed = self.history.needed() - self.given_up
        return {one for one in needed if one in self.content and not self.history.is_stored(one)}

    def _hold(self, sstables: Iterable[Sstable]) -> None:
        there = set(self.engine.live.values())
        self.pinned |= {self.content[one] for one in sstables} & there

    def _upload(self, one: Sstable) -> None:
        content = self.content[one]
        if content in self.pinned or content in self.engine.live.values():
            self.store.add(content)
            self.history.stored(one)
        else:
            self._give_up(one)

    def _give_up(self, one: Sstable) -> None:
        if self.history.is_addition(one):
            self.whole = self.steady = False
        self.given_up.add(one)
        self.pinned.discard(self.content[one])
        self.history.lost(one)

    def _purge_store(self) -> None:
        """Forget what nothing will ask for: neither the history, nor a daemon that starts from the newest index."""
        kept = {self.content[one] for one in self.history.needed().union(self.history.live) if one in self.content}
        self.store &= kept.union(self.index.sstables.values() if self.index else ())


TestTableUnderBackup = TableUnderBackup.TestCase
TestTableUnderBackup.settings = settings(
    max_examples=examples(int(os.environ.get("VIEW_EXAMPLES", "500"))),
    stateful_step_count=40,
    print_blob=True,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes, and forty steps can be read
)
