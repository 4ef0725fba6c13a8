import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rules.test_keys import names

from tablesnap.rules.incarnation import Incarnation, fingerprint

incarnations = st.builds(Incarnation, size=st.integers(0, 9), mtime_ns=st.integers(0, 9), inode=st.none())
listings = st.dictionaries(names, incarnations, max_size=4)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Incarnation(1, 2), Incarnation(1, 2), True),
        (Incarnation(1, 2, 3), Incarnation(1, 2), True),
        (Incarnation(1, 2, 3), Incarnation(1, 2, 3), True),
        (Incarnation(1, 2, 3), Incarnation(1, 2, 4), False),
        (Incarnation(1, 2), Incarnation(1, 3), False),
        (Incarnation(1, 2), Incarnation(2, 2), False),
    ],
)
def test_two_looks_at_a_name_saw_the_same_life_if_nothing_both_know_differs(
    one: Incarnation, other: Incarnation, same: bool
) -> None:
    assert one.same_as(other) is same
    assert other.same_as(one) is same


@given(listings, listings)
def test_a_fingerprint_differs_exactly_where_names_sizes_or_times_do(
    one: dict[str, Incarnation], other: dict[str, Incarnation]
) -> None:
    assert (fingerprint(one) == fingerprint(other)) == (one == other)


def test_a_fingerprint_does_not_go_by_the_order_of_a_listing_or_by_inodes() -> None:
    one = {"a": Incarnation(1, 2, 3), "b": Incarnation(4, 5, 6)}
    other = {"b": Incarnation(4, 5, 9), "a": Incarnation(1, 2)}

    assert fingerprint(one) == fingerprint(other)


def test_a_name_cannot_be_made_up_that_reads_like_two_files() -> None:
    two = {"a": Incarnation(1, 2), "b": Incarnation(3, 4)}
    one = {"a' 1 2\n'b": Incarnation(3, 4)}

    assert fingerprint(two) != fingerprint(one)
