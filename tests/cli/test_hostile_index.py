"""Indexes that nobody of ours wrote, beside good ones: no command falls over them, and the good tables are restored."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.catalog.stored import Past
from tests.cli.process import UNANSWERED, environment
from tests.hostile import BODY, DATA, HOSTILE, index_of

NOW = datetime.now(UTC).replace(microsecond=0)
GOOD = f"{DATA}/users-{'5a1c395e' * 4}"


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory that holds one good table, and one beside it for each hostile index."""
    bucket = tmp_path_factory.mktemp("hostile") / "bucket"
    past = Past.in_directory(bucket)
    stored = NOW - timedelta(hours=1)
    past.table(GOOD, [1], stored)
    for name, odd in HOSTILE.items():
        directory = f"{DATA}/{name}-{'bad0' * 8}"
        below = past.keys.below(directory)
        past.garbage(f"{below}a.txt", BODY, stored)
        past.garbage(f"{below}a.txt-listdir.json", index_of(directory, below, odd, stored), stored)
    return bucket


def run(command: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = f"import sys; from tablesnap.cli.{command}.main import main; sys.exit(main())"
    words = [sys.executable, "-c", program, "-n", "node1", *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, env=environment(), timeout=UNANSWERED)
    assert "Traceback" not in done.stderr
    assert re.search("[\x1b\x07\u202e\0]", done.stdout + done.stderr) is None
    return done


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("tablelist", []),
        ("tablelist", ["--json"]),
        ("tablelist", ["--at", "30m ago"]),
        ("tablecheck", []),
        ("tablecheck", ["--read"]),
        ("tablecheck", ["--json"]),
    ],
)
def test_who_reads_them_names_what_is_wrong_and_goes_on_with_the_good_table(
    bucket: Path, command: str, arguments: list[str]
) -> None:
    done = run(command, *arguments, f"file://{bucket}", *([DATA] if command == "tablecheck" else []))

    assert done.returncode == 3


def test_a_report_is_made(bucket: Path, tmp_path: Path) -> None:
    done = run("tablelist", "--report", tmp_path / "page.html", f"file://{bucket}")

    assert done.returncode == 3
    assert "users" in (tmp_path / "page.html").read_text()


def test_the_good_table_is_restored(bucket: Path, tmp_path: Path) -> None:
    run("tableslurp", "-r", "-p", "-o", str(os.geteuid()), f"file://{bucket}", DATA, tmp_path / "target")

    good = tmp_path / "target" / os.path.basename(GOOD)
    assert sorted(path.name for path in good.iterdir()) == sorted(
        path.name for path in (bucket / f"node1:{GOOD}").iterdir() if not path.name.endswith("-listdir.json")
    )


def test_a_purge_keeps_what_the_good_table_needs(bucket: Path) -> None:
    before = sorted((bucket / f"node1:{GOOD}").iterdir())

    run("tablechop", "--yes", f"file://{bucket}", DATA, "1")

    assert sorted((bucket / f"node1:{GOOD}").iterdir()) == before
