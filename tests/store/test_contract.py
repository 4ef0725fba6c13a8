"""What `tablesnap.store.port` promises, asked of every adapter."""

import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.s3_servers import Lack
from tests.store.places import MULTIPART_ABOVE, Place

from tablesnap.checksum import crc64nvme
from tablesnap.errors import (
    AlreadyStored,
    CannotRead,
    DamagedUpload,
    FileChanged,
    KeyRefused,
    NoSuchObject,
    StoreError,
    StoreRefused,
    StoreUnavailable,
)
from tablesnap.store.port import Content, Store

DATA_KEY = "node1:/var/lib/cassandra/data/ks/t-1b255f4def2540a60000000000000005/nb-1-big-Data.db"
OCTETS = "application/octet-stream"
STAT = '{"uid": 1000, "gid": 1000, "mode": 33188, "user": "cassandra", "group": "cassandra"}'
LARGE = bytes(range(256)) * (12 << 12)  # 12 MiB: two parts and a bit

# Names that are ordinary to somebody and that a careless adapter, server or URL changes.
UNUSUAL_KEYS = [
    "a b", "a+b", "a%2Bb", "a%", "x#1", "x?y=z", "x&y", "~/x", "x~0123456789abcdef", "=x", "+x/=y", "ключ/鍵/😀",
    "e\u0301", "\u00e9", "a:b", "'\"<>|*", ".hidden/.x", "a/..b", "-", "x.linked", ".tablesnap-check-not", "a" * 200,
]  # fmt: skip
ODD_KEYS = [
    "d/", "a//b", "/a", "//", "./x", "x/.", "x/..", "../x", "a\nb", "a\tb", "\x01", "\x7f", "...", "x.", "a\\b",
    ".tablesnap/metadata/=x/", "x" * 300 + "/",
]  # fmt: skip


def keys(store: Store, prefix: str = "") -> list[str]:
    return sorted(listed.key for listed in store.list(prefix))


def body(store: Store, key: str) -> bytes:
    return b"".join(store.read(key))


def kept(place: Place, content_type: str, metadata: dict[str, str]) -> tuple[str, dict[str, str]]:
    """What there is to know beside the bytes, where so much was said of them."""
    return (OCTETS, {}) if Lack.METADATA in place.lacks else (content_type, metadata)


def beside(store: Store, key: str) -> tuple[str, Mapping[str, str]]:
    """What the store says of an object beside its bytes."""
    head = store.head(key)
    return head.content_type, head.metadata


def require_refused(place: Place, key: str) -> None:
    """Fail unless the store says that it did not store under *key*, and there is nothing."""
    with pytest.raises(StoreError):
        place.store.create(key, Content.of(b"rows"))
    assert keys(place.store) == []


@pytest.fixture
def store(place: Place) -> Store:
    return place.store


def test_a_store_that_works_passes_its_check_and_shows_nothing_of_it(store: Store) -> None:
    store.check()
    store.check()

    assert keys(store) == []


def test_what_was_stored_is_read_back_with_its_type_and_metadata(place: Place) -> None:
    place.store.create(DATA_KEY, Content.of(b"rows"), content_type="application/json", metadata={"stat": STAT})

    assert body(place.store, DATA_KEY) == b"rows"
    assert place.store.head(DATA_KEY).size == 4
    assert beside(place.store, DATA_KEY) == kept(place, "application/json", {"stat": STAT})


def test_an_object_stored_without_more_is_octets_without_metadata(store: Store) -> None:
    store.create(DATA_KEY, Content.of(b"rows"))

    assert beside(store, DATA_KEY) == (OCTETS, {})


def test_what_was_just_stored_can_be_read_and_is_not_archived(store: Store) -> None:
    store.create(DATA_KEY, Content.of(b"rows"))

    (listed,) = store.list("")
    head = store.head(DATA_KEY)

    assert (listed.archived, head.frozen, head.is_thawing) == ("", "", False)


