"""What docs/guide/restore.md tells an operator to type."""

import re
import shlex
from pathlib import Path
from string import Template

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "restore.md"


def commands(heading: str, program: str, **values: object) -> list[list[str]]:
    """Return the words of each command of *program* in the section of this *heading*, variables expanded."""
    lines = [line for block in blocks(heading) for line in block.splitlines() if line.startswith(f"{program} ")]
    return [
        shlex.split(Template(line).substitute({name: str(value) for name, value in values.items()})) for line in lines
    ]


def blocks(heading: str) -> list[str]:
    """Return what stands to be typed in the section of this *heading*, block by block."""
    text = GUIDE.read_text(encoding="utf-8")
    found = re.search(rf"^(##+) {re.escape(heading)}\n(.*?)(?=^##+ |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found, f"the guide has no section {heading!r}"
    return re.findall(r"```\w*\n(.*?)```", found[2], re.DOTALL)
