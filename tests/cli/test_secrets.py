"""A secret on the command line does not stay readable in the process list."""

from pathlib import Path

import pytest
from tests.cli.process import CONSOLE_SCRIPT, running

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY="
MASK = "x" * len(SECRET)
OUTAGE = ["--endpoint-url", "http://127.0.0.1:9", "--aws-region", "us-east-1"]  # nobody listens there


@pytest.mark.parametrize(
    "spelling",
    [
        ["-s", SECRET],
        [f"-s{SECRET}"],
        [f"-s={SECRET}"],
        [f"-ras{SECRET}"],
        ["-ras", SECRET],
        ["--aws-secret", SECRET],
        [f"--aws-secret={SECRET}"],
        ["--aws-s", SECRET],
        [f"--aws-sec={SECRET}"],
        ["-s", "S", "--aws-token", SECRET],
        ["-n", "nöde", "-s", SECRET],
        ["-s", SECRET, "-s", SECRET],
    ],
)
def test_the_process_list_does_not_show_a_secret_however_it_is_spelt(tmp_path: Path, spelling: list[str]) -> None:
    arguments = ["-k", "AKIAEXAMPLE", *spelling, *OUTAGE, "bucket", str(tmp_path)]

    with running(arguments) as command:
        command.wait_for("watching")
        shown = Path(f"/proc/{command.pid}/cmdline").read_bytes().decode().removesuffix("\0").split("\0")
        environ = Path(f"/proc/{command.pid}/environ").read_bytes()

    assert SECRET not in "".join(shown)
    # Not a byte beside it was written over.
    assert shown[-len(arguments) :] == ["x" if word == "S" else word.replace(SECRET, MASK) for word in arguments]
    assert b"PYTHONPATH=" in environ


def test_a_secret_that_cannot_be_hidden_is_said_with_what_to_do_instead(tmp_path: Path) -> None:
    # Arguments that are not those the kernel knows, as under a launcher that rewrites them.
    launcher = f"import sys; sys.argv.insert(1, '-r'); {CONSOLE_SCRIPT}"

    with running(["-k", "K", "-s", SECRET, *OUTAGE, "bucket", str(tmp_path)], script=launcher) as command:
        warning = command.wait_for("process list")

    assert "WARNING" in warning
    assert "AWS_SECRET_ACCESS_KEY" in warning
    assert SECRET not in warning