def test_what_is_standard_is_stored_like_all_else(place: Place) -> None:
    place.store.create(DATA_KEY, Content.of(b"rows"), content_type="application/json", standard=True)

    assert body(place.store, DATA_KEY) == b"rows"
    assert beside(place.store, DATA_KEY) == kept(place, "application/json", {})


def test_an_empty_object_is_an_object(store: Store) -> None:
    store.create(DATA_KEY, Content.of(b""))

    assert body(store, DATA_KEY) == b""
    assert store.head(DATA_KEY).size == 0
    assert [(listed.key, listed.size) for listed in store.list("")] == [(DATA_KEY, 0)]


def test_the_checksum_of_the_whole_object_is_known_where_the_store_keeps_it(place: Place) -> None:
    place.store.create(DATA_KEY, Content.of(b"rows"))

    checksum = place.store.head(DATA_KEY).checksum

    assert checksum == (None if Lack.CHECKSUMS in place.lacks else crc64nvme(b"rows"))


def test_content_is_read_from_a_descriptor_without_moving_it(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "nb-1-big-Data.db"
    path.write_bytes(b"rows")

    with path.open("rb") as file:
        file.seek(2)
        store.create(DATA_KEY, Content(size=4, checksum=crc64nvme(b"rows"), descriptor=file.fileno()))
        position = file.tell()

    assert (body(store, DATA_KEY), position) == (b"rows", 2)


@pytest.mark.parametrize("source", ["buffer", "descriptor"])
def test_content_above_the_limit_for_one_request_arrives_whole(place: Place, tmp_path: Path, source: str) -> None:
    path = tmp_path / "nb-1-big-Data.db"
    path.write_bytes(LARGE)
    assert len(LARGE) > 2 * MULTIPART_ABOVE

    with path.open("rb") as file:
        content = (
            Content.of(LARGE)
            if source == "buffer"
            else Content(size=len(LARGE), checksum=crc64nvme(LARGE), descriptor=file.fileno())
        )
        place.store.create(DATA_KEY, content, content_type="application/json", metadata={"stat": STAT})
        with pytest.raises(AlreadyStored):
            place.store.create(DATA_KEY, content)

    head = place.store.head(DATA_KEY)
    assert body(place.store, DATA_KEY) == LARGE
    assert head.size == len(LARGE)
    assert beside(place.store, DATA_KEY) == kept(place, "application/json", {"stat": STAT})
    assert head.checksum == (None if Lack.CHECKSUMS_OF_PARTS in place.lacks else crc64nvme(LARGE))


@pytest.mark.parametrize("size", [100, len(LARGE)])
def test_a_file_that_became_shorter_is_not_stored(store: Store, tmp_path: Path, size: int) -> None:
    path = tmp_path / "nb-1-big-Data.db"
    path.write_bytes(LARGE[: size // 2])

    with path.open("rb") as file:
        content = Content(size=size, checksum=crc64nvme(LARGE[:size]), descriptor=file.fileno())
        with pytest.raises(FileChanged):
            store.create(DATA_KEY, content)

    assert keys(store) == []


@pytest.mark.parametrize("size", [100, len(LARGE)])
def test_what_the_disk_cannot_read_is_the_file_s_fault_and_not_the_store_s(store: Store, size: int) -> None:
    with open("/proc/self/mem", "rb", buffering=0) as unreadable:  # its first bytes are nobody's, so the answer is EIO
        content = Content(size=size, checksum=crc64nvme(LARGE[:size]), descriptor=unreadable.fileno())
        with pytest.raises(CannotRead, match="Input/output error; look at the disk"):
            store.create(DATA_KEY, content)

    assert keys(store) == []


def test_nothing_is_ever_overwritten(place: Place) -> None:
    store = place.store
    store.create(DATA_KEY, Content.of(b"first"), metadata={"stat": "first"})

    with pytest.raises(AlreadyStored) as raised:
        store.create(DATA_KEY, Content.of(b"second"), metadata={"stat": "second"})

    assert raised.value.key == DATA_KEY
    assert body(store, DATA_KEY) == b"first"
    assert beside(store, DATA_KEY) == kept(place, OCTETS, {"stat": "first"})


def test_of_eight_writers_at_once_exactly_one_wins_and_its_object_is_all_its_own(place: Place) -> None:
    store = place.store
    barrier = threading.Barrier(8)

    def attempt(writer: int) -> bool:
        content = Content.of(f"writer {writer}".encode())
        barrier.wait()
        try:
            store.create(DATA_KEY, content, metadata={"stat": str(writer)})
        except AlreadyStored:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = [writer for writer, wins in enumerate(pool.map(attempt, range(8))) if wins]

    assert len(won) == 1 or (won and Lack.ATOMIC_CREATION in place.lacks)
    winner = int(body(store, DATA_KEY).removeprefix(b"writer "))
    assert winner in won
    assert beside(store, DATA_KEY) == kept(place, OCTETS, {"stat": str(winner)})


def test_bytes_that_are_not_those_of_the_checksum_are_not_stored_where_the_store_verifies(
    place: Place, tmp_path: Path
) -> None:
    path = tmp_path / "nb-1-big-Statistics.db"
    path.write_bytes(b"r0ws")

    with path.open("rb") as file:
        damaged = Content(size=4, checksum=crc64nvme(b"rows"), descriptor=file.fileno())
        if Lack.VERIFYING in place.lacks:
            place.store.create(DATA_KEY, damaged)
            assert (
                body(place.store, DATA_KEY) == b"r0ws"
            )  # whoever must be sure reads it back, as tablecheck --read does
            return
        with pytest.raises(DamagedUpload):
            place.store.create(DATA_KEY, damaged)

    assert keys(place.store) == []


@pytest.mark.parametrize("key", UNUSUAL_KEYS)
def test_an_unusual_key_is_kept_exactly(place: Place, key: str) -> None:
    store = place.store
    if key in place.unheard_keys:
        require_refused(place, key)
        return
    store.create(key, Content.of(b"rows"))

    assert keys(store) == [key]
    assert keys(store, key) == [key]
    assert body(store, key) == b"rows"
    store.delete([key])
    assert keys(store) == []


@pytest.mark.parametrize("key", ODD_KEYS)
def test_an_odd_key_is_kept_exactly_or_refused(place: Place, key: str) -> None:
    if key in place.unheard_keys:
        require_refused(place, key)
        return
    try:
        place.store.create(key, Content.of(b"rows"))
    except KeyRefused:
        assert Lack.ODD_KEYS in place.lacks
    else:
        assert keys(place.store) == [key]
        assert body(place.store, key) == b"rows"
        place.store.delete([key])

    assert keys(place.store) == []


def test_a_key_without_a_utf8_form_is_refused(store: Store) -> None:
    with pytest.raises(KeyRefused):
        store.create("\udcff", Content.of(b""))


@pytest.mark.parametrize(("key", "other"), [("d", "d/"), ("d/", "d"), ("a/b", "a//b"), ("a//b", "a/b"), ("x", "./x")])
def test_keys_that_differ_a_little_are_different_keys(place: Place, key: str, other: str) -> None:
    try:
        place.store.create(key, Content.of(b""))
    except KeyRefused:
        assert Lack.ODD_KEYS in place.lacks
        if key in place.foreign:
            place.put_by_hand(key, b"")

    for ask in (place.store.head, lambda name: body(place.store, name)):
        with pytest.raises((NoSuchObject, KeyRefused)):
            ask(other)


def test_what_was_never_stored_is_not_there(store: Store) -> None:
    store.create(DATA_KEY + "2", Content.of(b""))

    with pytest.raises(NoSuchObject) as of_head:
        store.head(DATA_KEY)
    with pytest.raises(NoSuchObject) as of_read:
        next(iter(store.read(DATA_KEY)))

    assert (of_head.value.key, of_read.value.key) == (DATA_KEY, DATA_KEY)


WHOLE = bytes(range(256)) * 8


@pytest.mark.parametrize(
    ("offset", "length"),
    [
        (0, 2048), (0, None), (0, 1), (0, 0), (5, 10), (5, 0), (5, None), (2040, 100), (2047, 1), (2047, None),
        (2048, None), (2048, 1), (2048, 0), (5000, 10), (5000, None),
    ],
)  # fmt: skip
def test_a_range_is_what_there_is_of_it_and_nothing_beyond_the_end(
    store: Store, offset: int, length: int | None
) -> None:
    store.create(DATA_KEY, Content.of(WHOLE))

    data = b"".join(store.read(DATA_KEY, offset=offset, length=length))

    assert data == WHOLE[offset:][:length]


@pytest.mark.parametrize(("offset", "length"), [(0, 10), (0, 0), (5, None), (0, None)])
def test_of_an_empty_object_every_range_is_empty(store: Store, offset: int, length: int | None) -> None:
    store.create(DATA_KEY, Content.of(b""))

    assert b"".join(store.read(DATA_KEY, offset=offset, length=length)) == b""


@pytest.mark.parametrize(("offset", "length"), [(0, 10), (0, 0), (5, None)])
def test_of_what_was_never_stored_there_is_no_range(store: Store, offset: int, length: int | None) -> None:
    with pytest.raises(NoSuchObject) as raised:
        list(store.read(DATA_KEY, offset=offset, length=length))

    assert raised.value.key == DATA_KEY


def test_of_a_key_that_only_some_can_name_ranges_are_read_as_well(place: Place) -> None:
    try:
        place.store.create("a//b", Content.of(WHOLE))
    except KeyRefused:
        assert Lack.ODD_KEYS in place.lacks
        return

    assert b"".join(place.store.read("a//b", offset=5, length=10)) == WHOLE[5:15]
    assert b"".join(place.store.read("a//b", offset=2048, length=10)) == b""


def test_ranges_of_a_large_object_put_together_are_the_object(store: Store) -> None:
    store.create(DATA_KEY, Content.of(LARGE))
    step = 5 * (1 << 20) + 7

    pieces = [b"".join(store.read(DATA_KEY, offset=at, length=step)) for at in range(0, len(LARGE), step)]

    assert b"".join(pieces) == LARGE


def test_a_range_is_read_in_pieces_of_which_none_is_large(store: Store) -> None:
    store.create(DATA_KEY, Content.of(LARGE))

    sizes = [len(piece) for piece in store.read(DATA_KEY, offset=1, length=8 << 20)]

    assert (sum(sizes), max(sizes) <= 4 << 20) == (8 << 20, True)


def level(store: Store, prefix: str) -> list[str]:
    """What is on a level, folders by their names and objects with their sizes."""
    return sorted(one if isinstance(one, str) else f"{one.key}={one.size}" for one in store.level(prefix))


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("", ["m:/", "n:/", "top=2", "tops/"]),
        ("n", ["n:/"]),
        ("n:/", ["n:/a/", "n:/ab/", "n:/ab=2"]),
        ("n:/a", ["n:/a/", "n:/ab/", "n:/ab=2"]),
        ("n:/ab", ["n:/ab/", "n:/ab=2"]),
        ("n:/ab/", ["n:/ab/x=2"]),
        ("n:/a/", ["n:/a/1=2", "n:/a/2=2", "n:/a/deep/"]),
        ("n:/a/1", ["n:/a/1=2"]),
        ("n:/a/1/", []),
        ("n:/a/deep/", ["n:/a/deep/er/"]),
        ("to", ["top=2", "tops/"]),
        ("/", []),
        ("nowhere/x/", []),
    ],
)
def test_a_level_has_each_folder_once_and_the_objects_beside_them(
    place: Place, prefix: str, expected: list[str]
) -> None:
    names = ["n:/a/1", "n:/a/2", "n:/a/deep/er/1", "n:/a/deep/er/2", "n:/ab/x", "m:/a/1", "top", "tops/1"]
    for key in names:
        place.store.create(key, Content.of(b"22"))
    if {Lack.NAMES_OF_FOLDERS, Lack.FOLDERS_OF_OBJECTS} & {*place.lacks}:
        expected = [one for one in expected if one != "n:/ab=2"]
    else:
        place.store.create("n:/ab", Content.of(b"22"))

    if prefix == "/" and Lack.LEVEL_OF_A_SLASH in place.lacks:
        with pytest.raises(StoreUnavailable, match="which does not begin with '/'"):
            level(place.store, prefix)
    else:
        assert level(place.store, prefix) == expected


def test_an_object_may_have_the_name_of_a_folder_or_is_not_called_stored(place: Place) -> None:
    place.store.create("n:/ab/x", Content.of(b"rows"))

    if Lack.NAMES_OF_FOLDERS in place.lacks:
        with pytest.raises(StoreError):
            place.store.create("n:/ab", Content.of(b"22"))
    else:
        place.store.create("n:/ab", Content.of(b"22"))
        hidden = Lack.FOLDERS_OF_OBJECTS in place.lacks
        assert keys(place.store) == (["n:/ab"] if hidden else ["n:/ab", "n:/ab/x"])

    if Lack.FOLDERS_AFTER_A_FAILURE in place.lacks:
        with pytest.raises(NoSuchObject):
            body(place.store, "n:/ab/x")
    else:
        assert body(place.store, "n:/ab/x") == b"rows"


def test_a_level_does_not_end_with_its_first_page(store: Store) -> None:
    expected = sorted(
        [f"n:/{number:04}/" for number in range(525)] + [f"n:/{number:04}=0" for number in range(525, 1050)]
    )
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda one: store.create(one + "1" if one.endswith("/") else one.removesuffix("=0"), Content.of(b"")),
                expected,
            )
        )

    assert level(store, "n:/") == expected


