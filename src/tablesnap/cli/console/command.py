"""What a command of one run does around its work: hide secrets, say what went wrong, return the code for it."""

import os
import sys
from collections.abc import Callable, Sequence

from tablesnap.cli.console.ending import end
from tablesnap.cli.console.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE
from tablesnap.cli.line.confidential import without_secrets
from tablesnap.cli.line.flags import SECRETS
from tablesnap.cli.line.printable import printable
from tablesnap.cli.line.secrets import hide_own
from tablesnap.cli.line.words import Grammar
from tablesnap.errors import TablesnapError, UsageError


def run_command(
    name: str, argv: Sequence[str] | None, grammar: Callable[[], Grammar], work: Callable[[Sequence[str]], int]
) -> int:
    """Do the *work* of the command *name* with its arguments (None: this process's own), and return the exit code."""
    code = _code_of(name, argv, grammar, work)
    return end(code) if argv is None else code


def _code_of(
    name: str, argv: Sequence[str] | None, grammar: Callable[[], Grammar], work: Callable[[Sequence[str]], int]
) -> int:
    visible = hide_own(grammar(), dests=SECRETS) if argv is None else None
    if visible is not None:
        say(name, str(visible))
    try:
        code = work(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return code
    except UsageError as error:
        say(name, str(error))
        return EXIT_USAGE
    except TablesnapError as error:
        say(name, str(error))
        return EXIT_FAILED
    except BrokenPipeError:
        silence_stdout()  # who read it has seen enough
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def say(name: str, text: str) -> None:
    """Write a line to standard error; no name in it can forge another line, and no secret is in it."""
    print(f"{name}: {printable(without_secrets(text))}", file=sys.stderr)


def silence_stdout() -> None:
    """Have the interpreter not complain at its end that it cannot flush."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
