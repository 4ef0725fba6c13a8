"""What the guide to restoring and the hints of ``tableslurp`` must say, whoever edits them."""

import re
from pathlib import Path

import pytest
from tests.catalog.stored import Past
from tests.cli.test_tableslurp import DATA, GUIDE, ORDERS, USERS, ago, run

SCHEMA = f"{DATA}/system_schema/tables-{'afddfb9d' * 4}"
AUTH = f"{DATA}/system_auth/roles-{'5bc52802' * 4}"


@pytest.fixture
def bucket(tmp_path: Path) -> str:
    return f"file://{tmp_path}/bucket"


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past.in_directory(tmp_path / "bucket")


def guide() -> str:
    return GUIDE.read_text(encoding="utf-8")


def typed(text: str) -> list[str]:
    """Return the blocks of the guide that are to be typed into a shell."""
    return re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_every_variable_that_the_guide_uses_is_in_its_first_list() -> None:
    first, rest = guide().split("\n## ", 1)
    given = set(re.findall(r"^(\w+)=", typed(first)[0], re.MULTILINE))
    made = set(re.findall(r"\bfor (\w+) in ", rest))

    used = set(re.findall(r"\$\{?([A-Za-z]\w*)", rest))

    assert used - made <= given
    assert given <= used | {"AT"}, "a variable that nothing uses"


def test_every_link_of_the_guide_within_itself_leads_to_a_section() -> None:
    sections = {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^##+ (.*)$", guide(), re.MULTILINE)
    }

    assert set(re.findall(r"\]\(#([^)]*)\)", guide())) <= sections


@pytest.mark.parametrize(
    "way", ["Into a table beside it", "The whole table as it was", "One table, on a node that runs"]
)
def test_the_guide_says_above_the_commands_that_what_was_deleted_stays_deleted(way: str) -> None:
    before, heading, section = guide().partition(f"# {way}\n")
    assert heading

    first = section.partition("```")[0] if way.startswith("One") else before.rpartition("\n## ")[2]

    assert re.search(r"stays deleted|rows were\s+deleted or overwritten, see", first.partition("```")[0])


def test_both_dangers_stand_beside_each_mention_of_a_point_in_time(past: Past, bucket: str, tmp_path: Path) -> None:
    past.table(USERS, [1], ago(hours=5))
    past.file("/archive", "CommitLog-7-1700000000001.log", 1000, ago(hours=6))

    hint = run("--commitlogs", "/archive", bucket, USERS, tmp_path / "target").stdout.partition("next, as")[2]

    for text in (guide(), hint):
        mentions = [found.start() for found in re.finditer("restore_point_in_time", text)]
        assert mentions
        for mention in mentions:
            beside = re.sub(r"\s+", " ", text[mention : mention + 900]).lower()
            assert "loses every later write at the next crash" in beside
            assert "rows that were deleted after that moment are deleted all the same" in beside


@pytest.mark.parametrize("held", [[SCHEMA], [AUTH], [SCHEMA, AUTH, USERS]], ids=["schema", "roles", "both and a table"])
def test_no_system_keyspace_is_ever_to_be_imported(held: list[str], past: Past, bucket: str, tmp_path: Path) -> None:
    for directory in held:
        past.table(directory, [1], ago(hours=5))

    done = run("-r", bucket, DATA, tmp_path / "target")

    assert "Never import a system keyspace into a node that runs" in done.stdout
    imported = re.findall(r"nodetool import --copy-data (\S+)", done.stdout)
    assert set(imported) == ({"shop"} if USERS in held else set())
    assert not re.search(r"cqlsh.*\bsystem", done.stdout)


def test_the_hint_ends_with_the_name_of_each_table_that_came_empty(past: Past, bucket: str, tmp_path: Path) -> None:
    past.table(ORDERS, [1], ago(hours=5))
    for directory in (USERS, SCHEMA):
        past.table(directory, [1], ago(hours=5))
        past.point({directory: {}}, ago(hours=1))

    done = run("-r", "--at", "0s ago", bucket, DATA, tmp_path / "target")

    assert "\nrestored EMPTY: shop.users; the plan says" in done.stdout
    assert done.returncode == 0
