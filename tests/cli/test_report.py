"""The page that ``tablelist --report`` writes."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.catalog.stored import Past
from tests.cli.process import UNANSWERED, ended, environment

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
        self.titles: list[str] = []
        self.folded: set[str] = set()  # those that are shown only when something is unfolded
        self.commands: list[str] = []
        self.places: list[int] = []  # of marks in drawings
        self.feed(page.read_text("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.loads += [value or "" for key, value in attrs if key in {"src", "href", "data"}]
        if tag not in NEVER_CLOSED:
            self.open.append("fold" if tag == "details" and ("open", "open") not in attrs else tag)
        if tag in {"h3", "code"}:
            (self.titles if tag == "h3" else self.commands).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.drawn += [value or "" for key, value in attrs if key == "class"]
        if "article" in self.open:
            self.places += [
                int(place) for key, value in attrs if key == "d" for place in re.findall(r"M(\d+)", value or "")
            ]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().replace("fold", "details") == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data
        for tag, texts in (("h3", self.titles), ("code", self.commands)):
            if tag in self.open:
                texts[-1] += data
        if "h3" in self.open and "fold" in self.open:
            self.folded.add(self.titles[-1].split()[0])
        if "bdi" not in self.open:
            self.without_names += data


def ago(**before: float) -> datetime:
    return NOW - timedelta(**before)


def report(tmp_path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Have a page written of the bucket."""
    return ended("tablelist", f"--report={tmp_path}/page.html", *more, f"file://{tmp_path}/bucket")


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


def test_each_title_says_of_which_keyspace_the_table_is(past: Past, tmp_path: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.table("/srv/files", [1], ago(hours=5))

    report(tmp_path)

    assert Page(tmp_path / "page.html").titles == [f"shop.users {'5a1c395e' * 4}", "/srv/files"]


def test_system_tables_are_folded_away_unless_one_is_not_whole(past: Past, tmp_path: Path) -> None:
    own, local, roles = USERS, f"{DATA}/system/local-{'1a1c395e' * 4}", f"{DATA}/system_auth/roles-{'2a1c395e' * 4}"
    for directory in (own, local, roles, USERS.replace("shop", "system_of_record")):
        past.table(directory, [1], ago(hours=5))
    report(tmp_path)
    whole = Page(tmp_path / "page.html")
    past.point({local: past.sstable(local, 2, ago(hours=1))}, ago(hours=1), missing=["nb-3-big-Data.db"])
    report(tmp_path)
    faulty = Page(tmp_path / "page.html")

    assert "2 system tables, all whole" in whole.text
    assert whole.folded == {"system.local", "system_auth.roles"}
    assert "2 system tables, 1 of them not whole" in faulty.text
    assert faulty.folded == set()


def test_the_command_beside_a_restore_point_restores_that_one(past: Past, tmp_path: Path) -> None:
    other = USERS.replace(DATA, "/disk2/data")
    past.table(USERS, [1], ago(hours=5))
    past.table(USERS, [1, 2], ago(hours=4))
    past.point({USERS: past.sstable(USERS, 3, ago(hours=4))}, ago(hours=4), seen_at=ago(hours=3))  # of one moment
    past.point({USERS: past.sstable(USERS, 4, ago(hours=2)), other: past.sstable(other, 5, ago(hours=2))}, ago(hours=2))
    past.point({USERS: past.sstable(USERS, 6, ago(hours=1))}, ago(hours=1), missing=["nb-7-big-Data.db"])
    past.point({USERS: {}}, ago(minutes=9))

    report(tmp_path, "--aws-region=")

    newest, *each = Page(tmp_path / "page.html").commands
    assert newest == each[0]
    assert len({command.split()[2] for command in each}) == len(each)  # no two restore points are mixed
    assert [typed(command, tmp_path / str(number)) for number, command in enumerate(each)] == [
        set(),
        {6},
        {4, 5},
        {3},
        {1, 2},
        {1},
    ]


def test_a_command_restores_the_same_one_where_a_clock_was_ahead_once(past: Past, tmp_path: Path) -> None:
    past.table(USERS, [1], ago(minutes=2))
    past.table(USERS, [1, 2], ago(minutes=4))

    report(tmp_path)

    _, *each = Page(tmp_path / "page.html").commands
    assert [typed(command, tmp_path / str(number)) for number, command in enumerate(each)] == [{1, 2}, {1}]


def typed(command: str, where: Path) -> set[int]:
    """Type a command in an empty directory, and return the generations of what it restores."""
    where.mkdir()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(command, shell=True, cwd=where, capture_output=True, env=environment(PATH=path), timeout=UNANSWERED)
    found = where.glob("restored-*/shop/users/*-Data.db")
    return {int(one.name.split("-")[1]) for one in found}


def test_a_command_says_how_the_report_found_the_bucket_and_no_secret(past: Past, tmp_path: Path) -> None:
    Past.in_directory(tmp_path / "bucket" / "p", "node 2").table(USERS, [1], ago(hours=5))

    done = report(tmp_path, "--prefix=p/", "-n", "node 2")

    [newest, _] = Page(tmp_path / "page.html").commands
    assert done.returncode == 0
    assert "/shop && tableslurp -n 'node 2' --prefix p/ --at 2" in newest
    assert f" file://{tmp_path}/bucket {USERS} restored-2" in newest
    assert typed(newest, tmp_path / "typed") == {1}


def test_a_name_that_a_page_cannot_show_has_no_command(past: Past, tmp_path: Path) -> None:
    past.point({"/srv/a\nb": {"x": past.file("/srv/a\nb", "x", 1, ago(hours=1))}}, ago(hours=1))

    report(tmp_path)

    assert Page(tmp_path / "page.html").commands == []


def test_the_timeline_of_a_young_backup_is_filled(past: Past, tmp_path: Path) -> None:
    past.table(USERS, [1], datetime.now(UTC) - timedelta(minutes=2))
    past.table(USERS, [1, 2], datetime.now(UTC) - timedelta(minutes=1))

    report(tmp_path)

    first, second = sorted(Page(tmp_path / "page.html").places)
    assert first < 100  # of 1000
    assert 400 < second < 600
