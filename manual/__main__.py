"""Write everything below a directory: ``PYTHONPATH=src python3 -m manual build``. One tree gives the same bytes."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from manual.commands import COMMANDS, Command
from manual.completion import bash, fish, zsh
from manual.page import page

REFERENCES = Path(__file__).parents[1] / "docs" / "reference"


def main(argv: list[str]) -> int:
    """Write the pages and the completion below the directory that *argv* names."""
    if len(argv) != 1:
        print("usage: python3 -m manual DIRECTORY", file=sys.stderr)
        return 2
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    date = datetime.fromtimestamp(int(epoch), UTC).date().isoformat() if epoch else ""
    for command in COMMANDS:
        for path, text in files_of(command, date).items():
            target = Path(argv[0]) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    return 0


def files_of(command: Command, date: str) -> dict[str, str]:
    """Return what is written for *command*, by its path."""
    reference = (REFERENCES / f"{command.name}.md").read_text(encoding="utf-8")
    return {
        f"manual/{command.name}.1": page(command, reference, date),
        f"completion/bash/{command.name}": bash(command),
        f"completion/zsh/_{command.name}": zsh(command),
        f"completion/fish/{command.name}.fish": fish(command),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
