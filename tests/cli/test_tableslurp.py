"""What ``tableslurp`` does, prints and exits with."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.catalog.stored import OWNER, Past
from tests.cli.process import UNANSWERED, ended, environment
from tests.golden import stored as golden
from tests.waiting import wait_until

from tablesnap.rules.late import Late

TABLESLURP = "import sys; from tablesnap.cli.tableslurp.main import main; sys.exit(main())"
NOW = datetime.now(UTC).replace(microsecond=0)
GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "restore.md"
DATA = "/var/lib/cassandra/data"
USERS = f"{DATA}/shop/users-{'5a1c395e' * 4}"
ORDERS = f"{DATA}/shop/orders-{'0b1c395e' * 4}"


def ago(**before: float) -> datetime:
    return NOW - timedelta(**before)


def spelt(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def run(*arguments: str | Path, node: str = "node1", **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return ended("tableslurp", "-n", node, *arguments, **more)


def contents(directory: Path) -> dict[str, bytes]:
    return {str(one.relative_to(directory)): one.read_bytes() for one in directory.rglob("*") if one.is_file()}


def expected(past: Past, directory: str, generations: list[int], below: str = "") -> dict[str, bytes]:
    """Return what the store has of these sstables."""
    return {
        below + one.key.rpartition("/")[2]: b"".join(past.store.read(one.key))
        for generation in generations
        for one in past.store.list(past.keys.plain(f"{directory}/nb-{generation}-big-"))
        if not one.key.endswith("-listdir.json")
    }


def plan_of(done: subprocess.CompletedProcess[str]) -> Mapping[str, Any]:
    plan: Mapping[str, Any] = json.loads(done.stdout.splitlines()[0])["plan"]
    return plan


@pytest.fixture
def bucket(tmp_path: Path) -> str:
    return f"file://{tmp_path}/bucket"


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past.in_directory(tmp_path / "bucket")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


def test_indexes_that_may_lack_entries_are_in_the_plan_and_what_rebuilds_them_is_said(
    past: Past, bucket: str, target: Path
) -> None:
    late = Late(".users_name_idx", ago(hours=5), ago(hours=3))
    past.point({USERS: past.sstable(USERS, 1, ago(hours=5))}, ago(hours=5), behind=[".users_email_idx"])
    past.point({USERS: past.sstable(USERS, 2, ago(hours=1))}, ago(hours=1), late=[late])

    planned = run("--dry-run", "--json", "--at", "4h ago", bucket, USERS, target)
    then = run("--at", "4h ago", bucket, USERS, target, COLUMNS="200")
    now = run(bucket, USERS, target.with_name("now"), COLUMNS="200")

    (table,) = plan_of(planned)["restore_points"]
    assert (table["behind"], table["late"]) == ([".users_email_idx"], [".users_name_idx"])
    assert "! behind: index users_email_idx may lack entries" in then.stdout
    assert "! late: index users_name_idx may lack entries" in then.stdout
    assert "\n    nodetool rebuild_index shop users users_email_idx\n" in then.stdout
    assert "\n    nodetool rebuild_index shop users users_name_idx\n" in then.stdout
    assert then.returncode == now.returncode == 0
    assert "rebuild_index" not in now.stdout


def test_a_table_is_restored_as_of_now_and_what_is_next_is_said(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.table(USERS, [1, 2], ago(hours=1))

    done = run(bucket, USERS, target)

    assert contents(target) == expected(past, USERS, [1, 2])
    assert f"as of {ago(hours=1):%Y-%m-%d %H:%M:%S}.000000 UTC: 10 files, 15.6 KiB" in done.stdout
    assert f"mv {target} {target.parent}/shop/users" in done.stdout
    assert f"nodetool import --copy-data shop users {target.parent}/shop/users" in done.stdout
    assert done.stderr.endswith("\ntableslurp: 10 files restored, 0 were there\n")
    assert done.returncode == 0


def test_as_of_a_moment(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.table(USERS, [1, 2], ago(hours=1))

    done = run("--at", "2h ago", bucket, USERS, target)

    assert contents(target) == expected(past, USERS, [1])
    assert done.returncode == 0


def test_the_newest_complete_one_not_later_than_a_moment_is_taken_and_what_was_passed_over_named(
    past: Past, bucket: str, target: Path
) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.table(USERS, [1, 2], ago(hours=3))
    past.store.delete([past.keys.plain(f"{USERS}/nb-2-big-Index.db")])

    done = run("--at", "2h ago", bucket, USERS, target, COLUMNS="1000")

    assert contents(target) == expected(past, USERS, [1])
    assert f"{spelt(ago(hours=3))} is passed over: it is incomplete: {USERS}/nb-2-big-Index.db is not" in done.stdout
    assert done.returncode == 0


def test_before_the_first_restore_point_there_is_nothing_and_the_oldest_is_named(
    past: Past, bucket: str, target: Path
) -> None:
    past.table(USERS, [1], ago(hours=5))

    done = run("--at", "6h ago", bucket, USERS, target, COLUMNS="1000")

    assert f"the oldest is of {spelt(ago(hours=5))}" in done.stdout
    assert not target.exists()
    assert done.returncode == 3


def test_d13_what_is_missing_is_named_and_nothing_is_restored(past: Past, bucket: str, target: Path) -> None:
    """D13 of tablesnap 1.2.1: a missing object was passed over in silence, and the exit code was 0."""
    past.table(USERS, [1], ago(hours=5))
    past.table(USERS, [1, 2], ago(hours=1))
    past.store.delete([past.keys.plain(f"{USERS}/nb-2-big-Data.db")])

    done = run(bucket, USERS, target, COLUMNS="1000")

    assert f"{USERS}/nb-2-big-Data.db is not in the store" in done.stdout
    assert f"the nearest complete one is of {spelt(ago(hours=5))}: take it with --at " in done.stdout
    assert not target.exists()
    assert done.returncode == 3


def test_an_incomplete_one_is_taken_if_asked_for_without_what_cassandra_could_not_read(
    past: Past, bucket: str, target: Path
) -> None:
    past.table(USERS, [1, 2], ago(hours=1))
    past.store.delete([past.keys.plain(f"{USERS}/nb-2-big-Data.db"), past.keys.plain(f"{USERS}/nb-1-big-TOC.txt")])

    done = run("--allow-missing", bucket, USERS, target, COLUMNS="1000")

    wanted = expected(past, USERS, [1])
    assert "nb-1-big-TOC.txt" not in wanted
    assert contents(target) == wanted
    assert f"{USERS}/nb-2-big-* is left out: Cassandra cannot read it" in done.stdout
    assert done.returncode == 3


def test_d17_the_newest_that_never_finished_is_not_taken(past: Past, bucket: str, target: Path) -> None:
    """D17 of tablesnap 1.2.1: the newest listing was taken even if its uploads never ended; and no other by time."""
    past.table(USERS, [1], ago(hours=5))
    past.point({USERS: past.sstable(USERS, 1, ago(hours=1))}, ago(hours=1), missing=["nb-2-big-Data.db"])

    refused = run(bucket, USERS, target, COLUMNS="1000")
    earlier = run("--at", spelt(ago(hours=5)), bucket, USERS, target)

    assert f"{USERS}/nb-2-big-Data.db was there, and was not stored" in refused.stdout
    assert refused.returncode == 3
    assert contents(target) == expected(past, USERS, [1])
    assert earlier.returncode == 0


def test_an_empty_newest_one_is_not_taken_unasked(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.point({USERS: {}}, ago(hours=1))

    refused = run(bucket, USERS, target, COLUMNS="1000")
    asked_for = run("--at", spelt(ago(hours=1)), bucket, USERS, target)

    assert f"that holds something is of {spelt(ago(hours=5))}" in refused.stdout
    assert refused.returncode == 3
    assert contents(target) == {}
    assert asked_for.returncode == 0


def test_an_unreadable_newest_one_is_named_with_the_nearest_complete(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.garbage(past.keys.plain(f"{USERS}/nb-3-big-Data.db-listdir.json"), b"{", ago(hours=2))

    done = run("--allow-missing", bucket, USERS, target, COLUMNS="1000")
    refused = run(bucket, USERS, target, COLUMNS="1000")

    assert f"is unreadable, node1:{USERS}/nb-3-big-Data.db-listdir.json: it is damaged" in refused.stdout
    assert f"nearest complete one is of {spelt(ago(hours=5))}" in refused.stdout
    assert refused.returncode == 3
    assert contents(target) == expected(past, USERS, [1])
    assert "is passed over: it is unreadable" in done.stdout
    assert done.returncode == 3


def test_everything_below_a_directory_and_when_it_was(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.table(ORDERS, [3], ago(hours=2))

    done = run("-r", bucket, DATA, target)

    wanted = expected(past, USERS, [1], f"shop/{Path(USERS).name}/")
    wanted |= expected(past, ORDERS, [3], f"shop/{Path(ORDERS).name}/")
    assert contents(target) == wanted
    newest, oldest = (f"{moment:%Y-%m-%d %H:%M:%S}.000000" for moment in (ago(hours=2), ago(hours=5)))
    assert f"taken between {oldest} and {newest} UTC" in done.stdout
    assert done.returncode == 0


def test_what_is_left_out_of_many_is_an_exit_code_of_its_own(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.table(ORDERS, [3], ago(hours=2))
    past.store.delete([past.keys.plain(f"{ORDERS}/nb-3-big-Data.db")])

    done = run("-r", bucket, DATA, target)

    assert contents(target) == expected(past, USERS, [1], f"shop/{Path(USERS).name}/")
    assert "left out" in done.stdout
    assert done.returncode == 3


def test_o3_a_slash_at_the_end_of_origin_is_no_matter(past: Past, bucket: str, target: Path) -> None:
    """O3 of tablesnap 1.2.1: an ORIGIN with a trailing slash failed; and without USER set, everything did."""
    past.table(USERS, [1], ago(hours=5))

    done = run(bucket, f"{USERS}/", target, USER="")

    assert contents(target) == expected(past, USERS, [1])
    assert done.returncode == 0


def test_o3_mode_owner_and_times_are_each_files_own(past: Past, bucket: str, target: Path) -> None:
    """O3 of tablesnap 1.2.1: the first file's owner was given to all, and no mode to any."""
    past.table(USERS, [1], ago(hours=5))

    done = run("--preserve", bucket, USERS, target, COLUMNS="1000")

    if os.geteuid() != 0:
        assert "only root may give files to user" in done.stdout
        assert done.returncode == 1
        return
    status = (target / "nb-1-big-Data.db").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (OWNER.uid, OWNER.gid, 0o644)
    assert status.st_mtime == ago(hours=5).timestamp()
    assert done.returncode == 0


