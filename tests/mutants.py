"""Changes a module of ours in many small ways, and tells which of these no test of it notices.

    python -m tests.mutants                  all modules, one after the other
    python -m tests.mutants rules/view.py

docs/design/mutants.md says of each that is left why nobody can see it.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
WORK = ROOT / ".mutants"
# What is to notice a change of the module: its own tests, as a change is tried hundreds of times.
TESTS = {
    "rules/txnlog.py": ["tests/rules/test_txnlog.py"],
    "rules/view.py": ["tests/rules/test_view.py", "tests/rules/test_view_model.py"],
    "rules/purging.py": ["tests/rules/test_purging.py"],
    "purge/planning.py": ["tests/purge"],
    "purge/purging.py": ["tests/purge"],
    "purge/objects.py": ["tests/purge"],
    "store/s3_listing.py": ["tests/store/test_s3_listing.py"],
}
SURVIVED = re.compile(r"^ *(\S+): (survived|no tests|timeout|suspicious)$", re.MULTILINE)


def main(modules: list[str]) -> int:
    left = {module: survivors(module) for module in modules or TESTS}
    for module, changes in left.items():
        sys.stdout.write("\n\n".join([f"{module}: {len(changes)} changes that no test notices", *changes, ""]))
    return 0


def survivors(module: str) -> list[str]:
    """Try all changes of a *module* in a copy of its own, and return those that went unnoticed, as diffs."""
    copy = WORK / module.replace("/", "_").removesuffix(".py")
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    for name in ("src", "tests", "pyproject.toml", "README.md"):
        (copy / name).symlink_to(ROOT / name)
    (copy / "setup.cfg").write_text(settings(module))
    mutmut = [sys.executable, "-m", "mutmut"]
    with (copy / "log").open("wb") as log:
        subprocess.run([*mutmut, "run", "--max-children", "1"], cwd=copy, env=environment(), stdout=log, check=True)
    told = subprocess.run([*mutmut, "results"], cwd=copy, env=environment(), capture_output=True, text=True, check=True)
    return [shown([*mutmut, "show", name], copy, why) for name, why in SURVIVED.findall(told.stdout)]


def settings(module: str) -> str:
    tests = "".join(f"\n    {one}" for one in TESTS[module])
    return (
        f"[mutmut]\nsource_paths=src\nonly_mutate=src/tablesnap/{module}\nalso_copy=tests\n"
        f"pytest_add_cli_args=-x\n    --hypothesis-profile=quick\npytest_add_cli_args_test_selection={tests}\n"
    )


def environment() -> dict[str, str]:
    # The same steps for each change, and the tests' own interpreter of what they write down.
    return {**os.environ, "TABLESNAP_SEED": "1"}


def shown(command: list[str], copy: Path, why: str) -> str:
    told = subprocess.run(command, cwd=copy, env=environment(), capture_output=True, text=True, check=True)
    return f"{command[-1]} ({why})\n" + told.stdout.partition("\n@@")[2].rstrip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
