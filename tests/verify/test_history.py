"""A history is right, or each thing that is wrong with it is found, and of which restore points."""

import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from tests.catalog.stored import Past
from tests.download.bringing import AT_ONCE, Count
from tests.stores import Around, Failing, WithoutChecksums

from tablesnap.catalog.summary import timelines_below
from tablesnap.checksum import crc64nvme
from tablesnap.download.line import Halted, Line
from tablesnap.errors import StoreRefused, StoreUnavailable
from tablesnap.rules.index import StoredFile
from tablesnap.store.memory import MemoryStore
from tablesnap.store.port import Content, Listed, Store
from tablesnap.verify.checking import check_all
from tablesnap.verify.finding import Finding, Kind, Proof
from tablesnap.verify.history import Checked
from tablesnap.verify.proven import ProvenStore
from tablesnap.verify.share import Share

NOW = datetime(2026, 11, 22, 20, 25, 17, tzinfo=UTC)
USERS = f"/data/shop/users-{'5a1c395e' * 4}"
ORDERS = f"/data/shop/orders-{'0b1c395e' * 4}"
READ, ASK = Share(of=1), Share()


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


@pytest.fixture
def past() -> Past:
    return Past.in_memory()


def check(past: Past, store: Store | None = None, share: Share = ASK) -> list[Checked]:
    line = Line(store or past.store, Count(), AT_ONCE, threading.Event())
    found = timelines_below(ProvenStore(line), past.keys, "/")
    return list(check_all(past.keys.node, found, line, share, threads=4))


def findings(past: Past, store: Store | None = None, share: Share = ASK) -> list[Finding]:
    return [one for checked in check(past, store, share) for one in checked.findings]


def kinds(found: Iterable[Finding]) -> list[tuple[Kind, str]]:
    return [(one.kind, one.path) for one in found]


