"""What the operator included, excluded, or left to the default is what is stored and what is listed."""

from pathlib import Path

import pytest
from tests.daemon.harness import Bucket, running, write_by_rename, write_sstables
from tests.defects.support import await_restore_point, key_of


def move_in(path: Path, content: bytes) -> None:
    """Move a finished file in, from where nobody watches: the name it had before would match the pattern too."""
    unfinished = path.parents[3] / "unfinished"
    unfinished.write_bytes(content)
    unfinished.rename(path)


def test_d04_including_a_directory_lists_the_files_in_it(data: Path, bucket: Bucket, log: Path) -> None:
    """D4 of tablesnap 1.2.1: with -i '/ks/' every listing was empty, because it matched bare names."""
    with running(bucket, "-r", "-i", "/ks/", data.parent.parent, log=log) as daemon:
        files = write_sstables(data, 1) | {"file": b"content"}
        move_in(data / "file", files["file"])

        index = await_restore_point(daemon, bucket, data, files)

    assert sorted(index.names) == sorted(files)


@pytest.mark.parametrize(
    "flags",
    [("-e", "alpha", "-e", "beta"), ("-e", "alpha", "beta"), ("--exclude", "alpha", "--exclude=beta")],
    ids=" ".join,
)
def test_d07_every_exclude_counts(flags: tuple[str, ...], data: Path, bucket: Bucket, log: Path) -> None:
    """D7 of tablesnap 1.2.1: of several -e only the last was kept."""
    with running(bucket, *flags, "-r", data, log=log) as daemon:
        for name in ("alpha", "beta", "gamma"):
            move_in(data / name, name.encode())

        await_restore_point(daemon, bucket, data, {"gamma": b"gamma"})

    assert bucket.data() == {key_of(data / "gamma"): b"gamma"}


@pytest.mark.parametrize(
    "flags",
    [("-i", "alpha", "-i", "beta"), ("-i", "alpha", "beta"), ("--include", "alpha", "--include=beta")],
    ids=" ".join,
)
def test_d07_every_include_counts(flags: tuple[str, ...], data: Path, bucket: Bucket, log: Path) -> None:
    """D7 of tablesnap 1.2.1: of several -i only the last was kept, and the other files were not backed up."""
    with running(bucket, *flags, "-r", data, log=log) as daemon:
        for name in ("gamma", "beta", "alpha"):
            move_in(data / name, name.encode())

        await_restore_point(daemon, bucket, data, {"alpha": b"alpha", "beta": b"beta"})

    assert bucket.data() == {key_of(data / "alpha"): b"alpha", key_of(data / "beta"): b"beta"}


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        (("-e", "alpha"), "beta"),
        (("-e", "alpha", "gamma"), "beta"),
        (("-i", "alpha"), "alpha"),
        (("-i", "alpha", "gamma"), "alpha"),
    ],
    ids=" ".join,
)
def test_d08_a_pattern_does_not_swallow_the_bucket_and_the_paths(
    flags: tuple[str, ...], kept: str, data: Path, bucket: Bucket, log: Path
) -> None:
    """D8 of tablesnap 1.2.1: after `-e X BUCKET PATH` the daemon did not start."""
    with running(bucket, *flags, data, log=log) as daemon:
        for name in ("alpha", "beta"):
            move_in(data / name, name.encode())

        await_restore_point(daemon, bucket, data, {kept: kept.encode()})


def test_d16_the_default_exclusion_looks_at_the_files_own_name(tmp_path: Path, bucket: Bucket, log: Path) -> None:
    """D16 of tablesnap 1.2.1: a directory with -tmp in its name hid all that it held."""
    directory = tmp_path / "app-tmp" / "table"
    directory.mkdir(parents=True)
    with running(bucket, directory, log=log) as daemon:
        (directory / "x-tmp").write_bytes(b"unfinished")
        write_by_rename(directory / "y-tmp-1", b"excluded too")
        write_by_rename(directory / "finished", b"whole")

        await_restore_point(daemon, bucket, directory, {"finished": b"whole"})

    assert bucket.data() == {key_of(directory / "finished"): b"whole"}
