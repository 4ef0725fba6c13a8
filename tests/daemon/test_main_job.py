"""What tablesnap is for, on each kind of store: back up, restart, list, check, restore and purge."""

import json
from pathlib import Path

import pytest
from tests.commands import command
from tests.daemon.fake_cassandra import Table
from tests.daemon.harness import Bucket, running
from tests.defects.support import await_restore_point

TABLE = "ks/t-1b255f4def2540a60000000000000001"
LARGE = 6 << 20  # above what the daemon is told to send in one request
IN_PARTS = ("--max-upload-size", "5", "--multipart-chunk-size", "5")


def test_what_a_table_held_is_backed_up_listed_checked_restored_and_purged(
    bucket: Bucket, data: Path, log: Path, tmp_path: Path
) -> None:
    do_the_main_job(bucket, data, log, tmp_path / "target", *IN_PARTS)


@pytest.mark.gcs
def test_google_s_server_does_the_same_but_for_uploads_in_parts_which_it_does_not_know(
    gcs_bucket: Bucket, data: Path, log: Path, tmp_path: Path
) -> None:
    do_the_main_job(gcs_bucket, data, log, tmp_path / "target")


def do_the_main_job(bucket: Bucket, data: Path, log: Path, target: Path, *flags: str) -> None:
    directory = data / TABLE
    directory.mkdir(parents=True)
    table = Table(directory)
    with running(bucket, "-r", *flags, data, log=log) as daemon:
        first = table.flush().files
        await_restore_point(daemon, bucket, directory, first)
    with running(bucket, "-r", *flags, data, log=log) as daemon:
        daemon.wait_for_log(f"stored already: {len(first)}")  # a restart sends nothing again
        held = first | table.flush(size=LARGE).files
        await_restore_point(daemon, bucket, directory, held)

    listed = command("tablelist", bucket, flags=("--json",))
    checked = command("tablecheck", bucket, flags=("--read",))
    restored = command("tableslurp", bucket, str(directory), str(target))
    purged = command("tablechop", bucket, str(data), flags=("--forget-all", "--yes"))

    assert [json.loads(line)["directories"] for line in listed.out.splitlines()] == [[str(directory)]]
    assert {one.name: one.read_bytes() for one in target.iterdir()} == held
    assert [one for one in (listed, checked, restored, purged) if one.code] == []
    assert bucket.keys() == set(), "nothing is left"