def test_a_folder_without_an_object_is_on_no_level(store: Store) -> None:
    store.create("n:/a/b/1", Content.of(b""))
    store.create("n:/c", Content.of(b""))
    store.delete(["n:/a/b/1"])

    assert level(store, "n:/") == ["n:/c=0"]


def test_other_peoples_objects_are_on_their_level_as_they_are(place: Place) -> None:
    place.store.create("n:/ours", Content.of(b"ours"))
    foreign = [key for key in place.foreign if not (key[0] == "/" and Lack.LEVEL_OF_A_SLASH in place.lacks)]
    for key in foreign:
        place.put_by_hand(key, b"foreign" if not key.endswith("/") else b"")

    found = []
    folders = [""]
    while folders:
        for one in place.store.level(folders.pop()):
            if isinstance(one, str):
                folders.append(one)
            else:
                found.append(one.key)

    assert sorted(found) == sorted([*foreign, "n:/ours"])


def test_a_listing_has_every_key_with_its_size_and_none_besides(store: Store) -> None:
    stored = {"n:/a/1": b"1", "n:/a/2": b"22", "n:/ab": b"333", "n:/b": b"", "m:/a/1": b"5"}
    for key, data in stored.items():
        store.create(key, Content.of(data))

    assert {listed.key: listed.size for listed in store.list("")} == {key: len(data) for key, data in stored.items()}


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("n:/a", ["n:/a/1", "n:/a/2", "n:/ab"]),
        ("n:/a/", ["n:/a/1", "n:/a/2"]),
        ("n:/a/1", ["n:/a/1"]),
        ("n:/a/1/", []),
        ("n", ["n:/a/1", "n:/a/2", "n:/ab"]),
        ("/", []),
        ("nowhere/x", []),
    ],
)
def test_a_listing_goes_by_the_beginning_of_the_key_letter_for_letter(
    place: Place, prefix: str, expected: list[str]
) -> None:
    for key in ("n:/a/1", "n:/a/2", "n:/ab", "m:/a/1"):
        place.store.create(key, Content.of(b""))

    if prefix == "/" and Lack.LIST_OF_A_SLASH in place.lacks:
        with pytest.raises(StoreUnavailable, match="which does not begin with '/'"):
            keys(place.store, prefix)
    else:
        assert keys(place.store, prefix) == expected


