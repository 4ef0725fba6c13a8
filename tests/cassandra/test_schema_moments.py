"""Cassandra starts on system_schema as it was at any moment, also in the midst of changes of the schema."""

import itertools
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cassandra.node import Node, running_node
from tests.cassandra.restore import RestorePoints, create_keyspace, slurp
from tests.daemon.harness import NODE, Bucket, running

from tablesnap.rules.joint import Known, Span, joint_moment
from tablesnap.rules.system_schema import may_be_empty
from tablesnap.units import spell_utc

pytestmark = pytest.mark.cassandra

MOMENTS = 2  # that are known in the midst of changes, before daemon and node are killed
TRIED = 3


def test_a_node_starts_on_the_schema_of_any_moment_in_a_row_of_changes(bucket: Bucket, tmp_path: Path) -> None:
    with running_node(tmp_path / "node") as node:
        create_keyspace(node, "shop")
        schema = node.data[0] / "system_schema"
        with running(bucket, "-r", "-a", "-B", *node.data, log=tmp_path / "daemon.log") as daemon:
            change_until(node, lambda: len(joint_moments(bucket, schema)) >= MOMENTS)
            daemon.kill()
        node.kill()
    moments = joint_moments(bucket, schema)

    made = []
    later = min(moments[-1] + timedelta(minutes=1), datetime.now(UTC))  # a restore as of what is to come is refused
    for number, at in enumerate(spread_out([*moments, later])):
        home = tmp_path / f"scratch{number}"
        (home / "data").mkdir(parents=True)
        slurp(bucket, "-n", NODE, "-r", "--at", spell_utc(at), "BUCKET", schema, home / "data" / "system_schema")
        with running_node(home) as scratch:
            tables, columns = names_in(scratch, "tables"), names_in(scratch, "columns")
        assert tables == columns, f"as of {at}"
        made.append(max(tables, key=lambda name: int(name[1:]), default=""))
    assert made == sorted(made, key=lambda name: int(name[1:] or -1))
    assert made[0] != made[-1], "the schema of different moments"


def change_until(node: Node, is_enough: Callable[[], bool]) -> None:
    """Make two tables and drop one of them, and so on."""
    for number in itertools.count():
        node.execute(f"CREATE TABLE shop.m{number} (p int PRIMARY KEY, v text, w text)")
        if number % 2:
            node.execute(f"DROP TABLE shop.m{number - 1}")
        if number % 10 == 0 and is_enough():
            return


def names_in(node: Node, table: str) -> set[str]:
    rows = node.execute(f"SELECT table_name FROM system_schema.{table} WHERE keyspace_name = 'shop'")
    return {row.table_name for row in rows}


def joint_moments(bucket: Bucket, schema: Path) -> list[datetime]:
    """Return moments at which all tables of the schema are known: the last of each stretch of such."""
    found = [
        known(RestorePoints(bucket, [directory]), is_optional=may_be_empty(f"{schema.name}/{directory.name}"))
        for directory in schema.iterdir()
    ]
    tables = [table for table in found if table is not None]
    moments: list[datetime] = []
    latest = datetime.max.replace(tzinfo=UTC)
    while tables and (moment := joint_moment(tables, latest)) is not None:
        moments.insert(0, moment)
        latest = max(span.taken_at for table in tables if (span := table(moment))) - timedelta(microseconds=1)
    return moments


def known(points: RestorePoints, *, is_optional: bool) -> Known | None:
    """Return when the restore points of a table were true; None if there are none, as it was always empty."""
    spans = [Span(point.taken_at, point.index.until) for point in points.complete() if point.index.until]
    if not spans and is_optional:
        return None
    if is_optional:
        spans.append(
            Span(datetime.min.replace(tzinfo=UTC), min(span.taken_at for span in spans) - timedelta(minutes=1))
        )

    def last(moment: datetime) -> Span | None:
        begun = [span for span in spans if span.taken_at <= moment]
        return max(begun, key=lambda span: (span.taken_at, span.until), default=None)

    return last


def spread_out(moments: Iterable[datetime]) -> list[datetime]:
    """Return the first, the last, and some between them."""
    found = list(moments)
    step = (len(found) - 1) / (TRIED - 1)
    return [found[round(number * step)] for number in range(TRIED)]
