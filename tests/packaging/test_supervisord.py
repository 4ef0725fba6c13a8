"""The stanza for supervisord, under a real one."""

import os
import pwd
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.daemon.harness import NODE, Bucket, clean_environment, wait_until, write_by_rename
from tests.packaging.tools import expect_tools

from tablesnap.daemon.service import FINISH_SECONDS, RECORD_SECONDS

ROOT = Path(__file__).parents[2]
STANZA = ROOT / "packaging" / "supervisord.conf"
SUPERVISORD = """\
[unix_http_server]
file={here}/supervisor.sock
[supervisord]
logfile={here}/supervisord.log
pidfile={here}/supervisord.pid
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{here}/supervisor.sock
[include]
files={here}/tablesnap.conf
"""


class Supervised:
    """A supervisord that has our stanza, but for what differs from machine to machine."""

    def __init__(self, here: Path, **settings: str) -> None:
        self._here = here
        stanza = STANZA.read_text(encoding="utf-8")
        for name, value in (settings | {"user": _own_name(), "stderr_logfile": f"{here}/daemon.log"}).items():
            stanza, changed = re.subn(rf"^{name}=.*$", f"{name}={value}", stanza, flags=re.MULTILINE)
            assert changed == 1, f"the stanza has no {name}"
        (here / "tablesnap.conf").write_text(stanza)
        (here / "supervisord.conf").write_text(SUPERVISORD.format(here=here))

    @property
    def log(self) -> str:
        """What supervisord has said."""
        return (self._here / "supervisord.log").read_text()

    @property
    def daemon_log(self) -> str:
        """What the daemon has said."""
        return (self._here / "daemon.log").read_text()

    def control(self, *words: str) -> str:
        """Ask supervisord, as an operator does, and return the answer."""
        done = subprocess.run(
            ["supervisorctl", "-c", str(self._here / "supervisord.conf"), *words], capture_output=True, text=True
        )
        return done.stdout + done.stderr

    def wait_for_state(self, state: str) -> None:
        """Wait until the daemon is in this *state* of supervisord's."""
        wait_until(lambda: f" {state} " in self.control("status", "tablesnap"), state)

    @contextmanager
    def running(self) -> Iterator["Supervised"]:
        """Run supervisord while the block lasts."""
        command = ["supervisord", "--nodaemon", "--configuration", str(self._here / "supervisord.conf")]
        environment = clean_environment() | {"PYTHONPATH": str(ROOT / "src")}
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, cwd="/") as supervisord:
            try:
                yield self
            except BaseException as error:
                error.add_note(f"supervisord's log:\n{self.log}\nthe daemon's log:\n{self.daemon_log}")
                raise
            finally:
                supervisord.terminate()  # it stops the daemon first


def _own_name() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def _command(*words: str | Path) -> str:
    return shlex.join([sys.executable, "-m", "tablesnap", *map(str, words)])


@pytest.mark.packaging
def test_the_daemon_is_started_again_when_it_is_killed_and_ends_well_when_it_is_stopped(tmp_path: Path) -> None:
    expect_tools("supervisord", "supervisorctl")
    watched, bucket = tmp_path / "watched", Bucket.in_directory(tmp_path / "bucket")
    watched.mkdir()
    command = _command("-r", "-a", "-B", "-n", NODE, bucket.url, watched)

    with Supervised(tmp_path, command=command).running() as supervised:
        write_by_rename(watched / "one", b"before")
        wait_until(lambda: bucket.data().get(f"{NODE}:{watched}/one"), "the first file in the bucket")
        supervised.wait_for_state("RUNNING")
        os.kill(int(supervised.control("pid", "tablesnap")), 9)
        write_by_rename(watched / "two", b"after")
        wait_until(lambda: bucket.data().get(f"{NODE}:{watched}/two"), "the second file in the bucket")
        wait_until(lambda: bucket.newest_index(watched), "an index")
        stopped = supervised.control("stop", "tablesnap")

    assert "tablesnap: stopped" in stopped
    assert "exited: tablesnap (terminated by SIGKILL; not expected)" in supervised.log
    assert "stopped: tablesnap (exit status 0)" in supervised.log
    assert bucket.data() == {f"{NODE}:{watched}/one": b"before", f"{NODE}:{watched}/two": b"after"}


@pytest.mark.packaging
def test_wrong_usage_is_not_tried_for_ever(tmp_path: Path) -> None:
    expect_tools("supervisord", "supervisorctl")

    # Fewer than the stanza's, as each waits a second longer than the one before.
    with Supervised(tmp_path, command=_command("--nonsense"), startretries="1").running() as supervised:
        supervised.wait_for_state("FATAL")

    assert supervised.daemon_log == "tablesnap: --nonsense is no flag of ours; see --help\n" * 2


def test_the_stanza_waits_longer_than_the_daemon_takes_to_end() -> None:
    stanza = STANZA.read_text(encoding="utf-8")

    [seconds] = re.findall(r"^stopwaitsecs=(\d+)$", stanza, re.MULTILINE)
    assert int(seconds) > FINISH_SECONDS + RECORD_SECONDS


def test_the_guide_quotes_the_stanza() -> None:
    guide = (ROOT / "docs" / "guide" / "supervisors.md").read_text(encoding="utf-8")

    assert f"```ini\n{STANZA.read_text(encoding='utf-8')}```\n" in guide
