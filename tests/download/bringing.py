"""What tests of downloads share: objects, what is fetched of them, and what then stands in a directory."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from tablesnap.download.line import Patience
from tablesnap.download.one import Failure, Fetch
from tablesnap.download.pool import fetch_all
from tablesnap.download.temporary import is_temporary
from tablesnap.store.port import Content, Store

AT_ONCE = Patience(first_seconds=0.0)
MIB = 1 << 20


class Count:
    """A progress that adds up."""

    def __init__(self, on_advance: Callable[[], None] = lambda: None) -> None:
        self.files = 0
        self.size = 0
        self._lock = threading.Lock()
        self._on_advance = on_advance

    def advance(self, files: int, size: int) -> None:
        with self._lock:
            self.files += files
            self.size += size
        self._on_advance()


def stored(store: Store, key: str, data: bytes, target: Path | str, **wanted: object) -> Fetch:
    """Store *data*, and return how an index would have it fetched."""
    content = Content.of(data)
    store.create(key, content)
    return replace(Fetch(key, str(target), len(data), content.checksum), **wanted)  # type: ignore[arg-type] # a test's own words


def bring(
    store: Store,
    *groups: Sequence[Fetch],
    threads: int = 4,
    progress: Count | None = None,
    stop: threading.Event | None = None,
    patience: Patience = AT_ONCE,
) -> list[Failure]:
    """Fetch the groups; at once again where something fails."""
    return fetch_all(
        store,
        groups,
        threads=threads,
        progress=progress or Count(),
        stop=stop or threading.Event(),
        patience=patience,
    )


def python_environment() -> dict[str, str]:
    """Return an environment in which another Python finds what this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in [os.getcwd(), *sys.path] if path)}


def run_python(program: str, *arguments: str, before: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run a *program* in a process of its own, which the command *before* starts, if there is one."""
    command = [*before, sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=python_environment())


def run_module(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a *module* of the tests in a process of its own."""
    return run_python(
        "import runpy, sys; sys.argv[0:1] = []; runpy.run_module(sys.argv[0], run_name='__main__')", module, *arguments
    )


def whys(failures: Iterable[Failure]) -> dict[str, str]:
    """Return why each target was not brought."""
    return {failure.fetch.target: failure.why for failure in failures}


def standing(directory: Path) -> dict[str, bytes]:
    """Return what every file below *directory* holds that has its final name, by its path there."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and not is_temporary(path.name)
    }


def leftovers(directory: Path) -> list[Path]:
    """Return the temporary files below *directory*."""
    return [path for path in directory.rglob("*") if is_temporary(path.name)]