def test_o1_a_file_of_the_same_size_is_not_taken_for_the_right_one(past: Past, bucket: str, target: Path) -> None:
    """O1 of tablesnap 1.2.1: a local file of the right size was left as it was, whatever was in it."""
    past.table(USERS, [1], ago(hours=5))
    target.mkdir()
    (target / "nb-1-big-Data.db").write_bytes(b"x" * 4000)

    refused = run(bucket, USERS, target, COLUMNS="1000")
    forced = run("--force", bucket, USERS, target)

    assert "nb-1-big-Data.db is there and has other content; --force replaces it" in refused.stdout
    assert refused.returncode == 1
    assert contents(target) == expected(past, USERS, [1])
    assert forced.returncode == 0


def test_parts_of_two_sstables_never_stand_together(past: Past, bucket: str, target: Path, tmp_path: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.table(ORDERS, [1], ago(hours=5))
    run(bucket, ORDERS, target)
    [damaged] = [one for one in (tmp_path / "bucket").rglob("nb-1-big-Data.db") if USERS in str(one)]
    damaged.write_bytes(b"x" + damaged.read_bytes()[1:])

    done = run("--force", bucket, USERS, target)

    assert done.returncode == 1
    assert "nb-1-big-Data.db" not in contents(target), "the old one would be read with the parts of the new"


def test_a_target_that_is_a_link_to_nowhere_is_in_the_way(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    target.symlink_to("/not/mounted")

    done = run(bucket, USERS, target, COLUMNS="1000")

    assert f"{target} is a link to /not/mounted, which is not there" in done.stdout
    assert done.returncode == 1


def test_nothing_is_restored_where_the_plan_cannot_be_printed(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    command = [sys.executable, "-c", TABLESLURP, "-n", "node1", bucket, USERS, str(target)]

    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment())

    assert done.stderr == (
        "tableslurp: the plan could not be printed (No space left on device); nothing was restored\n"
    )
    assert not target.exists()
    assert done.returncode == 1


def test_o1_two_tables_never_overwrite_each_other(past: Past, bucket: str, target: Path) -> None:
    """O1 of tablesnap 1.2.1: files of equal names from two tables went over each other in one TARGET."""
    past.table(USERS, [1], ago(hours=5))
    past.table(ORDERS, [1], ago(hours=5))

    first, second = run(bucket, USERS, target), run(bucket, ORDERS, target, COLUMNS="1000")

    assert contents(target) == expected(past, USERS, [1])
    assert "nb-1-big-Data.db is there and has other content" in second.stdout
    assert (first.returncode, second.returncode) == (0, 1)


def test_two_disks_whose_generations_collide_get_different_ones(past: Past, bucket: str, target: Path) -> None:
    one, other = (USERS.replace("/data/", f"/data{number}/") for number in (1, 2))
    past.point({disk: past.sstable(disk, 1, ago(hours=5)) for disk in (one, other)}, ago(hours=5))

    done, again = (run(bucket, one, target, COLUMNS="1000") for _ in range(2))

    wanted = {*expected(past, one, [1]).values(), *expected(past, other, [1]).values()}
    assert set(contents(target).values()) == wanted
    assert len(contents(target)) == 10
    assert f"gets another generation: 1\n  {other}/nb-1-big-* -> {target}/nb-2-big-*" in done.stdout
    assert "10 were there" in again.stderr
    assert (done.returncode, again.returncode) == (0, 0)


def test_a_dry_run_says_it_all_and_does_nothing(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1], ago(hours=5))

    done = run("--dry-run", "--json", bucket, USERS, target)

    plan = plan_of(done)
    assert plan["to_fetch"] == {"files": 5, "bytes": 8000}
    assert {one["path"] for one in plan["fetch"]} == {f"{target}/{name}" for name in expected(past, USERS, [1])}
    assert plan["restore_points"][0]["taken_at"] == spelt(ago(hours=5))
    assert not target.exists()
    assert done.returncode == 0


def test_how_it_ended_is_for_programs_too(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1], ago(hours=5))

    done = run("--json", bucket, USERS, target)

    plan, outcome = map(json.loads, done.stdout.splitlines())
    assert plan["plan"]["to_fetch"]["files"] == outcome["outcome"]["restored"] == 5
    assert outcome["outcome"]["failed"] == []


