"""A process whose libraries have threads ends without taking the interpreter down under them."""

import subprocess
import sys

import pytest

THREAD = "threading.Thread(target=threading.Event().wait, daemon=True).start()"


@pytest.mark.parametrize(("before", "expected"), [(THREAD, "done\n"), ("pass", "done\ntaken down\n")])
def test_it_ends_with_its_code_and_all_that_it_printed(before: str, expected: str) -> None:
    program = (
        "import atexit, sys, threading; from tablesnap.cli.console.ending import end; "
        f"atexit.register(print, 'taken down'); {before}; print('done'); sys.exit(end(7))"
    )

    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert (found.returncode, found.stdout) == (7, expected)
