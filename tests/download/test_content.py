"""Whatever a store sends, nothing but the right bytes ever has the file's name."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.download.bringing import AT_ONCE, MIB, Count, bring, leftovers, standing, stored
from tests.download.liars import Lie, Lying, cut_after, dropped_after, flipped
from tests.stores import Around, Failing, WithoutChecksums

from tablesnap.download.content import RANGE_SIZE
from tablesnap.download.one import Fetch
from tablesnap.errors import NoSuchObject, StoreUnavailable
from tablesnap.store.memory import MemoryStore
from tablesnap.store.port import Content

DATA = bytes(range(256)) * 40  # 10,240 bytes: eleven small pieces
LARGE = bytes(range(251)) * (80 * MIB // 251)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.mark.parametrize("broken", [1, 5, 10])
def test_a_broken_transfer_goes_on_where_it_was(store: MemoryStore, tmp_path: Path, broken: int) -> None:
    flaky = Lying(store, lambda number, _, pieces: dropped_after(broken, pieces) if number == 1 else pieces)
    progress = Count()

    failures = bring(flaky, [stored(store, "k", DATA, tmp_path / "f")], progress=progress)

    assert failures == []
    assert standing(tmp_path) == {"f": DATA}
    assert (progress.files, progress.size) == (1, len(DATA))
    assert flaky.reads == [("k", 0, None), ("k", broken * 1000, len(DATA) - broken * 1000)]


def test_a_transfer_that_breaks_again_and_again_ends_all_the_same(store: MemoryStore, tmp_path: Path) -> None:
    flaky = Lying(store, lambda _, offset, pieces: dropped_after(1, pieces, 100))

    assert bring(flaky, [stored(store, "k", DATA, tmp_path / "f")]) == []

    assert len(flaky.reads) > AT_ONCE.tries
    assert standing(tmp_path) == {"f": DATA}


def test_a_transfer_that_breaks_after_its_last_byte_is_whole(store: MemoryStore, tmp_path: Path) -> None:
    def broken_at_the_end(pieces: Iterator[bytes]) -> Iterator[bytes]:
        yield from pieces
        yield from dropped_after(0, iter([b"x"]))

    flaky = Lying(store, lambda number, _, pieces: broken_at_the_end(pieces))

    assert bring(flaky, [stored(store, "k", DATA, tmp_path / "f")]) == []
    assert standing(tmp_path) == {"f": DATA}


def test_a_body_that_ends_early_without_an_error_is_asked_for_the_rest(store: MemoryStore, tmp_path: Path) -> None:
    flaky = Lying(store, lambda number, _, pieces: cut_after(3, pieces) if number == 1 else pieces)

    assert bring(flaky, [stored(store, "k", DATA, tmp_path / "f")]) == []
    assert standing(tmp_path) == {"f": DATA}


@pytest.mark.parametrize("stands", [DATA[:5000], DATA + b"more", DATA[:5000] + b"X" + DATA[5001:], b""])
def test_an_object_of_other_bytes_never_gets_the_name(store: MemoryStore, tmp_path: Path, stands: bytes) -> None:
    fetch = stored(store, "k", DATA, tmp_path / "f")
    store.delete(["k"])
    store.create("k", Content.of(stands))
    progress = Count()

    [failure] = bring(store, [fetch], progress=progress)

    assert failure.fetch == fetch
    assert "arrived" in failure.why
    assert list(tmp_path.iterdir()) == []
    assert (progress.files, progress.size) == (0, 0)


def test_a_bit_flipped_on_the_way_is_brought_again(store: MemoryStore, tmp_path: Path) -> None:
    flaky = Lying(store, lambda number, _, pieces: flipped(pieces) if number == 1 else pieces)
    progress = Count()

    assert bring(flaky, [stored(store, "k", DATA, tmp_path / "f")], progress=progress) == []

    assert standing(tmp_path) == {"f": DATA}
    assert (progress.files, progress.size) == (1, len(DATA))


def test_more_than_there_was_is_not_written_to_the_disk(store: MemoryStore, tmp_path: Path) -> None:
    taken = []

    def endless(pieces: Iterator[bytes]) -> Iterator[bytes]:
        for number in range(1000):
            taken.append(number)
            yield DATA

    [failure] = bring(Lying(store, lambda *_: endless(iter([]))), [stored(store, "k", DATA, tmp_path / "f")])

    assert failure.why == "more arrived than the 10240 bytes there were"
    assert len(taken) == 2 * AT_ONCE.damaged
    assert leftovers(tmp_path) == []


def test_an_object_replaced_in_the_middle_is_not_put_together_of_both(store: MemoryStore, tmp_path: Path) -> None:
    other = bytes(len(DATA))

    def replaced(number: int, offset: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
        if number > 1:
            return iter([other[offset:]])
        return dropped_after(4, pieces)

    [failure] = bring(Lying(store, replaced), [stored(store, "k", DATA, tmp_path / "f")])

    assert failure.why.startswith("other bytes arrived than were stored: their checksum is ")
    assert list(tmp_path.iterdir()) == []


def test_ranges_go_on_where_they_were_and_are_whole(store: MemoryStore, tmp_path: Path) -> None:
    seen: set[int] = set()

    def once(number: int, offset: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
        if offset % RANGE_SIZE == 0 and offset not in seen:
            seen.add(offset)
            return dropped_after(1, pieces, 1_000_000)
        return pieces

    progress = Count()

    assert bring(Lying(store, once), [stored(store, "k", LARGE, tmp_path / "f")], progress=progress) == []

    assert (tmp_path / "f").read_bytes() == LARGE
    assert (progress.files, progress.size) == (1, len(LARGE))


def is_second(offset: int) -> bool:
    return RANGE_SIZE <= offset < 2 * RANGE_SIZE


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param(lambda _, at, pieces: flipped(pieces) if is_second(at) else pieces, id="flipped"),
        pytest.param(lambda _, at, pieces: iter([]) if is_second(at) else pieces, id="empty"),
        pytest.param(lambda _, at, pieces: iter([b"x" * (RANGE_SIZE + 1)]) if is_second(at) else pieces, id="longer"),
        pytest.param(lambda _, at, pieces: iter([bytes(RANGE_SIZE)]) if is_second(at) else pieces, id="other"),
    ],
)
def test_one_wrong_range_among_many_is_found(store: MemoryStore, tmp_path: Path, lie: Lie) -> None:
    progress = Count()

    [failure] = bring(Lying(store, lie), [stored(store, "k", LARGE, tmp_path / "f")], progress=progress)

    assert "arrived" in failure.why
    assert list(tmp_path.iterdir()) == []
    assert (progress.files, progress.size) == (0, 0)


def test_what_is_not_stored_is_named(store: MemoryStore, tmp_path: Path) -> None:
    [failure] = bring(store, [Fetch("k", str(tmp_path / "f"), 1, 1)])

    assert failure.why == str(NoSuchObject("k"))
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_that_is_not_stored_is_no_empty_file(store: MemoryStore, tmp_path: Path) -> None:
    assert len(bring(store, [Fetch("k", str(tmp_path / "f"), 0, 0)])) == 1
    assert list(tmp_path.iterdir()) == []


# What 1.x stored: no index has its size or checksum, its metadata have an MD5


def old(store: MemoryStore, data: bytes, md5: str | None, target: Path) -> Fetch:
    store.create("k", Content.of(data), metadata={} if md5 is None else {"md5sum": md5})
    return Fetch("k", str(target))


@pytest.mark.parametrize("data", [DATA, b"", LARGE], ids=["small", "empty", "in ranges"])
def test_an_object_of_1x_is_verified_by_its_md5(store: MemoryStore, tmp_path: Path, data: bytes) -> None:
    fetch = old(store, data, hashlib.md5(data).hexdigest().upper(), tmp_path / "f")

    assert bring(WithoutChecksums(store), [fetch]) == []
    assert (tmp_path / "f").read_bytes() == data


@pytest.mark.parametrize("data", [DATA, LARGE], ids=["small", "in ranges"])
def test_an_object_of_1x_with_another_md5_never_gets_the_name(store: MemoryStore, tmp_path: Path, data: bytes) -> None:
    fetch = old(store, data, hashlib.md5(b"what the file was").hexdigest(), tmp_path / "f")

    [failure] = bring(store, [fetch])  # though the store's own checksum agrees: it received them so

    assert failure.why.startswith("other bytes arrived than were stored: their MD5 is ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("md5", [None, "no md5", "d41d8cd98f00b204e9800998ecf8427e-2"])
def test_without_an_md5_the_checksum_that_the_store_keeps_will_do(
    store: MemoryStore, tmp_path: Path, md5: str | None
) -> None:
    fetch = old(store, DATA, md5, tmp_path / "f")

    assert bring(store, [fetch]) == []
    assert standing(tmp_path) == {"f": DATA}

    [failure] = bring(Lying(store, lambda *a: flipped(a[2])), [Fetch("k", str(tmp_path / "g"))])
    assert "arrived" in failure.why


@pytest.mark.parametrize("data", [DATA, LARGE], ids=["small", "in ranges"])
def test_what_nothing_can_verify_is_brought_and_named(store: MemoryStore, tmp_path: Path, data: bytes) -> None:
    fetch = old(store, data, None, tmp_path / "f")

    [failure] = bring(WithoutChecksums(store), [fetch])

    assert (failure.fetch, failure.brought) == (fetch, True)
    assert failure.why == "its size alone could be verified: no checksum of it was kept"
    assert (tmp_path / "f").read_bytes() == data


def test_what_cannot_be_verified_does_not_keep_the_last_of_its_group(store: MemoryStore, tmp_path: Path) -> None:
    group = [old(store, DATA, None, tmp_path / "Index.db"), stored(store, "d", b"d", tmp_path / "Data.db")]

    [failure] = bring(WithoutChecksums(store), group)

    assert failure.brought
    assert set(standing(tmp_path)) == {"Index.db", "Data.db"}


def test_an_object_of_another_size_than_the_index_says_is_not_fetched(store: MemoryStore, tmp_path: Path) -> None:
    store.create("k", Content.of(DATA))
    watched = Around(store)

    [failure] = bring(watched, [Fetch("k", str(tmp_path / "f"), size=5)])

    assert failure.why == "has 10240 bytes in the store, and had 5"
    assert watched.requests == ["head k"]


def test_a_question_that_is_not_answered_is_asked_again(store: MemoryStore, tmp_path: Path) -> None:
    fetch = old(store, DATA, None, tmp_path / "f")
    answers = iter([False, False, True])

    slow = Failing(store, lambda request: None if request != "head k" or next(answers) else StoreUnavailable("not now"))

    assert bring(slow, [fetch]) == []
