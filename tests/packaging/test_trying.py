"""What a newcomer is told to type first."""

import os
import re
import subprocess
from pathlib import Path

from manual.__main__ import files_of
from manual.commands import COMMANDS

ROOT = Path(__file__).parents[2]


def test_the_demo_installs_what_running_needs_and_no_more_and_is_not_quiet_about_it() -> None:
    line = ["make", "--no-print-directory", "--always-make", "--dry-run", "demo", "VENV=.venv-of-nobody"]

    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "ARGS"}
    done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    commands = done.stdout.splitlines()

    [install] = [one for one in commands if "-m pip" in one]
    assert re.findall(r"-r (\S+)", install) == ["requirements.txt"]
    assert "--quiet" not in install
    assert commands[-1].strip() == ".venv-demo/bin/python demo/demo.py"


def test_the_manual_page_that_the_readme_says_to_read_is_one_that_is_made() -> None:
    said = re.findall(r"`man \./build/(\S+)`", (ROOT / "README.md").read_text("utf-8"))

    assert said
    assert set(said) <= {path for command in COMMANDS for path in files_of(command, "")}
