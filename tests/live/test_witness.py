"""A transaction log is read to its end whenever its name goes, and what an addition brought is held."""

import logging
import os
import sys
from pathlib import Path

import pytest
from tests.daemon.fake_cassandra import V30, Stream, Table, Transaction, Written, write
from tests.daemon.table_points import directory_below

from tablesnap.capture.pin import Pins
from tablesnap.live.events import Committed, IndexLog, LogGone
from tablesnap.live.witness import Witness
from tablesnap.rules.txnlog import Kind, Outcome
from tablesnap.watch.hints import DirectoryGone, DirectoryHint, FileHint, Happening

NOW = 1000.0


class Bench:
    """A witness that is told what a test says, and what it told."""

    def __init__(self, *, most: int | None = None) -> None:
        self.pins = Pins(most=most)
        self.told: list[Committed | IndexLog | LogGone] = []
        self.witness = Witness(self.pins, self.told.append, lambda: NOW)

    def see(self, path: Path, happening: Happening = Happening.CLOSED) -> None:
        self.witness.see(FileHint(str(path.parent), path.name, happening))

    def see_all(self, written: Written) -> None:
        """Tell of every component."""
        for name in list(written.files):
            self.see(written.directory / name, Happening.CREATED)
            self.see(written.directory / name)

    @property
    def committed(self) -> Committed:
        (told,) = self.told
        assert isinstance(told, Committed)
        return told

    def close(self) -> None:
        for told in self.told:
            for pin in (pin for pins in told.pins.values() for pin in pins) if isinstance(told, Committed) else ():
                self.pins.release(pin)
        self.pins.close()


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(directory_below(tmp_path))


def name_of(written: Written) -> tuple[str, str]:
    return str(written.directory), written.stem


def see_logs(bench: Bench, transaction: Transaction, happening: Happening = Happening.CLOSED) -> None:
    for log in transaction.logs:
        bench.see(log, happening)


def flush(bench: Bench, table: Table, *, unseen: tuple[str, ...] = ()) -> Transaction:
    """Flush, and tell of it all but the end."""
    flush = table.begin("flush")
    written = flush.add()
    see_logs(bench, flush, Happening.CREATED)
    fresh = Transaction(table, "flush")
    made = fresh.write(written.directory, stem=written.stem)
    for log in fresh.logs:
        log.unlink()
    written.files = {name: data for name, data in made.files.items() if name not in unseen}
    bench.see_all(written)
    written.files = made.files
    return flush


def test_a_commit_is_told_though_the_log_is_gone_when_it_is_heard_of(bench: Bench, table: Table) -> None:
    transaction = flush(bench, table)
    transaction.end()

    see_logs(bench, transaction)
    see_logs(bench, transaction, Happening.GONE)

    (written,) = transaction.added
    assert bench.committed.transaction.kind is Kind.ADDITION
    assert bench.committed.transaction.added == (name_of(written),)
    assert bench.committed.read_at == NOW
    assert bench.committed.brought == {name_of(written): tuple(sorted(written.files))}
    bench.close()


def test_what_an_addition_brought_is_held_when_its_commit_is_told(bench: Bench, table: Table) -> None:
    transaction = flush(bench, table)
    transaction.commit()
    see_logs(bench, transaction)
    (written,) = transaction.added
    written.delete()

    pins = {os.path.basename(pin.path): pin for pin in bench.committed.pins[name_of(written)]}

    assert pins.keys() == written.files.keys()
    for name, pin in pins.items():
        with pin.reading() as descriptor:
            assert os.pread(descriptor, 1000, 0) == written.files[name]
    bench.close()


def test_a_component_whose_event_was_missed_is_found_by_a_look(bench: Bench, table: Table) -> None:
    transaction = flush(bench, table, unseen=("nb-1-big-Statistics.db", "nb-1-big-TOC.txt"))
    transaction.commit()

    see_logs(bench, transaction)

    (written,) = transaction.added
    assert set(bench.committed.brought[name_of(written)]) == set(written.files)
    bench.close()


def test_what_a_compaction_made_is_not_held(bench: Bench, table: Table) -> None:
    inputs = [table.flush(), table.flush()]
    compaction = table.begin("compaction")
    compaction.write()
    compaction.remove(*inputs)
    see_logs(bench, compaction)
    compaction.commit()

    see_logs(bench, compaction)

    assert bench.committed.transaction.kind is Kind.REPLACEMENT
    assert not bench.committed.pins
    bench.close()


def test_an_end_is_told_once_however_often_the_log_is_heard_of(bench: Bench, table: Table) -> None:
    transaction = flush(bench, table)
    transaction.commit()

    for _ in range(3):
        see_logs(bench, transaction)
    see_logs(bench, transaction, Happening.GONE)

    assert len(bench.told) == 1
    bench.close()


def test_an_abort_is_no_commit_and_is_told_as_nothing(bench: Bench, table: Table) -> None:
    transaction = flush(bench, table)
    transaction.abort()

    see_logs(bench, transaction)
    see_logs(bench, transaction, Happening.GONE)

    assert not [told for told in bench.told if isinstance(told, Committed)]
    bench.close()


