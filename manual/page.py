"""A manual page, made from the reference of a command and from its parser.

The reference, which is Markdown, gives all the prose and what is said of each flag; the parser how a flag is spelt,
the usage and the examples. A flag that only one of the two knows is an error, and so is anything in the Markdown that
this cannot render.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from manual.commands import COMMANDS, Command, Flag
from manual.roff import BOLD, ITALIC, control, literal, prose, spelling

# The names that manual pages have for what the references call otherwise.
_HEADINGS = {"FLAGS": "OPTIONS", "EXIT CODES": "EXIT STATUS"}
_FLAG = re.compile(r"(?<![\w-])--?[a-zA-Z][a-z0-9-]*")
_SHELL_WORD = r"(?:'[^']*'|[^\s'])+"
_SHELL_UNIT = re.compile(f"-{_SHELL_WORD} (?!-){_SHELL_WORD}|{_SHELL_WORD}")  # a flag stays with its value
_WIDTH = 69  # of a block, on a terminal of 80 columns
_GUIDES = ("guide/operations.md", "guide/restore.md")


class Unrenderable(Exception):
    """The reference has what the page cannot say, or says other than the parser."""


def page(command: Command, reference: str, date: str) -> str:
    """Return the page of *command* in roff."""
    title, usage, *rest = SyntaxTreeNode(MarkdownIt().enable("table").parse(reference)).children
    name, _, brief = _plain(title).partition(": ")
    if name != command.name or not brief:
        raise Unrenderable(f"the reference of {command.name} must begin with '# {command.name}: what it is for'")
    if tuple(usage.content.splitlines()) != command.usage:
        raise Unrenderable(f"the usage of {command.name} is in its parser {command.usage}, and not in its reference")
    body = list(_Body(command).lines(rest))
    lines = [
        f'.TH {name.upper()} 1 "{date}" "tablesnap" "Manual of tablesnap"',
        ".nh",  # a name that is hyphenated cannot be searched for
        ".ad l",
        ".SH NAME",
        f"{literal(name)} \\- {prose(brief)}",
        ".SH SYNOPSIS",
        *_synopsis(command),
        ".SH DESCRIPTION",
        *body,
        *_examples(command),
        *_see_also(command),
    ]
    # A heading begins a paragraph by itself.
    return re.sub(r"(?m)^(\.S[HS] .*)\n\.PP$", r"\1", "\n".join(lines) + "\n")


def _synopsis(command: Command) -> Iterator[str]:
    for number, line in enumerate(command.usage):
        if number:
            yield ".br"
        yield control(" ".join(_usage_word(word) for word in line.split(" ")))


def _usage_word(word: str) -> str:
    match = re.fullmatch(r"(\[?)([\w-]+)(.*)", word)
    if match is None:
        return prose(word)
    font = ITALIC if match[2].isupper() or match[2] == "flags" else BOLD
    return prose(match[1]) + font.format(literal(match[2])) + prose(match[3])


def _examples(command: Command) -> Iterator[str]:
    yield ".SH EXAMPLES"
    for line, text in command.examples:
        yield from (".PP", f"{control(prose(_sentence(text).removesuffix('.')))}:", *_block(_folded(line)))


def _folded(line: str) -> str:
    """Fold a command line that is too wide, where a shell goes on."""
    whole = " ".join(line.replace("\\\n", "").split())
    if len(whole) <= _WIDTH:
        return whole
    rows = [""]
    for unit in _SHELL_UNIT.findall(whole):
        if len(rows[-1]) + len(unit) + len(" \\") > _WIDTH:
            rows.append("    ")
        rows[-1] += f"{unit} "
    return "\\\n".join(rows).rstrip()


def _see_also(command: Command) -> Iterator[str]:
    others = (other.name for other in COMMANDS if other is not command)
    yield ".SH SEE ALSO"
    yield ",\n".join(f"{BOLD.format(other)}(1)" for other in others)
    yield ".PP"
    guides = " and ".join(BOLD.format(literal(guide)) for guide in _GUIDES)
    yield f"The guides {guides}, like other files that are named here, are in the directory {BOLD.format('docs')}"
    yield f"of the source, and in {BOLD.format('/usr/share/doc/tablesnap')} where the Debian package is installed."


def _block(text: str) -> Iterator[str]:
    yield from (".PP", ".RS 4", ".nf")
    yield from (control(literal(line)) for line in text.rstrip("\n").split("\n"))
    yield from (".fi", ".RE")


@dataclass(frozen=True)
class _Body:
    """What follows the usage in a reference."""

    command: Command

    def lines(self, nodes: Sequence[SyntaxTreeNode]) -> Iterator[str]:
        told: list[Flag] = []
        for node in nodes:
            match node.type:
                case "heading":
                    title = _plain(node)
                    yield f".SS {prose(title)}" if node.tag == "h3" else f".SH {prose(_section(title))}"
                case "paragraph":
                    yield from (".PP", control(_inline(node)))
                case "code_block" | "fence":
                    yield from _block(node.content)
                case "table":
                    yield from self._table(node, told)
                case other:
                    raise Unrenderable(
                        f"the reference of {self.command.name} has a {other}, which no page can have yet"
                    )
        expected = [flag for flag in self.command.flags if flag not in told]
        if expected or len(told) > len(self.command.flags):
            raise Unrenderable(f"the reference of {self.command.name} does not name once: {expected or told}")

    def _table(self, table: SyntaxTreeNode, told: list[Flag]) -> Iterator[str]:
        head, *rows = [row.children for part in table.children for row in part.children]
        titles = [_plain(cell) for cell in head]
        for term, *cells in rows:
            if titles[0] == "flag":
                flags = self._flags(_plain(term))
                told += flags
                tags = [spelling(flag.names, flag.spelt) for flag in flags]
            else:
                tags = [_inline(term)]
            yield ".TP"
            yield control(tags[0])
            for tag in tags[1:]:
                yield from (".TQ", control(tag))
            yield control(_said(titles[1:], [_inline(cell) for cell in cells]))

    def _flags(self, term: str) -> list[Flag]:
        names = set(_FLAG.findall(term))
        flags = [flag for flag in self.command.flags if names & set(flag.names)]
        if names != {name for flag in flags for name in flag.names}:
            raise Unrenderable(f"in the reference of {self.command.name}, {term} is not as in its parser")
        return flags


def _said(titles: Sequence[str], cells: Sequence[str]) -> str:
    """Make sentences of the cells of a row: the last is the text, one before it a value that its title names."""
    *values, text = cells
    named = [_sentence(f"{title}: {value}") for title, value in zip(titles, values, strict=False) if value]
    return " ".join([_sentence(text), *(each for each in named if each not in ("Default: off.", "Default: none."))])


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", ":")) else f"{text}."


def _section(title: str) -> str:
    return _HEADINGS.get(title.upper(), title.upper())


def _plain(node: SyntaxTreeNode) -> str:
    return "".join(each.content for each in node.walk() if each.type in ("text", "code_inline"))


def _inline(node: SyntaxTreeNode) -> str:
    """Render what is inside a paragraph or a cell."""
    match node.type:
        case "text":
            return prose(node.content)
        case "code_inline":
            # What is typed stays on one line.
            return BOLD.format(literal(node.content).replace(" ", "\\ "))
        case "softbreak":
            return " "
        case "em":
            return ITALIC.format("".join(map(_inline, node.children)))
        case "strong":
            return BOLD.format("".join(map(_inline, node.children)))
        case "link":
            return _link("".join(map(_inline, node.children)), PurePosixPath(str(node.attrs["href"])))
        case "paragraph" | "inline" | "td" | "th":
            return "".join(map(_inline, node.children))
        case other:
            raise Unrenderable(f"no page can have a {other} yet")


def _link(text: str, path: PurePosixPath) -> str:
    if path.stem in {command.name for command in COMMANDS}:
        return f"{BOLD.format(path.stem)}(1)"
    return f"{text} ({BOLD.format(literal(str(path).removeprefix('../')))})"
