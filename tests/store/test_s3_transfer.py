import os
import tracemalloc
import uuid
from pathlib import Path

import pytest
from tests.endpoint import S3Server

from tablesnap.checksum import crc64nvme
from tablesnap.store.port import Content
from tablesnap.store.s3 import S3Options, S3Store
from tablesnap.store.s3_transfer import LARGEST_PART, MOST_PARTS, SMALLEST_PART, Slice, plan_parts

MIB = 1 << 20
GIB = 1 << 30


def test_parts_cover_the_content_without_gap_or_overlap() -> None:
    parts = plan_parts(23 * MIB + 7, 8 * MIB)

    assert parts == [(0, 8 * MIB), (8 * MIB, 8 * MIB), (16 * MIB, 7 * MIB + 7)]


def test_no_part_but_the_last_is_smaller_than_s3_takes() -> None:
    parts = plan_parts(11 * MIB, 1 * MIB)

    assert [size for _, size in parts] == [SMALLEST_PART, SMALLEST_PART, 1 * MIB]


@pytest.mark.parametrize("size", [48_828 * MIB + 1, 5 * 1024 * GIB, 48 * 1024 * GIB])
def test_parts_grow_where_there_would_be_too_many(size: int) -> None:
    parts = plan_parts(size, SMALLEST_PART)

    assert len(parts) <= MOST_PARTS
    assert sum(length for _, length in parts) == size
    assert max(length for _, length in parts) <= LARGEST_PART


def test_a_slice_reads_like_a_file_of_its_own() -> None:
    body = Slice(Content.of(b"0123456789"), 2, 5)

    assert body.read(2) == b"23"
    assert body.tell() == 2
    assert body.read() == b"456"
    assert body.read(1) == b""
    assert body.seek(0, 2) == 5
    assert body.seek(-2, 1) == 3
    assert body.read(100) == b"56"
    assert body.seek(0) == 0
    assert body.read() == b"23456"
    assert b"".join(body.chunks()) == b"23456"


@pytest.mark.parametrize("multipart_above", [8 * MIB, 256 * MIB])
def test_memory_does_not_grow_with_a_file_or_with_its_parts(
    moto_endpoint: S3Server, tmp_path: Path, multipart_above: int
) -> None:
    bucket = f"b-{uuid.uuid4().hex}"
    moto_endpoint.make_bucket(bucket)
    store = S3Store(
        bucket,
        S3Options(
            access_key=moto_endpoint.access_key,
            secret_key=moto_endpoint.secret_key,
            endpoint_url=moto_endpoint.endpoint_url,
            multipart_above=multipart_above,
            part_size=32 * MIB,
        ),
    )
    store.create("first", Content.of(b""))  # libraries load what they need once
    checksum = 0
    with (tmp_path / "f").open("w+b") as file:
        for _ in range(64):
            checksum = crc64nvme(bytes(MIB), checksum)
        os.truncate(file.fileno(), 64 * MIB)
        content = Content(size=64 * MIB, checksum=checksum, descriptor=file.fileno())

        tracemalloc.start()
        store.create("key", content)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert store.head("key").checksum in (checksum, None)
    assert peak < 16 * MIB
