"""No plain key of an index is taken twice: one comes only after all that came before it."""

from functools import reduce
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rules.test_keys import names

from tablesnap.rules.taken import LatestName, is_free, later_of, name_of_index, to_be_told

UUIDS = ("3gcl_0u4x_1c2d3wxyz012345678", "3gcl_0u50_0a2d3wxyz012345678", "3gd0_0000_0a2d3wxyz012345678")
IN_ORDER = [
    "",
    "CommitLog-7-1795465517000.log",
    "CommitLog-7-1795465517001.log",
    "manifest.json",
    "ks-cf-jb-9-Data.db",
    "ks-cf-jb-10-Data.db",
    "la-11-big-Data.db",
    "ks-cf-ka-12-Data.db",
    "nb-99-big-Data.db",
    "nb-99-big-Data.db~00000000000000aa",
    "nb-99-big-Data.db~00000000000000ab",
    "nb-99-big-Data.db~00000000000000ab~20261122T202517123456Z",
    "da-100-bti-Data.db",
    "nb-2147483647-big-Data.db",
    f"ks-cf-jb-{'9' * 5000}-Data.db",  # as nobody writes it, but an index may say that it was the latest
    f"nb-{UUIDS[0]}-big-Data.db",
    f"da-{UUIDS[1]}-bti-Data.db",
    f"nb-{UUIDS[2]}-big-Data.db",
]


def test_a_generation_that_comes_after_all_others_has_its_plain_key_whatever_the_format_of_its_name() -> None:
    for earlier, later in pairwise(IN_ORDER):
        assert is_free(later, earlier), (earlier, later)
        assert not is_free(earlier, later), (earlier, later)
        assert later_of(earlier, later) == later_of(later, earlier) == later


def test_where_nobody_knows_which_was_the_latest_no_name_is_free() -> None:
    assert not is_free("nb-1-big-Data.db", None)
    assert later_of(None, "nb-1-big-Data.db") is None
    assert later_of("", None) is None


@given(st.lists(st.sampled_from(IN_ORDER[1:]) | names, max_size=30))
def test_in_whatever_order_names_come_none_is_free_twice(wanted: list[str]) -> None:
    latest: LatestName = ""
    taken: list[str] = []
    for name in wanted:
        taken += [name] if is_free(name, latest) else []
        latest = later_of(latest, name)

    assert len(taken) == len(set(taken))


@given(st.lists(st.sampled_from(IN_ORDER) | names, min_size=1, max_size=10))
def test_the_latest_does_not_depend_on_the_order_in_which_they_are_heard_of(heard: list[LatestName]) -> None:
    assert reduce(later_of, heard) == reduce(later_of, heard[::-1])


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("n:/d/nb-7-big-Data.db-listdir.json", "nb-7-big-Data.db"),
        ("n:/d/nb-7-big-Data.db~20261122T202517123456Z-listdir.json", "nb-7-big-Data.db"),
        ("n:/d/a~00000000000000aa-listdir.json", "a~00000000000000aa"),
        ("n:/d/~20261122T202517123456Z-listdir.json", ""),
        ("n:/d/-listdir.json", ""),
    ],
)
def test_an_index_was_named_after_what_its_key_says_without_its_moment(key: str, name: str) -> None:
    assert name_of_index(key) == name


@pytest.mark.parametrize("name", ["a", "nb-7-big-Data.db~00000000000000aa", ""])
def test_an_index_says_nothing_that_its_key_says(name: str) -> None:
    assert to_be_told(name, name) == ""
    assert to_be_told("zzz", name) == "zzz"
    assert to_be_told(None, name) is None


def test_an_index_says_its_own_name_where_a_moment_that_is_part_of_it_could_be_taken_for_its_own() -> None:
    name = "a~00000000000000aa~20261122T202517123456Z"

    assert to_be_told(name, name) == name
