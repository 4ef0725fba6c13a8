"""A table's directories have one restore point, and each directory its part of it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rules.test_index import MOMENT, stored
from tests.rules.test_keys import names

from tablesnap.errors import UnreadableIndex
from tablesnap.rules.index import Index, encode
from tablesnap.rules.index_decoding import decode
from tablesnap.rules.index_parts import join, newest_of, project

DIRECTORIES = ["/disk1/ks/t-1", "/disk2/ks/t-1", "/disk1/ks/t-1/.idx", "/disk2/ks/t-1/.idx"]


@st.composite
def parts(draw: st.DrawFn) -> list[Index]:
    return [
        Index(
            directory=directory,
            names=tuple(held),
            files={name: stored(f"n:{directory}/{name}") for name in held},
            missing=tuple(draw(st.lists(names, max_size=3, unique=True))),
            pending=tuple(draw(st.lists(names, max_size=3, unique=True))),
            unexplained=tuple(draw(st.lists(names, max_size=3, unique=True))),
            node="n",
            taken_at=MOMENT,
            seen_at=MOMENT,
            live="1f",
            covers=tuple(DIRECTORIES),
        )
        for directory in draw(st.lists(st.sampled_from(DIRECTORIES), min_size=1, unique=True))
        for held in [draw(st.lists(names, max_size=3, unique=True))]
    ]


@given(parts())
def test_what_is_put_together_can_be_taken_apart(given_parts: list[Index]) -> None:
    table = join(given_parts)
    read_back = decode(encode(table, "n:" + table.directory + "/"), "n:" + table.directory + "/")

    assert [project(read_back, part.directory) for part in given_parts] == given_parts


def test_what_another_directory_misses_stands_by_its_absolute_path() -> None:
    first = Index("/d", names=(), missing=("a",), pending=("a",), unexplained=("nb-1-big-",))
    second = Index("/d/.idx", names=(), missing=("a", "b"), pending=("b",), unexplained=("nb-1-big-",))

    table = join([first, second])

    assert table.missing == ("a", "/d/.idx/a", "/d/.idx/b")
    assert table.pending == ("a", "/d/.idx/b")
    assert table.unexplained == ("nb-1-big-", "/d/.idx/nb-1-big-")


def test_what_any_directory_is_about_to_store_is_named_once_for_all() -> None:
    first, second = Index("/d", names=(), next=("n:/d/a", "n:/e/b")), Index("/e", names=(), next=("n:/e/b", "n:/e/c"))

    assert join([first, second]).next == ("n:/d/a", "n:/e/b", "n:/e/c")


def test_the_part_of_another_directory_lists_the_ends_of_its_keys_for_1x() -> None:
    table = Index("/d", names=(), others={"/e": {"a": stored("n:/e/a"), "b": stored("n:/e/b~01")}})

    assert project(table, "/e").names == ("a", "b~01")


@pytest.mark.parametrize(
    ("index", "directory"),
    [
        (Index("/d", names=()), "/e"),
        (Index("/d", names=(), others={"/d/.idx": {}}), "/d/"),
        (Index("/d", names=(), whole="n:/e/a-listdir.json"), "/d"),
    ],
    ids=["another table", "another spelling", "no files itself"],
)
def test_an_index_that_says_nothing_of_a_directory_is_no_empty_restore_point_of_it(
    index: Index, directory: str
) -> None:
    with pytest.raises(UnreadableIndex):
        project(index, directory)


def test_the_newest_restore_point_is_the_one_taken_last_then_the_one_seen_last() -> None:
    view = Index("/d", names=(), taken_at=MOMENT, seen_at=MOMENT)
    base = replace(view, seen_at=MOMENT + timedelta(seconds=1))
    earlier = replace(view, taken_at=MOMENT - timedelta(seconds=1), seen_at=MOMENT + timedelta(days=1))
    of_1x = Index("/d", names=(), format=1)

    assert newest_of([view, base, earlier, of_1x]) is base
    assert newest_of([of_1x, earlier]) is earlier
    assert newest_of([]) is None
