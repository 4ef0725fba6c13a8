"""What ``tablechop`` prints, deletes, and exits with."""

import json
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.catalog.stored import Past
from tests.cli.process import ended
from tests.endpoint import S3Server
from tests.s3_servers import dating_server

from tablesnap.cli.tablechop.flags import parse
from tablesnap.errors import UsageError
from tablesnap.rules.keys import is_index
from tablesnap.store.s3 import S3Options, S3Store

NOW = datetime.now(UTC).replace(microsecond=0)
DATA = "/var/lib/cassandra/data"
USERS = f"{DATA}/shop/users-{'5a1c395e' * 4}"
ORDERS = f"{DATA}/shop/orders-{'0b1c395e' * 4}"


def ago(**before: float) -> datetime:
    return NOW - timedelta(**before)


def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, for node1."""
    return ended("tablechop", "-n", "node1", *arguments, **more)


def lines_of(done: subprocess.CompletedProcess[str]) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def bucket(tmp_path: Path) -> str:
    return f"file://{tmp_path}/bucket"


@pytest.fixture
def past(tmp_path: Path) -> Past:
    """Four restore points of one table: of the fourth day before the cutoff, at it, and two since."""
    past = Past.in_directory(tmp_path / "bucket")
    past.table(USERS, [1], ago(days=90))
    past.table(USERS, [2], ago(days=60))
    past.table(USERS, [2, 3], ago(days=20))
    past.table(USERS, [3, 4], ago(days=2))
    return past


def keys(past: Past) -> set[str]:
    return {listed.key for listed in past.store.list("")}


def sstables(past: Past, directory: str = USERS) -> set[int]:
    """Return the generations that are stored whole or in part."""
    below = past.keys.below(directory)
    found = (re.fullmatch(r"nb-(\d+)-big-\w+\.\w+", key[len(below) :]) for key in keys(past) if key.startswith(below))
    return {int(match[1]) for match in found if match}


def indexes(past: Past) -> set[str]:
    return {key for key in keys(past) if is_index(key)}


def test_what_is_older_than_the_age_is_forgotten_and_what_only_that_named_is_deleted(past: Past, bucket: str) -> None:
    before = indexes(past)

    done = run(bucket, DATA, "30")

    assert sstables(past) == {2, 3, 4}
    assert len(before - indexes(past)) == 1
    assert re.fullmatch(rf"{USERS}\n  deleted: 1 index and 5 objects, \d\.\d KiB\n", done.stdout)
    assert re.fullmatch(r"tablechop: deleted 1 index and 5 objects, \d\.\d KiB\n", done.stderr)
    assert done.returncode == 0
    assert run(bucket, DATA, "30").stderr == "tablechop: deleted 0 indexes and 0 objects, 0 B\n"


def test_o9_a_dry_run_gives_a_reason_for_every_restore_point_and_counts_and_bytes_and_deletes_nothing(
    past: Past, bucket: str
) -> None:
    before = keys(past)

    done = run("--dry-run", "-l", bucket, DATA, "30", COLUMNS="120")

    assert keys(past) == before
    head, *points = done.stdout.splitlines()[:5]
    assert head == USERS
    assert [line.split()[0] for line in points] == ["keep", "keep", "keep", "forget"]
    assert points[0].endswith("15.6 KiB  the newest, the newest complete one, within the age")
    assert points[1].endswith("within the age")
    assert points[2].endswith(" 7.8 KiB  current at the cutoff")
    assert "forget  " + f"{ago(days=90):%Y-%m-%d %H:%M:%S}" in points[3]
    assert re.search(r"^  to be deleted: 1 index and 5 objects, \d\.\d KiB$", done.stdout, re.MULTILINE)
    assert re.search(r"^  to be kept: 18 objects with \d\d\.\d KiB$", done.stdout, re.MULTILINE)
    assert done.stdout.count("  delete  node1:/var/") == 6
    assert "would forget 1 restore point and delete 1 index and 5 objects, " in done.stderr
    assert done.returncode == 0
    assert run("-d", bucket, DATA, "30").returncode == 0
    assert keys(past) == before


def test_programs_get_an_object_a_line_for_each_table(past: Past, bucket: str) -> None:
    past.table(ORDERS, [1], ago(days=100))

    [orders, users] = lines_of(run("--json", "--dry-run", bucket, DATA, "30"))
    [_, key, *_] = lines_of(run("--json", "-l", bucket, DATA, "30"))

    assert (users["node"], users["directories"]) == ("node1", [USERS])
    assert users["planned"]["objects"] == 5
    assert users["total"]["objects"] == 24
    assert [point["reasons"] for point in users["kept"]][1:] == [["within the age"], ["current at the cutoff"]]
    assert [point["taken_at"] for point in users["forgotten"]] == [f"{ago(days=90):%Y-%m-%dT%H:%M:%S}.000000Z"]
    assert (users["deleted"], users["left_alone"], users["left"]["named"]) == (None, [], 15)
    assert orders["kept"][0]["reasons"][0] == "the newest"
    assert key["delete"].startswith("node1:/var/lib/cassandra/data/shop/users-")


def test_the_last_few_are_kept_where_that_is_asked_for(past: Past, bucket: str) -> None:
    assert run("--keep-last", "4", bucket, DATA, "1d").returncode == 0
    assert sstables(past) == {1, 2, 3, 4}
    assert run("--keep-daily", "3", bucket, DATA, "24h").returncode == 0
    assert sstables(past) == {2, 3, 4}


def test_an_index_that_cannot_be_read_stops_the_purge_of_that_table_and_no_other(past: Past, bucket: str) -> None:
    past.table(ORDERS, [1], ago(days=90))
    past.table(ORDERS, [2], ago(days=80))
    past.table(ORDERS, [3], ago(days=2))
    past.garbage(
        past.keys.plain(f"{USERS}/nb-9-big-Data.db-listdir.json"), b'{"/x": [], "tablesnap": {"format": 3}}', NOW
    )

    done = run(bucket, DATA, "30")

    assert sstables(past) == {1, 2, 3, 4}
    assert sstables(past, ORDERS) == {2, 3}
    assert "! left alone: node1:/var/" in " ".join(done.stdout.split())
    assert "its format is 3" in done.stdout
    assert done.stderr.endswith("; 1 left alone\n")
    assert done.returncode == 3


def test_more_than_the_limit_is_not_deleted_without_yes(past: Past, bucket: str) -> None:
    before = keys(past)

    refused = run("--limit", "10%", bucket, DATA, "30")
    planned = run("--limit", "10%", "--dry-run", bucket, DATA, "30")

    assert keys(past) == before
    assert (refused.returncode, planned.returncode) == (1, 1)
    assert "25.0% of what is stored would be deleted, which is more than --limit 10.0%" in refused.stderr
    assert "to be deleted" in planned.stdout
    assert run("--limit", "30%", bucket, DATA, "30").returncode == 0
    assert sstables(past) == {2, 3, 4}
    assert run("--limit", "1%", "--yes", bucket, DATA, "1").returncode == 0


def test_all_is_forgotten_after_a_plan_and_a_yes(past: Past, bucket: str) -> None:
    past.table(ORDERS, [1], ago(hours=1))
    before = keys(past)

    planned = run("--forget-all", bucket, USERS)

    assert keys(past) == before
    assert planned.stdout.count("  forget") == 4
    assert "add --yes" in planned.stderr
    assert planned.returncode == 2
    assert run("--forget-all", "--yes", bucket, USERS).returncode == 0
    assert all("orders" in key for key in keys(past))
    assert run("--forget-all", "--yes", bucket, "/").returncode == 0
    assert keys(past) == set()


@pytest.mark.parametrize("more", [["--yes"], [], ["--dry-run"]])
def test_one_yes_does_not_confirm_both_a_limit_and_forgetting_all(past: Past, bucket: str, more: list[str]) -> None:
    before = keys(past)

    done = run("--limit", "1%", "--forget-all", *more, bucket, USERS)

    assert keys(past) == before
    assert "--limit and --forget-all do not go together" in done.stderr
    assert "Leave out --limit" in done.stderr
    assert (done.stdout, done.returncode) == ("", 2)


@pytest.mark.parametrize("mode", [["--forget-all", "--yes"], []])
@pytest.mark.parametrize("path", ["shop.users", f"{DATA}/shop/users"])
def test_a_table_that_is_not_written_out_is_answered_with_its_directory_and_nothing_is_deleted(
    past: Past, bucket: str, path: str, mode: list[str]
) -> None:
    before = keys(past)

    done = run(*mode, bucket, path, *([] if mode else ["30"]))

    assert keys(past) == before
    assert done.stderr == f"tablechop: PATH '{path}' is not written out; give the directory, which is {USERS}\n"
    assert done.returncode == 2


def test_a_name_that_no_table_has_is_said_to_be_none(past: Past, bucket: str) -> None:
    done = run(bucket, "shop.orders", "30")

    assert done.stderr == (
        "tablechop: there is no table shop.orders in the backup of node1; see tablelist -n node1 for those there are\n"
    )
    assert done.returncode == 1


def test_of_a_table_on_two_disks_all_or_nothing_is_forgotten(tmp_path: Path, bucket: str) -> None:
    past = Past.in_directory(tmp_path / "bucket")
    first, second = USERS, USERS.replace(DATA, "/disk2/data")
    held = {first: past.sstable(first, 1, ago(days=9)), second: past.sstable(second, 2, ago(days=9))}
    past.point(held, ago(days=9))
    before = keys(past)

    done = run("--forget-all", "--yes", bucket, DATA)

    assert keys(past) == before
    assert "the table is in /disk2/data/shop" in " ".join(done.stdout.split())
    assert done.returncode == 3
    assert run("--forget-all", "--yes", bucket, "/").returncode == 0
    assert keys(past) == set()


def test_objects_are_deleted_at_and_below_path_only_and_indexes_of_both_disks_are_read(
    tmp_path: Path, bucket: str
) -> None:
    past = Past.in_directory(tmp_path / "bucket")
    first, second = USERS, USERS.replace(DATA, "/disk2/data")
    # What another daemon of the second disk records is not of the first.
    past.point({second: past.sstable(second, 100, ago(days=100))}, ago(days=100))
    for days in (90, 60, 2):
        files = {first: past.sstable(first, days, ago(days=days)), second: past.sstable(second, days, ago(days=days))}
        past.point(files, ago(days=days))

    assert run(bucket, DATA, "30").returncode == 0

    assert (sstables(past, first), sstables(past, second)) == ({60, 2}, {90, 60, 2, 100})
    assert run(bucket, "/disk2", "30").returncode == 0
    assert (sstables(past, first), sstables(past, second)) == ({60, 2}, {60, 2})


def test_what_no_index_speaks_for_is_reported_and_kept_unless_an_age_is_given(past: Past, bucket: str) -> None:
    archive = past.keys.plain("/archive/CommitLog-7-1.log")
    past.garbage(archive, b"mutations", ago(days=50))
    past.garbage(past.keys.plain("/archive/CommitLog-7-2.log"), b"mutations", ago(days=5))

    kept = run(bucket, "/archive", "30")
    before = keys(past)
    run("--unindexed-older-than", "4w", bucket, "/archive", "30")

    assert "2 objects with 18 B kept, for no index" in " ".join(kept.stdout.split())
    assert kept.returncode == 0
    assert before - keys(past) == {archive}


def test_other_nodes_and_other_peoples_objects_are_never_touched(past: Past, bucket: str, tmp_path: Path) -> None:
    other = Past.in_directory(tmp_path / "bucket", "node1.example.com")
    other.table(USERS, [1], ago(days=90))
    other.table(USERS, [2], ago(days=2))
    past.garbage("node1:readme", b"hello", ago(days=90))
    past.garbage("readme", b"hello", ago(days=90))

    run(bucket, "/", "1")

    assert {"readme", "node1:readme"} <= keys(past)
    assert sstables(other) == {1, 2}


def test_prefix_and_separator_are_those_the_daemon_was_given(tmp_path: Path, bucket: str) -> None:
    past = Past.in_directory(tmp_path / "bucket")
    past.garbage("prod/node1/srv/files/a", b"1", ago(days=50))

    assert run(bucket, "/srv", "30").returncode == 1
    done = run("--json", "--prefix", "prod/", "--keyname-separator", "/", bucket, "/srv", "30")

    assert lines_of(done)[0]["directories"] == ["/srv/files"]
    assert done.returncode == 0


@pytest.mark.parametrize("path", ["/elsewhere", "/var/lib/cassandra/dat"])
def test_where_nothing_is_found_it_fails_and_says_where_it_looked(past: Past, bucket: str, path: str) -> None:
    done = run(bucket, path, "30")

    assert f"nothing was found in {bucket}, in keys that begin with node1:{path}/" in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize(
    "line",
    [
        "",
        "b /data",
        "b data 30",
        "b /data/../x 30",
        "b /data 6m",
        "b /data -1",
        "b /data soon",
        "b /data 30 31",
        "--forget-all b /data 30",
        "--forget-all --keep-last=3 b /data",
        "--forget-all --unindexed-older-than=3 b /data",
        "--freshen b /data 30",
        "--freshen --forget-all b /data",
        "--freshen --limit=3% b /data",
        "--grace=12h b /data 30",
        "--limit=110% b /data 30",
        "--limit=few b /data 30",
        "--keep-last=-1 b /data 30",
        "-j 0 b /data 30",
        "-e b /data 30",
    ],
)
def test_a_line_that_cannot_be_meant_is_refused(line: str) -> None:
    with pytest.raises(UsageError):
        parse(line.split(), {})


def test_a_wrong_line_has_an_exit_code_of_its_own() -> None:
    done = run("b", "/data", "6m")

    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr == "tablechop: AGE '6m' is no age; write a number of days, or 36h, 10d, 2w\n"


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("30", timedelta(days=30)),
        ("0.5", timedelta(hours=12)),
        ("36h", timedelta(hours=36)),
        ("10d", timedelta(days=10)),
        ("2w", timedelta(weeks=2)),
        ("0", timedelta(0)),
    ],
)
def test_an_age_is_in_days_unless_it_says_otherwise(text: str, age: timedelta) -> None:
    assert parse(["b", "/data", text], {}).age == age


def test_the_line_of_1x_is_understood() -> None:
    line = "-d -l -j 9 -k KEY -s SECRET --token TOKEN --aws-region eu-west-1 -n node7 bucket /var/lib/cassandra/data/ 7"
    long = "--deb --list-deletes --par 9 --key KEY --secret SECRET --token TOKEN --aws-region eu-west-1 --name=node7"

    options = parse(line.split(), {})

    assert options == parse([*long.split(), "bucket", "/var/lib/cassandra/data", "7"], {})
    assert (options.dry_run, options.list_deletes, options.readers, options.keys.node) == (True, True, 9, "node7")
    assert (options.store.access_key, options.store.secret_key, options.store.session_token) == (
        "KEY",
        "SECRET",
        "TOKEN",
    )
    assert (options.age, options.path) == (timedelta(days=7), "/var/lib/cassandra/data")


def test_the_help_fits_a_terminal_and_names_every_exit_code() -> None:
    done = run("--help")

    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "exit codes:" in done.stdout
    assert done.returncode == 0


def test_in_s3_unfinished_uploads_are_given_up_and_versions_remarked_upon(moto_endpoint: S3Server) -> None:
    client, name = moto_endpoint.client(), "chop-upkeep"
    moto_endpoint.make_bucket(name)
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    client.put_object(Bucket=name, Key="node1:/archive/a", Body=b"mutations")
    for key in ("node1:/archive/b", "node1:/elsewhere/c"):
        client.create_multipart_upload(Bucket=name, Key=key)  # moto dates it years ago
    access = {"AWS_ACCESS_KEY_ID": moto_endpoint.access_key, "AWS_SECRET_ACCESS_KEY": moto_endpoint.secret_key}
    line = ("--endpoint-url", moto_endpoint.endpoint_url, "--aws-region", "us-east-1", name, "/archive", "30")

    planned = run("--dry-run", *line, **access)
    done = run(*line, **access)

    assert "would give up 1 unfinished upload" in planned.stderr
    assert ": node1:/archive/b\n" in planned.stdout
    assert "gave up 1 unfinished upload" in done.stderr
    assert "tablechop: the bucket keeps versions (enabled)" in done.stderr
    left = client.list_multipart_uploads(Bucket=name)["Uploads"]
    assert [upload["Key"] for upload in left] == ["node1:/elsewhere/c"]
    assert done.returncode == 0


def test_what_is_in_use_is_kept_from_a_bucket_s_own_rules(moto_endpoint: S3Server) -> None:
    client, name = moto_endpoint.client(), "chop-freshen"
    moto_endpoint.make_bucket(name)
    key, flags = "node1:/archive/a", ("--endpoint-url", moto_endpoint.endpoint_url, "--aws-region", "us-east-1")
    client.put_object(Bucket=name, Key=key, Body=b"mutations")
    access = {"AWS_ACCESS_KEY_ID": moto_endpoint.access_key, "AWS_SECRET_ACCESS_KEY": moto_endpoint.secret_key}

    without = run("--freshen", *flags, name, "/archive", **access)
    rule = {"ID": "a", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 60}}
    client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [rule]})
    done = run("--freshen", *flags, name, "/archive", **access)

    assert "deletes objects by their age" in without.stderr
    assert without.returncode == 1
    assert "tablechop: copied 0 objects onto themselves" in done.stderr  # no index names it
    assert done.returncode == 0


def test_only_what_is_in_use_and_past_half_of_its_time_is_copied_onto_itself() -> None:
    with dating_server() as dating:
        server, name = dating.server, "chop-aged"
        client, due = server.client(), f"node1:{USERS}/nb-2-big-"
        server.make_bucket(name)
        rule = {"ID": "a", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 60}}
        client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [rule]})
        store = S3Store(name, S3Options(server.access_key, server.secret_key, endpoint_url=server.endpoint_url))
        past = Past(store, lambda when, key: dating.date(name, key, when) if key else None)
        past.table(USERS, [1, 2], ago(days=50))
        past.table(USERS, [2, 3], ago(days=1))
        before = seen(client, name)
        access = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
        line = ("--freshen", "--endpoint-url", server.endpoint_url, "--aws-region", "us-east-1", name, DATA)

        planned = run("--dry-run", *line, **access)
        untouched = seen(client, name)
        done = run(*line, **access)
        after = seen(client, name)
        again = run(*line, **access)

    assert planned.stdout == f"{USERS}\n  due: 5 objects, 7.8 KiB\n"
    assert "tablechop: would copy 5 objects onto themselves" in planned.stderr
    assert untouched == before
    assert "tablechop: copied 5 objects onto themselves" in done.stderr
    copied = {key for key in after if after[key] != before[key]}
    assert copied == {key for key in before if key.startswith(due) and not is_index(key)}
    assert all(after[key][1:] == before[key][1:] for key in before), "but for its date, it is what it was"
    assert "tablechop: copied 0 objects" in again.stderr
    assert [one.returncode for one in (planned, done, again)] == [0, 0, 0]


def seen(client: Any, bucket: str) -> dict[str, tuple[datetime, bytes, Mapping[str, str]]]:
    """Return the date, the body and the metadata of every object."""
    found = {}
    for listed in client.list_objects_v2(Bucket=bucket)["Contents"]:
        answer = client.get_object(Bucket=bucket, Key=listed["Key"])
        found[listed["Key"]] = answer["LastModified"], answer["Body"].read(), answer["Metadata"]
    return found
