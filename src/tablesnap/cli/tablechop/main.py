"""The command ``tablechop``: forget by age, and delete what nothing needs."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime

from tablesnap.cli.console.command import run_command
from tablesnap.cli.tablechop.flags import grammar_of, make_parser, parse


def main(argv: Sequence[str] | None = None) -> int:
    """Purge, or print the plan, and return the exit code."""
    now = datetime.now(UTC)

    def work(words: Sequence[str]) -> int:
        options = parse(words, os.environ)
        # Loaded only now, so that a wrong line, or one that asks for help, is answered at once.
        from tablesnap.cli.tablechop.run import chop

        return chop(options, now)

    return run_command("tablechop", argv, lambda: grammar_of(make_parser()[1]), work)
