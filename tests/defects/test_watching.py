"""No file is missed, whatever the kernel does not tell."""

import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from tests.daemon.harness import Bucket, running, write_by_rename, write_sstables
from tests.defects.support import await_restore_point, newest_restored

EVENTS_THE_KERNEL_KEEPS = Path("/proc/sys/fs/inotify/max_queued_events")


def test_d10_an_overflow_of_the_kernels_queue_loses_no_file(data: Path, bucket: Bucket, log: Path) -> None:
    """D10 of tablesnap 1.2.1: 50 of 50 files after an overflow were never uploaded, and the daemon looked healthy."""
    files = {f"file-{number}": f"content {number}".encode() for number in range(1, 51)}
    with running(bucket, data, log=log) as daemon:
        daemon.send(signal.SIGSTOP)
        for _ in range(int(EVENTS_THE_KERNEL_KEEPS.read_text()) // 2 + 1):  # each makes two events at least
            (data / "x-tmp").touch()
            (data / "x-tmp").unlink()
        for name, body in files.items():
            write_by_rename(data / name, body)
        files |= write_sstables(data, *range(1, 6))
        daemon.send(signal.SIGCONT)

        await_restore_point(daemon, bucket, data, files)
        assert "events were lost" in daemon.log  # or it was no overflow, and nothing was shown


@pytest.mark.parametrize("flags", [("-r", "-a"), ("-a",)], ids=" ".join)
def test_d11_the_first_file_of_each_new_directory_is_stored(
    flags: tuple[str, ...], tmp_path: Path, bucket: Bucket, log: Path
) -> None:
    """D11 of tablesnap: 59 of 60 new tables lost their first sstable, which was there before the watch."""
    data = tmp_path / "data"
    data.mkdir()
    tables = [data / "ks" / f"table{number}-1b255f4def2540a60000000000000001" for number in range(60)]
    expected: dict[Path, dict[str, bytes]] = {}
    with running(bucket, *flags, data, log=log) as daemon:
        for table in tables:
            table.mkdir(parents=True)
            expected[table] = write_sstables(table, 1)

        def arrived() -> bool:
            objects = bucket.keys()
            assert len([key for key in objects if key.endswith("-listdir.json")]) >= len(tables)
            return {table: newest_restored(bucket, table) for table in tables} == expected

        daemon.wait_until(arrived, "each table's first sstable")


def test_d12_a_path_that_is_a_symbolic_link_is_followed(tmp_path: Path, bucket: Bucket, log: Path) -> None:
    """D12 of tablesnap 1.2.1: below a symbolic link nothing was watched, and nothing was said."""
    table = tmp_path / "disk" / "ks" / "t"
    table.mkdir(parents=True)
    link = tmp_path / "data"
    link.symlink_to(tmp_path / "disk")
    with running(bucket, "-r", link, log=log) as daemon:
        files = write_sstables(table, 1)

        # The keys carry the name that the operator gave: the restore will, too.
        await_restore_point(daemon, bucket, link / "ks" / "t", files)


def test_d12_a_symbolic_link_below_a_path_is_followed(tmp_path: Path, bucket: Bucket, log: Path) -> None:
    """D12 of tablesnap 1.2.1: below a symbolic link nothing was watched, and nothing was said."""
    data, disks = tmp_path / "data", [tmp_path / "disk1", tmp_path / "disk2"]
    data.mkdir()
    for disk in disks:
        (disk / "t").mkdir(parents=True)
    (data / "old").symlink_to(disks[0])
    with running(bucket, "-r", "-a", data, log=log) as daemon:
        await_restore_point(daemon, bucket, data / "old" / "t", write_sstables(disks[0] / "t", 1))

        (data / "new").symlink_to(disks[1])
        daemon.wait_for_log(f"watching {data / 'new' / 't'}")
        await_restore_point(daemon, bucket, data / "new" / "t", write_sstables(disks[1] / "t", 1))


def test_d12_a_symbolic_link_to_a_file_is_said_in_the_log(tmp_path: Path, bucket: Bucket, log: Path) -> None:
    """D12 of tablesnap 1.2.1: what a symbolic link leads to was not backed up, and nothing was said."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "old").symlink_to(__file__)
    with running(bucket, "-r", "-a", data, log=log) as daemon:
        daemon.wait_for_log(f"WARNING {data / 'old'} is a symbolic link to a file and is not followed")

        (data / "new").symlink_to(__file__)
        write_by_rename(data / "file", b"a look at the directory follows")
        daemon.wait_for_log(f"WARNING {data / 'new'} is a symbolic link to a file and is not followed")


def test_d21_a_hard_link_is_stored_with_in_create(data: Path, bucket: Bucket, log: Path) -> None:
    """D21 of tablesnap: --listen-events IN_CREATE did nothing, so that commit logs were not archived."""
    with running(bucket, "--listen-events", "IN_CREATE", data, log=log) as daemon:
        segment = data.with_name("CommitLog-7-1.log")
        segment.write_bytes(b"mutations")
        subprocess.run(["ln", segment, data / segment.name], check=True)

        await_restore_point(daemon, bucket, data, {segment.name: b"mutations"})


def test_d24_without_enough_watches_it_names_the_sysctl_and_stores_every_file(
    tmp_path: Path, bucket: Bucket, log: Path
) -> None:
    """D24 of tablesnap 1.2.1: a directory below PATH that could not be watched was never heard of again."""
    limited = ("unshare", "--user", "--map-root-user", "sh", "-c")
    script = 'echo 2 > /proc/sys/user/max_inotify_watches && exec "$@"'
    if shutil.which("unshare") is None or subprocess.run([*limited, script, "sh", "true"]).returncode:
        pytest.skip("this machine has no user namespaces, in which alone the number of watches can be limited")
    tables = [tmp_path / "data" / f"table{number}" for number in range(4)]
    for table in tables:
        table.mkdir(parents=True)
    flags = ("-r", "--index-interval", "0")
    with running(bucket, *flags, tmp_path / "data", log=log, under=(*limited, script, "sh")) as daemon:
        daemon.wait_for_log("raise sysctl fs.inotify.max_user_watches")
        files: dict[Path, dict[str, bytes]] = {}
        for generation in (1, 2):
            for table in tables:
                files[table] = files.get(table, {}) | write_sstables(table, generation)

            for table in tables:
                await_restore_point(daemon, bucket, table, files[table])