def test_bytes_that_were_damaged_in_the_store_are_an_exit_code_and_a_name(
    past: Past, bucket: str, target: Path, tmp_path: Path
) -> None:
    past.table(USERS, [1], ago(hours=5))
    [damaged] = [one for one in (tmp_path / "bucket").rglob("nb-1-big-Data.db") if one.stat().st_size == 4000]
    damaged.write_bytes(b"x" + damaged.read_bytes()[1:])

    done = run(bucket, USERS, target)

    assert f"{target}/nb-1-big-Data.db" in done.stderr
    assert not (target / "nb-1-big-Data.db").exists()
    assert done.returncode == 1


def test_a_second_run_has_nothing_to_do(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    run(bucket, USERS, target)
    before = {path: path.stat().st_mtime_ns for path in target.iterdir()}

    again = run(bucket, USERS, target)

    assert again.stderr == "tableslurp: 0 files restored, 5 were there\n"
    assert {path: path.stat().st_mtime_ns for path in target.iterdir()} == before
    assert again.returncode == 0


def test_exact_removes_what_is_not_named(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1, 2], ago(hours=5))
    past.table(USERS, [2], ago(hours=1))
    run("--at", "2h ago", bucket, USERS, target)

    planned = run("--exact", "--dry-run", bucket, USERS, target)
    done = run("--exact", bucket, USERS, target)

    assert "removed (--exact): 5" in planned.stdout
    assert f"  {target}/nb-1-big-Data.db" in planned.stdout
    assert contents(target) == expected(past, USERS, [2])
    assert done.returncode == 0


