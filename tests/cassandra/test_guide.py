"""Rows are deleted, columns dropped, tables renamed: the guide to restoring and what tableslurp prints are typed."""

import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cassandra import ReadFailure
from tests.cassandra.guide import blocks
from tests.cassandra.journal import now
from tests.cassandra.node import Node, running_node
from tests.cassandra.restore import RestorePoints, create_keyspace
from tests.cassandra.shell import Failed, Shell, shell_on
from tests.daemon.harness import NODE, Bucket, running, wait_until
from tests.endpoint import S3Server

pytestmark = pytest.mark.cassandra

BESIDE = "Into a table beside it"
WHOLE = "The whole table as it was"
PLAIN = "One table, on a node that runs"

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Host:
    """A node that is backed up, and a shell beside it."""

    node: Node
    bucket: Bucket
    shell: Shell


@pytest.fixture(scope="module")
def host(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """One for all: each test has a table of its own."""
    name = f"backups-{uuid.uuid4().hex[:12]}"
    s3_server.make_bucket(name)
    bucket, directory = Bucket.on(s3_server, name), tmp_path_factory.mktemp("host")
    with running_node(directory / "node") as node:
        create_keyspace(node, "shop")
        flags = ("-r", "-a", "-B", "--index-interval", "0")
        with (
            running(bucket, *flags, *node.data, log=directory / "daemon.log"),
            shell_on(node, bucket, directory / "programs") as shell,
        ):
            yield Host(node, bucket, shell)


class Accident:
    """What an operator has before the eyes: one table, and a moment before it went wrong."""

    def __init__(self, host: Host, table: str, new: Path) -> None:
        self._host, self._table = host, table
        [self._directory] = host.node.table_directories("shop", table)
        self.new = new
        before = now()
        host.node.nodetool("flush", "shop", table)
        self.at = RestorePoints(host.bucket, [self._directory]).await_after(before).taken_at

    def variables(self) -> dict[str, object]:
        """Return the guide's, as they are in this case."""
        return {
            "BUCKET": self._host.bucket.url,
            "NODE": NODE,
            "DATA": self._directory.parents[1],
            "AT": self.at.isoformat(),
            "NEW": self.new,
            "KEYSPACE": "shop",
            "TABLE": self._table,
            "ID": self._directory.name.partition("-")[2],
            "BESIDE": f"{self._table}_restored",
            "HOST": self._host.node.configuration.address,
        }

    def type(self, text: str | Sequence[str], **more: object) -> str:
        """Type what the guide has there."""
        text = text if isinstance(text, str) else "\n".join(text)
        return self._host.shell.type(text, **self.variables(), **more)

    def follow(self, heading: str, **more: object) -> str:
        """Type the section of this *heading*."""
        return self.type(blocks(heading), **more)


def rows_of(node: Node, table: str, where: str = "") -> Rows:
    rows = [row._asdict() for row in node.execute(f"SELECT * FROM shop.{table} {where}")]
    return sorted(rows, key=repr)


def found_by_index(node: Node, table: str, where: str) -> Rows:
    """Read by an index that may not be built yet."""
    try:
        return rows_of(node, table, f"WHERE {where}")
    except ReadFailure as error:
        raise AssertionError(f"the index is not there yet: {error}") from error


def make(node: Node, table: str, columns: str = "p int, c int, v text, w text, PRIMARY KEY (p, c)") -> None:
    """Make a table with an index of each kind, and 20 rows in it."""
    node.execute(f"CREATE TABLE shop.{table} ({columns})")
    name = table.strip('"').lower()
    node.execute(f"CREATE INDEX {name}_by_v ON shop.{table} (v)")
    node.execute(f"CREATE INDEX {name}_by_w ON shop.{table} (w) USING 'sai'")
    for c in range(20):
        node.execute(f"INSERT INTO shop.{table} (p, c, v, w) VALUES ({c % 4}, {c}, 'v{c % 3}', 'w{c % 2}')")


def spoil(node: Node, table: str) -> None:
    """Delete rows and a partition by mistake; what is written besides is meant."""
    node.execute(f"DELETE FROM shop.{table} WHERE p = 2 AND c = 2")
    node.execute(f"DELETE FROM shop.{table} WHERE p = 1")
    node.execute(f"INSERT INTO shop.{table} (p, c, v, w) VALUES (0, 100, 'new', 'new')")
    node.execute(f"UPDATE shop.{table} SET v = 'changed' WHERE p = 0 AND c = 0")


def test_rows_that_were_deleted_stay_so_by_an_import_and_come_back_by_a_table_beside(
    host: Host, tmp_path: Path
) -> None:
    node = host.node
    make(node, "deleted")
    accident = Accident(host, "deleted", tmp_path / "new")
    then = rows_of(node, "deleted")
    spoil(node, "deleted")
    spoilt = rows_of(node, "deleted")

    accident.follow(PLAIN)
    assert rows_of(node, "deleted") == spoilt, "it is no longer so that an import brings nothing back"

    restore, compare, copy, drop = blocks(BESIDE)
    accident.type([restore, compare])
    gone = accident.new / "gone.csv"
    lines = gone.read_text().splitlines(keepends=True)
    unwanted = [line for line in lines if re.search(r"\b0\b.*\b0\b", line)]  # the row that was changed, not deleted
    assert len(lines) == len([row for row in then if row not in spoilt]) == 7
    assert len(unwanted) == 1
    gone.write_text("".join(line for line in lines if line not in unwanted))
    accident.type([copy, drop])

    wanted = sorted([*spoilt, *(row for row in then if row["p"] == 1 or row["c"] == 2)], key=repr)
    assert rows_of(node, "deleted") == wanted
    for where in ("v = 'v1'", "w = 'w1'"):
        column, value = where.replace("'", "").split(" = ")
        assert rows_of(node, "deleted", f"WHERE {where}") == [row for row in wanted if row[column] == value]


def test_a_whole_table_is_as_it_was_once_it_is_truncated(host: Host, tmp_path: Path) -> None:
    make(host.node, "as_it_was")
    accident = Accident(host, "as_it_was", tmp_path / "new")
    then = rows_of(host.node, "as_it_was")
    spoil(host.node, "as_it_was")

    accident.follow(WHOLE)

    assert rows_of(host.node, "as_it_was") == then
    wanted = [row for row in then if row["w"] == "w1"]
    wait_until(lambda: found_by_index(host.node, "as_it_was", "w = 'w1'") == wanted, "the index to be built")


def test_what_tableslurp_prints_brings_deleted_rows_back_in_both_ways(host: Host, tmp_path: Path) -> None:
    """A name that is a word of CQL, and capitals in another: both want quotes."""
    node = host.node
    make(node, '"Order"')
    accident = Accident(host, "Order", tmp_path / "new")
    then = rows_of(node, '"Order"')
    spoil(node, '"Order"')
    spoilt = rows_of(node, '"Order"')

    said = accident.type('tableslurp -n $NODE --at "$AT" $BUCKET $DATA/$KEYSPACE/$TABLE-$ID $NEW')
    hint = said.partition("next, as docs/guide/restore.md has it:")[2]
    assert hint.index("WHAT WAS DELETED STAYS DELETED") < hint.index("\n    "), "it is said above the commands"
    compare, beside, truncate, bring = [
        "\n".join(re.findall(r"^    (.*)$", part, re.MULTILINE))
        for part in re.split(r"^\* (?:a\.|b\.|Import)", hint, flags=re.MULTILINE)
    ]

    shown = accident.type(compare)
    assert "RegularColumns: v:org.apache.cassandra.db.marshal.UTF8Type" in shown
    assert "v text" in shown
    accident.type(beside)
    wanted = sorted([*(row for row in spoilt if row["c"] != 0), *(row for row in then if row not in spoilt)], key=repr)
    assert rows_of(node, '"Order"') == wanted

    accident.type([truncate, bring])
    assert rows_of(node, '"Order"') == then


def test_a_column_that_was_dropped_comes_back_from_a_table_beside(host: Host, tmp_path: Path) -> None:
    node = host.node
    make(node, "narrowed", "p int, c int, v text, w text, old text, PRIMARY KEY (p, c)")
    node.execute("UPDATE shop.narrowed SET old = 'kept' WHERE p = 3 AND c = 3")
    accident = Accident(host, "narrowed", tmp_path / "new")
    then = rows_of(node, "narrowed")
    node.execute("ALTER TABLE shop.narrowed DROP old")

    accident.follow("A column was dropped", COLUMN="old", TYPE="text", KEY="p, c")

    assert rows_of(node, "narrowed") == then
    assert any(row["old"] == "kept" for row in then)


def test_a_column_of_another_type_is_refused_or_shows_wrong_bytes(host: Host, tmp_path: Path) -> None:
    node = host.node
    node.execute("CREATE TABLE shop.remade (p int PRIMARY KEY, x int, y text)")
    node.execute("INSERT INTO shop.remade (p, x, y) VALUES (1, 65, 'y')")
    accident = Accident(host, "remade", tmp_path / "new")
    node.execute("DROP TABLE shop.remade")
    node.execute("CREATE TABLE shop.remade (p int PRIMARY KEY, x text, y text)")
    node.execute("INSERT INTO shop.remade (p, x, y) VALUES (2, 'x', 'y')")
    node.nodetool("flush", "shop", "remade")
    restore, _, bring = blocks(WHOLE)

    with pytest.raises(Failed) as refused:
        accident.type(restore)
    [now_in] = node.table_directories("shop", "remade")
    said = re.sub(r"\s+", " ", str(refused.value))
    assert f"has other types in {now_in}: column x was int and is text now" in said
    assert not [*accident.new.rglob("*.db")]

    accident.type(restore.replace("tableslurp ", "tableslurp --allow-other-types "))
    accident.type(bring)
    wrong = [{"p": 1, "x": "\0\0\0A", "y": "y"}, {"p": 2, "x": "x", "y": "y"}]
    assert rows_of(node, "remade") == wrong, "it is no longer so that an import shows wrong bytes"

    lines = blocks(BESIDE)[0].splitlines()
    lines.insert(3, "sed -i 's/x text/x int/' $NEW/$BESIDE.cql")
    accident.type(lines)
    assert rows_of(node, "remade_restored") == [{"p": 1, "x": 65, "y": "y"}]


def test_a_column_that_was_dropped_is_said_where_nothing_live_has_it(host: Host, tmp_path: Path) -> None:
    node = host.node
    node.execute("CREATE TABLE shop.lessened (p int PRIMARY KEY, x int, old text)")
    node.execute("INSERT INTO shop.lessened (p, x, old) VALUES (1, 1, 'old')")
    accident = Accident(host, "lessened", tmp_path / "new")
    node.execute("ALTER TABLE shop.lessened DROP old")
    node.execute("TRUNCATE shop.lessened")  # a compaction goes on naming what was dropped
    node.execute("INSERT INTO shop.lessened (p, x) VALUES (2, 2)")
    node.nodetool("flush", "shop", "lessened")

    said = accident.type(blocks(WHOLE)[0])

    assert "has column old. An import leaves out what was dropped" in re.sub(r"\s+", " ", said)


def test_a_column_of_another_type_is_seen_before_anything_is_flushed(host: Host, tmp_path: Path) -> None:
    """What the table has in memory alone, tableslurp does not see."""
    node = host.node
    node.execute("CREATE TABLE shop.retyped (p int PRIMARY KEY, x int)")
    node.execute("INSERT INTO shop.retyped (p, x) VALUES (1, 65)")
    accident = Accident(host, "retyped", tmp_path / "new")
    variables = accident.variables()
    node.execute("DROP TABLE shop.retyped")
    node.execute("CREATE TABLE shop.retyped (p int PRIMARY KEY, x text)")
    [restore, *_] = blocks(WHOLE)
    accident.type(restore)

    shown = accident.follow("What has changed meanwhile")
    assert "RegularColumns: x:org.apache.cassandra.db.marshal.Int32Type" in shown
    assert "x text" in shown
    accident.type("nodetool import --copy-data $KEYSPACE $TABLE $NEW/$KEYSPACE/$TABLE")
    assert rows_of(node, "retyped") == [{"p": 1, "x": "\0\0\0A"}], "it is no longer so that an import shows wrong bytes"

    lines = blocks(BESIDE)[0].splitlines()
    lines.insert(3, "sed -i 's/x text/x int/' $NEW/$BESIDE.cql")
    accident.type(lines)
    assert rows_of(node, "retyped_restored") == [{"p": 1, "x": 65}]
    assert variables["ID"] != node.table_directories("shop", "retyped")[0].name.partition("-")[2]


def test_columns_that_were_added_are_null_and_a_table_that_lacks_one_takes_nothing(host: Host, tmp_path: Path) -> None:
    node = host.node
    node.execute("CREATE TYPE shop.address (street text)")
    node.execute("CREATE TABLE shop.widened (p int PRIMARY KEY, x text, a frozen<address>)")
    node.execute("INSERT INTO shop.widened (p, x, a) VALUES (1, 'x', {street: 's'})")
    accident = Accident(host, "widened", tmp_path / "new")
    node.execute("ALTER TABLE shop.widened ADD y text")
    node.execute("ALTER TYPE shop.address ADD zip text")
    accident.follow(WHOLE)
    [row] = node.execute("SELECT p, x, y, a.street, a.zip FROM shop.widened")
    assert tuple(row) == (1, "x", None, "s", None)

    node.execute("DROP TABLE shop.widened")
    node.execute("CREATE TABLE shop.widened (p int PRIMARY KEY, a frozen<address>)")
    with pytest.raises(Failed, match="Some directories failed to import"):
        accident.type("nodetool import --copy-data $KEYSPACE $TABLE $NEW/$KEYSPACE/$TABLE")
    assert rows_of(node, "widened") == []


def test_rows_whose_time_to_live_ran_out_are_in_the_files_alone(host: Host, tmp_path: Path) -> None:
    node = host.node
    node.execute("CREATE TABLE shop.brief (p int PRIMARY KEY, v text) WITH default_time_to_live = 3")
    node.execute("INSERT INTO shop.brief (p, v) VALUES (1, 'short-lived')")
    accident = Accident(host, "brief", tmp_path / "new")
    wait_until(lambda: not rows_of(node, "brief"), "the row to expire")

    accident.follow(WHOLE)
    assert rows_of(node, "brief") == []

    accident.follow("A time to live ran out")
    dumped = (accident.new / "rows.json").read_text()
    assert "short-lived" in dumped
    assert '"expired" : true' in dumped


def test_sstableloader_brings_a_table_with_sai_once_its_index_is_dropped(host: Host, tmp_path: Path) -> None:
    node = host.node
    node.execute("CREATE TABLE shop.searched (p int, c int, w text, PRIMARY KEY (p, c))")
    node.execute("CREATE INDEX searched_by_w ON shop.searched (w) USING 'sai'")
    for c in range(20):
        node.execute(f"INSERT INTO shop.searched (p, c, w) VALUES ({c % 4}, {c}, 'w{c % 2}')")
    accident = Accident(host, "searched", tmp_path / "new")
    then = rows_of(node, "searched")
    restore, truncate, _ = blocks(WHOLE)
    accident.type([restore, truncate])

    [load] = blocks("An SAI index, and sstableloader")
    with pytest.raises(Failed):
        accident.type([line for line in load.splitlines() if line.startswith("sstableloader")])
    accident.type(load, INDEX="searched_by_w", COLUMN="w")

    assert rows_of(node, "searched") == then
    wanted = [row for row in then if row["w"] == "w1"]
    wait_until(lambda: found_by_index(node, "searched", "w = 'w1'") == wanted, "the index to be built")


def test_a_table_comes_into_another_keyspace_under_another_name(host: Host, tmp_path: Path) -> None:
    node = host.node
    create_keyspace(node, "archive")
    for keyspace in ("shop", "archive"):
        node.execute(f"CREATE TYPE {keyspace}.place (street text, zip text)")
    columns = "p int PRIMARY KEY, a frozen<place>, m map<text, frozen<place>>"
    node.execute(f"CREATE TABLE shop.moved ({columns})")
    node.execute(f"CREATE TABLE archive.old_moved ({columns})")
    node.execute('INSERT INTO shop.moved JSON \'{"p": 1, "a": {"street": "s"}, "m": {"k": {"zip": "z"}}}\'')
    accident = Accident(host, "moved", tmp_path / "new")

    accident.follow("Another keyspace, or another name", NEW_KEYSPACE="archive", NEW_TABLE="old_moved")

    moved = [list(node.execute(f"SELECT JSON * FROM {table}")) for table in ("shop.moved", "archive.old_moved")]
    assert moved[0] == moved[1] != []
