"""The package, built once, and a Debian to install it in."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.packaging.debian_root import DebianRoot, make_root
from tests.packaging.tools import expect_root, expect_tools

TREE = Path(__file__).parents[2]
# What is no part of the tree but lies in it where somebody has worked.
_LEFT_OUT = (".git", ".venv*", ".ci", ".*_cache", ".hypothesis", ".demo", "__pycache__", "build", "dist")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have one worker run the tests of the package, under ``--dist=loadgroup``: it is built once for all of them."""
    for item in items:
        if {"package", "debian"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group("debian package"))
            item.add_marker(pytest.mark.timeout(900))  # the first builds the package and installs a Debian


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The .deb of this tree."""
    expect_tools("dpkg-buildpackage", "dh")
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(TREE, folder / "tree", ignore=shutil.ignore_patterns(*_LEFT_OUT), symlinks=True)
    built = subprocess.run(
        ["dpkg-buildpackage", "-us", "-uc", "-b"], cwd=folder / "tree", capture_output=True, text=True
    )
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    [found] = folder.glob("tablesnap_*.deb")
    return found


@pytest.fixture(scope="session")
def clean_debian(tmp_path_factory: pytest.TempPathFactory) -> DebianRoot:
    """A Debian 12 with systemd and the package's dependencies; made once, and not to be changed."""
    expect_root()
    expect_tools("debootstrap", "unshare")
    root = tmp_path_factory.mktemp("debian") / "clean"
    return make_root(root, include=("adduser", "python3", "systemd", "systemd-sysv"))


@pytest.fixture
def debian(clean_debian: DebianRoot, tmp_path: Path) -> Iterator[DebianRoot]:
    """A Debian 12 of this test's own."""
    own = clean_debian.copy(tmp_path / "debian")
    yield own
    own.remove()
