"""The commands of docs/guide/restore.md, as an operator types them."""

import re
import shlex
from pathlib import Path
from string import Template

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "restore.md"


def commands(heading: str, program: str, **values: object) -> list[list[str]]:
    """Return the words of each command of *program* in the section of this *heading*, variables expanded."""
    text = GUIDE.read_text(encoding="utf-8")
    _, _, rest = text.partition(f"\n## {heading}\n")
    assert rest, f"the guide has no section {heading!r}"
    section = rest.partition("\n## ")[0]
    blocks = re.findall(r"```\w*\n(.*?)```", section, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith(f"{program} ")]
    return [
        shlex.split(Template(line).substitute({name: str(value) for name, value in values.items()})) for line in lines
    ]
