"""tablesnap 1.x and ours in one bucket: its restore reads what we write, and we go on from what it wrote."""

from pathlib import Path

import pytest
from tests.daemon.harness import NODE, Bucket, Daemon, running, sstable, wait_until, write_by_rename
from tests.daemon.predecessor import by_directory, restored_by_1x

from tablesnap.checksum import crc64nvme

PREFIXES = {
    "": "",
    "backups/": "backups/",
    "a//b/": "a/b/",
    "./x/": "./x/",
    "weird +%#é/": "weird +%#é/",
    "/top/": "top/",
}
SEPARATORS = {":": ":", "/": "", "::": "::", "%": "%", "": ""}  # and the slash that the path begins with


@pytest.fixture(params=["file_bucket", "moto_bucket"])
def exact_bucket(request: pytest.FixtureRequest) -> Bucket:
    """A bucket on a store that keeps any key as it is, as Amazon does."""
    bucket = request.getfixturevalue(request.param)
    assert isinstance(bucket, Bucket)
    return bucket


@pytest.mark.parametrize(
    ("prefix", "separator"),
    [(prefix, ":") for prefix in PREFIXES] + [("backups/", other) for other in SEPARATORS if other != ":"],
)
def test_1x_restores_what_we_wrote_whatever_prefix_and_separator(
    exact_bucket: Bucket, data: Path, log: Path, prefix: str, separator: str
) -> None:
    table, plain = data / "ks" / "t-1", data / "ks" / "plain"
    table.mkdir(parents=True)
    plain.mkdir()
    front = PREFIXES[prefix] + NODE + SEPARATORS[separator]

    with running(exact_bucket, "-r", "-p", prefix, "--keyname-separator", separator, data, log=log) as daemon:
        files = sstable(table, 1) | sstable(table, 2) | {plain / "a file, +%#é": b"1", plain / "another": b"2"}
        for path, body in files.items():
            write_by_rename(path, body)
        await_restore_by_1x(daemon, exact_bucket, front, files)

    assert exact_bucket.data() == {f"{front}{path}": body for path, body in files.items()}


def test_1x_restores_a_rewritten_component_with_its_older_bytes(exact_bucket: Bucket, data: Path, log: Path) -> None:
    files = sstable(data, 1)
    statistics = data / "nb-1-big-Statistics.db"
    with running(exact_bucket, "--index-interval", "0", data, log=log) as daemon:
        for path, body in files.items():
            write_by_rename(path, body)
        await_restore_by_1x(daemon, exact_bucket, NODE + ":", files)
        await_the_next_second(exact_bucket)

        write_by_rename(statistics, b"another level")
        daemon.wait_until(lambda: statistics_of(exact_bucket, data) == b"another level", "the rewritten component")

        assert restored_by_1x(exact_bucket.objects(), NODE + ":") == by_directory(files)


def test_1x_is_never_given_other_bytes_under_the_names_of_a_reused_generation(
    exact_bucket: Bucket, data: Path, log: Path
) -> None:
    first, second = sstable(data, 1), sstable(data, 1, salt=b"after truncate")
    same = data / "nb-1-big-TOC.txt"
    second[same] = first[same]
    with running(exact_bucket, "--index-interval", "0", data, log=log) as daemon:
        for path, body in first.items():
            write_by_rename(path, body)
        await_restore_by_1x(daemon, exact_bucket, NODE + ":", first)
        await_the_next_second(exact_bucket)

        for path in first:
            path.unlink()
        for path, body in second.items():
            write_by_rename(path, body)
        beside = {
            path.with_name(path.name if path == same else f"{path.name}~{crc64nvme(body):016x}"): body
            for path, body in second.items()
        }
        await_restore_by_1x(daemon, exact_bucket, NODE + ":", beside)


def await_restore_by_1x(daemon: Daemon, bucket: Bucket, front: str, files: dict[Path, bytes]) -> None:
    def restores_them() -> bool:
        assert restored_by_1x(bucket.objects(), front) == by_directory(files)
        return True

    daemon.wait_until(restores_them, "that 1.x restores exactly these files")


def statistics_of(bucket: Bucket, directory: Path) -> bytes | None:
    """Return the Statistics.db that the newest index of *directory* names by its exact key."""
    index = bucket.newest_index(directory)
    return b"".join(bucket.store().read(index.files["nb-1-big-Statistics.db"].key)) if index else None


def await_the_next_second(bucket: Bucket) -> None:
    """Wait until the store dates a new object later: S3 knows whole seconds, so 1.x cannot order what is closer."""
    store = bucket.store()
    last = max(listed.modified for listed in store.list(""))
    key = next(iter(bucket.keys()))
    wait_until(lambda: int(store.head(key).store_clock.timestamp()) > last.timestamp(), "another second")
