"""Secrets given on the command line, and how to keep them out of the process list."""

import ctypes
import os
import sys
from collections.abc import Collection, Iterable, Sequence

from tablesnap.cli.line.confidential import USERINFO
from tablesnap.cli.line.words import Given, Grammar, Value
from tablesnap.errors import TablesnapError


class SecretVisible(TablesnapError):
    """A secret that was given on the command line could not be hidden."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the secret key stays readable in the process list, because {why}; "
            "give it in AWS_SECRET_ACCESS_KEY or in a credentials file"
        )


def secrets_in(arguments: Sequence[str], grammar: Grammar, *, dests: Collection[str]) -> list[Value]:
    """Find the secrets, however they are spelt, and on a line that is otherwise wrong too.

    They are the values of the secret flags, and the user and password in any address.
    """
    flags = [
        value
        for found in grammar.scan(arguments)
        if isinstance(found, Given) and found.action is not None and found.action.dest in dests
        for value in found.values
        if value.text
    ]
    addresses = [
        Value(match[0], place, match.start())
        for place, word in enumerate(arguments)
        for match in USERINFO.finditer(word)
    ]
    return flags + addresses


def hide_own(grammar: Grammar, *, dests: Collection[str]) -> SecretVisible | None:
    """Hide the secrets of this process's own command line, or return why it cannot be done."""
    try:
        hide(secrets_in(sys.argv[1:], grammar, dests=dests))
    except SecretVisible as error:
        return error
    return None


def hide(secrets: Iterable[Value]) -> None:
    """Write over *secrets* where the kernel reads this process's command line; raise `SecretVisible` if it cannot be.

    They are those of ``sys.argv[1:]``. `/proc/PID/cmdline` is what ps reads, and its text is the process's own memory.
    """
    wanted = list(secrets)
    if not wanted:
        return
    start, length = _region()
    raw = ctypes.string_at(start, length).removesuffix(b"\0").split(b"\0")
    arguments = [os.fsencode(argument) for argument in sys.argv[1:]]
    # Nothing is written unless all is where it is expected: what lies beside it is the environment.
    if raw[len(raw) - len(arguments) :] != arguments:
        raise SecretVisible("the process's arguments are not where the kernel says")
    begins = [start]
    for argument in raw:
        begins.append(begins[-1] + len(argument) + 1)
    for secret in wanted:
        index = len(raw) - len(arguments) + secret.argument
        before = len(os.fsencode(sys.argv[1 + secret.argument][: secret.offset]))
        ctypes.memset(begins[index] + before, ord("x"), len(os.fsencode(secret.text)))


def _region() -> tuple[int, int]:
    try:
        with open("/proc/self/stat", "rb") as file:
            # The name in parentheses may itself hold spaces and parentheses; after the last one the third field begins.
            fields = file.read().rpartition(b")")[2].split()
        start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end: fields 48 and 49 of proc(5)
    except (OSError, ValueError, IndexError) as error:
        raise SecretVisible(f"/proc/self/stat does not say where it is ({error})") from error
    if not 0 < start < end:
        raise SecretVisible("/proc/self/stat does not say where it is")
    return start, end - start
