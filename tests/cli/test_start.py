"""A command that is asked for help, or asked wrongly, answers at once: it loads no library that takes long."""

import subprocess
import sys

import pytest
from tests.cli.process import environment

COMMANDS = ("tablecheck", "tablechop", "tablelist", "tableslurp", "tablesnap")
# What it takes to talk to a store or to draw a bar: each takes longer to load than all of ours together.
SLOW = {"_awscrt", "awscrt", "botocore", "obstore", "rich"}
SCRIPT = "import sys; from tablesnap.cli.{}.main import main; sys.exit(main())"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("line", "exit_code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["--nonsense"], 2),
        ([], 2),
        (["-n", "node1", "ftp:b", "/x", "1"], 2),
    ],
)
def test_a_line_that_needs_no_store_loads_no_library_for_one(command: str, line: list[str], exit_code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", SCRIPT.format(command), *line],
        capture_output=True,
        text=True,
        env=environment(),
    )

    loaded = {text.rpartition("|")[2].strip() for text in done.stderr.splitlines() if text.startswith("import time:")}
    assert done.returncode == exit_code
    assert "tablesnap.cli.line.flags" in loaded
    assert not SLOW & {name.partition(".")[0] for name in loaded}
