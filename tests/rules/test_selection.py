import re

import pytest

from tablesnap.rules.selection import Selection


def patterns(*texts: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(text) for text in texts)


@pytest.mark.parametrize(
    ("path", "selected"),
    [
        ("/d/nb-1-big-Data.db", True),
        ("/d/ks-cf-tmp-jb-1-Data.db", False),
        ("/data/app-tmp/nb-1-big-Data.db", True),
        ("/d/x-tmp", False),
        ("/d/tmp-x", True),
    ],
)
def test_by_default_a_file_is_left_out_for_its_own_name_alone(path: str, selected: bool) -> None:
    assert Selection().selects(path) is selected


def test_an_included_file_matches_any_of_the_patterns_somewhere_in_its_whole_path() -> None:
    selection = Selection(include=patterns("/ks/", r"\.log$"))

    assert selection.selects("/d/ks/t/a")
    assert selection.selects("/d/other/commit.log")
    assert not selection.selects("/d/other/a")


def test_an_excluded_file_matches_any_of_the_patterns() -> None:
    selection = Selection(exclude=patterns("/ks/", r"\.log$"))

    assert not selection.selects("/d/ks/t/a")
    assert not selection.selects("/d/other/commit.log")
    assert selection.selects("/d/other/a")


@pytest.mark.parametrize("selection", [Selection(include=patterns("^/d")), Selection(exclude=patterns("zzz"))])
def test_a_pattern_takes_the_place_of_the_default(selection: Selection) -> None:
    assert selection.selects("/d/x-tmp")