def test_a_log_that_goes_unfinished_is_told_as_gone(bench: Bench, table: Table) -> None:
    transaction = flush(bench, table)
    (log,) = transaction.logs
    log.unlink()

    see_logs(bench, transaction, Happening.GONE)

    assert bench.told == [LogGone(str(log.parent), log.name, opened=True, seen_at=NOW)]
    bench.close()


def test_a_log_that_was_never_seen_alive_is_told_as_gone_unread(bench: Bench, table: Table) -> None:
    transaction = table.begin("flush")
    transaction.write()
    transaction.end()
    (log,) = transaction.logs

    see_logs(bench, transaction, Happening.CREATED)
    see_logs(bench, transaction, Happening.GONE)

    assert bench.told == [LogGone(str(log.parent), log.name, opened=False, seen_at=NOW)]
    bench.close()


def test_a_torn_last_line_is_an_open_transaction(bench: Bench, table: Table) -> None:
    transaction = flush(bench, table)
    (log,) = transaction.logs
    with log.open("ab") as file:
        file.write(b"COMMIT:[,0,0][26136")
    see_logs(bench, transaction)
    assert not bench.told

    with log.open("ab") as file:
        file.write(b"97770]\n")
    see_logs(bench, transaction)

    assert bench.committed.transaction.outcome is Outcome.COMMITTED
    bench.close()