def test_a_table_goes_under_the_name_that_it_has_now(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    now = f"users-{'9f3b395e' * 4}"

    target.mkdir()
    done = run("-r", "--table-dir", f"{Path(USERS).name}={now}", bucket, f"{DATA}/shop", target / "shop")

    assert contents(target / "shop") == expected(past, USERS, [1], f"{now}/")
    assert f"nodetool import --copy-data shop users {target}/shop/{now}" in done.stdout
    assert "mv " not in done.stdout
    assert done.returncode == 0


def test_two_disks_restore_into_one_directory_or_as_many_as_asked(past: Past, bucket: str, tmp_path: Path) -> None:
    one, other = (USERS.replace("/data/", f"/data{number}/") for number in (1, 2))
    held = {disk: past.sstable(disk, number, ago(hours=5)) for number, disk in enumerate((one, other), 1)}
    past.point(held, ago(hours=5))

    together = run(bucket, one, tmp_path / "together")
    apart = run(
        "-r",
        "--data-dir",
        f"/var/lib/cassandra/data2={tmp_path}/disk2",
        bucket,
        "/var/lib/cassandra/data1",
        tmp_path / "disk1",
    )

    assert contents(tmp_path / "together") == expected(past, one, [1]) | expected(past, other, [2])
    assert contents(tmp_path / "disk1") == expected(past, one, [1], f"shop/{Path(USERS).name}/")
    assert contents(tmp_path / "disk2") == expected(past, other, [2], f"shop/{Path(USERS).name}/")
    assert (together.returncode, apart.returncode) == (0, 0)


def test_the_restore_point_of_a_file(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.table(USERS, [1, 2], ago(hours=3))
    past.table(USERS, [1, 2, 3], ago(hours=1))

    done = run("-f", "nb-2-big-Data.db", bucket, USERS, target)
    unknown = run("-f", "nb-9-big-Data.db", bucket, USERS, target)

    assert contents(target) == expected(past, USERS, [1, 2])
    assert done.returncode == 0
    assert "no restore point was recorded for nb-9-big-Data.db" in unknown.stdout
    assert unknown.returncode == 3


def test_what_was_stored_after_the_last_index_is_offered_and_taken_if_asked_for(
    past: Past, bucket: str, target: Path
) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.sstable(USERS, 2, ago(hours=1))
    unfinished = past.keys.plain(f"{USERS}/nb-3-big-Data.db")
    past.garbage(unfinished, b"rows", ago(hours=1))

    offered = run("--dry-run", bucket, USERS, target, COLUMNS="1000")
    taken = run("--from-objects", bucket, USERS, target, COLUMNS="1000")

    assert "1 sstable, 7.8 KiB, in no restore point yet: --from-objects takes them as well" in offered.stdout
    assert contents(target) == expected(past, USERS, [1, 2])
    assert "nothing that was stored is left out, and rows that were deleted may show again" in taken.stdout
    assert f"{USERS}/nb-3-big- is not all there, and is not taken" in taken.stdout
    assert (offered.returncode, taken.returncode) == (0, 3)


def test_what_a_later_restore_point_lacks_is_named_where_objects_are_taken(
    past: Past, bucket: str, target: Path
) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.table(USERS, [1, 2], ago(hours=3))
    past.store.delete([past.keys.plain(f"{USERS}/nb-2-big-Data.db")])
    past.garbage(past.keys.plain(f"{USERS}/nb-3-big-Index.db"), b"of no Data.db", ago(hours=1))

    done = run("--from-objects", bucket, USERS, target, COLUMNS="1000")

    assert contents(target) == expected(past, USERS, [1])
    assert f"{USERS}/nb-2-big-Data.db is not in the store" in done.stdout
    assert f"{USERS}/nb-3-big- is not all there, and is not taken" in done.stdout
    assert done.returncode == 3


def test_a_bucket_without_indexes_is_restored_from_its_objects(past: Past, bucket: str, target: Path) -> None:
    past.sstable(USERS, 1, ago(hours=2))
    past.sstable(USERS, 2, ago(hours=1))

    refused = run(bucket, USERS, target, COLUMNS="1000")
    taken = run("--from-objects", bucket, USERS, target)

    assert "it has no restore point" in refused.stdout
    assert "2 sstables, 15.6 KiB, in no restore point yet: --from-objects takes them" in refused.stdout
    assert refused.returncode == 3
    assert contents(target) == expected(past, USERS, [1, 2])
    assert taken.returncode == 0


def test_all_objects_are_more_than_those_since_the_index(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1, 2], ago(hours=5))
    past.table(USERS, [3], ago(hours=3))
    past.sstable(USERS, 4, ago(hours=1))

    newer = run("--from-objects", bucket, USERS, target / "newer")
    everything = run("--from-objects", "all", bucket, USERS, target / "all")

    assert newer.returncode == everything.returncode == 1  # TARGET's parent is not there
    target.mkdir()
    assert run("--from-objects", bucket, USERS, target / "newer").returncode == 0
    assert run("--from-objects", "all", bucket, USERS, target / "all").returncode == 0
    assert contents(target / "newer") == expected(past, USERS, [3, 4])
    assert contents(target / "all") == expected(past, USERS, [1, 2, 3, 4])


def test_d22_the_commit_log_segments_that_are_needed(past: Past, bucket: str, target: Path) -> None:
    """D22 of tablesnap 1.2.1's last master: text was compared with numbers, and the filter did nothing."""
    past.table(USERS, [1], ago(hours=5))
    archive = "/var/lib/cassandra/commitlog_archive"
    past.file(archive, "CommitLog-7-1700000000001.log", 1000, ago(hours=6))
    past.file(archive, "CommitLog-12-1700000000002.log", 1000, ago(hours=4))
    past.file(archive, "CommitLog-12-1700000000003.log", 1000, ago(hours=2))
    past.file(archive, "CommitLog-12-1700000000004.log", 1000, ago(hours=1))

    done = run("--at", "3h ago", "--commitlogs", archive, bucket, USERS, target)

    found = {name for name in contents(target) if "CommitLog" in name}
    assert found == {
        f"commitlog_archive/CommitLog-{name}.log"
        for name in ("7-1700000000001", "12-1700000000002", "12-1700000000003")
    }
    assert f"Then replay {target.parent}/shop/users/commitlog_archive" in done.stdout, "TARGET is to be moved before"
    assert done.returncode == 0


def test_the_guide_has_all_that_the_operator_is_told_to_do_next(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.file("/archive", "CommitLog-7-1700000000001.log", 1000, ago(hours=6))

    done = run("--commitlogs", "/archive", bucket, USERS, target)

    said = done.stdout.partition("next, as docs/guide/restore.md has it:")[2]
    commands = set(re.findall(r"nodetool \w+(?: --[\w-]+)*|--[\w-]+|\w+_directories|\w+\.properties", said))
    assert {"nodetool import --copy-data", "nodetool repair", "restore_directories"} <= commands
    guide = GUIDE.read_text(encoding="utf-8")
    assert not [one for one in commands if one not in guide]


def test_d22_where_there_are_none_it_is_said(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1], ago(hours=5))

    done = run("--commitlogs", "/archive", bucket, USERS, target)

    assert "no commit log segment is stored of it" in done.stdout
    assert contents(target) == expected(past, USERS, [1])
    assert done.returncode == 3


def test_where_nothing_is_stored_the_nodes_that_are_there_are_named(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1], ago(hours=5))

    other_node = run(bucket, USERS, target, node="node2")
    below = run(bucket, f"{DATA}/shop", target)

    assert "nor of the node node2; there are node1: name one with -n" in other_node.stderr
    assert "for what is below it give -r" in below.stderr
    assert (other_node.returncode, below.returncode) == (1, 1)


