"""The command ``tablelist``: say what can be restored."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime

from tablesnap.cli.console.command import run_command
from tablesnap.cli.tablelist.flags import grammar_of, make_parser, parse


def main(argv: Sequence[str] | None = None) -> int:
    """Print what can be restored, and return the exit code."""
    now = datetime.now(UTC)

    def work(words: Sequence[str]) -> int:
        options = parse(words, os.environ, now)
        # Loaded only now, so that a wrong line, or one that asks for help, is answered at once.
        from tablesnap.cli.tablelist.run import list_stored

        return list_stored(options, now)

    return run_command("tablelist", argv, lambda: grammar_of(make_parser()[1]), work)
