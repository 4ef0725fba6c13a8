"""Write, flush, write, flush: each restore point brings back exactly the rows that were flushed by its moment."""

from pathlib import Path

import pytest
from tests.cassandra.checking import faults_in
from tests.cassandra.journal import COLUMNS, KEY, Journal
from tests.cassandra.node import Node
from tests.cassandra.restore import Reader, RestorePoints, Table
from tests.daemon.harness import Bucket, running

pytestmark = pytest.mark.cassandra

TABLE = Table("shop", "orders", COLUMNS, KEY)


def test_each_restore_point_brings_back_exactly_the_rows_flushed_by_then(
    node: Node, reader: Reader, bucket: Bucket, tmp_path: Path
) -> None:
    TABLE.create(node)
    journal = Journal(node, TABLE)
    points = RestorePoints(bucket, node.table_directories(TABLE.keyspace, TABLE.name))
    with running(bucket, "-r", "-a", "-B", *node.data, log=tmp_path / "daemon.log"):
        for batch in range(5):
            for number in range(200):
                journal.insert(number % 7, number, f"v{batch}", f"w{batch}-{number}")
            journal.delete_range(batch, 0, 100)
            journal.delete_row(6, 6 + 7 * batch)
            points.await_after(journal.flush().before)
    journal.insert(0, 0, "never", "flushed")

    taken = points.complete()

    assert len(taken) >= 5
    assert not faults_in(taken, journal, bucket, reader, tmp_path)
