"""What is live on disk: the listing first, the logs second, and the listing again where a log came or went."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.daemon.fake_cassandra import Stream, Table, Written, wait_for_another_tick, write
from tests.daemon.table_points import directory_below

from tablesnap.capture.listing import Listing, look_at_directory
from tablesnap.capture.pin import Pins
from tablesnap.daemon.service import utc_now
from tablesnap.live.look import TRIES, TableLook, fingerprint_of, look_at_table
from tablesnap.live.witness import Witness
from tablesnap.rules.selection import Selection
from tablesnap.watch.hints import DirectoryHint


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(directory_below(tmp_path))


def look(
    table: Table,
    *,
    after: Callable[[int], None] = lambda number: None,
    selection: Selection = Selection(),  # noqa: B008 # frozen
    witness: Witness | None = None,
) -> TableLook | None:
    """Look at *table*; *after* each listing something may happen."""
    listed: list[str] = []

    def list_directory(directory: str) -> Listing | None:
        listing = look_at_directory(directory)
        listed.append(directory)
        after(len(listed))
        return listing

    witness = witness or Witness(Pins(), lambda told: None, lambda: 0.0)
    looked = look_at_table(map(str, table.directories), list_directory, witness, selection)
    return looked[0] if looked is not None else None


def live_in(table: Table, found: TableLook | None) -> set[str]:
    assert found is not None
    assert all(set(files) == set(_written(table, stem).files) for (_, stem), files in found.live.items())
    return {stem for _, stem in found.live}


def _written(table: Table, stem: str) -> Written:
    return next(one for one in table.live if one.stem == stem)


def test_everything_in_no_log_is_live(table: Table) -> None:
    table.flush()
    table.compact(table.flush(), table.flush())

    assert live_in(table, look(table)) == {one.stem for one in table.live}


def test_a_look_is_dated_by_what_ended_while_it_was_taken(table: Table) -> None:
    """A base is as of a moment: rows that were committed later must not be in it."""
    table.flush()
    before = utc_now()
    (stamped := table.directories[0].parent / "stamped").touch()
    wait_for_another_tick(stamped)
    gone, there = table.begin("flush"), table.begin("flush")
    for flush in (gone, there):
        flush.write()
    gone.end()  # its log is gone, and nobody has read it
    there.commit()
    committed = datetime.fromtimestamp(there.logs[0].stat().st_mtime_ns // 1000 / 1e6, UTC)

    found = look(table)

    assert found is not None
    assert len(live_in(table, found)) == 3
    assert before < committed <= found.moment(before, utc_now()) <= utc_now()


def test_a_look_at_what_was_so_before_is_dated_by_the_clock(table: Table) -> None:
    table.flush()
    before = utc_now()

    found = look(table)

    assert found is not None
    assert found.moment(before, utc_now()) == before


def test_what_an_open_transaction_adds_is_not_live_and_what_it_removes_still_is(table: Table) -> None:
    inputs = [table.flush(), table.flush()]
    compaction = table.begin("compaction")
    compaction.write()
    compaction.remove(*inputs)

    assert live_in(table, look(table)) == {one.stem for one in inputs}


def test_what_a_committed_transaction_adds_is_live_and_what_it_removes_is_not(table: Table) -> None:
    inputs = [table.flush(), table.flush()]
    compaction = table.begin("compaction")
    output = compaction.write()
    compaction.remove(*inputs)
    compaction.commit()

    found = look(table)

    assert live_in(table, found) == {output.stem}
    assert found is not None
    assert found.finished == {log.name for log in compaction.logs}


def test_a_transaction_that_ends_while_the_directory_is_listed_is_taken_whole(table: Table) -> None:
    inputs = [table.flush(), table.flush()]
    compaction = table.begin("compaction")
    compaction.write()
    compaction.remove(*inputs)

    found = look(table, after=lambda number: compaction.end() if number == 1 else None)

    assert live_in(table, found) == {one.stem for one in table.live}


def test_a_transaction_that_begins_and_ends_after_the_listing_is_not_in_it(table: Table) -> None:
    inputs = [table.flush(), table.flush()]

    def compact(number: int) -> None:
        if number == 1:
            table.compact(*inputs)

    found = look(table, after=compact)

    # All that was live at the moment of the listing; what came since is told by the log's own events.
    assert found is not None
    assert {stem for _, stem in found.live} == {one.stem for one in inputs}


@pytest.mark.parametrize("operation", ["flush", "compaction"])
def test_what_was_half_written_when_it_was_listed_and_committed_before_the_logs_were_read_is_in_it(
    table: Table, operation: str
) -> None:
    table.flush()
    transaction = table.begin(operation)
    output = transaction.half_write()

    def finish(number: int) -> None:
        if number == 1:
            write(output, table.format)
            transaction.commit()

    found = look(table, after=finish)

    assert output in table.live
    assert live_in(table, found) == {one.stem for one in table.live}


def test_a_log_that_is_open_already_is_read_though_its_name_is_gone(table: Table) -> None:
    inputs = [table.flush(), table.flush()]
    compaction = table.begin("compaction")
    compaction.write()
    compaction.remove(*inputs)
    witness = Witness(Pins(), lambda told: None, lambda: 0.0)
    witness.see(DirectoryHint(str(table.directories[0])))

    found = look(table, after=lambda number: compaction.end() if number == 1 else None, witness=witness)

    assert live_in(table, found) == {one.stem for one in table.live}


def test_a_table_that_never_stands_still_is_looked_at_later(table: Table) -> None:
    table.flush()
    listings: list[int] = []

    def churn(number: int) -> None:
        listings.append(number)
        table.begin("compaction").write()

    assert look(table, after=churn) is None
    assert len(listings) == TRIES + 1


def test_an_sstable_without_all_it_cannot_be_read_without_is_arriving(table: Table) -> None:
    one = table.flush()
    one.path("Statistics.db").unlink()

    found = look(table)

    assert found is not None
    assert not found.live
    assert found.arriving == {(str(table.directories[0]), one.stem)}


def test_an_sstable_without_toc_is_complete(table: Table) -> None:
    stream = Stream(table)
    stream.receive()
    stream.end()
    stream.close()

    assert live_in(table, look(table)) == {one.stem for one in table.live}


def test_temporary_names_are_no_components(table: Table) -> None:
    one = table.flush()
    one.path("Statistics.db.tmp").write_bytes(b"half")
    (table.directories[0] / f"{one.stem}Summary.db.1b255f4d-ef25-40a6-0000-000000000001.tmp").write_bytes(b"link")

    assert live_in(table, look(table)) == {one.stem}


def test_what_the_operator_leaves_out_is_left_out_and_the_rest_still_live(table: Table) -> None:
    one = table.flush()

    found = look(table, selection=Selection(exclude=(re.compile("Filter"),)))
    nothing = look(table, selection=Selection(exclude=(re.compile("/ks/"),)))

    assert found is not None
    assert set(*found.live.values()) == {name for name in one.files if "Filter" not in name}
    assert nothing is not None
    assert not nothing.live
    assert not nothing.arriving


def test_a_directory_that_cannot_be_listed_is_no_empty_one(table: Table) -> None:
    table.flush()
    table.directories[0].rename(table.directories[0].with_name("elsewhere"))

    looked = look_at_table(
        [str(table.directories[0])],
        lambda directory: None,
        Witness(Pins(), lambda told: None, lambda: 0.0),
        Selection(),
    )

    assert looked is None


def test_the_fingerprint_of_what_is_live_follows_data_and_not_what_is_rewritten(table: Table) -> None:
    one = table.flush()
    first = look(table)
    one.put("Statistics.db", b"another level")
    rewritten = look(table)
    one.put("Data.db", b"another sstable under this name")
    other = look(table)

    assert first is not None
    assert rewritten is not None
    assert other is not None
    assert fingerprint_of(first.live) == fingerprint_of(rewritten.live)
    assert fingerprint_of(first.live) != fingerprint_of(other.live)
