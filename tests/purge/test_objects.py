"""Many objects in little memory: what is in them, and in parts of them."""

from datetime import UTC, datetime, timedelta

from tablesnap.purge.objects import Objects
from tablesnap.store.port import Listed

NOW = datetime(2026, 11, 22, 20, 25, 17, 123457, tzinfo=UTC)
LISTED = [Listed(f"n:/data/{folder}/{name}", name, NOW - timedelta(days=name)) for folder in "ab" for name in range(10)]


def objects_of(listed: list[Listed]) -> Objects:
    objects = Objects()
    for one in listed:
        objects.add(one)
    return objects


def contents(objects: Objects) -> list[Listed]:
    return [Listed(one.key, one.size, one.modified) for _, one in objects.stored()]


def test_what_was_added_is_there_as_it_was() -> None:
    objects = objects_of(LISTED)

    assert contents(objects) == LISTED
    assert dict(objects) == {one.key: one.size for one in LISTED}
    assert (len(objects), objects.size) == (20, 90)
    assert objects.get("n:/data/c/1") is None


def test_a_part_has_only_its_own_whether_it_is_small_or_large() -> None:
    for numbers in ([3, 15], list(range(2, 19))):
        objects = objects_of(LISTED)

        part = objects.only(numbers)

        assert contents(part) == [LISTED[number] for number in numbers]
        assert (len(part), part.size) == (len(numbers), sum(LISTED[number].size for number in numbers))
        assert LISTED[0].key not in part
        assert len(objects) == 20


def test_of_what_is_seen_again_the_moment_is_the_new_one() -> None:
    objects = objects_of(LISTED).only(range(2, 19))
    stored_anew = Listed(LISTED[4].key, LISTED[4].size, NOW)

    again = objects.seen_again(iter([LISTED[0], stored_anew, LISTED[5], Listed("n:/data/a/new", 1, NOW)]))

    assert contents(again) == [stored_anew, LISTED[5]]
    assert len(objects) == 17


def test_of_none_there_is_nothing() -> None:
    nothing = objects_of(LISTED).only([])

    assert (len(nothing), nothing.size, list(nothing)) == (0, 0, [])
    assert (len(Objects()), Objects().size) == (0, 0)
