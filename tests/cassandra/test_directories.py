"""Which directories a node makes for its tables: what compares every directory with the store has every table."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cassandra.journal import now
from tests.cassandra.node import Configuration, Node, running_node
from tests.cassandra.restore import RestorePoints, create_keyspace
from tests.daemon.harness import NODE, Bucket, clean_environment, running

pytestmark = pytest.mark.cassandra

TABLECHECK = "import sys; from tablesnap.cli.tablecheck.main import main; sys.exit(main())"
LOCAL = ("system", "system_schema")
# What of the keyspace `system` is on every disk all the same.
SPREAD = {"batches", "paxos", "compaction_history", "prepared_statements", "repairs"}


def in_schema(node: Node) -> dict[str, bool]:
    """Return the directory of each table of the schema, and whether it is one of the node's own tables."""
    tables = node.execute("SELECT keyspace_name, table_name AS name, id FROM system_schema.tables")
    tables += node.execute("SELECT keyspace_name, view_name AS name, id FROM system_schema.views")
    return {
        f"{one.keyspace_name}/{one.name}-{one.id.hex}": one.keyspace_name in LOCAL and one.name not in SPREAD
        for one in tables
    }


def on_disk(data: Path) -> set[str]:
    return {str(directory.relative_to(data)) for directory in data.glob("*/*-*") if directory.is_dir()}


def where_they_are(tables: Mapping[str, bool], *, own: bool) -> set[str]:
    return {name for name, is_own in tables.items() if is_own == own}


def against(bucket: Bucket, node: Node) -> str:
    """Return what ``tablecheck --against`` says, with each data directory."""
    flags = [word for data in node.data for word in ("--against", str(data))]
    command = [sys.executable, "-c", TABLECHECK, "-n", NODE, *flags, *bucket.arguments, bucket.url]
    environment = clean_environment() | dict(bucket.environment)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL)
    assert done.returncode in (0, 3), done.stderr
    return done.stdout


def test_every_table_has_its_directory_on_every_disk_from_its_creation_on_and_its_first_flush_is_missed(
    bucket: Bucket, tmp_path: Path
) -> None:
    with running_node(tmp_path / "node", Configuration(disks=2)) as node:
        create_keyspace(node, "shop")
        node.execute("CREATE TABLE shop.early (p int PRIMARY KEY, v text)")
        node.execute("INSERT INTO shop.early (p, v) VALUES (1, 'v')")
        with running(bucket, "-r", "-a", "-B", "--index-interval", "0", *node.data, log=tmp_path / "daemon.log"):
            before = now()
            node.nodetool("flush", "shop", "early")
            RestorePoints(bucket, node.table_directories("shop", "early")).await_after(before)

        node.execute("CREATE TABLE shop.late (p int, c int, v text, PRIMARY KEY (p, c))")
        viewed = "p IS NOT NULL AND c IS NOT NULL AND v IS NOT NULL"
        node.execute(
            f"CREATE MATERIALIZED VIEW shop.by_v AS SELECT * FROM shop.late WHERE {viewed} PRIMARY KEY (v, p, c)"
        )
        first, second = node.data
        tables = in_schema(node)
        assert on_disk(first) == set(tables)
        assert on_disk(second) == where_they_are(tables, own=False), "the node's own tables are on the first disk alone"

        node.execute("INSERT INTO shop.late (p, c, v) VALUES (1, 1, 'v')")
        assert "/shop/late-" not in against(bucket, node), "its row is in the commit log, and on no disk is an sstable"
        node.nodetool("flush", "shop", "late")
        missed = [line for line in against(bucket, node).splitlines() if "/shop/late-" in line]
        assert any("-Data.db" in line for line in missed)
        assert all(line.startswith("unprotected") and "there is no restore point of its" in line for line in missed)

        # From the start on, Cassandra moves them.
        node.stop()
        apart = tmp_path / "node" / "apart"
        node.configuration = replace(node.configuration, settings={"local_system_data_file_directory": str(apart)})
        node.start()
        assert on_disk(first) & where_they_are(tables, own=True) == set(), "they are where no data directory is"
        assert on_disk(apart) == where_they_are(tables, own=True)
