"""What is at or below a path is found without a look at anything else."""

from hypothesis import given
from hypothesis import strategies as st

from tablesnap.watch.known import PathSet

PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=5).map(lambda names: "/" + "/".join(names))


@given(st.lists(st.tuples(st.booleans(), PATHS)), PATHS)
def test_it_holds_what_was_added_and_not_taken_away(steps: list[tuple[bool, str]], asked: str) -> None:
    paths, expected = PathSet(), set()
    for adds, path in steps:
        if adds:
            paths.add(path)
            expected.add(path)
        else:
            paths.discard(path)
            expected.discard(path)

    found = paths.at_or_below(asked)

    assert sorted(found) == sorted(one for one in expected if one == asked or one.startswith(asked + "/"))
    assert all(one in paths for one in expected)


def test_each_path_comes_before_what_is_below_it() -> None:
    paths = PathSet()
    for path in ("/a/b/c", "/a", "/a/b"):
        paths.add(path)

    assert paths.at_or_below("/a") == ["/a", "/a/b", "/a/b/c"]