def damage(past: Past, key: str) -> None:
    """Put other bytes in an object's place, and have the store think that they were uploaded so."""
    body = bytearray(b"".join(past.store.read(key)))
    body[len(body) // 2] ^= 1
    past.store.delete([key])
    past.garbage(key, bytes(body), ago(5))


def test_a_history_without_a_fault_is_silent_and_each_object_is_asked_for_once(past: Past) -> None:
    for hours, generations in ((5, [1]), (3, [1, 2]), (1, [1, 2, 3])):
        past.table(USERS, generations, ago(hours))
    store = Around(past.store)

    [checked] = check(past, store)

    assert (checked.findings, checked.points, checked.verified) == ((), 3, ago(1))
    assert checked.right == {Proof.CHECKSUM: 15}
    assert (checked.objects, checked.size, checked.read) == (15, 24000, 0)
    heads = [request for request in store.requests if request.startswith("head ")]
    assert len(heads) == len(set(heads)) == 15 + 3  # the objects, and the indexes


def test_what_is_read_is_proved_by_its_bytes(past: Past) -> None:
    past.table(USERS, [1, 2], ago(1))

    [checked] = check(past, share=READ)

    assert checked.right == {Proof.CONTENT: 10}
    assert checked.read == 16000


def test_an_object_that_is_lost_is_a_fault_of_each_restore_point_that_names_it(past: Past) -> None:
    past.table(USERS, [1], ago(5))
    past.table(USERS, [1, 2], ago(3))
    past.table(USERS, [2], ago(1))
    key = past.keys.plain(f"{USERS}/nb-1-big-Index.db")
    past.store.delete([key])

    [checked] = check(past)

    [found] = checked.findings
    assert (found.kind, found.key, found.path) == (Kind.LOST, key, f"{USERS}/nb-1-big-Index.db")
    assert (found.points, found.newest) == (2, ago(3))
    assert checked.verified == ago(1)


def test_where_no_restore_point_is_right_that_is_a_fault_of_its_own(past: Past) -> None:
    past.table(USERS, [1], ago(5))
    past.store.delete([past.keys.plain(f"{USERS}/nb-1-big-Index.db")])

    [checked] = check(past)

    assert kinds(checked.findings) == [(Kind.NOTHING, USERS), (Kind.LOST, f"{USERS}/nb-1-big-Index.db")]
    assert checked.verified is None


def test_objects_of_which_no_index_tells_are_a_fault(past: Past) -> None:
    past.sstable(USERS, 1, ago(5))

    [found] = findings(past)

    assert (found.kind, found.path) == (Kind.NOTHING, USERS)
    assert "no index" in found.what


def test_what_an_index_calls_missing_is_one_fault_however_many_say_so(past: Past) -> None:
    past.table(USERS, [1], ago(9))
    for hours in (5, 3):
        held = {USERS: past.sstable(USERS, 2, ago(hours))}
        past.point(held, ago(hours), missing=["nb-3-big-Data.db"])

    [found] = findings(past)

    assert (found.kind, found.path, found.points) == (Kind.MISSING, f"{USERS}/nb-3-big-Data.db", 2)


@pytest.mark.parametrize(
    ("body", "why"), [(b"{", "damaged"), (b'{"/x":[],"tablesnap":{"format":3}}', "its format is 3")]
)
def test_an_index_that_cannot_be_read_is_a_fault(past: Past, body: bytes, why: str) -> None:
    past.table(USERS, [1], ago(5))
    key = past.keys.plain(f"{USERS}/nb-3-big-Data.db-listdir.json")
    past.garbage(key, body, ago(1))

    [checked] = check(past)

    [found] = checked.findings
    assert (found.kind, found.key, found.path) == (Kind.UNREADABLE, key, USERS)
    assert why in found.what
    assert checked.verified == ago(5)


def test_two_daemons_that_wrote_by_turns_are_a_fault_and_what_they_stored_is_right(past: Past) -> None:
    one, other = past.run("one", USERS), past.run("other", USERS, host="node2")
    for hours, run in ((9, one), (8, other), (7, one), (6, one), (5, other)):
        run.table(USERS, [1], ago(hours))

    [checked] = check(past)

    [writers, serial] = checked.findings
    assert (writers.kind, writers.path, writers.points, writers.newest) == (Kind.WRITERS, USERS, 3, ago(5))
    assert "run one on node1" in writers.what
    assert "run other on node2" in writers.what
    assert (serial.kind, serial.path, serial.points) == (Kind.SERIAL, USERS, 2)
    assert checked.verified == ago(5)


def test_a_machine_that_another_one_replaced_is_no_fault(past: Past) -> None:
    for hours, name, host in ((9, "one", "node1"), (7, "two", "node1"), (5, "three", "node2"), (3, "four", "node1")):
        run = past.run(name, USERS, host=host)
        run.table(USERS, [1], ago(hours))
        run.table(USERS, [1, 2], ago(hours - 1))

    assert findings(past) == []


def test_a_daemon_for_each_disk_is_no_fault(past: Past) -> None:
    disks = [f"/disk{number}/shop/users-{'5a1c395e' * 4}" for number in (1, 2)]
    runs = [past.run(f"of {disk}", disk) for disk in disks]
    for hours in (9, 7, 5):
        for run, disk in zip(runs, disks, strict=True):
            run.table(disk, [1], ago(hours))

    assert findings(past) == []


def test_writers_are_told_apart_in_a_copy_by_what_the_indexes_say(past: Past) -> None:
    # All objects of a copy may have one date, or such as contradict the order.
    for hours, name in ((9, "one"), (7, "two"), (5, "three")):
        run = past.run(name, USERS)
        run.table(USERS, [1], ago(hours))
        run.table(USERS, [1, 2], ago(hours - 1))
    copy = Past.in_memory()
    for place, listed in enumerate(sorted(past.store.list(""), key=lambda one: one.key)):
        copy.garbage(listed.key, b"".join(past.store.read(listed.key)), NOW + timedelta(minutes=place))

    assert findings(copy) == []


def test_two_indexes_with_one_serial_are_a_fault(past: Past) -> None:
    past.table(USERS, [1], ago(9))
    second = past.run("second", USERS)
    past.table(USERS, [1, 2], ago(7))
    [key] = second.table(USERS, [1, 2, 3], ago(5))

    [found] = findings(past)

    assert (found.kind, found.key, found.path, found.points) == (Kind.SERIAL, key, USERS, 1)
    assert "serial 2" in found.what


def test_restore_points_of_the_future_are_one_fault_and_can_be_restored(past: Past) -> None:
    past.table(USERS, [1], ago(9))
    held = {USERS: past.sstable(USERS, 2, ago(7))}
    for hours in (7, 5):
        index = past.point(held, ago(hours) + timedelta(days=365), stored_at=ago(hours))
    past.table(USERS, [1, 2, 3], ago(3))

    [checked] = check(past)

    [found] = checked.findings
    assert (found.kind, found.key, found.path, found.points) == (Kind.FUTURE, index[0], USERS, 2)
    assert "8760.0 h after the store received it" in found.what
    assert checked.verified == ago(3)


class Rotten(Around):
    """Gives another byte in the middle of an object than it has taken in."""

    def __init__(self, store: Store, key: str, old: bytes, new: bytes) -> None:
        super().__init__(store)
        self._key, self._old, self._new = key, old, new

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        body = b"".join(super().read(key, offset=offset, length=length))
        return iter([body.replace(self._old, self._new) if key == self._key else body])


def test_an_index_that_was_damaged_and_can_yet_be_read_is_a_fault(past: Past) -> None:
    past.table(USERS, [1], ago(5))
    [key] = past.table(USERS, [1, 2], ago(1))

    found = findings(past, Rotten(past.store, key, b'"tablesnap"', b'"tablesnaq"'))  # would be one of 1.x

    assert kinds(found) == [(Kind.UNREADABLE, USERS)]
    assert "checksum" in found[0].what


def test_a_flipped_bit_is_found_where_it_is_read(past: Past) -> None:
    past.table(USERS, [1], ago(5))
    past.table(USERS, [1, 2], ago(1))
    key = past.keys.plain(f"{USERS}/nb-2-big-Data.db")
    rotten = Rotten(past.store, key, b"nb-2", b"nb-3")

    assert findings(past, rotten) == []
    assert kinds(findings(past, rotten, READ)) == [(Kind.CONTENT, f"{USERS}/nb-2-big-Data.db")]


def test_a_flipped_bit_that_the_store_took_in_is_found_without_reading(past: Past) -> None:
    past.table(USERS, [1], ago(5))
    past.table(USERS, [1, 2], ago(1))
    damage(past, past.keys.plain(f"{USERS}/nb-2-big-Data.db"))

    assert kinds(findings(past)) == [(Kind.CHECKSUM, f"{USERS}/nb-2-big-Data.db")]


def test_where_two_indexes_say_different_things_of_an_object_each_is_compared(past: Past) -> None:
    past.table(USERS, [1], ago(5))
    old = past.sstable(USERS, 1, ago(5))
    damage(past, past.keys.plain(f"{USERS}/nb-1-big-Data.db"))
    body = b"".join(past.store.read(old["nb-1-big-Data.db"].key))
    right = {name: file for name, file in old.items() if "Data" not in name}
    data = old["nb-1-big-Data.db"]
    right["nb-1-big-Data.db"] = type(data)(data.key, len(body), crc64nvme(body), 1, data.mode, data.owner)
    past.point({USERS: right}, ago(1))

    [checked] = check(past)

    assert [(one.kind, one.points, one.newest) for one in checked.findings] == [(Kind.CHECKSUM, 1, ago(5))]
    assert checked.verified == ago(1)
    assert checked.objects == 5, "each is counted once"


def test_a_data_db_is_compared_with_the_digest_that_is_in_the_same_restore_point(past: Past) -> None:
    digest = past.keys.plain(f"{USERS}/nb-1-big-Digest.crc32")
    past.garbage(digest, b"12345", ago(5))
    sstable = past.sstable(USERS, 1, ago(5))
    data = sstable["nb-1-big-Data.db"]
    file = StoredFile(digest, 5, crc64nvme(b"12345"), data.mtime_ns, data.mode, data.owner)
    past.point({USERS: sstable | {"nb-1-big-Digest.crc32": file}}, ago(5))
    past.point({USERS: sstable}, ago(1))

    [checked] = check(past, share=READ)

    [found] = checked.findings
    assert (found.kind, found.key, found.points, found.newest) == (Kind.DIGEST, data.key, 1, ago(5))
    assert checked.verified == ago(1)
    assert check(past)[0].findings == ()


def test_a_restore_point_that_a_purge_forgets_meanwhile_is_no_fault(past: Past) -> None:
    [old] = past.table(USERS, [1], ago(5))
    past.table(USERS, [2], ago(1))

    class Purged(Around):
        def after(self, request: str) -> None:
            if request == f"read {old}":  # the index first, as a purge does
                self.store.delete(
                    [old, *(f"{past.keys.plain(f'{USERS}/nb-1-big-')}{c}" for c in ("Data.db", "TOC.txt"))]
                )

    assert findings(past, Purged(past.store)) == []


class Unlisted(Around):
    """Does not list an object, as a listing does that went by before it was stored."""

    def __init__(self, store: Store, key: str) -> None:
        super().__init__(store)
        self._key = key

    def list(self, prefix: str) -> Iterator[Listed]:
        return (one for one in super().list(prefix) if one.key != self._key)

    def level(self, prefix: str) -> "Iterator[Listed | str]":
        return (one for one in super().level(prefix) if isinstance(one, str) or one.key != self._key)


@pytest.mark.parametrize("there", [True, False])
def test_a_restore_point_that_is_written_while_the_bucket_is_listed_is_no_fault(past: Past, there: bool) -> None:
    other = USERS.replace("/data/", "/data2/")
    past.table(USERS, [1], ago(2))
    held = {USERS: past.sstable(USERS, 3, ago(1)), other: past.sstable(other, 2, ago(1))}
    first, second = past.point(held, ago(1))
    if not there:
        past.store.delete([first])

    found = findings(past, Unlisted(past.store, first))

    assert [(one.kind, one.key) for one in found] == ([] if there else [(Kind.UNREADABLE, second)])


def test_of_a_store_without_checksums_the_size_is_what_is_proved(past: Past) -> None:
    past.table(USERS, [1], ago(1))

    [checked] = check(past, WithoutChecksums(past.store))

    assert checked.right == {Proof.SIZE: 5}


def test_an_object_that_cannot_be_asked_for_is_a_fault_and_the_others_are_checked(past: Past) -> None:
    past.table(USERS, [1], ago(2))
    past.table(USERS, [1, 2], ago(1))
    key = past.keys.plain(f"{USERS}/nb-2-big-Data.db")

    [checked] = check(past, Failing(past.store, lambda it: StoreRefused("no") if it == f"head {key}" else None))

    assert kinds(checked.findings) == [(Kind.UNCHECKED, f"{USERS}/nb-2-big-Data.db")]
    assert checked.right == {Proof.CHECKSUM: 9}
    assert checked.verified == ago(2)


def test_a_table_that_cannot_be_listed_is_a_fault_and_the_next_is_checked(past: Past) -> None:
    past.table(ORDERS, [1], ago(1))
    past.table(USERS, [1], ago(1))
    level = f"level {past.keys.below(ORDERS)}"
    asked: list[str] = []

    def fails(request: str) -> Exception | None:
        asked.extend([request] if request == level else [])
        return StoreRefused("no") if asked and request == level and len(asked) > 1 else None

    orders, users = check(past, Failing(past.store, fails))

    assert kinds(orders.findings) == [(Kind.UNCHECKED, ORDERS)]
    assert users.findings == ()


def test_a_store_that_does_not_answer_any_more_ends_the_run(past: Past) -> None:
    past.table(USERS, [1], ago(1))

    def fails(request: str) -> Exception | None:
        return StoreUnavailable("away") if request.startswith("head ") and "listdir" not in request else None

    with pytest.raises(Halted, match="does not answer"):
        check(past, Failing(past.store, fails))


def test_each_history_is_reported_in_the_order_of_the_names(past: Past) -> None:
    for directory in (USERS, ORDERS, "/srv/files"):
        past.table(directory, [1], ago(1))

    assert [one.name for one in check(past)] == [ORDERS[6:], USERS[6:], "/srv/files"]


def test_the_parts_of_a_table_on_two_disks_are_checked_as_one(past: Past) -> None:
    other = USERS.replace("/data/", "/data2/")
    held = {USERS: past.sstable(USERS, 1, ago(2)), other: past.sstable(other, 2, ago(2))}
    past.point(held, ago(2))
    past.store.delete([past.keys.plain(f"{other}/nb-2-big-TOC.txt")])

    [checked] = check(past)

    assert kinds(checked.findings) == [(Kind.NOTHING, USERS), (Kind.LOST, f"{other}/nb-2-big-TOC.txt")]
    assert checked.points == 1


def test_a_foreign_object_beside_them_is_no_fault(past: Past) -> None:
    past.table(USERS, [1], ago(1))
    past.store.create("else/where", Content.of(b"x"))
    past.garbage(past.keys.plain(f"{USERS}/stray"), b"x", ago(1))

    assert isinstance(past.store, MemoryStore)
    assert findings(past) == []