@pytest.mark.parametrize("origin", ["shop.users", f"{DATA}/shop/users", f"{DATA}/shop/users-5a1c/", "shop/users-5a1c"])
def test_a_table_is_understood_by_its_name_and_without_its_id(
    past: Past, bucket: str, target: Path, origin: str
) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.table(ORDERS, [2], ago(hours=5))

    done = run(bucket, origin, target)

    assert contents(target) == expected(past, USERS, [1])
    assert done.stdout.startswith(f"from node1  {USERS}\n")
    assert f"nodetool import --copy-data shop users {target.parent}/shop/users" in done.stdout
    assert done.returncode == 0


def test_a_table_on_two_disks_is_one_table(past: Past, bucket: str, target: Path) -> None:
    other = USERS.replace(DATA, "/disk2/data")
    past.point({USERS: past.sstable(USERS, 1, ago(hours=5)), other: past.sstable(other, 2, ago(hours=5))}, ago(hours=5))

    done = run(bucket, "shop.users", target)

    assert contents(target) == expected(past, USERS, [1]) | expected(past, other, [2])
    assert done.returncode == 0


@pytest.mark.parametrize("origin", ["shop.users", f"{DATA}/shop/users"])
def test_where_several_tables_fit_they_are_named_and_none_is_taken(
    past: Past, bucket: str, target: Path, origin: str
) -> None:
    again = f"{DATA}/shop/users-{'9f3b395e' * 4}"
    for directory in (USERS, again):
        past.table(directory, [1], ago(hours=5))

    done = run(bucket, origin, target)

    assert (
        f"tableslurp: {origin} fits 2 tables of node1; give the directory of one: {USERS} or {again}\n" == done.stderr
    )
    assert not target.exists()
    assert done.returncode == 2


