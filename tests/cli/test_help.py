"""The help and the manual tell of the same flags."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.process import run

from tablesnap import __version__
from tablesnap.cli.line import flags
from tablesnap.cli.tablecheck import flags as tablecheck_flags
from tablesnap.cli.tablecheck.tally import Tally
from tablesnap.cli.tablecheck.textfile import write_textfile
from tablesnap.cli.tablechop import flags as tablechop_flags
from tablesnap.cli.tablelist import flags as tablelist_flags
from tablesnap.cli.tableslurp import flags as tableslurp_flags
from tablesnap.cli.tablesnap.flags import make_parser
from tablesnap.verify.finding import Kind, Proof

MakeParser = Callable[[], tuple[flags.Parser, list[argparse.Action]]]

MANUALS = Path(__file__).parents[2] / "docs" / "reference"
FLAG = r"(?<![\w-])(--[a-z][a-z0-9-]+|-[a-zA-Z])(?![\w-])"


def test_the_help_fits_a_terminal_of_80_columns_and_names_every_flag() -> None:
    done = run("--help", COLUMNS="80")

    names = {name for action in make_parser()[1] for name in action.option_strings}
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert names <= set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", done.stdout))


def test_help_is_given_on_a_line_that_is_otherwise_wrong() -> None:
    assert run("--nonsense", "-h").returncode == 0


def test_the_version_is_said() -> None:
    assert run("--version").stdout == f"tablesnap {__version__}\n"


def flags_in(manual: str) -> set[str]:
    text = (MANUALS / manual).read_text(encoding="utf-8")
    return set(re.findall(FLAG, " ".join(re.findall(r"`([^`]*)`", text))))


def test_o8_the_manual_names_exactly_the_flags_there_are() -> None:
    assert flags_in("tablesnap.md") == {name for action in make_parser()[1] for name in action.option_strings}


COMMANDS = (tablecheck_flags, tablechop_flags, tablelist_flags, tableslurp_flags)
PARSERS = [command.make_parser for command in COMMANDS]


@pytest.mark.parametrize("make", PARSERS)
def test_each_manual_and_help_names_exactly_the_flags_there_are(make: MakeParser) -> None:
    parser, actions = make()

    names = {name for action in actions for name in action.option_strings}
    assert flags_in(f"{parser.prog}.md") == names
    # An example in the help that uses a flag there is not sends the operator into an error.
    assert {flag for flag in re.findall(FLAG, parser.format_help()) if flag.startswith("--")} <= names


@pytest.mark.parametrize("make", PARSERS)
def test_each_help_fits_a_terminal_of_80_columns(make: MakeParser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    assert max(map(len, make()[0].format_help().splitlines())) <= 80


def test_the_manual_of_tablecheck_names_every_kind_of_fault_and_every_figure(tmp_path: Path) -> None:
    manual = (MANUALS / "tablecheck.md").read_text(encoding="utf-8")
    figures = tmp_path / "check.prom"
    write_textfile(str(figures), Tally(began=0, unprotected=0.0), now=0)

    assert {kind.value for kind in Kind} | {proof.value for proof in Proof} <= set(re.findall(r"`(\w+)`", manual))
    assert set(re.findall(r"# TYPE (\w+)", figures.read_text())) == set(re.findall(r"`(tablesnap_\w+)", manual))
