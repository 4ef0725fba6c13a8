"""What is behind symbolic links is checked and restored with the rest of its node."""

import subprocess
from pathlib import Path

import pytest
from tests.cli.process import ended
from tests.daemon.fake_cassandra import Table
from tests.daemon.table_points import directory_below, following, wait_for_live

from tablesnap.store.file import FileStore


def run(command: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return ended(command, *arguments)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with a linked keyspace, and with a table of its own that is linked."""
    data, disk = tmp_path / "data", tmp_path / "disk"
    (disk / "shop").mkdir(parents=True)
    (disk / "t").mkdir()
    directory_below(data).parent.mkdir(parents=True)
    directory_below(data).symlink_to(disk / "t")
    (data / "shop").symlink_to(disk / "shop")
    return data


@pytest.fixture
def tables(data: Path) -> list[Table]:
    return [Table(directory_below(data)), Table(data / "shop" / directory_below(data).name)]


@pytest.fixture
def bucket(tmp_path: Path, tables: list[Table]) -> str:
    """A bucket in which a daemon has stored what is in the tables."""
    (tmp_path / "bucket").mkdir()
    store = FileStore(str(tmp_path / "bucket"))
    with following(store, *tables):
        for table in tables:
            table.flush()
            wait_for_live(store, table)
    return f"file://{tmp_path}/bucket"


def test_a_whole_node_is_restored_with_its_linked_tables(
    tmp_path: Path, data: Path, tables: list[Table], bucket: str
) -> None:
    done = run("tableslurp", "-r", "-n", "n", bucket, data, tmp_path / "target")

    found = {path for path in (tmp_path / "target").rglob("*-big-*") if path.is_file()}
    expected = {one.directory / name for table in tables for one in table.live for name in one.files}
    assert {path.relative_to(tmp_path / "target") for path in found} == {path.relative_to(data) for path in expected}
    assert done.returncode == 0, done.stderr


def test_linked_tables_that_are_stored_are_no_fault(data: Path, bucket: str) -> None:
    done = run("tablecheck", "-n", "n", "--against", data, bucket)

    assert (done.stdout, done.returncode) == ("", 0)


def test_a_linked_table_without_a_restore_point_is_a_fault(tmp_path: Path, data: Path, bucket: str) -> None:
    (tmp_path / "disk" / "new").mkdir()
    (data / "shop" / f"new-{'1b' * 16}").symlink_to(tmp_path / "disk" / "new")
    written = Table(data / "shop" / f"new-{'1b' * 16}").flush()  # nobody is there to see it

    done = run("tablecheck", "-n", "n", "--against", data, bucket)

    lines = done.stdout.splitlines()
    assert {line.split()[1].rpartition("/")[2] for line in lines} == set(written.files)
    assert all(f"unprotected  n:{written.directory}/" in line for line in lines)
    assert done.returncode == 3


@pytest.mark.parametrize("target", ["not/mounted", ".."])
def test_a_link_behind_which_nobody_can_look_is_a_fault(data: Path, bucket: str, target: str) -> None:
    link = data / "ks" / f"new-{'1b' * 16}"
    link.symlink_to(data / target)

    done = run("tablecheck", "-n", "n", "--against", data, bucket)

    (line,) = done.stdout.splitlines()
    assert line.startswith(f"unchecked    n:{link}  (a symbolic link")
    assert done.returncode == 3
