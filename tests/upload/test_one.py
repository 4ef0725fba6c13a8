"""No object is ever overwritten, none is taken for another, and none a purge may take is relied on."""

import hashlib
from datetime import timedelta

import pytest
from tests.stores import Archived, Around, Clock, Failing, WithoutChecksums, objects

from tablesnap.checksum import to_hex
from tablesnap.errors import AlreadyStored, StoreRefused, StoreUnavailable
from tablesnap.rules.keys import is_index
from tablesnap.rules.retention import GRACE_SECONDS
from tablesnap.store.memory import MemoryStore
from tablesnap.store.port import Content, Store
from tablesnap.upload.one import ASK_FIRST_ABOVE, MOST_KEYS, Placed, Uploader

KEY = "n:/d/nb-1-big-Data.db"
ONE, OTHER = b"one life", b"another!"
BESIDE = f"{KEY}~{to_hex(Content.of(ONE).checksum)}"


def place(
    store: Store,
    clock: Clock,
    data: bytes = ONE,
    *,
    key: str = KEY,
    named: frozenset[str] = frozenset(),
    expected: bool = False,
    indexed: bool = True,
) -> Placed:
    uploader = Uploader(store, clock, indexed=indexed)
    return uploader.place(
        Content.of(data), key, metadata={"stat": "{}"}, is_named=named.__contains__, expected=expected
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    return MemoryStore(clock)


@pytest.mark.parametrize("expected", [False, True])
def test_content_gets_its_plain_key_with_its_metadata(store: MemoryStore, clock: Clock, expected: bool) -> None:
    placed = place(store, clock, expected=expected)

    assert placed == Placed(KEY, sent=True)
    assert objects(store) == {KEY: ONE}
    assert store.head(KEY).metadata == {"stat": "{}"}


@pytest.mark.parametrize("expected", [False, True])
@pytest.mark.parametrize("there", [OTHER, ONE + b"more", b""])
def test_other_content_is_left_as_it_is_and_ours_goes_beside_it(
    store: MemoryStore, clock: Clock, expected: bool, there: bytes
) -> None:
    store.create(KEY, Content.of(there))

    placed = place(store, clock, expected=expected)

    assert placed == Placed(BESIDE, sent=True)
    assert objects(store) == {KEY: there, BESIDE: ONE}


def test_three_lives_of_one_name_are_three_objects(store: MemoryStore, clock: Clock) -> None:
    keys = {place(store, clock, data).key: data for data in (b"1", b"2", b"3")}

    assert objects(store) == keys
    assert len(keys) == 3


@pytest.mark.parametrize("expected", [False, True])
def test_the_same_content_found_young_is_relied_on(store: MemoryStore, clock: Clock, expected: bool) -> None:
    place(store, clock)
    clock.advance(seconds=GRACE_SECONDS / 2 - 1)

    assert place(store, clock, expected=expected) == Placed(KEY, sent=False)
    assert objects(store) == {KEY: ONE}


@pytest.mark.parametrize("expected", [False, True])
def test_the_same_content_found_old_is_stored_anew_because_a_purge_may_be_about_to_take_it(
    store: MemoryStore, clock: Clock, expected: bool
) -> None:
    place(store, clock)
    clock.advance(seconds=GRACE_SECONDS / 2)

    placed = place(store, clock, expected=expected)
    store.delete([KEY])

    assert placed == Placed(BESIDE, sent=True)
    assert objects(store) == {BESIDE: ONE}


def test_the_same_content_found_old_twice_is_stored_under_its_moment(store: MemoryStore, clock: Clock) -> None:
    place(store, clock)
    clock.advance(days=1)
    place(store, clock)
    clock.advance(days=1)

    placed = place(store, clock)

    assert placed == Placed(f"{BESIDE}~20261124T202517123456Z", sent=True)
    assert objects(store) == {KEY: ONE, BESIDE: ONE, placed.key: ONE}


def test_a_key_made_of_the_checksum_that_holds_other_bytes_is_not_taken_for_ours(
    store: MemoryStore, clock: Clock
) -> None:
    store.create(KEY, Content.of(OTHER))
    store.create(BESIDE, Content.of(OTHER))

    placed = place(store, clock)

    assert placed.key.startswith(f"{BESIDE}~")
    assert objects(store)[placed.key] == ONE


@pytest.mark.parametrize("expected", [False, True])
def test_the_same_content_found_old_is_relied_on_where_the_newest_index_names_it(
    store: MemoryStore, clock: Clock, expected: bool
) -> None:
    place(store, clock)
    clock.advance(days=400)

    placed = place(store, clock, named=frozenset({KEY}), expected=expected)

    assert placed == Placed(KEY, sent=False, because_named=True)
    assert objects(store) == {KEY: ONE}


def test_other_content_is_never_relied_on_though_the_newest_index_names_it(store: MemoryStore, clock: Clock) -> None:
    store.create(KEY, Content.of(OTHER))

    assert place(store, clock, named=frozenset({KEY})) == Placed(BESIDE, sent=True)


def test_without_indexes_the_same_content_is_relied_on_at_any_age(store: MemoryStore, clock: Clock) -> None:
    place(store, clock)
    clock.advance(days=400)

    assert place(store, clock, indexed=False) == Placed(KEY, sent=False)


def test_an_age_is_taken_by_the_store_s_clock_and_not_by_this_machine_s(store: MemoryStore, clock: Clock) -> None:
    place(store, clock)
    wrong = Clock()
    wrong.moment += timedelta(days=400)

    assert place(store, wrong) == Placed(KEY, sent=False)


@pytest.mark.parametrize(("there", "relied_on"), [(ONE, True), (OTHER, False)])
def test_without_a_checksum_in_the_store_the_object_is_read_back_once(
    store: MemoryStore, clock: Clock, there: bytes, relied_on: bool
) -> None:
    store.create(KEY, Content.of(there))
    around = WithoutChecksums(store)

    placed = place(around, clock, expected=True)

    assert placed == (Placed(KEY, sent=False) if relied_on else Placed(BESIDE, sent=True))
    assert around.requests.count(f"read {KEY}") == 1


def test_an_archived_object_that_cannot_be_compared_is_left_and_ours_goes_beside_it(
    store: MemoryStore, clock: Clock
) -> None:
    store.create(KEY, Content.of(ONE))
    archived = Archived(WithoutChecksums(store), warm=lambda key: key != KEY)

    placed = place(archived, clock)

    assert placed == Placed(BESIDE, sent=True)


@pytest.mark.parametrize(("there", "relied_on"), [(ONE, True), (OTHER, False)])
def test_an_object_of_1x_is_compared_by_its_md5sum_without_reading_it(
    store: MemoryStore, clock: Clock, there: bytes, relied_on: bool
) -> None:
    md5 = hashlib.md5(there, usedforsecurity=False).hexdigest()
    store.create(KEY, Content.of(there), metadata={"md5sum": md5})
    around = WithoutChecksums(store)

    placed = place(around, clock, expected=True)

    assert placed.sent is not relied_on
    assert not any(request.startswith("read") for request in around.requests)


def test_an_object_of_1x_that_is_of_another_size_is_not_compared_at_all(store: MemoryStore, clock: Clock) -> None:
    lie = hashlib.md5(ONE, usedforsecurity=False).hexdigest()
    store.create(KEY, Content.of(ONE + b"!"), metadata={"md5sum": lie})

    assert place(WithoutChecksums(store), clock).key == BESIDE


def test_a_file_called_like_an_index_never_gets_a_key_that_1x_takes_for_one(store: MemoryStore, clock: Clock) -> None:
    keys = []
    for _ in range(3):
        keys.append(place(store, clock, key="n:/d/a-listdir.json").key)
        clock.advance(days=1)

    assert len(set(keys)) == 3
    assert not any(map(is_index, objects(store)))


@pytest.mark.parametrize("error", [StoreUnavailable("the answer was lost"), StoreRefused("no such upload")])
def test_a_retry_after_an_error_that_came_too_late_relies_on_what_was_stored(
    store: MemoryStore, clock: Clock, error: Exception
) -> None:
    late = Failing(store, lambda request: error if request.startswith("create") else None, afterwards=True)
    with pytest.raises(type(error)):
        place(late, clock)

    placed = place(store, clock)

    assert placed == Placed(KEY, sent=False)
    assert objects(store) == {KEY: ONE}


@pytest.mark.parametrize("request_kind", ["create", "head", "read"])
def test_an_error_of_the_store_is_raised_and_leaves_no_object_behind(
    store: MemoryStore, clock: Clock, request_kind: str
) -> None:
    store.create(KEY, Content.of(OTHER))
    failing = Failing(
        WithoutChecksums(store), lambda request: StoreUnavailable("away") if request.startswith(request_kind) else None
    )

    with pytest.raises(StoreUnavailable):
        place(failing, clock, expected=True)

    assert objects(store) == {KEY: OTHER}


def test_an_object_deleted_between_the_refusal_and_the_question_is_no_error(store: MemoryStore, clock: Clock) -> None:
    purged = Failing(store, lambda request: AlreadyStored(KEY) if request == f"create {KEY}" else None)

    placed = place(purged, clock)

    assert objects(store) == {placed.key: ONE}


def test_a_store_that_says_of_every_key_that_it_is_taken_is_asked_a_few_times(store: MemoryStore, clock: Clock) -> None:
    """Who asks again makes a pause before: a server that has lost its way would be asked for ever, and at once."""

    class Contradicting(Around):
        def before(self, request: str) -> None:
            super().before(request)
            if request.startswith("create"):
                raise AlreadyStored(KEY)

    contradicting = Contradicting(store)

    with pytest.raises(StoreRefused, match="taken"):
        place(contradicting, clock)

    assert len(contradicting.requests) == 2 * MOST_KEYS


@pytest.mark.parametrize("there", [True, False])
def test_what_is_expected_or_large_is_asked_for_first_and_not_sent_in_vain(
    store: MemoryStore, clock: Clock, there: bool
) -> None:
    large = bytes(ASK_FIRST_ABOVE + 1)
    for data, expected in ((ONE, True), (large, False)):
        key = f"{KEY}{len(data)}"
        if there:
            store.create(key, Content.of(OTHER))
        around = Around(store)

        placed = place(around, clock, data, key=key, expected=expected)

        assert placed.sent
        assert around.requests[0] == f"head {key}"
        assert (f"create {key}" in around.requests) is not there


def test_what_is_new_and_small_costs_one_request(store: MemoryStore, clock: Clock) -> None:
    around = Around(store)

    place(around, clock)

    assert around.requests == [f"create {KEY}"]
