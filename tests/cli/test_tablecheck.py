"""What ``tablecheck`` prints and writes, and what it exits with."""

import hashlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.catalog.stored import Past
from tests.cli.process import UNANSWERED, ended, environment, running
from tests.daemon.fake_cassandra import Table
from tests.daemon.harness import Bucket
from tests.daemon.table_points import directory_below, following, wait_for_live
from tests.endpoint import S3Server

from tablesnap.cli.tablecheck.flags import parse
from tablesnap.errors import UsageError
from tablesnap.rules.late import Late
from tablesnap.store.file import FileStore
from tablesnap.store.port import Content

TABLECHECK = "import sys; from tablesnap.cli.tablecheck.main import main; sys.exit(main())"
GOLDEN = Path(__file__).parents[1] / "golden" / "tablesnap-1.2.1"
NOW = datetime.now(UTC).replace(microsecond=0)
USERS = f"/data/shop/users-{'5a1c395e' * 4}"
ORDERS = f"/data/shop/orders-{'0b1c395e' * 4}"


def ago(**before: float) -> datetime:
    return NOW - timedelta(**before)


def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return ended("tablecheck", *arguments, **more)


def lines_of(done: subprocess.CompletedProcess[str]) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def summary_of(done: subprocess.CompletedProcess[str]) -> str:
    return done.stderr.splitlines()[-1]


def flip(path: Path) -> None:
    """Flip a bit on the disk below a store, as a disk does that goes bad."""
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(bytes(body))


@pytest.fixture
def bucket(tmp_path: Path) -> str:
    return f"file://{tmp_path}/bucket"


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past.in_directory(tmp_path / "bucket")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    return directory


def test_indexes_that_may_lack_entries_are_said_and_are_no_fault(past: Past, bucket: str) -> None:
    late = Late(".by_name", ago(hours=5), ago(hours=3))
    past.table(USERS, [1], ago(hours=5))
    past.point({USERS: past.sstable(USERS, 2, ago(hours=1))}, ago(hours=1), behind=[".by_age"], late=[late])

    done = run(bucket)
    told = lines_of(run("--json", bucket))[0]

    learnt = "late: index by_name may lack entries, as it was flushed late, as a later restore point says"
    assert re.search(f"note +node1  shop/users-.* {learnt}; .* \\(1 restore point, the newest that of ", done.stdout)
    assert "behind: index by_age may lack entries" in done.stdout
    assert len(told["notes"]) == 2
    assert "no fault" in summary_of(done)
    assert done.returncode == 0


