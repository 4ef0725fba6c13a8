"""Ask Cassandra, and tablesnap, which files of a table are live."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.cassandra.node import Node
from tests.cassandra.restore import Table
from tests.daemon.harness import clean_environment

from tablesnap.rules import sstable


def live_by_cassandra(node: Node, table: Table) -> set[Path]:
    """Return the files of finished sstables, as ``sstableutil -t final`` has them."""
    return node.sstableutil(table.keyspace, table.name)


def live_by_tablesnap(directories: Iterable[Path]) -> set[Path]:
    """Return the files in a table's *directories* that ``tablesnap --explain`` calls live."""
    command = [sys.executable, "-m", "tablesnap", "--explain", "--json", *map(str, directories)]
    environment = clean_environment() | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert ran.stdout, ran.stderr
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    return {Path(one["path"]) for one in found if one["live"] and sstable.parse(Path(one["path"]).name)}