def test_a_log_that_cassandra_would_not_believe_is_told_of_once_and_commits_nothing(
    bench: Bench, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    transaction = flush(bench, table)
    (log,) = transaction.logs
    log.write_bytes(b"nonsense\n" + log.read_bytes())
    transaction.commit()

    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            see_logs(bench, transaction)

    assert not [told for told in bench.told if isinstance(told, Committed)]
    assert caplog.text.count("cannot be believed") == 1
    bench.close()


def test_the_replicas_of_a_log_are_one_transaction(bench: Bench, tmp_path: Path) -> None:
    table = Table(directory_below(tmp_path / "disk1"), directory_below(tmp_path / "disk2"))
    transaction = table.begin("flush")
    for directory in table.directories:
        transaction.write(directory)
    see_logs(bench, transaction)
    transaction.commit()

    see_logs(bench, transaction)

    assert set(bench.committed.transaction.added) == {name_of(one) for one in transaction.added}
    assert set(bench.committed.pins) == {name_of(one) for one in transaction.added}
    bench.close()


def test_a_log_is_in_the_names_the_operator_gave_though_cassandra_resolves_links(bench: Bench, tmp_path: Path) -> None:
    directory_below(tmp_path / "disk").mkdir(parents=True)
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    table = Table(directory_below(tmp_path / "data"))
    bench.witness.see(DirectoryHint(str(table.directories[0])))
    transaction = flush(bench, table)
    transaction.commit()

    see_logs(bench, transaction)

    assert bench.committed.transaction.added == (name_of(transaction.added[0]),)
    assert len(bench.committed.pins[name_of(transaction.added[0])]) == 8
    bench.close()


def test_a_log_of_3_0_without_the_last_hyphen_is_of_its_own_sstable_alone(bench: Bench, tmp_path: Path) -> None:
    table = Table(directory_below(tmp_path), fmt=V30)
    sstables = [table.flush() for _ in range(10)]
    compaction = table.begin("compaction")
    compaction.remove(sstables[0])

    look = bench.witness.look({str(table.directories[0]): [log.name for log in compaction.logs]})

    assert look.transactions[0].removed == (name_of(sstables[0]),)
    bench.close()


def test_a_look_reads_what_is_open_though_its_name_is_gone(bench: Bench, table: Table) -> None:
    transaction = flush(bench, table)
    (log,) = transaction.logs
    log.unlink()

    look = bench.witness.look({str(log.parent): []})

    assert [one.name for one in look.transactions] == [log.name]
    assert not look.vanished
    bench.close()


def test_a_look_says_that_a_listed_log_was_gone(bench: Bench, table: Table) -> None:
    transaction = table.begin("flush")
    transaction.write()
    transaction.end()

    look = bench.witness.look({str(table.directories[0]): [log.name for log in transaction.logs]})

    assert look.vanished
    assert not look.transactions
    bench.close()


def test_a_directory_that_is_hinted_at_has_its_logs_opened(bench: Bench, table: Table) -> None:
    transaction = table.begin("flush")
    transaction.write()

    bench.witness.see(DirectoryHint(str(table.directories[0])))
    transaction.end()
    see_logs(bench, transaction, Happening.GONE)

    assert bench.committed.transaction.outcome is Outcome.COMMITTED
    bench.close()


def test_what_was_written_before_its_directory_was_watched_is_brought_too(bench: Bench, table: Table) -> None:
    """Those heard of are enough to open it: without a look the filter, or Rows.db, would be lost in silence."""
    transaction = table.begin("flush")
    written = transaction.write()
    before = "nb-1-big-Filter.db"

    bench.witness.see(DirectoryHint(str(table.directories[0])))
    for name in written.files.keys() - {before}:
        bench.see(written.directory / name)
    transaction.commit()
    see_logs(bench, transaction)

    assert bench.committed.brought == {name_of(written): tuple(sorted(written.files))}
    assert before in {os.path.basename(pin.path) for pin in bench.committed.pins[name_of(written)]}
    bench.close()


def test_what_was_not_heard_because_events_were_lost_is_brought_too(bench: Bench, table: Table) -> None:
    transaction = flush(bench, table, unseen=("nb-1-big-Filter.db",))

    bench.witness.see(DirectoryHint(str(table.directories[0])))
    transaction.commit()
    see_logs(bench, transaction)

    (written,) = transaction.added
    assert bench.committed.brought == {name_of(written): tuple(sorted(written.files))}
    bench.close()


def test_what_was_held_is_brought_though_it_was_deleted_before_the_commit_was_heard_of(
    bench: Bench, table: Table
) -> None:
    transaction = table.begin("flush")
    written = transaction.add()
    bench.witness.see(DirectoryHint(str(table.directories[0])))  # what came before is looked for: nothing
    write(written, table.format)
    bench.see_all(written)
    transaction.commit()
    written.delete()

    see_logs(bench, transaction)

    assert bench.committed.brought == {name_of(written): tuple(sorted(written.files))}
    assert len(bench.committed.pins[name_of(written)]) == len(written.files)
    bench.close()


def test_what_was_not_heard_in_another_data_directory_is_brought_too(bench: Bench, tmp_path: Path) -> None:
    """Of those that are looked at after events were lost, the first may be told of the end already."""
    table = Table(directory_below(tmp_path / "disk1"), directory_below(tmp_path / "disk2"))
    transaction = table.begin("flush")
    added = [transaction.add(directory) for directory in table.directories]
    see_logs(bench, transaction, Happening.CREATED)
    for one in added:
        write(one, table.format)
        for name in one.files.keys() - {f"{one.stem}Filter.db"}:
            bench.see(one.directory / name)
    transaction.commit()

    bench.witness.see(DirectoryHint(str(table.directories[0])))

    assert bench.committed.brought == {name_of(one): tuple(sorted(one.files)) for one in added}
    bench.close()


def test_a_log_that_went_unheard_ends_and_calls_nothing_dead_any_more(bench: Bench, table: Table) -> None:
    table.flush()
    truncation = table.begin("unknowncompactiontype")
    truncation.remove(*table.live)
    see_logs(bench, truncation, Happening.CREATED)
    truncation.end()
    bench.witness.see(DirectoryHint(str(table.directories[0])))  # as events were lost
    see_logs(bench, truncation, Happening.GONE)  # this one was only late

    assert bench.committed.transaction.kind is Kind.TRUNCATION
    assert not bench.witness.look({str(table.directories[0]): []}).transactions
    bench.close()


def test_no_log_stays_open_when_its_directory_is_gone(bench: Bench, table: Table) -> None:
    transaction = flush(bench, table)
    (log,) = transaction.logs

    bench.witness.see(DirectoryGone(str(log.parent)))

    assert not [one for one in open_files() if one.startswith(str(log))]
    bench.close()


def test_no_log_stays_open_when_it_is_gone(bench: Bench, table: Table) -> None:
    transaction = flush(bench, table)
    (log,) = transaction.logs
    transaction.end()

    see_logs(bench, transaction, Happening.GONE)

    assert not [one for one in open_files() if one.startswith(str(log))]
    bench.close()


def test_where_no_more_files_may_be_open_that_is_said_once(table: Table, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(most=3)

    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            transaction = flush(bench, table)
            transaction.commit()
            see_logs(bench, transaction)

    assert caplog.text.count("files are held open already") == 1
    assert len(bench.told) == 2
    bench.close()


def test_temporary_names_are_not_held(bench: Bench, table: Table) -> None:
    stream = Stream(table)
    received = stream.receive()
    temporary = received.path("Statistics.db.tmp")
    temporary.write_bytes(b"half")
    see_logs(bench, stream)
    bench.see_all(received)
    bench.see(temporary, Happening.CREATED)
    stream.commit()

    see_logs(bench, stream)

    assert {os.path.basename(pin.path) for pin in bench.committed.pins[name_of(received)]} == set(received.files)
    stream.close()
    bench.close()


def open_files() -> list[str]:
    """Return what this process has open."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        except OSError:
            continue  # the listing's own
    return found


def calls_to_see(bench: Bench, directory: Path, depth: int) -> int:
    """Return how many functions are called when so many directories come, each in the one before."""
    nested = [str(directory / "/".join("d" * number)) for number in range(1, depth + 1)]
    os.mkdir(directory)
    for one in nested:
        os.mkdir(one)
    calls = [0]

    def count(frame: object, event: str, argument: object) -> None:
        calls[0] += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        for one in nested:
            bench.witness.see(DirectoryHint(one))
    finally:
        sys.setprofile(None)
    return calls[0]


def test_what_each_new_directory_costs_does_not_grow_with_its_depth(tmp_path: Path, bench: Bench) -> None:
    few, many = calls_to_see(bench, tmp_path / "few", 50), calls_to_see(bench, tmp_path / "many", 400)

    assert many < 10 * few
