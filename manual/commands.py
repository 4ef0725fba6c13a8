"""The five commands, and what their flags take."""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from tablesnap.cli.line import flags
from tablesnap.cli.tablecheck import flags as tablecheck_flags
from tablesnap.cli.tablechop import flags as tablechop_flags
from tablesnap.cli.tablelist import flags as tablelist_flags
from tablesnap.cli.tableslurp import flags as tableslurp_flags
from tablesnap.cli.tablesnap import flags as daemon_flags


class Kind(Enum):
    """What a shell can offer for a value."""

    FILE = auto()
    DIRECTORY = auto()
    USER = auto()
    GROUP = auto()


# Of the values that a parser takes as text, those of which the machine has a list.
KINDS: Mapping[str, Kind] = {
    "--against": Kind.DIRECTORY,
    "--ca-bundle": Kind.FILE,
    "--commitlogs": Kind.DIRECTORY,
    "--group": Kind.GROUP,
    "--owner": Kind.USER,
    "--report": Kind.FILE,
    "--textfile": Kind.FILE,
}


@dataclass(frozen=True)
class Flag:
    """A flag of a command."""

    names: tuple[str, ...]
    value: str  # how it stands in the usage, empty if the flag takes none
    takes: str | int | None  # None: one; "+": one and more; "?": one or none; 0: none
    choices: tuple[str, ...]
    kind: Kind | None
    repeatable: bool
    help: str

    @property
    def spelt(self) -> str:
        """The value as the usage has it."""
        more = {"+": f"{self.value} [{self.value} ...]", "?": f"[{self.value}]", 0: ""}
        return more[self.takes] if self.takes is not None else self.value


@dataclass(frozen=True)
class Command:
    """A command as its parser describes it."""

    name: str
    usage: tuple[str, ...]  # one line for each way to call it
    examples: tuple[tuple[str, str], ...]  # the command line, and what it does
    flags: tuple[Flag, ...]


def _command(parser: flags.Parser, actions: Sequence[argparse.Action]) -> Command:
    return Command(
        name=parser.prog,
        usage=tuple(line.strip() for line in (parser.usage or "").splitlines()),
        examples=tuple(_examples(parser.epilog or "")),
        flags=tuple(_flag(parser.prog, action) for action in actions),
    )


def _flag(prog: str, action: argparse.Action) -> Flag:
    value = action.metavar if isinstance(action.metavar, str) else ""
    choices = tuple(action.choices or (value.split("|") if "|" in value else ()))
    expanded = (action.help or "") % (vars(action) | {"prog": prog})
    return Flag(
        names=tuple(action.option_strings),
        value=value or "|".join(choices),
        takes=action.nargs if action.nargs in ("+", "?", 0) else None,
        choices=choices,
        kind=next((KINDS[name] for name in action.option_strings if name in KINDS), None),
        repeatable=type(action).__name__ in ("_AppendAction", "_ExtendAction"),
        help=expanded,
    )


def _examples(epilog: str) -> Iterator[tuple[str, str]]:
    """Take the examples out of an epilog: a command is indented by two, what it does and its own next lines by six."""
    block = epilog.partition("examples:\n")[2].partition("\n\n")[0]
    line, text = "", ""
    for row in [*block.splitlines(), ""]:
        if line.endswith("\\"):
            line += f"\n{row[2:]}"
        elif row.startswith("      "):
            text += f" {row.strip()}"
        else:
            if line:
                yield line, text.strip()
            line, text = row[2:], ""


_MAKERS: tuple[Callable[[], tuple[flags.Parser, list[argparse.Action]]], ...] = (
    tablecheck_flags.make_parser,
    tablechop_flags.make_parser,
    tablelist_flags.make_parser,
    tableslurp_flags.make_parser,
    daemon_flags.make_parser,
)
COMMANDS = tuple(_command(*make()) for make in _MAKERS)