def test_what_is_stored_under_the_very_path_goes_before_a_table_that_is_called_so(
    past: Past, bucket: str, target: Path
) -> None:
    past.table(f"{DATA}/shop/users", [1], ago(hours=5))  # of Cassandra 2.0, which adds no id
    past.table(USERS, [2], ago(hours=1))

    done = run(bucket, f"{DATA}/shop/users", target)

    assert contents(target) == expected(past, f"{DATA}/shop/users", [1])
    assert done.returncode == 0


def test_a_table_that_nobody_has_is_said_to_be_none(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, [1], ago(hours=5))

    done = run(bucket, "shop.orders", target)

    assert done.stderr == (
        f"tableslurp: no table called shop.orders is stored in {bucket}: see tablelist -n node1 for what is\n"
    )
    assert done.returncode == 1


def test_one_file_is_no_files(past: Past, bucket: str, target: Path) -> None:
    past.point({"/srv/files": {"x": past.file("/srv/files", "x", 1, ago(hours=1))}}, ago(hours=1))

    done = run(bucket, "/srv/files", target)
    again = run(bucket, "/srv/files", target)

    assert done.stderr.endswith("\ntableslurp: 1 file restored, 0 were there\n")
    assert again.stderr.endswith("tableslurp: 0 files restored, 1 was there\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["b", USERS], "give BUCKET, ORIGIN and TARGET: TARGET is missing"),
        ([USERS, "/tmp/users"], "give BUCKET, ORIGIN and TARGET: BUCKET is missing"),
        ([USERS, "b", "t"], f"BUCKET and ORIGIN are swapped; BUCKET comes first: b {USERS}"),
        ([USERS, "s3://b/p", "t"], f"BUCKET comes first: s3://b/p {USERS}"),
        ([USERS, USERS, "t"], f"BUCKET is missing before '{USERS}'"),
        (["b", USERS, "t", "more"], "give BUCKET, ORIGIN and TARGET: 'more' is one word too many"),
        (["--at", "2h", "ago", "b", USERS, "t"], "put it in quotes: --at '2h ago'"),
        (["b", USERS, "t", "--at", "3", "days", "ago"], "put it in quotes: --at '3 days ago'"),
        (["--at", "2026-11-22", "20:25", "b", USERS, "t"], "put it in quotes: --at '2026-11-22 20:25'"),
        (["--endpoint-url", "host:9000", "b", USERS, "t"], "write http://host:9000 or https://host:9000"),
        (["http://host:9000/b", USERS, "t"], "write --endpoint-url http://host:9000, and the bucket's name alone"),
        (["host:9000", USERS, "t"], "write --endpoint-url http://host:9000, and the bucket's name alone"),
        (["b", "relative", "t"], "ORIGIN 'relative' is not absolute"),
        (["--at", "soon", "b", USERS, "t"], "'soon' is no moment"),
        (["--at", "1h ago", "-f", "x", "b", USERS, "t"], "-f and --at do not go together"),
        (["-r", "-f", "x", "b", USERS, "t"], "-f and -r do not go together"),
        (["-o", "nobody-of-that-name", "b", USERS, "t"], "there is no user 'nobody-of-that-name'"),
        (["-g", "no-group-of-that-name", "b", USERS, "t"], "there is no group 'no-group-of-that-name'"),
        (["-o", "4294967295", "b", USERS, "t"], "4294967295 is no id"),
        (["--file=", "b", USERS, "t"], "-f has an empty value"),
        (["--commitlogs=", "b", USERS, "t"], "--commitlogs has an empty value"),
        (["--table-dir", "users", "b", USERS, "t"], "--table-dir 'users' is no pair"),
        (["--from-objects=some", "b", USERS, "t"], "--from-objects=some is neither newer nor all"),
        (["--exact", "--from-objects", "b", USERS, "t"], "--from-objects and --exact do not go together"),
        (["--set-ids", "b", USERS, "t"], "--set-ids is of use with -p alone"),
    ],
)
def test_wrong_usage_is_said_at_once(arguments: list[str], complaint: str) -> None:
    done = run(*arguments)

    assert complaint in done.stderr
    assert done.returncode == 2


