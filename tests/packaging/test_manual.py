"""The manual pages, rendered, and the completion, asked in the real shells."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from manual.commands import COMMANDS, KINDS, Command, Flag
from manual.completion import fish, zsh
from manual.page import Unrenderable, page
from manual.roff import control, literal
from tests.packaging.tools import expect_tools

from tablesnap.cli.tablecheck import flags as tablecheck_flags
from tablesnap.cli.tablechop import flags as tablechop_flags
from tablesnap.cli.tablelist import flags as tablelist_flags
from tablesnap.cli.tableslurp import flags as tableslurp_flags
from tablesnap.cli.tablesnap import options

ROOT = Path(__file__).parents[2]
EACH = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)


def make(directory: Path, **environ: str) -> Path:
    """Write pages and completion as `make manual` does."""
    subprocess.run(
        [sys.executable, "-m", "manual", str(directory)],
        check=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": "src"} | environ,
    )
    return directory


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("built"))


def output(*words: object, **environ: str) -> str:
    """Return what a command printed, which must have had no complaint."""
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, env=os.environ | environ, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def rendered(page: Path, *, width: int = 80, encoding: str = "UTF-8") -> str:
    shown = output(
        "man", "--warnings", "-E", encoding, "-l", page, MANWIDTH=str(width), LC_ALL="C.UTF-8", MAN_KEEP_FORMATTING=""
    )
    return re.sub(r".\x08", "", shown)


def names_of(command: Command) -> set[str]:
    return {name for flag in command.flags for name in flag.names}


def content(directory: Path) -> Mapping[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_one_tree_gives_the_same_bytes_for_one_date(tmp_path: Path) -> None:
    first, second = (
        content(make(tmp_path / each, SOURCE_DATE_EPOCH="1764288000", PYTHONHASHSEED=each, TZ=zone))
        for each, zone in (("1", "Asia/Tokyo"), ("2", "America/Lima"))
    )

    assert first == second
    assert b'.TH TABLESNAP 1 "2025-11-28"' in first["manual/tablesnap.1"]


@EACH
def test_a_page_has_each_flag_once_as_a_term_and_ascii_alone(built: Path, command: Command) -> None:
    source = (built / "manual" / f"{command.name}.1").read_text(encoding="ascii")

    terms = "\n".join(re.findall(r"^\.T[PQ]\n(\\fB\\-.*)$", source, re.MULTILINE)).replace("\\-", "-")
    assert sorted(re.findall(r"\\fB(--?[\w-]+)\\fR", terms)) == sorted(names_of(command))


NOW = datetime(2026, 11, 28, tzinfo=UTC)
PARSE: Mapping[str, Callable[[Sequence[str]], object]] = {
    "tablecheck": lambda words: tablecheck_flags.parse(words, {}, NOW),
    "tablechop": lambda words: tablechop_flags.parse(words, {}),
    "tablelist": lambda words: tablelist_flags.parse(words, {}, NOW),
    "tableslurp": lambda words: tableslurp_flags.parse(words, {}, NOW),
    "tablesnap": lambda words: options.parse(words, {}),
}


@EACH
def test_each_example_is_a_line_that_its_command_understands(tmp_path: Path, command: Command) -> None:
    lines = [shlex.split(line.replace("\\\n", " ")) for line, _ in command.examples]

    for name, *words in lines:
        # The commands look whether the directories are there: so below one of ours.
        here = [f"{tmp_path}{word}" if word.startswith("/") else word for word in words]
        for path in (Path(word) for word in here if word.startswith("/")):
            (path.parent if path.suffix == ".prom" else path).mkdir(parents=True, exist_ok=True)
        PARSE[name](here)

    assert {name for name, *_ in lines} == {command.name}


REFERENCE = (ROOT / "docs" / "reference" / "tablelist.md").read_text(encoding="utf-8")
ROW = "| `--json` | one JSON object a line |\n"


@pytest.mark.parametrize(
    "reference",
    [
        pytest.param(REFERENCE.replace(ROW, ""), id="a flag is left out"),
        pytest.param(REFERENCE.replace(ROW, ROW * 2), id="a flag is told twice"),
        pytest.param(REFERENCE.replace(ROW, ROW.replace("json", "jason")), id="a flag there is not"),
        pytest.param(REFERENCE.replace("BUCKET [PATH]", "BUCKET", 1), id="another usage"),
        pytest.param(REFERENCE.replace("# tablelist: ", "# tablelist ", 1), id="no line for NAME"),
        pytest.param(f"{REFERENCE}\n> quoted\n", id="what has no form in a page"),
    ],
)
def test_no_page_is_made_where_the_reference_is_at_odds_with_the_parser(reference: str) -> None:
    [tablelist] = (command for command in COMMANDS if command.name == "tablelist")

    with pytest.raises(Unrenderable):
        page(tablelist, reference, "")


def test_what_roff_would_take_for_its_own_is_escaped() -> None:
    assert control(".SH of a text") == "\\&.SH of a text"
    assert control("'tis a text") == "\\&'tis a text"
    assert literal("\\n~/.x -a 'b' ^`²") == "\\en\\(ti/.x \\-a \\(aqb\\(aq \\(ha\\(ga\\[u00B2]"


def test_every_flag_that_is_said_to_take_something_exists() -> None:
    assert set(KINDS) <= {name for command in COMMANDS for name in names_of(command)}


@pytest.mark.packaging
@EACH
def test_a_page_renders_without_a_word_and_has_a_name(built: Path, command: Command) -> None:
    expect_tools("man", "groff", "lexgrog")
    page = built / "manual" / f"{command.name}.1"

    text = rendered(page)
    output("groff", "-man", "-ww", "-z", page)

    assert max(map(len, text.splitlines())) <= 80
    assert names_of(command) <= set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", text))
    assert "SYNOPSIS\n       " + "\n       ".join(command.usage) + "\n" in text
    assert f'"{command.name} - ' in output("lexgrog", page)


@pytest.mark.packaging
@EACH
def test_what_is_copied_from_a_page_is_what_is_typed(built: Path, command: Command) -> None:
    expect_tools("man")

    text = rendered(built / "manual" / f"{command.name}.1")

    examples = text.partition("\nEXAMPLES\n")[2].partition("\nSEE ALSO\n")[0]
    unfolded = " ".join(examples.replace("\\\n", " ").split())
    for line, _ in command.examples:
        assert " ".join(line.replace("\\\n", " ").split()) in unfolded


@pytest.mark.packaging
@EACH
def test_a_page_says_the_same_on_a_terminal_that_knows_ascii_alone(built: Path, command: Command) -> None:
    expect_tools("man")
    page = built / "manual" / f"{command.name}.1"

    assert rendered(page, encoding="ascii") == rendered(page)


@pytest.mark.packaging
def test_what_is_typed_stays_on_one_line_however_wide_the_terminal(built: Path) -> None:
    expect_tools("man")
    page = built / "manual" / "tablecheck.1"

    for width in range(70, 100, 5):
        assert "time() - tablesnap_check_timestamp_seconds" in rendered(page, width=width)


BASH = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_$1
printf '%s\\n' "${COMPREPLY[@]}"
"""


