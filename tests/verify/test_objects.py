"""One object is right, or what is wrong with it is said."""

import hashlib
import threading
import zlib
from dataclasses import replace

import pytest
from tests.download.bringing import AT_ONCE, Count
from tests.stores import Archived

from tablesnap.checksum import crc64nvme
from tablesnap.download.line import Line
from tablesnap.rules.kept import KeptFile
from tablesnap.store.memory import MemoryStore
from tablesnap.store.port import Content, Store
from tablesnap.verify.digest import understand
from tablesnap.verify.finding import Kind, Proof
from tablesnap.verify.objects import ObjectChecker, Verdict
from tablesnap.verify.share import Share

BODY = b"rows" * 1000
SHA1 = "f7c3bc1d808e04732adf679965ccc34ca7ae3441"  # of 123456789
READ, ASK = Share(of=1), Share()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def put(store: MemoryStore, body: bytes = BODY, name: str = "nb-1-big-Data.db") -> KeptFile:
    """Store a file, and return what an index says of it."""
    store.create(f"n:/t/{name}", Content.of(body))
    return KeptFile("/t", name, f"n:/t/{name}", len(body), crc64nvme(body))


def check(store: Store, share: Share, file: KeptFile, digest: KeptFile | None = None) -> Verdict:
    line = Line(store, Count(), AT_ONCE, threading.Event())
    size = next((listed.size for listed in store.list(file.key) if listed.key == file.key), None)
    return ObjectChecker(line, share).check(file, size, digest)


def test_an_object_with_the_right_bytes_is_proved_by_them(store: MemoryStore) -> None:
    assert check(store, READ, put(store)) == Verdict(len(BODY), Proof.CONTENT)


def test_a_flipped_bit_is_found_where_the_object_is_read(store: MemoryStore) -> None:
    file = replace(put(store), checksum=crc64nvme(BODY[:-1] + b"t"))

    verdict = check(store, READ, file)

    assert (verdict.proof, verdict.kind) == (None, Kind.CONTENT)


def test_a_flipped_bit_is_found_by_the_stores_own_checksum_without_a_download(store: MemoryStore) -> None:
    file = replace(put(store), checksum=1)

    assert check(store, ASK, file).kind == Kind.CHECKSUM


@pytest.mark.parametrize("share", [READ, ASK], ids=["read", "asked"])
def test_an_object_that_is_not_there_is_lost(store: MemoryStore, share: Share) -> None:
    file = put(store)
    store.delete([file.key])

    assert check(store, share, file).kind == Kind.LOST


@pytest.mark.parametrize("share", [READ, ASK], ids=["read", "asked"])
def test_an_object_that_was_cut_short_is_a_fault(store: MemoryStore, share: Share) -> None:
    file = replace(put(store), size=len(BODY) + 1)

    assert check(store, share, file).kind == Kind.SIZE


def test_of_an_object_of_1x_nothing_is_claimed_but_that_it_is_there(store: MemoryStore) -> None:
    file = replace(put(store), checksum=None)

    assert check(store, ASK, file).proof == Proof.PRESENCE


@pytest.mark.parametrize(("md5", "kind"), [(hashlib.md5(BODY).hexdigest(), None), ("0" * 32, Kind.CONTENT)])
def test_an_object_of_1x_is_compared_with_the_md5_that_it_left(store: MemoryStore, md5: str, kind: Kind | None) -> None:
    store.create("n:/t/jb-1-Data.db", Content.of(BODY), metadata={"md5sum": md5})

    assert check(store, READ, KeptFile("/t", "jb-1-Data.db", "n:/t/jb-1-Data.db", len(BODY))).kind == kind


def test_a_data_db_is_compared_with_cassandras_own_digest(store: MemoryStore) -> None:
    data = put(store)
    digest = put(store, str(zlib.crc32(BODY)).encode(), "nb-1-big-Digest.crc32")

    verdict = check(store, READ, data, digest)

    assert verdict == Verdict(len(BODY), Proof.CONTENT, has_digest=True)


