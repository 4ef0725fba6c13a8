"""The daemon's lines in the file of a real syslog-ng, by the filter that the guide gives."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cli.process import CONSOLE_SCRIPT, environment
from tests.packaging.tools import expect_root, expect_tools
from tests.waiting import wait_until

pytestmark = pytest.mark.packaging

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "operations.md"
DEBIAN_CONFIGURATION = Path("/etc/syslog-ng/syslog-ng.conf")
LOG_FILE = "/var/log/tablesnap.log"  # of the guide

# A /dev of the process's own, with little in it but the socket, so that the machine's is left as it was. A link, as
# systemd makes it: the socket is another file each time that syslog-ng is started.
_WITH_DEV_LOG = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
cp -a /dev/null /dev/random /dev/urandom "$1"
ln -s "$2" "$1/log"
mount --bind "$1" /dev
shift 2
exec "$@"
"""


class SyslogNg:
    """A syslog-ng that listens on *socket*, with the stanza of the guide."""

    def __init__(self, home: Path) -> None:
        self.socket = home / "log"
        self.tablesnap_lines = home / "tablesnap.log"
        self._everything = home / "everything.log"
        self._home = home
        (home / "syslog-ng.conf").write_text(
            f'''@version: 3.38
source s_src {{ unix-dgram("{self.socket}"); }};
destination d_everything {{ file("{self._everything}" template("$FACILITY $PROGRAM $MSG\\n")); }};
log {{ source(s_src); destination(d_everything); }};
{stanza().replace(LOG_FILE, str(self.tablesnap_lines))}''',
            encoding="utf-8",
        )

    def start(self) -> None:
        """Have it listen."""
        command = ["syslog-ng", "--foreground", "--no-caps", f"--cfgfile={self._home}/syslog-ng.conf"]
        own = [f"--persist-file={self._home}/persist", f"--control={self._home}/control", f"--pidfile={self._home}/pid"]
        self._process = subprocess.Popen([*command, *own])
        wait_until(self.socket.is_socket, "the socket of syslog-ng")

    def stop(self) -> None:
        """End it, and its socket with it."""
        self._process.terminate()
        self._process.wait()
        self.socket.unlink(missing_ok=True)

    def has(self, line: str) -> bool:
        """Say whether *line* came through the filter."""
        return self.tablesnap_lines.exists() and line in self.tablesnap_lines.read_text(encoding="utf-8")

    def everything(self) -> str:
        """Return all that came: facility, program and message of each line."""
        return self._everything.read_text(encoding="utf-8")


def stanza() -> str:
    """Return what the guide has an operator add to the configuration of syslog-ng."""
    section = GUIDE.read_text(encoding="utf-8").partition("\n## Syslog\n")[2].partition("\n## ")[0]
    [found] = re.findall(r"```\n(.*?)```", section, re.DOTALL)
    assert LOG_FILE in found
    return str(found)


@pytest.fixture
def syslog(tmp_path: Path) -> Iterator[SyslogNg]:
    expect_root()
    expect_tools("syslog-ng", "unshare", "logger")
    home = tmp_path / "syslog"
    home.mkdir()
    one = SyslogNg(home)
    one.start()
    yield one
    one.stop()


@contextmanager
def daemon(syslog: SyslogNg, tmp_path: Path) -> Iterator[Path]:
    """Run a daemon with the socket of *syslog* as its /dev/log, and give what it writes to standard error."""
    for name in ("dev", "data", "bucket"):
        (tmp_path / name).mkdir()
    namespace = ["unshare", "--mount", "sh", "-c", _WITH_DEV_LOG, "sh", str(tmp_path / "dev"), str(syslog.socket)]
    command = [sys.executable, "-c", CONSOLE_SCRIPT, "-n", "node", (tmp_path / "bucket").as_uri()]
    said = tmp_path / "standard-error"
    with (
        said.open("wb") as stderr,
        subprocess.Popen(
            [*namespace, *command, str(tmp_path / "data")],
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            env=environment(TABLESNAP_SYSLOG="1"),
        ) as process,
    ):
        try:
            yield said
            process.terminate()
            assert process.wait() == 0
        finally:
            process.kill()


def put(directory: Path, name: str) -> str:
    """Have a file appear in *directory*, and return what the daemon says once it is stored."""
    (directory / f"{name}-unfinished").write_bytes(b"content")
    (directory / f"{name}-unfinished").rename(directory / name)
    return f"INFO stored {directory / name} ("


def test_the_filter_of_the_guide_finds_the_lines_of_the_daemon_and_no_others(syslog: SyslogNg, tmp_path: Path) -> None:
    speak = ["logger", "--socket", str(syslog.socket), "--priority", "daemon.info", "--tag", "another"]
    subprocess.run([*speak, "of another program"], check=True)
    with daemon(syslog, tmp_path) as said:
        wait_until(lambda: syslog.has("INFO watching "), "the daemon to watch")
        stored = put(tmp_path / "data", "file")
        wait_until(lambda: syslog.has(stored), stored)
    wait_until(lambda: syslog.has("INFO stopped; nothing is pending"), "its last line")

    assert "daemon another of another program" in syslog.everything()
    assert not syslog.has("of another program")
    assert f"daemon tablesnap {stored}" in syslog.everything()
    assert said.read_text(encoding="utf-8") == ""


def test_lines_go_to_standard_error_while_syslog_is_away_and_to_it_again_once_it_is_back(
    syslog: SyslogNg, tmp_path: Path
) -> None:
    with daemon(syslog, tmp_path) as said:
        wait_until(lambda: syslog.has("INFO watching "), "the daemon to watch")
        syslog.stop()
        meanwhile = put(tmp_path / "data", "meanwhile")
        wait_until(lambda: meanwhile in said.read_text(encoding="utf-8"), meanwhile)
        syslog.start()
        afterwards = put(tmp_path / "data", "afterwards")
        wait_until(lambda: syslog.has(afterwards), afterwards)

    assert not syslog.has(meanwhile)
    assert afterwards not in said.read_text(encoding="utf-8")


def test_the_stanza_calls_the_source_as_debian_does() -> None:
    expect_tools("syslog-ng")

    [source] = re.findall(r"source\((\w+)\)", stanza())

    assert f"source {source} {{" in DEBIAN_CONFIGURATION.read_text(encoding="utf-8")
