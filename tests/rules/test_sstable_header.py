"""Headers of real sstables, and of what looks like one."""

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rules.headers import MARSHAL, statistics, statistics_of, vint

from tablesnap.rules.sstable_header import Column, Header, UnreadableHeader, read_header

STATISTICS = Path(__file__).parent / "statistics"  # what is in it, says its README.md
TEXT = f"{MARSHAL}UTF8Type"
SUMMED = ("na", "nb", "oa", "da")
VERSIONS = ("ma", "mc", "me", *SUMMED)


def body_of(name: str) -> bytes:
    return (STATISTICS / f"{name}.db").read_bytes()


@pytest.mark.parametrize("version", VERSIONS)
def test_sstables_of_every_version_since_3_0_tell_their_types(version: str) -> None:
    assert read_header(body_of(version)) == Header(TEXT, (TEXT,), {"val": Column(TEXT)})


def test_static_columns_and_types_made_of_others_are_told_as_cassandra_spells_them() -> None:
    header = read_header(body_of("nb_all_types"))

    address = f"{MARSHAL}UserType(shop,61646472657373,737472656574:{TEXT},7a6970:{MARSHAL}Int32Type)"
    assert header.key == f"{MARSHAL}CompositeType({MARSHAL}Int32Type,{TEXT})"
    assert header.clusterings == (f"{MARSHAL}ReversedType({MARSHAL}TimestampType)", f"{MARSHAL}UUIDType")
    assert header.columns["s"] == Column(TEXT, is_static=True)
    assert header.columns["a"] == Column(f"{MARSHAL}FrozenType({address})")
    assert header.columns["u"] == Column(address)
    assert header.columns["Odd name"] == Column(f"{MARSHAL}InetAddressType")
    assert len(header.columns) == 13


@pytest.mark.parametrize("version", SUMMED)
def test_a_bit_that_is_wrong_is_found_where_there_are_checksums(version: str) -> None:
    body = bytearray(body_of(version))
    body[-20] ^= 1

    with pytest.raises(UnreadableHeader, match="a checksum in it does not fit"):
        read_header(bytes(body))


def test_an_sstable_of_before_3_0_has_no_header() -> None:
    with pytest.raises(UnreadableHeader, match="has no serialization header"):
        read_header(body_of("la"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0\0\0",
        b"\0\0\0\0",
        b"\xff" * 100,
        struct.pack(">I", 4),
        struct.pack(">III", 1, 3, 1 << 31),
        statistics(b""),
        statistics(b"\0\0\0" + vint(1 << 62)),
        statistics(b"\0\0\0" + vint(1 << 20) + b"x" * (1 << 20)),
        statistics(b"\0\0\0\x01k" + vint(1 << 62)),
        statistics(b"\0\0\0\x01k\0\0" + vint(1 << 62) + b"\x01a\x01b" * 1000),
        statistics(b"\0\0\0\x01\xff\0\0\0"),
        statistics(b"\0\0\0\x01k\0\0\0more"),
    ],
    ids=lambda body: f"{len(body)} bytes, {zlib.crc32(body):08x}",
)
def test_what_is_no_header_is_one_error(body: bytes) -> None:
    with pytest.raises(UnreadableHeader):
        read_header(body)


def test_what_is_written_is_read() -> None:
    header = Header("k" * 300, ("c", ""), {"s": Column("t", is_static=True), "r": Column("t")})

    assert read_header(statistics_of(header)) == header
    assert read_header(statistics(b"\0\0\0\x01k\0\0\0")) == Header("k")


@given(st.sampled_from(VERSIONS), st.integers(0, 8000), st.integers(0, 8000), st.binary(max_size=12))
def test_whatever_is_put_into_a_real_one_there_is_a_header_or_one_error(
    version: str, at: int, size: int, more: bytes
) -> None:
    body = body_of(version)

    try:
        header = read_header(body[:at] + more + body[at + size :])
    except UnreadableHeader:
        return
    assert isinstance(header, Header)
