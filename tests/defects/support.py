"""What the defects' tests share: a restore point read back, byte for byte."""

from pathlib import Path

from tests.daemon.harness import NODE, Bucket, Daemon

from tablesnap.checksum import crc64nvme
from tablesnap.rules.index import Index


def key_of(path: Path) -> str:
    """Return the plain key of *path*, spelt out here so that the tests do not lean on the rule they test."""
    return f"{NODE}:{path}"


def restored(bucket: Bucket, index: Index) -> dict[str, bytes]:
    """Read back every file that *index* names, and insist that it is what the index says."""
    store = bucket.store()
    files = {}
    for name, file in index.files.items():
        body = b"".join(store.read(file.key))
        assert (len(body), crc64nvme(body)) == (file.size, file.checksum), f"{file.key} is not what its index says"
        files[name] = body
    return files


def newest_restored(bucket: Bucket, directory: Path) -> dict[str, bytes]:
    """Return what the newest restore point of *directory* restores; nothing where there is none, or it has gaps."""
    index = bucket.newest_index(directory)
    return restored(bucket, index) if index is not None and not index.missing else {}


def await_restore_point(daemon: Daemon, bucket: Bucket, directory: Path, files: dict[str, bytes]) -> Index:
    """Wait until the newest restore point of *directory* has no gaps and restores exactly *files*."""

    def arrived() -> Index | None:
        assert newest_restored(bucket, directory) == files
        return bucket.newest_index(directory)

    index = daemon.wait_until(arrived, f"a restore point of {directory} with {sorted(files)}")
    assert index is not None
    return index