def test_what_was_damaged_before_it_was_stored_is_told_from_what_was_damaged_since(store: MemoryStore) -> None:
    data = put(store)
    digest = put(store, b"12345", "nb-1-big-Digest.crc32")

    verdict = check(store, READ, data, digest)

    assert (verdict.proof, verdict.kind) == (Proof.CONTENT, Kind.DIGEST)
    assert verdict.what.endswith("; it was stored so")


def test_a_digest_that_says_nothing_is_a_fault_of_its_own(store: MemoryStore) -> None:
    digest = put(store, b"not a number", "nb-1-big-Digest.crc32")

    assert check(store, READ, put(store), digest).kind == Kind.UNCHECKED


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("nb-1-big-Digest.crc32", b"3421780262", ("CRC-32", "3421780262")),
        ("la-1-big-Digest.adler32", b"152961502\n", ("Adler-32", "152961502")),
        ("ks-t-ka-1-Digest.sha1", b"152961502", ("Adler-32", "152961502")),
        ("ks-t-jb-1-Digest.sha1", SHA1.upper().encode() + b"  x", ("SHA-1", SHA1)),
    ],
)  # fmt: skip
def test_the_digest_of_every_version_is_understood(name: str, content: bytes, expected: tuple[str, str]) -> None:
    digest = understand(name, content)
    summed = digest.begin()
    summed.update(b"1234")
    summed.update(b"56789")

    assert (digest.name, digest.expected) == expected
    assert summed.spell() == digest.expected


def test_on_days_that_follow_each_other_every_sstable_is_read_once_and_as_a_whole() -> None:
    files = [KeptFile("/t", f"nb-{n}-big-{c}", "") for n in range(50) for c in ("Data.db", "Index.db")]

    taken = [[file.name for file in files if Share(of=7, day=day).takes(file)] for day in range(100, 107)]

    assert sorted(name for day in taken for name in day) == sorted(file.name for file in files)
    assert all(name.replace("Data", "Index") in day for day in taken for name in day)


# What is archived.


def check_archived(store: Archived, share: Share, file: KeptFile, *, may_be_frozen: bool = False) -> Verdict:
    line = Line(store, Count(), AT_ONCE, threading.Event())
    (listed,) = store.list(file.key)
    checker = ObjectChecker(line, share, may_be_frozen=may_be_frozen)
    return checker.check(file, listed.size, None, is_archived=bool(listed.archived))


@pytest.mark.parametrize("share", [ASK, READ])
def test_an_object_that_cannot_be_read_now_is_a_fault_that_says_how_to_have_it(
    store: MemoryStore, share: Share
) -> None:
    verdict = check_archived(Archived(store), share, put(store))

    assert (verdict.kind, verdict.proof, verdict.frozen) == (Kind.ARCHIVED, Proof.CHECKSUM, True)
    assert "GLACIER" in verdict.what
    assert "thawed" in verdict.what


@pytest.mark.parametrize("share", [ASK, READ])
def test_what_is_archived_on_purpose_is_right_by_the_stores_word_and_counted(store: MemoryStore, share: Share) -> None:
    verdict = check_archived(Archived(store), share, put(store), may_be_frozen=True)

    assert verdict == Verdict(len(BODY), Proof.CHECKSUM, frozen=True)


def test_what_is_archived_on_purpose_is_damaged_where_the_store_says_so(store: MemoryStore) -> None:
    file = replace(put(store), checksum=1)

    assert check_archived(Archived(store), ASK, file, may_be_frozen=True).kind == Kind.CHECKSUM


def test_an_object_that_was_thawed_is_read_like_any_other(store: MemoryStore) -> None:
    file = put(store)
    archived = Archived(store)
    archived.thaw(file.key, 3)

    assert check_archived(archived, READ, file) == Verdict(len(BODY), Proof.CONTENT)


def test_an_object_of_1x_that_cannot_be_read_now_is_a_fault_too(store: MemoryStore) -> None:
    file = replace(put(store), size=None, checksum=None)

    assert check_archived(Archived(store), ASK, file).kind == Kind.ARCHIVED


def test_a_store_that_only_tells_by_refusing_to_read_is_believed(store: MemoryStore) -> None:
    verdict = check(Archived(store), READ, put(store))

    assert (verdict.kind, verdict.frozen) == (Kind.ARCHIVED, True)