def test_a_listing_does_not_end_with_its_first_page(store: Store) -> None:
    expected = sorted(f"n:/d{number % 7}/{number:04}" for number in range(1050))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: store.create(key, Content.of(b"")), expected))

    assert keys(store) == expected

    store.delete(expected)
    assert keys(store) == []


def test_other_peoples_objects_are_listed_as_they_are_and_never_taken_for_ours(place: Place) -> None:
    place.store.create("n:/ours", Content.of(b"ours"))
    for key in place.foreign:
        place.put_by_hand(key, b"foreign" if not key.endswith("/") else b"")

    assert keys(place.store) == sorted([*place.foreign, "n:/ours"])
    assert body(place.store, "n:/ours") == b"ours"
    for mistaken in {"d", "a/b", "x"} - set(place.foreign):
        with pytest.raises(NoSuchObject):
            place.store.head(mistaken)


def test_what_is_deleted_is_gone_and_what_was_not_there_is_no_error(store: Store) -> None:
    for key in ("n:/a/1", "n:/a/2", "n:/a/3"):
        store.create(key, Content.of(b"rows"))

    store.delete(iter(["n:/a/1", "n:/a/never", "nowhere/at/all", "n:/a/3"]))

    assert keys(store) == ["n:/a/2"]
    with pytest.raises(NoSuchObject):
        store.head("n:/a/1")


