"""Runs that follow each other are legal, whoever they are; one that goes on after another one wrote is not."""

import pytest

from tablesnap.rules.writers import Writer, come_backs


def runs(names: str) -> list[Writer | None]:
    """Return a writer for each letter; for a dot none, as in an index of an older version."""
    return [None if name == "." else Writer("m", "node1", name) for name in names]


@pytest.mark.parametrize(
    "names",
    ["", "A", "AAAA", "AABB", "ABCD", "..AA", "A.A", "A.BB", "....", "AABBBCDDDD"],
    ids=lambda names: f"[{names}]",
)
def test_runs_that_follow_each_other_are_legal(names: str) -> None:
    assert come_backs(runs(names)) == []


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("ABA", [(2, "A", "B")]),
        ("AABBABBA", [(4, "A", "B"), (5, "B", "A"), (7, "A", "B")]),
        ("ABCA", [(3, "A", "C")]),
        ("A.B.A", [(4, "A", "B")]),
        ("ABACC", [(2, "A", "B")]),
    ],
)
def test_a_run_that_comes_back_is_named_with_the_one_that_wrote_meanwhile(
    names: str, expected: list[tuple[int, str, str]]
) -> None:
    found = come_backs(runs(names))

    assert [(one.place, one.one.run, one.other.run) for one in found] == expected


def test_a_machine_that_comes_back_with_a_new_run_is_legal() -> None:
    # A pod that moves from one machine to another, and back.
    here, there = (Writer("1", "a", "x"), Writer("1", "a", "z")), Writer("2", "b", "y")

    assert come_backs([here[0], there, here[1]]) == []
