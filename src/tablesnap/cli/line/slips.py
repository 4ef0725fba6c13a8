"""Slips of the hand that the words of a command line show: what is said of them names the slip."""

import os
from collections.abc import Sequence

from tablesnap.cli.line.confidential import USERINFO
from tablesnap.cli.line.moments import is_moment_in_words
from tablesnap.errors import UsageError
from tablesnap.store.address import Address, parse_address


def expect_words(words: Sequence[str], names: Sequence[str], *, least: int | None = None) -> None:
    """Refuse too few *words*, and too many, for what is called so; the last may be left out down to the *least*."""
    given, needed = len(words), len(names) if least is None else least
    wanted = f"give {_and(names[:needed])}" + "".join(f", and {name} if you like" for name in names[needed:])
    if given < needed:
        missing = names[given:needed]
        if given and names_only_a_path(words[0]):
            missing = [names[0], *names[given + 1 : needed]]
        raise UsageError(f"{wanted}: {_and(missing)} {'are' if len(missing) > 1 else 'is'} missing; see --help")
    if given > len(names):
        extra = [repr(word) for word in words[len(names) :]]
        how = "is one word" if len(extra) == 1 else f"are {len(extra)} words"
        raise UsageError(f"{wanted}: {_and(extra)} {how} too many; quote a value that has spaces in it, or see --help")


def expect_quoted(at: str | None, words: Sequence[str]) -> None:
    """Refuse the moment of ``--at`` that the shell has cut into *words*, as in ``--at 2h ago``."""
    for count in (1, 2) if at is not None else ():
        for start in range(len(words) - count + 1):
            text = " ".join((at or "", *words[start : start + count]))
            if is_moment_in_words(text):
                raise UsageError(f"the moment is cut into words; put it in quotes: --at '{text}'")


def bucket_of(words: Sequence[str], second: str) -> Address:
    """Understand BUCKET, the first of *words*; the *second* is a path, and goes first where the two were swapped."""
    first = words[0]
    if USERINFO.search(first):
        raise UsageError(
            "BUCKET has a user or a password in it, which others may see; give the bucket's name, and keys in the "
            "environment or a credentials file"
        )
    if not names_only_a_path(first):
        return parse_address(first)
    if len(words) > 1 and not names_only_a_path(words[1]):
        raise UsageError(f"BUCKET and {second} are swapped; BUCKET comes first: {words[1]} {first}")
    as_store = f"file://{os.path.abspath(first)}"
    raise UsageError(f"BUCKET is missing before {first!r}; write my-bucket {first}, or {as_store} if that is the store")


def names_only_a_path(word: str) -> bool:
    """Say whether *word* can be meant as a path only: no bucket's name begins so."""
    return word.startswith(("/", "./", "../"))


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
