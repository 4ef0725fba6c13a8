"""The command ``tableslurp``: restore directories as they were at a moment."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime

from tablesnap.cli.console.command import run_command
from tablesnap.cli.tableslurp.flags import grammar_of, make_parser, parse


def main(argv: Sequence[str] | None = None) -> int:
    """Restore what was asked for, and return the exit code."""
    now = datetime.now(UTC)

    def work(words: Sequence[str]) -> int:
        options = parse(words, os.environ, now)
        # Loaded only now, so that a wrong line, or one that asks for help, is answered at once.
        from tablesnap.cli.tableslurp.run import slurp

        return slurp(options)

    return run_command("tableslurp", argv, lambda: grammar_of(make_parser()[1]), work)
