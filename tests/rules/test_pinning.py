"""The database comes first; and of what must go, what is lost least."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablesnap.rules.pinning import Burden, FileSystem, plan_letting_go

ADDITION, BASE, FOUND = 0, 1, 2
ROOMY = {1: FileSystem(size=1000, free=900), 2: FileSystem(size=10_000, free=9000)}


def burden(number: int, size: int, *, rank: int = ADDITION, device: int = 1) -> Burden:
    return Burden(number=number, rank=rank, size=size, device=device)


def numbers(burdens: Sequence[Burden]) -> list[int]:
    return [one.number for one in burdens]


def test_within_the_limit_nothing_goes() -> None:
    held = [burden(0, 60), burden(1, 40, rank=BASE)]

    assert plan_letting_go(held, ROOMY, limit=100) == []


def test_of_a_base_the_largest_file_goes_first_and_no_more_than_must() -> None:
    held = [burden(0, 10, rank=BASE), burden(1, 30, rank=BASE), burden(2, 20, rank=BASE)]

    assert numbers(plan_letting_go(held, ROOMY, limit=59)) == [1]
    assert numbers(plan_letting_go(held, ROOMY, limit=20)) == [1, 2]


def test_of_additions_the_newest_goes_first_however_small() -> None:
    held = [burden(0, 50), burden(1, 5), burden(2, 10)]

    assert numbers(plan_letting_go(held, ROOMY, limit=51)) == [2, 1]


def test_bases_go_before_additions_and_what_was_found_before_bases() -> None:
    held = [burden(0, 10), burden(1, 10, rank=BASE), burden(2, 1, rank=FOUND), burden(3, 10, rank=BASE)]

    assert numbers(plan_letting_go(held, ROOMY, limit=0)) == [2, 3, 1, 0]
    assert numbers(plan_letting_go(held, ROOMY, limit=10)) == [2, 3, 1]


def test_an_empty_file_is_no_burden() -> None:
    assert plan_letting_go([burden(0, 0), burden(1, 0, rank=BASE)], ROOMY, limit=0) == []


def test_a_limit_is_for_all_file_systems_together() -> None:
    held = [burden(0, 60, device=1), burden(1, 60, device=2)]

    assert numbers(plan_letting_go(held, ROOMY, limit=100)) == [1]


def test_without_a_limit_it_is_a_tenth_of_each_file_system() -> None:
    held = [burden(0, 100, device=1), burden(1, 1, device=1), burden(2, 1000, device=2)]

    assert numbers(plan_letting_go(held, ROOMY, limit=None)) == [1]


@pytest.mark.parametrize("limit", [None, 10**9])
@pytest.mark.parametrize(
    ("scarce", "goes"),
    [
        ({1: FileSystem(size=1000, free=50)}, []),
        ({1: FileSystem(size=1000, free=49)}, [1, 0]),
        ({1: FileSystem(size=1000, free=0)}, [1, 0]),
        ({}, [1, 0]),  # nobody can say
    ],
)
def test_where_space_is_scarce_everything_goes_whatever_the_limit(
    limit: int | None, scarce: dict[int, FileSystem], goes: list[int]
) -> None:
    held = [burden(0, 1), burden(1, 1, rank=BASE), burden(2, 5, rank=BASE, device=2)]

    assert numbers(plan_letting_go(held, scarce | {2: ROOMY[2]}, limit=limit)) == goes


def test_what_goes_for_want_of_space_makes_room_within_the_limit() -> None:
    held = [burden(0, 80, device=1), burden(1, 80, device=2)]
    scarce = {1: FileSystem(size=1000, free=0), 2: ROOMY[2]}

    assert numbers(plan_letting_go(held, scarce, limit=100)) == [0]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 200)), max_size=30),
    st.integers(0, 500),
)
def test_what_stays_is_within_the_limit_and_worth_more_than_what_goes(
    ranks_and_sizes: list[tuple[int, int]], limit: int
) -> None:
    held = [burden(number, size, rank=rank) for number, (rank, size) in enumerate(ranks_and_sizes)]

    going = plan_letting_go(held, ROOMY, limit=limit)

    staying = [one for one in held if one not in going and one.size]
    total = sum(one.size for one in staying)
    assert total <= limit
    assert not going or total + going[-1].size > limit
    assert max((one.rank for one in staying), default=0) <= min((one.rank for one in going), default=9)
