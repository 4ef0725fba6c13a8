"""All is lost but the bucket, and the guide to restoring is followed to the letter."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.cassandra.guide import commands
from tests.cassandra.journal import COLUMNS, KEY, Journal
from tests.cassandra.node import Node, running_node
from tests.cassandra.restore import RestorePoints, Table, slurp
from tests.daemon.harness import NODE, Bucket, running, wait_until

pytestmark = pytest.mark.cassandra

TABLE = Table("shop", "users", COLUMNS, KEY)
IDENTITY = "SELECT host_id, tokens, cluster_name FROM system.local"


def test_a_table_comes_back_on_a_cluster_that_never_saw_its_schema(bucket: Bucket, tmp_path: Path) -> None:
    with running_node(tmp_path / "node") as node:
        journal, directory = back_up(node, bucket, tmp_path)
        wanted = TABLE.rows(node)
        [data] = node.data
    values = said(data, directory, tmp_path) | {"SCRATCH": tmp_path / "scratch" / "data"}

    follow(bucket, "One table whose schema is lost", **values)
    with running_node(tmp_path / "scratch") as scratch:
        statements = [row.create_statement for row in scratch.execute("DESCRIBE KEYSPACE shop WITH INTERNALS")]

    with running_node(tmp_path / "fresh") as fresh:
        assert not fresh.execute("SELECT * FROM system_schema.tables WHERE keyspace_name = 'shop'")
        for statement in statements:
            fresh.execute(statement)
        follow(bucket, "One table, on a node that runs", **values)
        follow_nodetool(fresh, "One table, on a node that runs", **values)

        assert TABLE.rows(fresh) == wanted == journal.rows(journal.moments[-1].state)
        assert fresh.table_directories("shop", "users")[0].name == directory.name, "the id is the one of then"


def test_a_table_of_another_id_takes_what_is_imported_into_a_node_that_runs(bucket: Bucket, tmp_path: Path) -> None:
    with running_node(tmp_path / "node") as node:
        journal, directory = back_up(node, bucket, tmp_path)
        node.execute("DROP TABLE shop.users")
        TABLE.create(node)
        assert not TABLE.rows(node)
        values = said(node.data[0], directory, tmp_path)
        follow(bucket, "One table, on a node that runs", **values)
        follow_nodetool(node, "One table, on a node that runs", **values)

        assert TABLE.rows(node) == journal.rows(journal.moments[-1].state)
        assert node.table_directories("shop", "users")[0].name != directory.name


def test_a_whole_node_comes_back_with_its_tokens_and_so_it_does_at_another_address(
    bucket: Bucket, tmp_path: Path
) -> None:
    with running_node(tmp_path / "node") as node:
        journal, directory = back_up(node, bucket, tmp_path)
        identity = node.execute(IDENTITY)
        node.kill()
        node.wipe()
        follow(bucket, "A whole node", **said(node.data[0], directory, tmp_path))
        node.start()

        assert node.execute(IDENTITY) == identity
        assert TABLE.rows(node) == journal.rows(journal.moments[-1].state)

        node.kill()
        node.configuration = replace(node.configuration, address="127.0.0.2", seed="127.0.0.2")
        node.start()
        assert node.execute(IDENTITY) == identity, "another address is no other node"
        assert TABLE.rows(node) == journal.rows(journal.moments[-1].state)


def back_up(node: Node, bucket: Bucket, tmp_path: Path) -> tuple[Journal, Path]:
    """Write to the node with a daemon beside it, and return what was written, and the table's directory."""
    TABLE.create(node)
    journal = Journal(node, TABLE)
    [directory] = node.table_directories(TABLE.keyspace, TABLE.name)
    points = RestorePoints(bucket, [directory])
    with running(bucket, "-r", "-a", "-B", "--index-interval", "0", *node.data, log=tmp_path / "daemon.log"):
        for batch in range(3):
            for number in range(100):
                journal.insert(number % 5, number, f"v{batch}", f"w{number}")
            journal.delete_range(batch, 10, 20)
            points.await_after(journal.flush().before)
        node.nodetool("flush")  # all that the system has to say of itself
        # A table's first restore point names what is still on its way, and no other could be taken in its place.
        wait_until(lambda: all_are_whole(bucket, node.data[0]), "a whole restore point of every table")
    return journal, directory


def all_are_whole(bucket: Bucket, data: Path) -> bool:
    """Say whether the newest restore point of every table below *data* that has an sstable lacks nothing."""
    newest = [bucket.newest_index(directory) for directory in {path.parent for path in data.glob("*/*/*-Data.db")}]
    return all(index is not None and not index.missing for index in newest)


def said(data: Path, directory: Path, tmp_path: Path) -> dict[str, Any]:
    """Return the guide's variables; what was lost is as of now."""
    name, _, table_id = directory.name.partition("-")
    return {
        "BUCKET": "BUCKET",
        "NODE": NODE,
        "DATA": data,
        "AT": "0s ago",
        "NEW": tmp_path / "new",
        "KEYSPACE": directory.parent.name,
        "TABLE": name,
        "ID": table_id,
    }


def follow(bucket: Bucket, heading: str, **values: object) -> None:
    """Make the directories of a section, and run each tableslurp in it."""
    for _, _, directory in commands(heading, "mkdir", **values):
        Path(directory).mkdir(parents=True)
    for _, *words in commands(heading, "tableslurp", **values):
        slurp(bucket, *words)


def follow_nodetool(node: Node, heading: str, **values: object) -> None:
    """Run each nodetool of a section."""
    for _, *words in commands(heading, "nodetool", **values):
        node.nodetool(*words)
