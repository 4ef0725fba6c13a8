"""``tableslurp`` where a table has columns of other types now."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.catalog.stored import Past
from tests.cli.test_tableslurp import contents, plan_of, run
from tests.rules.headers import MARSHAL, statistics_of

from tablesnap.rules.sstable_header import Column, Header

NOW = datetime.now(UTC)
INT, TEXT = f"{MARSHAL}Int32Type", f"{MARSHAL}UTF8Type"


def statistics(kind: str) -> bytes:
    return statistics_of(Header(TEXT, (), {"city": Column(kind)}))


@pytest.fixture
def changed(tmp_path: Path) -> tuple[str, Path]:
    """Return a bucket with a table, and its directory; it was made again with another type on this machine."""
    past = Past.in_directory(tmp_path / "bucket")
    then, now = (tmp_path / "data" / "shop" / f"users-{digits * 4}" for digits in ("5a1c395e", "9f3b395e"))
    past.point({str(then): past.sstable(str(then), 1, NOW, statistics=statistics(INT))}, NOW)
    now.mkdir(parents=True)
    (now / "nb-1-big-Statistics.db").write_bytes(statistics(TEXT))
    (now / "nb-1-big-Data.db").write_bytes(b"rows")
    return f"file://{tmp_path}/bucket", then


def test_nothing_is_restored_and_the_column_both_types_and_the_way_out_are_named(
    changed: tuple[str, Path], tmp_path: Path
) -> None:
    bucket, users = changed
    (tmp_path / "shop").mkdir()

    done = run(bucket, users, tmp_path / "shop" / "users", COLUMNS="1000")
    planned = run("--dry-run", "--json", bucket, users, tmp_path / "shop" / "users")

    (line,) = [one for one in done.stdout.splitlines() if one.startswith("in the way: ")]
    assert "column city was int and is text now" in line
    assert '"A column has another type"' in line
    assert "--allow-other-types" in line
    assert done.stderr.endswith("nothing was restored, for what is in the way\n")
    assert len(plan_of(planned)["obstacles"]) == 1
    assert done.returncode == planned.returncode == 1
    assert contents(tmp_path / "shop") == {}


def test_it_is_restored_beside_and_where_that_is_asked_for(changed: tuple[str, Path], tmp_path: Path) -> None:
    bucket, users = changed
    (tmp_path / "shop").mkdir()

    beside = run(bucket, users, tmp_path / "shop" / "users_restored")
    forced = run("--allow-other-types", bucket, users, tmp_path / "shop" / "users", COLUMNS="1000")

    assert (beside.returncode, "city" in beside.stdout) == (0, False)
    assert (forced.returncode, "! shop/users" in forced.stdout) == (0, True)
    assert "column city was int and is text now" in forced.stdout
    assert len(contents(tmp_path / "shop")) == 10


def test_the_plan_for_programs_has_it_among_the_warnings(changed: tuple[str, Path], tmp_path: Path) -> None:
    bucket, users = changed

    done = run("--allow-other-types", "--json", "--dry-run", bucket, users, tmp_path / "users")

    (warning,) = json.loads(done.stdout)["plan"]["warnings"]
    assert "column city was int and is text now" in warning
    assert done.returncode == 0
