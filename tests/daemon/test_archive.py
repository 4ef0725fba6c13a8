"""A daemon whose files go to an archive, from which nothing can be read at once."""

from pathlib import Path

from tests.daemon.harness import ALL_EVENTS, Bucket, running, write_by_rename
from tests.endpoint import S3Server

from tablesnap.rules.keys import is_index


def test_files_are_archived_and_indexes_are_not_so_that_the_next_start_goes_on(
    moto_endpoint: S3Server, moto_bucket: Bucket, data: Path, log: Path
) -> None:
    bucket = moto_bucket
    flags = ("--storage-class", "DEEP_ARCHIVE", "--archive", "-B", *ALL_EVENTS)

    with running(bucket, *flags, data, log=log) as daemon:
        write_by_rename(data / "first", b"rows")
        daemon.wait_until(lambda: bucket.newest_index(data), "an index")
    with running(bucket, *flags, data, log=log) as daemon:
        write_by_rename(data / "second", b"more")
        daemon.wait_until(lambda: names(bucket, data) == {"first", "second"}, "an index of both files")

    listed = moto_endpoint.client().list_objects_v2(Bucket=bucket.url.removeprefix("s3://"))["Contents"]
    assert {one["StorageClass"] for one in listed if is_index(one["Key"])} == {"STANDARD"}
    assert {one["StorageClass"] for one in listed if not is_index(one["Key"])} == {"DEEP_ARCHIVE"}
    assert len(bucket.keys()) == 4  # and the probe, which is none of the backup's


def names(bucket: Bucket, directory: Path) -> set[str]:
    index = bucket.newest_index(directory)
    return set(index.files) if index is not None else set()