def test_nothing_to_delete_is_no_error(store: Store) -> None:
    store.delete([])


def test_a_deleted_key_can_be_stored_anew(store: Store) -> None:
    store.create(DATA_KEY, Content.of(b"first"), content_type="application/json", metadata={"stat": "first"})
    store.delete([DATA_KEY])

    store.create(DATA_KEY, Content.of(b"second"))

    assert body(store, DATA_KEY) == b"second"
    assert (store.head(DATA_KEY).content_type, store.head(DATA_KEY).metadata) == ("application/octet-stream", {})


def test_times_are_on_the_stores_clock(store: Store) -> None:
    store.create(DATA_KEY, Content.of(b"rows"))

    head = store.head(DATA_KEY)
    (listed,) = store.list("")

    # The servers run on this machine, so their clock is ours; an hour is what a wrong time zone would make.
    assert abs(head.store_clock - datetime.now(UTC)) < timedelta(minutes=30)
    assert -1 <= head.age_seconds < 1800
    assert abs(listed.modified - head.modified) <= timedelta(seconds=1)


def asks(store: Store) -> Iterator[object]:
    """Every method in turn, as something to call."""
    yield store.check
    yield lambda: store.create(DATA_KEY, Content.of(b"rows"))
    yield lambda: store.create(DATA_KEY, Content.of(LARGE))
    yield lambda: store.head(DATA_KEY)
    yield lambda: body(store, DATA_KEY)
    yield lambda: list(store.read(DATA_KEY, offset=1, length=2))
    yield lambda: keys(store)
    yield lambda: level(store, "")
    yield lambda: store.delete([DATA_KEY])


def test_a_bucket_that_does_not_exist_is_a_refusal_in_one_line(place: Place) -> None:
    if place.missing is None:
        return  # memory cannot be missing
    for ask in asks(place.missing):
        assert callable(ask)
        with pytest.raises(StoreRefused) as raised:
            ask()
        assert len(str(raised.value).splitlines()) == 1


def test_a_server_that_does_not_answer_is_an_outage_in_one_line(place: Place) -> None:
    if place.away is None:
        return  # memory cannot be away
    for ask in asks(place.away):
        assert callable(ask)
        with pytest.raises(StoreUnavailable) as raised:
            ask()
        assert len(str(raised.value).splitlines()) == 1


def test_no_file_is_left_open(store: Store) -> None:
    store.create(DATA_KEY, Content.of(b"rows"))
    body(store, DATA_KEY)
    keys(store)
    before = os.listdir("/proc/self/fd")

    for number in range(20):
        store.create(f"n:/{number}", Content.of(b"rows"))
        body(store, f"n:/{number}")
        store.head(f"n:/{number}")
        keys(store)

    assert len(os.listdir("/proc/self/fd")) <= len(before) + 4  # a connection pool may grow a little
