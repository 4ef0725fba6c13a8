"""What is live while a compaction is under way: Cassandra's own tool and we say the same."""

import os
import threading

import pytest
from tests.cassandra.agreeing import live_by_cassandra, live_by_tablesnap
from tests.cassandra.journal import COLUMNS, KEY, Journal
from tests.cassandra.node import Node
from tests.cassandra.restore import Table
from tests.cassandra.workload import Workload
from tests.daemon.harness import wait_until

pytestmark = [pytest.mark.cassandra, pytest.mark.timeout(300)]

TABLE = Table("slow", "t", COLUMNS, KEY)
FILLS = 4  # several MiB, so that a compaction at 1 MiB/s has not ended before it is seen to write


def test_the_files_of_an_open_compaction_are_not_live_and_its_inputs_are(node: Node) -> None:
    TABLE.create(node)
    [directory] = node.table_directories(TABLE.keyspace, TABLE.name)
    node.nodetool("disableautocompaction", TABLE.keyspace, TABLE.name)
    journal = Journal(node, TABLE)
    for _ in range(FILLS):
        Workload(journal, seed=0).fill()
        journal.flush()
    finished = set(os.listdir(directory)) - {"backups"}
    node.nodetool("setcompactionthroughput", 1)
    compaction = threading.Thread(target=node.nodetool, args=("compact", TABLE.keyspace, TABLE.name))
    compaction.start()
    wait_until(lambda: set(os.listdir(directory)) - {"backups"} > finished, "the compaction to write")

    # To ask both takes seconds, and on a busy machine any number of them.
    with node.frozen():
        under_way = any("_txn_compaction_" in name for name in os.listdir(directory))
        ours, cassandras = live_by_tablesnap([directory]), live_by_cassandra(node, TABLE)
    compaction.join()

    assert under_way, "the compaction ended before it was asked what is live: the run proves nothing"
    assert ours == cassandras == {directory / name for name in finished}
    assert live_by_tablesnap([directory]) == live_by_cassandra(node, TABLE)