def test_each_node_that_is_done_is_named(past: Past, bucket: str, tmp_path: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    Past.in_directory(tmp_path / "bucket", "node2").table(USERS, [1, 2], ago(hours=1))

    done = run(bucket)

    first, second, _ = done.stderr.splitlines()
    assert "check of node1: done after" in first
    assert "check of node2: done after" in second
    assert "10 of 10 files" in second


@pytest.mark.parametrize("path", ["shop.users", "/data/shop/users"])
def test_a_table_is_understood_by_its_name_and_without_its_id(past: Past, bucket: str, path: str) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.table(ORDERS, [1], ago(hours=5))

    done = run(bucket, path)
    nothing = run(bucket, "shop.nothing")

    assert summary_of(done).startswith("tablecheck: 1 table, 1 restore point, ")
    assert done.returncode == 0
    assert "of a table that is called shop.nothing" in nothing.stderr
    assert nothing.returncode == 1


def test_where_all_is_right_nothing_is_printed_but_a_summary(past: Past, bucket: str, tmp_path: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.table(USERS, [1, 2], ago(hours=1))
    Past.in_directory(tmp_path / "bucket", "node2").table(ORDERS, [1], ago(hours=2))

    done = run(bucket)

    assert (done.stdout, done.returncode) == ("", 0)
    assert summary_of(done) == "tablecheck: 2 tables, 3 restore points, 15 objects right (15 by checksum); no fault"


def test_each_fault_is_a_line_and_an_exit_code_of_its_own(past: Past, bucket: str) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.table(USERS, [1, 2], ago(hours=1))
    past.table(USERS, [2], ago(minutes=1))
    past.store.delete([past.keys.plain(f"{USERS}/nb-1-big-Data.db")])

    done = run(bucket)

    [line] = done.stdout.splitlines()
    assert line == (
        f"lost         node1:{USERS}/nb-1-big-Data.db  (is not in the store; "
        f"of 2 restore points, the newest that of {ago(hours=1):%Y-%m-%dT%H:%M:%S}.000000Z)"
    )
    assert summary_of(done).endswith("; 1 fault")
    assert done.returncode == 3


def test_a_flipped_bit_is_found_with_read_and_in_time_with_samples(past: Past, bucket: str, tmp_path: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    flip(tmp_path / "bucket" / past.keys.plain(f"{USERS}/nb-1-big-Data.db"))

    asked, read, sampled = run(bucket), run("--read", bucket), run("--sample", "1/1", bucket)

    assert asked.returncode == 0
    assert [line.split()[0] for line in read.stdout.splitlines()] == ["nothing", "content"]
    assert read.stdout == sampled.stdout
    assert "15.6 KiB read" not in summary_of(asked)
    assert (read.returncode, sampled.returncode) == (3, 3)


def test_an_index_of_a_newer_format_is_a_fault(past: Past, bucket: str) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.garbage(
        past.keys.plain(f"{USERS}/nb-3-big-Data.db-listdir.json"),
        b'{"/x": [], "tablesnap": {"format": 9}}',
        ago(hours=2),
    )

    done = run(bucket)

    assert done.stdout.startswith("unreadable   node1:")
    assert "its format is 9, and this version reads 2; use a newer one" in done.stdout
    assert done.returncode == 3


def test_programs_get_a_fault_a_table_and_a_summary_as_objects(past: Past, bucket: str) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.point({USERS: past.sstable(USERS, 2, ago(hours=4))}, ago(hours=4), missing=["nb-1-big-Data.db"])

    done = run("--json", bucket)

    fault, table, last = lines_of(done)
    assert (fault["fault"], fault["path"], fault["restore_points"]) == ("missing", f"{USERS}/nb-1-big-Data.db", 1)
    assert fault["newest_restore_point"] == f"{ago(hours=4):%Y-%m-%dT%H:%M:%S}.000000Z"
    assert (table["node"], table["restore_points"], table["faults"]) == ("node1", 2, 1)
    assert table["last_verified"] == f"{ago(hours=5):%Y-%m-%dT%H:%M:%S}.000000Z"
    assert last["summary"]["faults"] == {"missing": 1}
    assert done.returncode == 3


def test_only_the_node_and_the_directory_that_are_asked_for_are_checked(
    past: Past, bucket: str, tmp_path: Path
) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.table(ORDERS, [1], ago(hours=5))
    past.store.delete([past.keys.plain(f"{ORDERS}/nb-1-big-Data.db")])
    Past.in_directory(tmp_path / "bucket", "node2").sstable(USERS, 1, ago(hours=2))

    assert run(bucket).returncode == 3
    assert run("-n", "node1", bucket, USERS).returncode == 0
    assert run("-n", "node1", bucket, f"{ORDERS}/").returncode == 3
    assert run("-n", "node2", bucket).returncode == 3


def test_no_name_can_forge_a_line(past: Past, bucket: str) -> None:
    directory = "/srv/a\nlost  b\x1b[31m"
    past.point({directory: {"x": past.file(directory, "x", 1, NOW)}}, NOW)
    past.store.delete([past.keys.plain(f"{directory}/x")])

    done = run(bucket)

    assert len(done.stdout.splitlines()) == 2
    assert "node1:/srv/a\\x0alost  b\\x1b[31m/x" in done.stdout


def test_figures_for_prometheus_are_written(past: Past, bucket: str, tmp_path: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.table(USERS, [1, 2], ago(hours=1))
    past.store.delete([past.keys.plain(f"{USERS}/nb-2-big-Data.db")])
    past.point({'/srv/"a\\b\n': {"x": past.file('/srv/"a\\b\n', "x", 1, NOW)}}, NOW)
    out = tmp_path / "check.prom"
    out.write_text("old")

    done = run("--read", "--textfile", str(out), bucket)

    figures = dict(line.rsplit(" ", 1) for line in out.read_text().splitlines() if not line.startswith("#"))
    last = "tablesnap_last_verified_restore_point_timestamp_seconds"
    users = f'node="node1",table="shop/users-{"5a1c395e" * 4}"'
    assert float(figures[f"{last}{{{users}}}"]) == ago(hours=5).timestamp()
    assert float(figures[f'{last}{{node="node1",table="/srv/\\"a\\\\b\\n"}}']) == NOW.timestamp()
    assert figures[f"tablesnap_check_restore_points{{{users}}}"] == "2"
    assert figures[f"tablesnap_check_table_faults{{{users}}}"] == "1"
    assert figures['tablesnap_check_faults{kind="lost"}'] == "1"
    assert figures['tablesnap_check_objects{proof="content"}'] == "10"
    assert figures["tablesnap_check_read_bytes"] == "12001"
    assert figures["tablesnap_check_success"] == "0"
    assert float(figures["tablesnap_check_timestamp_seconds"]) >= NOW.timestamp()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bucket", "check.prom"]
    assert done.returncode == 3


def test_a_table_of_which_nothing_is_right_has_a_figure_too(past: Past, bucket: str, tmp_path: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.store.delete([past.keys.plain(f"{USERS}/nb-1-big-Data.db")])

    run("--textfile", str(tmp_path / "check.prom"), bucket)

    assert re.search(r"last_verified\w+\{.*users.*\} 0\.0\n", (tmp_path / "check.prom").read_text())


def test_a_check_that_failed_leaves_the_figures_of_the_last_one(bucket: str, tmp_path: Path) -> None:
    out = tmp_path / "check.prom"
    out.write_text("old")

    done = run("--textfile", str(out), bucket)

    assert (out.read_text(), done.stdout, done.returncode) == ("old", "", 1)
    assert "bucket" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("-n", "node2"), ("-n", "node1", "/elsewhere"), ("--prefix", "x/")])
def test_where_nothing_is_found_it_fails_and_says_where_it_looked(
    past: Past, bucket: str, arguments: tuple[str, ...]
) -> None:
    if arguments:
        past.table(USERS, [1], ago(hours=1))
    flags, paths = [word for word in arguments if word[0] != "/"], [word for word in arguments if word[0] == "/"]

    done = run(*flags, bucket, *paths)

    assert (done.stdout, done.returncode) == ("", 1)
    assert "nothing was found" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("a", "/b", "/c"),
        ("a", "relative"),
        ("--nonsense", "a"),
        ("--read", "--sample", "1/2", "a"),
        ("--sample", "2", "a"),
        ("--sample", "1/0", "a"),
        ("--tolerate", "1h", "a"),
        ("--against", "/nowhere/at/all", "a"),
        ("--against", "/", "-e", "x", "-i", "y", "a"),
        ("--against", "/", "-e", "(", "a"),
        ("--textfile", "/nowhere/at/all.prom", "a"),
        ("-t", "0", "a"),
    ],
)
def test_a_line_that_cannot_be_meant_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        parse(arguments, {}, NOW)


def test_wrong_usage_is_one_line_and_an_exit_code_of_its_own() -> None:
    done = run("--read", "--sample", "1/2", "bucket")

    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr == "tablecheck: --read downloads everything, --sample a share of it; leave out one\n"


def test_without_a_name_the_disk_is_compared_with_what_this_host_stored(data: Path) -> None:
    assert parse(["--against", str(data), "bucket"], {}, NOW).node == socket.getfqdn()
    assert parse(["bucket"], {}, NOW).node is None


def test_the_help_fits_a_terminal_and_names_every_exit_code() -> None:
    done = run("--help", COLUMNS="80")

    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "exit codes:" in done.stdout
    assert done.returncode == 0


def test_who_reads_the_first_line_only_sees_no_traceback(past: Past, bucket: str) -> None:
    for number in range(300):
        past.garbage(f"node1:/srv/{number:04}-{'long' * 50}/file", b"1", NOW)
    command = [sys.executable, "-c", TABLECHECK, bucket]

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as reader:
        assert reader.stdout is not None
        assert reader.stderr is not None
        reader.stdout.readline()
        reader.stdout.close()
        complaints = reader.stderr.read()

    assert "Traceback" not in complaints
    assert "Broken" not in complaints
    assert reader.returncode == 1


def put_golden(store: FileStore, directory: Path) -> list[str]:
    """Put the bucket of 1.x there as it was, and return its keys."""
    golden = json.loads((GOLDEN / "bucket.json").read_text())
    for one in golden["objects"]:
        body = (GOLDEN / "blobs" / one["sha256"]).read_bytes()
        assert hashlib.sha256(body).hexdigest() == one["sha256"]
        store.create(one["key"], Content.of(body), metadata=one["metadata"])
        moment = datetime.fromisoformat(one["last_modified"]).timestamp()
        os.utime(directory / one["key"], (moment, moment))
    return [one["key"] for one in golden["objects"]]


def test_a_bucket_of_1x_is_right_by_the_md5_it_left_and_by_cassandras_digests(tmp_path: Path, bucket: str) -> None:
    (tmp_path / "bucket").mkdir()
    keys = put_golden(FileStore(str(tmp_path / "bucket")), tmp_path / "bucket")
    objects = sum(not key.endswith("-listdir.json") for key in keys)

    present, read = run(bucket), run("--read", bucket)

    assert (present.stdout, present.returncode) == ("", 0)
    assert f"{objects} objects right ({objects} by presence)" in summary_of(present)
    assert (read.stdout, read.returncode) == ("", 0)
    assert f"{objects} objects right ({objects} by content)" in summary_of(read)


def test_each_damage_to_a_bucket_of_1x_is_named(tmp_path: Path, bucket: str) -> None:
    (tmp_path / "bucket").mkdir()
    store = FileStore(str(tmp_path / "bucket"))
    keys = [key for key in put_golden(store, tmp_path / "bucket") if not key.endswith("-listdir.json")]
    store.delete([lost := next(key for key in keys if key.endswith("Index.db"))])
    flip(tmp_path / "bucket" / (flipped := next(key for key in keys if key.endswith("Data.db"))))

    found = {one["fault"]: one for one in lines_of(run("--json", "--read", bucket)) if "fault" in one}

    assert found["missing"]["path"] == "/" + lost.partition(":/")[2]
    assert found["content"]["key"] == flipped


def test_what_a_daemon_stored_is_right_and_what_is_live_is_protected(tmp_path: Path, data: Path, bucket: str) -> None:
    (tmp_path / "bucket").mkdir()
    store = FileStore(str(tmp_path / "bucket"))
    table = Table(directory_below(data))
    with following(store, table):
        table.flush()
        wait_for_live(store, table)
        table.flush()
        wait_for_live(store, table)

    done = run("--read", "-n", "n", "--against", str(data), bucket)

    assert (done.stdout, done.returncode) == ("", 0)
    assert "checksum" not in summary_of(done)  # all by content


def test_what_is_live_and_not_protected_is_a_fault_for_so_long_and_not_before(
    tmp_path: Path, data: Path, bucket: str
) -> None:
    (tmp_path / "bucket").mkdir()
    store = FileStore(str(tmp_path / "bucket"))
    table = Table(directory_below(data))
    with following(store, table):
        table.flush()
        wait_for_live(store, table)
    written = table.flush()  # nobody is there to see it
    table.begin("flush").half_write()
    written_at = time.time() - 7200
    for name in written.files:
        os.utime(written.directory / name, (written_at, written_at))
    out = tmp_path / "check.prom"

    done = run("-n", "n", "--against", str(data), "--textfile", str(out), bucket)
    oldest = time.time() - written_at  # hours later on a machine that is busy enough
    tolerated = run("-n", "n", "--against", str(data), "--tolerate", "3h", bucket)
    excluded = run("-n", "n", "--against", str(data), "-e", re.escape(written.stem), bucket)
    unasked = run("-n", "n", bucket)

    lines = done.stdout.splitlines()
    assert {line.split()[1].rpartition("/")[2] for line in lines} == set(written.files)
    assert all(line.startswith(("unprotected  n:/", "unchecked    n:/")) for line in lines)
    ages = re.findall(r"it was written (\S+) h ago", done.stdout)
    assert len(ages) == len(lines)
    assert min(map(float, ages)) >= 2.0
    [unprotected] = re.findall(r"\ntablesnap_check_unprotected_seconds (\S+)", out.read_text())
    assert 7200 <= float(unprotected) <= oldest
    assert done.returncode == 3
    assert [(one.stdout, one.returncode) for one in (tolerated, excluded, unasked)] == [("", 0)] * 3


def test_who_does_not_want_to_wait_ends_it_at_once_with_a_second_signal() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes requests, and never answers one
        arguments = ["--endpoint-url", f"http://127.0.0.1:{server.getsockname()[1]}", "--aws-region", "us-east-1"]
        with running(["-k", "key", "-s", "secret", *arguments, "bucket"], script=TABLECHECK) as command:
            connection, _ = server.accept()
            with connection:
                command.process.send_signal(signal.SIGTERM)
                command.process.send_signal(signal.SIGINT)

                assert command.wait() == 130


def test_on_a_terminal_faults_stand_above_the_bar(past: Past, bucket: str) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.store.delete([past.keys.plain(f"{USERS}/nb-1-big-Data.db")])
    ours, theirs = pty.openpty()
    shown: list[bytes] = []

    def read() -> None:
        try:
            while piece := os.read(ours, 4096):
                shown.append(piece)
        except OSError:
            pass  # how a terminal says that nobody writes to it any more

    reader = threading.Thread(target=read)
    reader.start()
    done = subprocess.run(
        [sys.executable, "-c", TABLECHECK, bucket],
        stdout=theirs,
        stderr=theirs,
        stdin=theirs,
        env=environment(TERM="xterm", COLUMNS="200"),
        timeout=UNANSWERED,
    )
    os.close(theirs)
    reader.join(UNANSWERED)
    os.close(ours)

    text = b"".join(shown).decode()
    assert "check " in text
    assert re.search(r"[\r\n]lost +node1:/data", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text))
    assert done.returncode == 3


def test_on_a_server_that_keeps_no_checksums_sizes_are_proved_or_contents(moto_endpoint: S3Server) -> None:
    bucket = Bucket.on(moto_endpoint, f"check-{uuid.uuid4().hex}")
    moto_endpoint.make_bucket(bucket.url.removeprefix("s3://"))
    past = Past(bucket.store(), lambda _when, _key: None)
    past.table(USERS, [1], ago(hours=5))
    past.table(USERS, [1, 2], ago(hours=1))
    past.store.delete([past.keys.plain(f"{USERS}/nb-2-big-Data.db")])

    asked = run("--json", *bucket.arguments, bucket.url, **bucket.environment)
    read = run("--json", "--read", *bucket.arguments, bucket.url, **bucket.environment)

    for done, proof in ((asked, "size"), (read, "content")):
        lost, users, _ = lines_of(done)
        assert (lost["fault"], users["objects"], done.returncode) == ("lost", {proof: 9}, 3)