def in_bash(built: Path, *words: str) -> set[str]:
    file = built / "completion" / "bash" / words[0]
    return set(output("bash", "--norc", "-uc", BASH, "bash", file, *words).split())


@pytest.mark.packaging
@EACH
def test_bash_offers_every_flag(built: Path, command: Command) -> None:
    expect_tools("bash")

    assert in_bash(built, command.name, "-") == names_of(command)


@pytest.mark.packaging
def test_bash_offers_the_values_of_a_flag(built: Path, tmp_path: Path) -> None:
    expect_tools("bash")
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()

    assert in_bash(built, "tablesnap", "--log-format", "") == {"text", "json"}
    assert in_bash(built, "tablesnap", "--log-format", "=", "j") == {"json"}
    assert in_bash(built, "tablesnap", "--log-format", "=") == {"text", "json"}
    assert in_bash(built, "tableslurp", "--from-objects", "n") == {"newer"}
    assert in_bash(built, "tableslurp", "--from-objects", f"{tmp_path}/") == {f"{tmp_path}/directory"}
    assert in_bash(built, "tablesnap", "--ca-bundle", f"{tmp_path}/f") == {f"{tmp_path}/file"}
    assert in_bash(built, "tablesnap", "-n", "") == set()
    assert in_bash(built, "tablesnap", "my-bucket", f"{tmp_path}/") == {f"{tmp_path}/directory"}
    assert "root" in in_bash(built, "tableslurp", "--owner", "ro")


