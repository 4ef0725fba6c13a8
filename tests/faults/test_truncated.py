"""A file that is truncated while it is uploaded over TLS costs that file's upload, and not the daemon."""

import os
from pathlib import Path

import pytest
from tests.daemon.harness import NODE, Bucket, running
from tests.endpoint import S3Server
from tests.faults.proxy import Line, Request, Way, proxy

from tablesnap.capture.file import IN_MEMORY

MIB = 1 << 20
NAME, LATER = "la-1-big-Data.db", "CommitLog-7-1.log"


@pytest.mark.parametrize("size", [IN_MEMORY // 2, IN_MEMORY + MIB], ids=["in memory", "by its descriptor"])
def test_a_file_truncated_while_it_is_uploaded_over_tls_does_not_end_the_daemon(
    tmp_path: Path, moto_endpoint: S3Server, size: int
) -> None:
    """A daemon that uploaded from a memory map was ended by SIGBUS, without a line in its log."""
    bucket, directory = f"truncated-{size}", tmp_path / "data"
    directory.mkdir()
    moto_endpoint.make_bucket(bucket)
    path = directory / NAME
    cut_off: list[str] = []

    def truncate_it(one: Request) -> Line:
        if one.method == "PUT" and one.key == f"{NODE}:{path}" and not cut_off:
            cut_off.append(one.key)
            os.truncate(path, 0)
        return Line(up=Way(rate=16 * MIB if one.is_data else None))

    with proxy(moto_endpoint, tls=True) as line:
        line.faults.line = truncate_it
        with running(Bucket.on(line, bucket), directory, log=tmp_path / "log") as daemon:
            (tmp_path / NAME).write_bytes(os.urandom(size))
            (tmp_path / NAME).rename(path)
            daemon.wait_until(lambda: cut_off, "the upload begun")
            (tmp_path / LATER).write_bytes(b"rows")
            (tmp_path / LATER).rename(directory / LATER)

            stored = daemon.wait_until(lambda: f"{NODE}:{directory / LATER}" in daemon_keys(line, bucket), "a file")

    assert stored
    assert daemon.process.returncode == 0


def daemon_keys(server: S3Server, bucket: str) -> set[str]:
    return Bucket.on(server, bucket).keys()
