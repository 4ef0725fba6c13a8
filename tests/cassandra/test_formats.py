"""Every format and both kinds of id, with a secondary index, SAI and a materialized view, restored as a whole node."""

from pathlib import Path

import pytest
from tests.cassandra.checking import faults_in
from tests.cassandra.journal import COLUMNS, KEY, Journal
from tests.cassandra.node import DA, OA, STOCK, Configuration, Format, Node, running_node
from tests.cassandra.restore import Reader, RestorePoints, Rows, Table, slurp
from tests.daemon.harness import NODE, Bucket, running

pytestmark = [pytest.mark.cassandra, pytest.mark.timeout(300)]

INDEXED = Table("formats", "indexed", COLUMNS, KEY)
SAI = Table("formats", "sai", COLUMNS, KEY)
VIEWED = Table("formats", "viewed", COLUMNS, KEY, "gc_grace_seconds = 864000")  # a view wants time to heal
VIEW = Table("formats", "by_value", "p int, c int, v text, w text, PRIMARY KEY (v, p, c)", ("v", "p", "c"))
TABLES = (INDEXED, SAI, VIEWED)
VALUES = 5


def make(node: Node) -> None:
    for table in TABLES:
        table.create(node)
    node.execute(f"CREATE INDEX by_v ON {INDEXED.full_name} (v)")
    node.execute(f"CREATE INDEX sai_by_v ON {SAI.full_name} (v) USING 'sai'")
    node.execute(
        f"CREATE MATERIALIZED VIEW {VIEW.full_name} AS SELECT * FROM {VIEWED.full_name} "
        "WHERE v IS NOT NULL AND p IS NOT NULL AND c IS NOT NULL PRIMARY KEY (v, p, c)"
    )


def write(journal: Journal, batch: int) -> None:
    for number in range(150):
        journal.insert(number % 7, number, f"value{(number + batch) % VALUES}", f"{batch}-{number}")
    for number in range(0, 150, 10):
        journal.update(number % 7, number, "v", f"value{batch}")
        journal.delete_row((number + 1) % 7, number + 1)


def by_index(node: Node, table: Table) -> list[Rows]:
    """Read *table* by the index on v, value by value."""
    return [table.rows(node, f"WHERE v = 'value{number}'") for number in range(VALUES)]


def through_indexes(node: Node) -> list[object]:
    """Read by each index, and the view."""
    return [by_index(node, INDEXED), by_index(node, SAI), by_index(node, VIEW), VIEW.rows(node)]


@pytest.mark.parametrize("form", [STOCK, OA, DA], ids=lambda form: form.version)
def test_a_whole_node_reads_by_key_by_index_and_by_view_what_the_lost_one_did(
    form: Format, reader: Reader, bucket: Bucket, tmp_path: Path
) -> None:
    configuration = Configuration(form)
    with running_node(tmp_path / "node", configuration) as node:
        make(node)
        journals = [Journal(node, table) for table in TABLES]
        points = [RestorePoints(bucket, node.table_directories(table.keyspace, table.name)) for table in TABLES]
        with running(bucket, "-r", "-a", "-B", "--index-interval", "0", *node.data, log=tmp_path / "daemon.log"):
            for batch in range(3):
                for journal, one in zip(journals, points, strict=True):
                    write(journal, batch)
                    one.await_after(journal.flush().before)
            wanted = [table.rows(node) for table in TABLES], through_indexes(node)
            node.nodetool("drain")
            node.stop()
        [data] = node.data
        data.rename(tmp_path / "lost")
        slurp(bucket, "-r", "-n", NODE, "--at", "0s ago", "--preserve", "BUCKET", data, data)
        node.start()
        found = [table.rows(node) for table in TABLES], through_indexes(node)

    assert found == wanted
    assert found[0] == [journal.rows(journal.moments[-1].state) for journal in journals]
    for journal, one in zip(journals, points, strict=True):
        taken = one.complete()
        assert len(taken) >= 3
        assert all(name.startswith(f"{form.version}-") for name in taken[-1].index.files)
        assert not faults_in(taken, journal, bucket, reader, tmp_path)
