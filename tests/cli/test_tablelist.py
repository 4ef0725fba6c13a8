"""What ``tablelist`` prints, and what it exits with."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.catalog.stored import Past
from tests.cli.process import ended, environment
from tests.golden.stored import bucket_of_1x, put_into

from tablesnap.rules.late import Late

TABLELIST = "import sys; from tablesnap.cli.tablelist.main import main; sys.exit(main())"
NOW = datetime.now(UTC).replace(microsecond=0)
DATA = "/var/lib/cassandra/data"
USERS = f"{DATA}/shop/users-{'5a1c395e' * 4}"
ORDERS = f"{DATA}/shop/orders-{'0b1c395e' * 4}"


def ago(**before: float) -> datetime:
    return NOW - timedelta(**before)


def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return ended("tablelist", *arguments, **more)


def lines_of(done: subprocess.CompletedProcess[str]) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def bucket(tmp_path: Path) -> str:
    return f"file://{tmp_path}/bucket"


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past.in_directory(tmp_path / "bucket")


def test_nodes_and_tables_are_printed_with_times_and_sizes(past: Past, bucket: str, tmp_path: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.table(USERS, [1, 2], ago(hours=1))
    Past.in_directory(tmp_path / "bucket", "node2").table(ORDERS, [1], ago(hours=2))

    done = run(bucket)

    newest, oldest = f"{ago(hours=1):%Y-%m-%d %H:%M}", f"{ago(hours=5):%Y-%m-%d %H:%M}"
    lines = done.stdout.splitlines()
    assert lines[:4] == [
        "node1",
        "    NEWEST (UTC)      OLDEST            POINTS       LIVE     STORED  STATE",
        "",
        f"{DATA}/shop",
    ]
    assert lines[4] == f"  users-{'5a1c395e' * 4}"
    assert re.fullmatch(rf"    {newest}  {oldest}       2   15.6 KiB   17.\d KiB  complete", lines[5])
    assert lines[6:8] == ["", "node2"]
    assert done.stderr == "tablelist: 2 listed, 0 of them not whole\n"
    assert done.returncode == 0


@pytest.mark.parametrize("columns", [80, 110, 200])
def test_no_line_is_longer_than_the_terminal_is_wide(past: Past, bucket: str, columns: int) -> None:
    past.table(USERS, [1], ago(days=5))
    past.point(
        {USERS: past.sstable(USERS, 2, ago(hours=4))}, ago(hours=4), missing=[f"nb-{n}-big-Data.db" for n in range(9)]
    )
    past.garbage(past.keys.plain(f"{ORDERS}/nb-3-big-Data.db-listdir.json"), b"{", ago(hours=2))

    done = run(bucket, COLUMNS=str(columns))
    points = run("-n", "node1", bucket, USERS, COLUMNS=str(columns))

    assert max(map(len, (done.stdout + points.stdout).splitlines())) <= columns
    assert bool(re.search(r"users-\w+ +20", done.stdout)) == (columns == 200)
    assert ("nb-2-big-Data.db-listdir.json" in points.stdout) == (columns >= 110)


def test_the_newest_that_is_not_whole_is_an_exit_code_of_its_own_and_says_what_is_left(past: Past, bucket: str) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.table(USERS, [1, 2], ago(hours=1))
    past.store.delete([past.keys.plain(f"{USERS}/nb-2-big-Index.db")])

    done = run(bucket)

    assert "incomplete" in done.stdout
    assert "! nb-2-big-Index.db is not in the store" in done.stdout
    assert f"! the newest whole one was taken at {ago(hours=5):%Y-%m-%d %H:%M:%S}" in done.stdout
    assert done.returncode == 3


def test_an_index_that_cannot_be_read_is_an_exit_code_of_its_own(past: Past, bucket: str) -> None:
    past.garbage(past.keys.plain(f"{USERS}/nb-3-big-Data.db-listdir.json"), b"{", ago(hours=2))

    done = run(bucket)

    assert "unreadable" in done.stdout
    assert "! nb-3-big-Data.db-listdir.json cannot be read: it is damaged" in done.stdout
    assert "! none is whole" in done.stdout
    assert done.returncode == 3


def test_objects_without_an_index_are_an_exit_code_of_their_own(past: Past, bucket: str) -> None:
    past.sstable(USERS, 1, ago(hours=1))

    done = run(bucket)

    assert "no index" in done.stdout
    assert "--from-objects" in done.stdout
    assert done.returncode == 3


def test_what_was_found_unexplained_and_long_silence_are_said(past: Past, bucket: str) -> None:
    past.table(USERS, [1], ago(days=12))
    past.point({USERS: past.sstable(USERS, 2, ago(days=9))}, ago(days=9), unexplained=["nb-1-big-"])

    done = run(bucket)

    assert "! unexplained: nb-1-big- went before it without a transaction of Cassandra" in done.stdout
    assert "! no index was written for more than a day: from" in done.stdout
    assert re.search(r"! nothing was recorded since .*, for 9 days", done.stdout)
    assert done.returncode == 0


def test_indexes_that_are_behind_or_were_late_are_said(past: Past, bucket: str) -> None:
    late = Late(".by_name", ago(hours=5), ago(hours=3))
    past.table(USERS, [1], ago(hours=5))
    past.point({USERS: past.sstable(USERS, 2, ago(hours=1))}, ago(hours=1), behind=[".by_age"], late=[late])

    listed = run("-n", "node1", bucket, USERS, COLUMNS="200")
    of_then = run("-n", "node1", "--at", "4h ago", bucket, USERS, COLUMNS="200")
    fields = lines_of(run("--json", "-n", "node1", bucket, USERS))

    behind = (
        "! behind: index by_age may lack entries, as it was still being built or flushed; rebuild it after a restore"
    )
    learnt = "! late: index by_name may lack entries, as it was flushed late, as a later restore point says; rebuild it"
    assert behind in listed.stdout
    assert learnt in listed.stdout
    assert learnt in of_then.stdout
    assert behind not in of_then.stdout
    points = [line for line in fields if "index" in line]
    assert [(point["behind"], point["late"]) for point in points] == [([".by_age"], []), ([], [".by_name"])]


def test_with_the_path_of_a_table_its_restore_points_are_printed_and_the_gaps(past: Past, bucket: str) -> None:
    past.table(USERS, [1], ago(days=5))
    past.table(USERS, [1, 2], ago(hours=1))
    past.table(ORDERS, [1], ago(hours=1))

    done = run("-n", "node1", bucket, f"{USERS}/")

    head, columns, newest, gap, oldest = done.stdout.splitlines()
    assert head == f"node1  {USERS}"
    assert columns.split()[:3] == ["TAKEN", "(UTC)", "STILL"]
    assert newest.startswith(f"{ago(hours=1):%Y-%m-%d %H:%M:%S.%f}  ")
    assert newest.endswith("     10   15.6 KiB  complete")
    assert gap.startswith(f"  ! gap: nothing was recorded from {ago(days=5):%Y-%m-%d %H:%M} to")
    assert oldest.startswith(f"{ago(days=5):%Y-%m-%d %H:%M:%S.%f}  ")
    assert done.returncode == 0


def test_an_older_restore_point_that_is_not_whole_is_seen_where_they_are_listed(past: Past, bucket: str) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.table(USERS, [2], ago(hours=1))
    past.store.delete([past.keys.plain(f"{USERS}/nb-1-big-Data.db")])

    assert run(bucket).returncode == 0
    assert run("-n", "node1", bucket, USERS).returncode == 3


def test_programs_get_an_object_a_line_for_each_table(past: Past, bucket: str) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.point({ORDERS: past.sstable(ORDERS, 2, ago(hours=4))}, ago(hours=4), missing=["nb-1-big-Data.db"])

    done = run("--json", bucket)

    orders, users = lines_of(done)
    assert (users["node"], users["directories"], users["restore_points"]) == ("node1", [USERS], 1)
    assert users["newest"]["taken_at"] == f"{ago(hours=5):%Y-%m-%dT%H:%M:%S}.000000Z"
    assert (users["newest"]["state"], users["newest"]["live_bytes"]) == ("complete", 8000)
    assert (orders["newest"]["faults"], orders["newest_whole"]) == (1, None)
    assert orders["newest"]["first_faults"][0]["path"] == f"{ORDERS}/nb-1-big-Data.db"
    assert done.stderr == ""
    assert done.returncode == 3


def test_programs_get_an_object_a_line_for_each_restore_point_and_gap_of_a_table(past: Past, bucket: str) -> None:
    past.table(USERS, [1], ago(days=5))
    [key] = past.table(USERS, [1, 2], ago(hours=1))

    newest, oldest, gap = lines_of(run("--json", "-n", "node1", bucket, USERS))

    assert (newest["index"], newest["files"], newest["state"]) == (key, 10, "complete")
    assert (oldest["node"], oldest["name"]) == ("node1", f"shop/users-{'5a1c395e' * 4}")
    assert gap["gap"]["why"] == "nothing was recorded"


def test_prefix_and_separator_are_those_the_daemon_was_given(tmp_path: Path, bucket: str) -> None:
    past = Past.in_directory(tmp_path / "bucket")
    past.garbage("prod/nodeX/srv/files/a", b"1", ago(hours=1))

    [found] = lines_of(run("--json", "--prefix", "prod/", "--keyname-separator", "/", bucket))

    assert (found["node"], found["directories"]) == ("nodeX", ["/srv/files"])


def test_no_name_can_forge_a_line(past: Past, bucket: str) -> None:
    past.point({"/srv/a\nb\x1b[31m": {"x": past.file("/srv/a\nb\x1b[31m", "x", 1, NOW)}}, NOW)

    done = run(bucket)

    assert "  a\\x0ab\\x1b[31m\n" in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize("arguments", [(), ("-n", "node2"), ("-n", "node1", "/elsewhere"), ("--prefix", "x/")])
def test_where_nothing_is_found_it_fails_and_says_where_it_looked(
    past: Past, bucket: str, arguments: tuple[str, ...]
) -> None:
    if arguments:
        past.table(USERS, [1], ago(hours=1))
    flags, paths = [word for word in arguments if word[0] != "/"], [word for word in arguments if word[0] == "/"]

    done = run(*flags, bucket, *paths)

    assert done.stdout == ""
    assert "nothing was found" in done.stderr
    assert done.returncode == 1


def test_a_bucket_that_is_not_there_is_a_failure_and_no_answer(bucket: str) -> None:
    done = run(bucket)

    assert (done.stdout, done.returncode) == ("", 1)
    assert "bucket" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("a", "/b", "/c"), ("a", "relative"), ("--nonsense", "a"), ("a@b",)])
def test_a_line_that_cannot_be_meant_is_refused(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)

    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr.startswith("tablelist: ")


def test_the_help_fits_a_terminal_and_names_every_exit_code() -> None:
    done = run("--help", COLUMNS="80")

    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "exit codes:" in done.stdout
    assert done.returncode == 0


def test_who_reads_the_first_line_only_sees_no_traceback(past: Past, bucket: str) -> None:
    for number in range(300):
        past.garbage(f"node1:/srv/{number:04}-{'long' * 50}/file", b"1", NOW)
    command = [sys.executable, "-c", TABLELIST, bucket]

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as reader:
        assert reader.stdout is not None
        assert reader.stderr is not None
        reader.stdout.readline()
        reader.stdout.close()
        complaints = reader.stderr.read()

    assert complaints == ""


def test_a_bucket_of_1x_is_listed(past: Past, bucket: str) -> None:
    put_into(past)

    done = run("--json", bucket)

    found = lines_of(done)
    assert {one["newest"]["format"] for one in found} == {1}
    assert all(one["newest"]["state"] in ("complete", "incomplete") for one in found)
    assert sum(one["objects"] for one in found) == len(bucket_of_1x()["objects"])
    assert all(one["silences"] == [] for one in found)


@pytest.mark.parametrize("path", ["shop.users", f"{DATA}/shop/users"])
def test_a_table_is_understood_by_its_name_and_without_its_id_on_each_node_that_has_it(
    past: Past, bucket: str, tmp_path: Path, path: str
) -> None:
    past.table(ORDERS, [1], ago(hours=5))
    for node in ("node2", "node3"):
        Past.in_directory(tmp_path / "bucket", node).table(USERS, [1], ago(hours=1))

    done = run(bucket, path)
    then = run("--at", "2 minutes ago", bucket, path)
    page = run("--report", f"{tmp_path}/page.html", bucket, path)

    assert [line for line in done.stdout.splitlines() if "node" in line] == [f"node2  {USERS}", f"node3  {USERS}"]
    assert then.stderr.endswith("2 listed, 0 of them without a restore point, or not with the newest of then\n")
    assert page.stderr == f"tablelist: 2 listed in {tmp_path}/page.html, 0 of them not whole\n"
    assert (done.returncode, then.returncode, page.returncode) == (0, 0, 0)


def test_where_several_tables_fit_a_name_they_are_named(past: Past, bucket: str) -> None:
    again = f"{DATA}/shop/users-{'9f3b395e' * 4}"
    for directory in (USERS, again):
        past.table(directory, [1], ago(hours=5))

    done = run(bucket, "shop.users")

    assert done.stderr.endswith(f"shop.users fits 2 tables of node1; give the directory of one: {USERS} or {again}\n")
    assert done.returncode == 2


def test_a_name_that_no_table_has_is_said_to_be_none(past: Past, bucket: str) -> None:
    past.table(USERS, [1], ago(hours=5))

    done = run(bucket, "shop.orders")

    assert "begin with NODE:, of a table that is called shop.orders; see -n" in done.stderr
    assert done.returncode == 1


def test_an_endpoint_of_the_environment_without_its_scheme_is_answered_with_what_it_lacks() -> None:
    done = run("bucket", AWS_ENDPOINT_URL="localhost:9000", AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b")

    assert "Invalid endpoint: localhost:9000; write it with http:// or https://" in done.stderr
    assert done.returncode == 1
