"""A restore point never has a flush of a table without the flushes of its secondary indexes."""

from functools import partial
from pathlib import Path

import pytest
from tests.cassandra.node import Node
from tests.cassandra.restore import RestorePoint, RestorePoints, create_keyspace
from tests.daemon.harness import Bucket, running, wait_until

from tablesnap.rules import sstable
from tablesnap.rules.place import place_of

pytestmark = pytest.mark.cassandra

TABLES = 8
INDEXED = ("a", "b", "d")
FLUSHES = 3


def test_every_flush_is_with_those_of_its_indexes_from_the_first_one_on(
    node: Node, bucket: Bucket, tmp_path: Path
) -> None:
    create_keyspace(node, "shop")
    with running(bucket, "-r", "-a", "-B", "--index-interval", "0", *node.data, log=tmp_path / "daemon.log"):
        points = [make_table(node, bucket, f"n{number}") for number in range(TABLES)]
        for flush in range(1, FLUSHES + 1):
            for number in range(TABLES):
                fill(node, f"n{number}", flush)
            node.nodetool("flush", "shop")
            for its in points:
                wait_until(partial(has_flushes, its, flush), f"restore points of flush {flush}")

    for its in points:
        for point in its.all():
            counts = sstables_in(point)
            assert len(counts) == 1 + len(INDEXED), f"{point.key} lacks an index: {counts}"
            assert len(set(counts.values())) == 1, f"{point.key} has a flush without one of an index: {counts}"
            assert point.index.behind == ()


def make_table(node: Node, bucket: Bucket, name: str) -> RestorePoints:
    columns = ", ".join(f"{column} text" for column in INDEXED)
    node.execute(
        f"CREATE TABLE shop.{name} (p int PRIMARY KEY, {columns}) "
        "WITH compaction = {'class': 'SizeTieredCompactionStrategy', 'enabled': 'false'}"
    )
    for column in INDEXED:
        node.execute(f"CREATE INDEX {name}_{column} ON shop.{name}({column})")
    return RestorePoints(bucket, node.table_directories("shop", name))


def fill(node: Node, name: str, flush: int) -> None:
    columns = ", ".join(INDEXED)
    values = ", ".join("%s" for _ in INDEXED)
    for number in range(15):
        row = (number + 100 * flush, *(f"{column}{number}" for column in INDEXED))
        node.execute(f"INSERT INTO shop.{name} (p, {columns}) VALUES (%s, {values})", row)


def has_flushes(points: RestorePoints, flush: int) -> bool:
    return any(max(sstables_in(point).values(), default=0) >= flush for point in points.complete())


def sstables_in(point: RestorePoint) -> dict[str, int]:
    """Return how many sstables each index has, and under the empty name the table itself."""
    return {
        place_of(directory).index: sum(map(sstable.is_data, files)) for directory, files in point.directories.items()
    }
