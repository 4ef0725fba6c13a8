"""What the files of the Debian package promise, as far as no tool of Debian is needed to see it."""

import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

import tablesnap

TREE = Path(__file__).parents[2]
DEBIAN = TREE / "debian"
DEFAULTS = DEBIAN / "tablesnap.default"


def debian_version(version: str) -> str:
    """Spell one of Python's versions so that Debian sorts it alike: what comes before a release has a tilde."""
    return re.sub(r"\.?(dev|a|b|rc)(?=\d)", r"~\1", version)


def test_the_package_has_the_version_of_the_project() -> None:
    first = (DEBIAN / "changelog").read_text().splitlines()[0]

    match = re.fullmatch(r"tablesnap \((.+)-\d+\) \w+; urgency=\w+", first)

    assert match is not None, first
    assert match[1] == debian_version(tablesnap.__version__)


@pytest.mark.parametrize(
    ("python", "debian"),
    [("2.0.0.dev0", "2.0.0~dev0"), ("2.1.0rc1", "2.1.0~rc1"), ("2.0.0", "2.0.0"), ("2.0.0b2", "2.0.0~b2")],
)
def test_a_version_before_a_release_sorts_before_it(python: str, debian: str) -> None:
    assert debian_version(python) == debian


def test_the_licence_of_every_library_in_the_package_is_named() -> None:
    locked = re.findall(r"^([\w.-]+)==", (TREE / "requirements.txt").read_text(), flags=re.MULTILINE)

    named = re.findall(r"site-packages/(\S+)", (DEBIAN / "copyright").read_text())

    modules = [name.replace("-", "_") for name in locked]
    assert [module for module in modules if not any(fnmatch(module, glob) for glob in named)] == []


def test_a_file_of_defaults_reads_the_same_to_sh_and_to_systemd() -> None:
    lines = [line for line in DEFAULTS.read_text().splitlines() if line and not line.startswith("#")]

    assert [line for line in lines if not re.fullmatch(r'[A-Z_]+=(\w*|"[^"$`\\]*")', line)] == []


def test_nothing_starts_until_it_is_configured() -> None:
    script = f'. "{DEFAULTS}"; printf "%s,%s" "$RUN" "$DAEMON_OPTS"'

    assert subprocess.check_output(["sh", "-c", script], text=True) == "no,"
