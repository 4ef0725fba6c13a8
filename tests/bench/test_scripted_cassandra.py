from pathlib import Path

from bench.record_traces import recorder
from bench.scripted_cassandra import FLUSH, ScriptedTable
from tests.daemon.harness import wait_until

from tablesnap.rules.txnlog import Kind


def test_what_a_script_does_on_disk_is_read_as_what_cassandra_does(tmp_path: Path) -> None:
    directory = tmp_path / "ks" / "t-0123456789abcdef0123456789abcdef"
    directory.mkdir(parents=True)
    output = tmp_path / "Data.db"
    output.write_bytes(b"compacted")
    # For longer than Cassandra's, so that what is tested is not how soon a log is seen.
    table = ScriptedTable(directory, log_lives=0.5)

    with recorder(tmp_path / "ks") as steps:
        one, _ = table.flush()
        wait_until(lambda: len(steps) == 1)
        two = table.next_stem()
        table.compact([one], [(two, {"Data.db": output})])
        wait_until(lambda: len(steps) == 2)
        table.truncate([two])
        wait_until(lambda: len(steps) == 3)

    flush, compaction, truncation = (step for _, step in steps)
    assert {path for path, _ in steps} == {str(directory)}
    assert (flush.kind, flush.added, flush.removed) == (Kind.ADDITION, {one: sum(FLUSH.values())}, ())
    assert (compaction.kind, compaction.added, compaction.removed) == (Kind.REPLACEMENT, {two: 9}, (one,))
    assert (truncation.kind, truncation.added, truncation.removed) == (Kind.TRUNCATION, {}, (two,))
