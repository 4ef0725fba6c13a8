"""A command that is forked does what one does that is a process from its start."""

from pathlib import Path

from tests.catalog.stored import Past
from tests.cli.process import ended
from tests.cli.test_tablelist import NOW, USERS


def test_what_is_said_and_the_exit_code_are_the_same(tmp_path: Path) -> None:
    Past.in_directory(tmp_path / "bucket").table(USERS, [1, 2], NOW)

    for words in ([f"file://{tmp_path}/bucket"], ["--help"], ["--no-such-flag"], [f"file://{tmp_path}/none"]):
        forked = ended("tablelist", *words, COLUMNS="90")
        own = ended("tablelist", *words, COLUMNS="90", PYTHONNOUSERSITE="1")

        assert (forked.stdout, forked.stderr, forked.returncode) == (own.stdout, own.stderr, own.returncode)
        assert forked.stdout or forked.stderr