def test_a_bucket_of_1x_restores_to_what_was_on_disk_at_the_end(past: Past, bucket: str, target: Path) -> None:
    golden.put_into(past)

    done = run("-r", bucket, golden.DATA, target, node=golden.NODE)

    assert {f"{golden.DATA}/{path}": body for path, body in contents(target).items()} == golden.at_the_end()
    assert done.returncode == 0


def test_a_bucket_of_1x_restores_to_each_of_its_listings(past: Past, bucket: str, tmp_path: Path) -> None:
    golden.put_into(past)

    for number, (directory, file, files) in enumerate(golden.listings()):
        target = tmp_path / str(number)
        done = run("-f", file, bucket, directory, target, node=golden.NODE)

        assert contents(target) == files
        assert done.returncode == 0


def test_what_was_killed_goes_on_when_run_again(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, list(range(1, 80)), ago(hours=5))
    wanted = expected(past, USERS, list(range(1, 80)))
    command = [sys.executable, "-c", TABLESLURP, "-n", "node1", "-t", "2", bucket, USERS, str(target)]

    def has(sstables: int) -> bool:
        return target.is_dir() and len([*target.glob("*-Data.db")]) >= sstables

    for whole in (1, 20, 40):  # sstables that are there when it is killed
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment()) as process:
            wait_until(partial(has, whole), "sstables")
            process.send_signal(signal.SIGKILL)
        found = {name: body for name, body in contents(target).items() if name in wanted}
        assert found.items() <= wanted.items(), "what has its final name is whole"
        data = {name.removesuffix("Data.db") for name in found if name.endswith("Data.db")}
        assert {name for name in wanted if name.rpartition("-")[0] + "-" in data} <= found.keys(), "Data.db comes last"
    again = run(bucket, USERS, target)

    assert contents(target) == wanted
    assert again.returncode == 0


def test_an_interrupted_run_says_so_and_leaves_nothing_unfinished(past: Past, bucket: str, target: Path) -> None:
    past.table(USERS, list(range(1, 150)), ago(hours=5))
    command = [sys.executable, "-c", TABLESLURP, "-n", "node1", "-t", "1", bucket, USERS, str(target)]

    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        wait_until(lambda: target.is_dir() and any(target.glob("*-Data.db")), "the first sstable")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=UNANSWERED)

    wanted = expected(past, USERS, list(range(1, 150)))
    assert "interrupted" in said
    assert "run it again, and it goes on" in said
    assert contents(target).items() <= wanted.items()
    assert process.returncode == 130
