"""Which word of a command line is a flag, which its value, and which stands for itself.

argparse converts the values and prints the help, but it cannot tell these apart as an operator means them: its
``-e PATTERN...`` swallows BUCKET and PATH, and so would an optional value. So the words are sorted here first.
"""

import argparse
import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tablesnap.errors import UsageError


@dataclass(frozen=True)
class Value:
    """A word, or the part of one, that is not a flag's name; and where it stands, so that it can be hidden."""

    text: str
    argument: int  # which argument of the command line, from 0
    offset: int = 0  # where in that argument, in characters


@dataclass(frozen=True)
class Given:
    """A flag with its values, or (*action* is None) one word that stands for itself."""

    action: argparse.Action | None
    values: tuple[Value, ...]
    spelt: str = ""  # the flag as the operator wrote it


@dataclass(frozen=True)
class Unknown:
    """What begins like a flag and is none."""

    spelt: str
    why: str


class Grammar:
    """The flags of one command.

    A flag takes no value, one, several (``nargs="+"``: all words up to the next flag) or an optional one
    (``nargs="?"``: the next word, if it has that flag's *shape*). A long name may be cut short as far as it is clear
    among the *abbreviable*: those of the predecessor, so that a new name never makes an old line ambiguous.
    """

    def __init__(
        self, actions: Iterable[argparse.Action], *, abbreviable: Collection[str], shapes: Mapping[str, re.Pattern[str]]
    ) -> None:
        self._named = {name: action for action in actions for name in action.option_strings}
        self._abbreviable = abbreviable
        self._shapes = shapes

    def scan(self, arguments: Sequence[str]) -> Iterator[Given | Unknown]:
        """Yield what the words are, in their order. Nothing is raised: a secret must be found on a wrong line too."""
        at = 0
        while at < len(arguments):
            word = arguments[at]
            at += 1
            if word == "--":
                yield from (Given(None, (Value(text, i),)) for i, text in enumerate(arguments) if i >= at)
                return
            if not _is_flag(word):
                yield Given(None, (Value(word, at - 1),))
                continue
            for found in self._flags_in(word, at - 1):
                count = self._values_after(found, arguments[at:])
                values = tuple(Value(arguments[i], i) for i in range(at, at + count))
                yield Given(found.action, values, found.spelt) if isinstance(found, Given) and values else found
                at += count

    def _flags_in(self, word: str, argument: int) -> Iterator[Given | Unknown]:
        """Yield the one long flag, or all short ones, in a word, with the value that is in the word too."""
        if word.startswith("--"):
            yield self._long(word, argument)
            return
        for at, letter in enumerate(word[1:], start=1):
            action, spelt = self._named.get(f"-{letter}"), f"-{letter}"
            if action is None:
                yield Unknown(spelt, "is no flag of ours" + (f" (in {word})" if len(word) > 2 else ""))
                return
            if action.nargs == 0:
                yield Given(action, (), spelt)
                continue
            start = at + 2 if at == 1 and word[2:3] == "=" else at + 1
            yield Given(action, (Value(word[start:], argument, start),) if word[at + 1 :] else (), spelt)
            return

    def _long(self, word: str, argument: int) -> Given | Unknown:
        name, equals, text = word.partition("=")
        matches = [name] if name in self._named else [full for full in self._abbreviable if full.startswith(name)]
        if len(matches) > 1:
            return Unknown(name, f"could be {' or '.join(sorted(matches))}; write it out")
        if not matches:
            close = difflib.get_close_matches(name, self._named, n=1)
            return Unknown(name, f"is no flag of ours; try {close[0]}" if close else "is no flag of ours")
        action = self._named[matches[0]]
        return Given(action, (Value(text, argument, len(name) + 1),) if equals else (), name)

    def _values_after(self, found: Given | Unknown, rest: Sequence[str]) -> int:
        """How many of the words that follow a flag are its values."""
        if isinstance(found, Unknown) or found.action is None or found.values or found.action.nargs == 0:
            return 0
        free = next((i for i, word in enumerate(rest) if _is_flag(word)), len(rest))
        if found.action.nargs == "+":
            return free
        if found.action.nargs == "?":
            return int(free > 0 and self._shapes[found.action.dest].fullmatch(rest[0]) is not None)
        return min(free, 1)


def _is_flag(word: str) -> bool:
    """Say whether a word begins like a flag. A dash alone and a negative number do not, as in argparse."""
    return word.startswith("-") and word != "-" and re.fullmatch(r"-\d+|-\d*\.\d+", word) is None


def sort_out(scanned: Iterable[Given | Unknown]) -> tuple[list[str], list[str]]:
    """Part a scanned line into flags, each with its value attached, for argparse to convert, and the other words.

    Raises `UsageError` for a flag that is unknown or lacks its value.
    """
    normal: list[str] = []
    words: list[str] = []
    for found in map(expect_sound, scanned):
        texts = tuple(value.text for value in found.values)
        if found.action is None:
            words += texts
        else:
            normal.append("=".join((found.action.option_strings[-1], *texts)))
    return normal, words


def expect_sound(found: Given | Unknown) -> Given:
    """Return a flag that is known and has the values it needs; raise `UsageError` otherwise."""
    if isinstance(found, Unknown):
        raise UsageError(f"{found.spelt} {found.why}; see --help")
    if found.action is None:
        return found
    wanted = found.action.nargs
    if wanted == 0 and found.values:
        raise UsageError(f"{found.spelt} takes no value; leave out ={found.values[0].text}")
    if wanted not in (0, "?") and not found.values:
        raise UsageError(
            f"{found.spelt} needs a value after it; one that begins with a dash is written {found.spelt}=-x"
        )
    return found