def in_fish(built: Path, line: str) -> set[str]:
    file = built / "completion" / "fish" / f"{line.split(maxsplit=1)[0]}.fish"
    script = "source $argv[1]; complete -C $argv[2]"
    with_text = output("fish", "--no-config", "-c", script, file, line)
    return {row.partition("\t")[0] for row in with_text.splitlines()}


@pytest.mark.packaging
@EACH
def test_fish_offers_every_flag(built: Path, command: Command) -> None:
    expect_tools("fish")

    offered = in_fish(built, f"{command.name} -") | in_fish(built, f"{command.name} --")

    assert names_of(command) <= offered


@pytest.mark.packaging
def test_fish_offers_the_values_of_a_flag(built: Path, tmp_path: Path) -> None:
    expect_tools("fish")
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()

    assert in_fish(built, "tablesnap --ba") == {"--backup", "--base-interval"}
    assert in_fish(built, "tablesnap --log-format ") == {"text", "json"}
    assert {"--from-objects=newer", "--from-objects=all"} <= in_fish(built, "tableslurp --from-objects=")
    assert in_fish(built, f"tablesnap --ca-bundle {tmp_path}/f") == {f"{tmp_path}/file"}
    assert in_fish(built, f"tablesnap my-bucket {tmp_path}/") == {f"{tmp_path}/directory/"}


# Completes one line in an interactive zsh on a terminal, and prints what its completion was told to offer.
ZSH = """
zmodload zsh/zpty
zpty shell zsh -f -i
say() { zpty -w shell "$1" }
say 'PS1=; PROMPT=; unsetopt zle; setopt zle; fpath=('"$1"' $fpath); autoload -Uz compinit; compinit -D -u'
say 'compadd() { local -a hits; builtin compadd -O hits "$@"; print -rl -- "OFFER:"${^hits}; builtin compadd "$@" }'
say 'LISTMAX=10000; bindkey "^I" complete-word; zstyle ":completion:*" insert-tab no'
say 'finish() { print -r -- THE-END; exit }'
say 'zle -N finish; bindkey "^X" finish; print -r -- READY-TO"-GO"'
zpty -m -r shell seen '*READY-TO-GO*'
zpty -w -n shell "$2"$'\\t\\x18'
zpty -r -m shell seen '*THE-END*'
print -r -- "$seen"
"""


def in_zsh(built: Path, line: str) -> set[str]:
    shown = output("zsh", "-f", "-c", ZSH, "zsh", built / "completion" / "zsh", line)
    return set(re.findall(r"OFFER:(\S+)", shown))


@pytest.mark.packaging
@EACH
def test_zsh_offers_every_flag(built: Path, command: Command) -> None:
    expect_tools("zsh")
    output("zsh", "-n", built / "completion" / "zsh" / f"_{command.name}")

    offered = in_zsh(built, f"{command.name} -") | in_zsh(built, f"{command.name} --")

    assert names_of(command) <= offered


@pytest.mark.packaging
def test_zsh_offers_the_values_of_a_flag(built: Path) -> None:
    expect_tools("zsh")

    assert in_zsh(built, "tablesnap --log-format ") == {"text", "json"}
    assert in_zsh(built, "tableslurp --from-objects=") == {"newer", "all"}


@pytest.mark.packaging
def test_signs_that_mean_something_to_a_shell_are_text_in_what_it_says_of_a_flag(tmp_path: Path) -> None:
    expect_tools("fish", "zsh")
    text = 'it\'s [so]:\\or $(not) `at` "all"'
    odd = Command(
        "odd", (), (), (Flag(("--odd",), "", 0, (), None, False, text), Flag(("-x",), "", 0, (), None, False, "x"))
    )
    for path, body in (("completion/fish/odd.fish", fish(odd)), ("completion/zsh/_odd", zsh(odd))):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(body)

    file = tmp_path / "completion" / "fish" / "odd.fish"
    said_by_fish = output("fish", "--no-config", "-c", "source $argv[1]; complete -C 'odd --o'", file)
    said_by_zsh = output("zsh", "-f", "-c", ZSH, "zsh", tmp_path / "completion" / "zsh", "odd -")

    assert said_by_fish == f"--odd\t{text}\n"
    assert text in said_by_zsh
