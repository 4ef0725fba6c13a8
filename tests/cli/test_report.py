"""The page that ``tablelist --report`` writes."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.catalog.stored import Past
from tests.cli.process import UNANSWERED, environment

TABLELIST = "import sys; from tablesnap.cli.tablelist import main; sys.exit(main())"
NOW = datetime.now(UTC).replace(microsecond=0)
DATA = "/var/lib/cassandra/data"
USERS = f"{DATA}/shop/users-{'5a1c395e' * 4}"
ORDERS = f"{DATA}/shop/orders-{'0b1c395e' * 4}"
NEVER_CLOSED = {"meta", "br"}


class Page(HTMLParser):
    """A page as a browser takes it: every element is closed, in order; what it loads, and what it says."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: set[str] = set()
        self.loads: list[str] = []
        self.drawn: list[str] = []
        self.text = self.without_names = ""
        self.feed(page.read_text("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.loads += [value or "" for key, value in attrs if key in {"src", "href", "data"}]
        if tag not in NEVER_CLOSED:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.drawn += [value or "" for key, value in attrs if key == "class"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data
        if "bdi" not in self.open:
            self.without_names += data


def ago(**before: float) -> datetime:
    return NOW - timedelta(**before)


def report(tmp_path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Have a page written of the bucket."""
    command = [sys.executable, "-c", TABLELIST, f"--report={tmp_path}/page.html", *more, f"file://{tmp_path}/bucket"]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=UNANSWERED)


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past.in_directory(tmp_path / "bucket")


def test_each_table_is_drawn_and_no_other_thing_is_loaded(past: Past, tmp_path: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.table(USERS, [1, 2], ago(hours=1))
    past.table(ORDERS, [1], ago(hours=2))

    done = report(tmp_path)

    page = Page(tmp_path / "page.html")
    assert done.returncode == 0
    assert done.stderr == f"tablelist: 2 listed in {tmp_path}/page.html, 0 of them not whole\n"
    assert page.open == []
    assert page.loads == ["#t0", "#t1"]
    assert not page.names & {"script", "link", "img", "iframe"}
    assert "Of all of these the newest restore point is whole." in page.text
    assert "2 restore points from" in page.text
    assert "1 restore point from" in page.text


def test_what_is_not_whole_is_said(past: Past, tmp_path: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.point({USERS: past.sstable(USERS, 2, ago(hours=1))}, ago(hours=1), missing=["nb-3-big-Data.db"])

    done = report(tmp_path)

    page = Page(tmp_path / "page.html")
    assert done.returncode == 3
    assert "Of 1 of these 1 the newest restore point is not whole." in page.text
    assert "nb-3-big-Data.db" in page.text
    assert "1 of them not whole" in page.text
    assert f"the newest whole one was taken at {ago(hours=5):%Y-%m-%d %H:%M:%S}" in page.text


def test_gaps_are_drawn_and_said(past: Past, tmp_path: Path) -> None:
    past.table(USERS, [1], ago(days=5))
    past.table(USERS, [1, 2], ago(hours=1))

    report(tmp_path)

    page = Page(tmp_path / "page.html")
    assert page.drawn.count("gap") == 2  # one in the legend
    assert "1 gap." in page.text
    assert f"{ago(days=5):%Y-%m-%d %H:%M} to {ago(hours=1):%Y-%m-%d %H:%M}" in page.text


def test_it_is_a_page_or_json(past: Past, tmp_path: Path) -> None:
    past.table(USERS, [1], ago(hours=1))

    done = report(tmp_path, "--json")

    assert done.returncode == 2
    assert "give --json or --report, not both" in done.stderr
    assert not (tmp_path / "page.html").exists()


def test_a_name_is_text_whatever_it_looks_like(past: Past, tmp_path: Path) -> None:
    past.table("/srv/<script>alert(1)</script>&amp;\u202e", [1], ago(hours=1))

    report(tmp_path)

    page = Page(tmp_path / "page.html")
    assert "script" not in page.names
    assert "<script>alert(1)</script>&amp;" in page.text
    assert "\u202e" not in page.without_names  # it would turn round what stands beside it


def test_a_page_that_is_there_is_replaced_by_a_whole_one(past: Past, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("old")
    past.table(USERS, [1], ago(hours=1))

    report(tmp_path)

    assert re.fullmatch(r"<!DOCTYPE html>.*</html>\n", (tmp_path / "page.html").read_text(), re.DOTALL)
    assert {one.name for one in tmp_path.iterdir()} == {"page.html", "bucket"}


def test_where_nothing_is_found_the_page_that_is_there_stays(past: Past, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("old")

    done = report(tmp_path)

    assert done.returncode == 1
    assert (tmp_path / "page.html").read_text() == "old"
    assert {one.name for one in tmp_path.iterdir()} == {"page.html", "bucket"}


def test_a_page_that_cannot_be_written_is_an_error_that_names_it(past: Past, tmp_path: Path) -> None:
    past.table(USERS, [1], ago(hours=1))
    nowhere = f"{tmp_path}/nowhere/page.html"

    done = report(tmp_path, f"--report={nowhere}")

    assert done.returncode == 1
    assert done.stderr == f"tablelist: {nowhere} cannot be written (No such file or directory); try another FILE\n"
