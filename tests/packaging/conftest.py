"""The package, built once, and a Debian where it is installed."""

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.packaging.debian_root import entered, make_root
from tests.packaging.tools import expect_root, expect_tools

TREE = Path(__file__).parents[2]
# What is no part of the tree but lies in it where somebody has worked.
_LEFT_OUT = (".git", ".venv*", ".ci", ".*_cache", ".hypothesis", ".demo", "__pycache__", "build", "dist")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of the package the time that it takes to build it."""
    for item in items:
        if "package" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(1200))  # the first builds the package and installs a Debian


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The .deb, built from a copy of the tree, so that nothing is left in it."""
    expect_tools("dpkg-buildpackage", "dh")
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(TREE, folder / "tree", ignore=shutil.ignore_patterns(*_LEFT_OUT), symlinks=True)
    built = subprocess.run(
        ["dpkg-buildpackage", "-us", "-uc", "-b"], cwd=folder / "tree", capture_output=True, text=True
    )
    assert built.returncode == 0, built.stdout[-4000:] + built.stderr[-4000:]
    [found] = folder.glob("tablesnap_*.deb")
    return found


@pytest.fixture(scope="session")
def installed(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean Debian where the package is installed, to copy: what it depends on is fetched as anyone fetches it."""
    expect_root()
    expect_tools("debootstrap", "unshare", "nsenter")
    path = make_root(tmp_path_factory.mktemp("debian") / "root")
    shutil.copy(package, path / "tablesnap.deb")
    with entered(path) as root:
        root.run("apt-get", "--quiet", "update")
        root.run("apt-get", "--quiet", "--yes", "install", "--no-install-recommends", "/tablesnap.deb")
        root.run("apt-get", "clean")
    return path
