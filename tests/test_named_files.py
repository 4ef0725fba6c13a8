"""What the pages about the code name exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs/design").glob("*.md")))
NAMED = re.compile(r"`(tests/[\w/]+\.py)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_test_that_a_page_names_is_there(page: Path) -> None:
    named = set(NAMED.findall(page.read_text()))

    assert {name for name in named if not (ROOT / name).is_file()} == set()


def test_names_are_found_at_all() -> None:
    assert "tests/rules/test_view_model.py" in NAMED.findall((ROOT / "docs/design/guarantees.md").read_text())
