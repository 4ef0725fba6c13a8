"""The page that ``tablelist --report`` writes, as a real browser shows and prints it."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest
from tests.catalog.stored import Past
from tests.chromium import Chromium, chromium, served
from tests.cli.process import UNANSWERED, environment

pytestmark = pytest.mark.servers

TABLELIST = "import sys; from tablesnap.cli.tablelist.main import main; sys.exit(main())"
NOW = datetime.now(UTC).replace(microsecond=0)
DATA = "/var/lib/cassandra/data/shop"
USERS = f"{DATA}/users-{'5a1c395e' * 4}"
ORDERS = f"{DATA}/orders-{'0b1c395e' * 4}"
ROLES = f"{DATA.replace('shop', 'system_auth')}/roles-{'2b1c395e' * 4}"
INVOICES = f"{DATA.replace('shop', 'billing')}/invoices-{'3b1c395e' * 4}"
FOLDED = f"{DATA}/customer_addresses_by_region_and_day-{'1b1c395e' * 4}"
HOSTILE = "/srv/<script>document.title='stolen'</script><img src=\"x\" onerror=\"document.title='stolen'\">&amp;"
LONG = f"/srv/{'unbroken' * 25}"
PHONE, DESK = 390, 1200
STRICT = "default-src 'none'; style-src 'unsafe-inline'"
# What a page looks like from inside, written into the page that frames it.
MEASURE = """<script>
const visible = () => [...document.querySelectorAll('article')].filter(one => one.checkVisibility())
  .map(one => one.querySelector('h3').textContent.split(' ')[0]);
const at_first = visible();
document.querySelectorAll('details').forEach(one => one.open = true);
const root = document.documentElement;
const shown = one => getComputedStyle(one).position !== 'absolute';
parent.document.documentElement.dataset.measured = JSON.stringify({
  shown: window.innerWidth, visible: root.clientWidth, whole: root.scrollWidth,
  wide: [...document.body.querySelectorAll('*')].filter(shown)
    .filter(one => one.getBoundingClientRect().right > root.clientWidth + 1 || one.scrollWidth > one.clientWidth + 1
      && getComputedStyle(one).display !== 'inline').map(one => one.outerHTML.slice(0, 200)),
  within_names: document.querySelectorAll('bdi *').length,
  labels: [...document.querySelector('.overview tbody tr').cells]
    .map(one => getComputedStyle(one, '::before').content),
  title: document.title,
  shown_by: Object.fromEntries([...document.querySelectorAll('option')].map(option => {
    option.selected = true;
    return [option.textContent, visible()];
  })),
  at_first,
});
</script></body>"""


@pytest.fixture
def browser() -> Chromium:
    return chromium()


@pytest.fixture
def page(tmp_path: Path) -> str:
    """Return a page about a node that has seen everything."""
    past = Past.in_directory(tmp_path / "bucket", "cassandra-17.eu-central.example.org")
    for number in range(12):
        past.table(USERS, range(1, number + 2), NOW - timedelta(hours=6 * (12 - number)))
    past.table(INVOICES, [1], NOW - timedelta(days=2))
    past.table(ROLES, [1], NOW - timedelta(days=2))
    past.table(ORDERS, [1], NOW - timedelta(days=5))
    past.point({ORDERS: past.sstable(ORDERS, 2, NOW)}, NOW - timedelta(hours=1), missing=["nb-3-big-Data.db"])
    past.table(FOLDED, [1], NOW - timedelta(days=3))
    past.garbage(past.keys.plain(f"{FOLDED}/nb-3-big-Data.db-listdir.json"), b"{", NOW - timedelta(hours=2))
    past.garbage(past.keys.plain("/srv/without/index"), b"1", NOW)
    for directory in (HOSTILE, LONG):
        past.point({directory: {"x": past.file(directory, "x", 1, NOW)}}, NOW)
    command = [sys.executable, "-c", TABLELIST, f"--report={tmp_path}/page.html", f"file://{tmp_path}/bucket"]
    subprocess.run(command, capture_output=True, env=environment(), timeout=UNANSWERED, check=False)
    return (tmp_path / "page.html").read_text("utf-8")


def measured(browser: Chromium, page: str, *, width: int) -> dict[str, Any]:
    """Return what a script finds in a copy of the page that lets it run."""
    lax = f"{STRICT}; script-src 'unsafe-inline'; img-src *"
    copy = page.replace(escape(STRICT), lax).replace("</body>", MEASURE)
    assert lax in copy
    with served(copy, width=width) as there:
        found = re.search(r'data-measured="([^"]*)"', browser.dom(there.framed))
    assert found is not None
    measures: dict[str, Any] = json.loads(unescape(found[1]))
    assert measures["shown"] == width
    return measures


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_nothing_is_wider_than_the_screen(browser: Chromium, page: str, width: int) -> None:
    found = measured(browser, page, width=width)

    assert found["wide"] == []
    assert found["whole"] <= found["visible"]


def test_on_a_phone_each_figure_of_the_overview_says_what_it_is(browser: Chromium, page: str) -> None:
    assert measured(browser, page, width=DESK)["labels"] == ["none"] * 5
    assert [label.strip('" ') for label in measured(browser, page, width=PHONE)["labels"]] == [
        "none",
        "newest",
        "live",
        "stored",
        "state",
    ]


def test_a_name_is_text_even_if_the_page_let_it_run(browser: Chromium, page: str) -> None:
    found = measured(browser, page, width=DESK)

    assert found["within_names"] == 0
    assert found["title"].startswith("Restore points in ")


def test_what_is_not_whole_or_one_keyspace_can_be_shown_alone(browser: Chromium, page: str) -> None:
    shown = measured(browser, page, width=DESK)["shown_by"]

    assert shown["billing"] == ["billing.invoices"]
    assert shown["system_auth"] == ["system_auth.roles"]
    assert set(shown["shop"]) == {"shop.users", "shop.orders", "shop.customer_addresses_by_region_and_day"}
    assert {"shop.orders", "shop.customer_addresses_by_region_and_day"} <= set(shown["what is not whole"])
    assert not {"billing.invoices", "system_auth.roles", "shop.users"} & set(shown["what is not whole"])
    assert len(shown["outside Cassandra"]) == 3
    assert len(shown["everything"]) == 8


def test_system_tables_are_folded_away(browser: Chromium, page: str) -> None:
    found = measured(browser, page, width=DESK)

    assert set(found["shown_by"]["everything"]) - set(found["at_first"]) == {"system_auth.roles"}


def test_it_loads_and_runs_nothing(browser: Chromium, page: str) -> None:
    with served(page.replace("</body>", '<img src="/seen"><script>document.title = "run"</script></body>')) as there:
        shown = browser.dom(there.url)
    with served(page) as alone:
        browser.dom(alone.url)

    assert "<title>Restore points in" in shown
    assert set(there.asked) <= {"/page.html", "/favicon.ico"}
    assert set(alone.asked) <= {"/page.html", "/favicon.ico"}


def test_it_is_printed_on_sheets_of_paper(browser: Chromium, page: str, tmp_path: Path) -> None:
    with served(page) as there:
        sheets = browser.print(there.url, tmp_path / "page.pdf")

    assert sheets >= 2
