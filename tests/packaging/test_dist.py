"""The wheel and the source archive: what is in them, and that they install everywhere."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from email.parser import Parser
from pathlib import Path

import pytest
from tests.packaging.tools import expect_tools
from tests.s3_servers import skip_or_fail

from tablesnap import __version__

ROOT = Path(__file__).parents[2]
COMMANDS = ("tablecheck", "tablechop", "tablelist", "tableslurp", "tablesnap")
OLDEST, NEWEST = 11, 30  # minor versions of Python 3 that are looked for
# A package that is not declared, or a file that was left out, shows when everything is loaded.
LOAD_ALL = """
import importlib, pkgutil, tablesnap
for module in pkgutil.walk_packages(tablesnap.__path__, "tablesnap."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(tablesnap.__file__)
"""


def run(*command: object, **more: str) -> str:
    """Run a command to its end, away from the source tree, and return what it printed."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=environ | more, cwd="/")
    assert done.returncode == 0, f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def build(source: Path, directory: Path, *targets: str) -> Mapping[str, Path]:
    """Build *targets* of the tree *source* with the locked backend; return what was built, by its ending."""
    words = [word for target in targets for word in ("-t", target)]
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(directory), *words]
    subprocess.run(command, check=True, capture_output=True, cwd=source)
    return {path.suffix: path for path in directory.iterdir()}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return build(ROOT, tmp_path_factory.mktemp("dist"), "sdist", "wheel")


def test_the_wheel_has_the_package_with_its_data_and_nothing_else(dist: Mapping[str, Path]) -> None:
    with zipfile.ZipFile(dist[".whl"]) as wheel:
        names = set(wheel.namelist())

    tracked = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*") if path.is_file()}
    sources = {name for name in tracked if "__pycache__" not in name}
    assert {"tablesnap/cli/tablelist/report/report.css", "tablesnap/py.typed"} <= names
    assert {name for name in names if ".dist-info/" not in name} == sources


def test_the_metadata_say_what_it_is_and_what_it_needs(dist: Mapping[str, Path]) -> None:
    with zipfile.ZipFile(dist[".whl"]) as wheel:
        [folder] = {name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
        metadata = Parser().parsestr(wheel.read(f"{folder}/METADATA").decode())
        scripts = wheel.read(f"{folder}/entry_points.txt").decode()
        licence = wheel.read(f"{folder}/licenses/LICENSE")

    assert (metadata["Name"], metadata["Version"]) == ("tablesnap", __version__)
    assert (metadata["License-Expression"], licence) == ("BSD-2-Clause", (ROOT / "LICENSE").read_bytes())
    assert metadata["Requires-Python"] == f">=3.{OLDEST}"
    assert {line.partition(" = ")[0] for line in scripts.splitlines() if " = " in line} == set(COMMANDS)


def test_the_source_archive_builds_the_same_bytes_elsewhere(dist: Mapping[str, Path], tmp_path: Path) -> None:
    with tarfile.open(dist[".gz"]) as archive:
        archive.extractall(tmp_path, filter="data")
    [tree] = tmp_path.iterdir()
    for path in tree.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(path.stat().st_mode & 0o700)

    built = build(tree, tmp_path / "dist", "sdist", "wheel")

    assert built.keys() == dist.keys()
    for ending, path in built.items():
        assert path.name == dist[ending].name
        assert path.read_bytes() == dist[ending].read_bytes()


def pythons() -> list[str]:
    """Return an interpreter for each minor version there is: those on PATH, then pyenv's."""
    installed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found: dict[str, str] = {}
    for minor in range(OLDEST, NEWEST):
        version = f"3.{minor}"
        on_path = shutil.which(f"python{version}")
        for candidate in [
            *([on_path] if on_path else []),
            *sorted(map(str, installed.glob(f"{version}.*/bin/python"))),
        ]:
            # A shim of pyenv stands on PATH for versions that are not switched on: it must run to count.
            if subprocess.run([candidate, "-c", "import venv"], capture_output=True).returncode == 0:
                found.setdefault(version, candidate)
    return list(found.values())


@pytest.fixture
def constraints(tmp_path: Path) -> Path:
    """The versions of the lock, for what is built and what is run, so that one commit gets one answer."""
    lock = (ROOT / "requirements-dev.txt").read_text()
    path = tmp_path / "constraints.txt"
    path.write_text("\n".join(re.findall(r"^[A-Za-z0-9_.-]+==[^\s\\]+", lock, re.MULTILINE)))
    return path


def expect_works(bin_directory: Path, python: Path) -> None:
    """Expect the five commands in *bin_directory*, and a *python* beside them that loads all of the package."""
    for command in COMMANDS:
        assert run(bin_directory / command, "--version") == f"{command} {__version__}\n"
        assert run(bin_directory / command, "--help").startswith(f"usage: {command} ")
    assert run(python, "-m", "tablesnap", "--version") == f"tablesnap {__version__}\n"
    assert str(ROOT) not in run(python, "-c", LOAD_ALL)


@pytest.mark.packaging
@pytest.mark.parametrize("ending", [".whl", ".gz"])
@pytest.mark.parametrize("python", pythons())
def test_pip_installs_it_in_a_fresh_environment(
    python: str, ending: str, dist: Mapping[str, Path], constraints: Path, tmp_path: Path
) -> None:
    venv = tmp_path / "venv"
    run(python, "-m", "venv", venv)
    pip = (venv / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--quiet")

    # In the environment, and not as a flag, for then it holds for what a source archive is built with, too.
    run(*pip, "install", dist[ending], PIP_CONSTRAINT=str(constraints))

    run(*pip, "check")
    expect_works(venv / "bin", venv / "bin" / "python")


@pytest.mark.packaging
@pytest.mark.parametrize("python", pythons())
def test_pipx_installs_it(python: str, dist: Mapping[str, Path], constraints: Path, tmp_path: Path) -> None:
    expect_tools("pipx")
    places = {"PIPX_HOME": str(tmp_path / "home"), "PIPX_BIN_DIR": str(tmp_path / "bin")}

    run("pipx", "install", "--python", python, dist[".whl"], PIP_CONSTRAINT=str(constraints), **places)

    assert sorted(path.name for path in (tmp_path / "bin").iterdir()) == list(COMMANDS)
    expect_works(tmp_path / "bin", tmp_path / "home" / "venvs" / "tablesnap" / "bin" / "python")


@pytest.mark.packaging
def test_there_is_a_python_to_install_it_for() -> None:
    if not pythons():
        skip_or_fail(f"no Python 3.{OLDEST} or later was found on PATH, nor pyenv's")
