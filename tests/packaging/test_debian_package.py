"""The Debian package: built here, installed in a clean Debian 12, started by its own init script."""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.packaging.debian_root import DebianRoot, entered
from tests.packaging.tools import expect_tools
from tests.waiting import wait_until

pytestmark = pytest.mark.packaging

COMMANDS = ["tablecheck", "tablechop", "tablelist", "tableslurp", "tablesnap"]
INIT = "/etc/init.d/tablesnap"
DEFAULTS = "/etc/default/tablesnap"
OPTIONS = "-r -a -B file:///srv/store /srv/data"


@pytest.fixture
def root(installed: Path, tmp_path: Path) -> Iterator[DebianRoot]:
    """Enter a fresh root where the package is installed and a directory waits to be backed up."""
    with entered(installed, tmp_path / "changes") as root:
        root.shell("mkdir /srv/store /srv/data && chown tablesnap /srv/store && echo rows >/srv/data/a-Data.db")
        yield root


def configure(root: DebianRoot, *, run: str = "yes", options: str = OPTIONS) -> None:
    root.shell(f"sed -i 's|^RUN=.*|RUN={run}|; s|^DAEMON_OPTS=.*|DAEMON_OPTS=\"{options}\"|' {DEFAULTS}")


def status(root: DebianRoot) -> int:
    return root.run(INIT, "status", check=False).returncode


def stored(root: DebianRoot, name: str) -> Callable[[], bool]:
    return lambda: any((root.path / "srv/store").glob(f"*:/srv/data/{name}-listdir.json"))


def pid_of(root: DebianRoot) -> str:
    return root.run("cat", "/run/tablesnap.pid").stdout.strip()


def test_lintian_finds_nothing_that_is_not_justified(package: Path) -> None:
    expect_tools("lintian")

    finished = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", str(package)], capture_output=True, text=True
    )

    assert (finished.returncode, finished.stdout) == (0, "")


def test_the_package_does_not_know_where_it_was_built(package: Path, tmp_path: Path) -> None:
    subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(tmp_path / "package")], check=True)

    place = str(package.parent).encode()

    assert [path for path in (tmp_path / "package").rglob("*") if path.is_file() and place in path.read_bytes()] == []


def test_all_five_commands_run(root: DebianRoot) -> None:
    versions = [root.run(command, "--version").stdout.split()[0] for command in COMMANDS]
    helps = [root.run(command, "--help").stdout for command in COMMANDS]

    assert versions == COMMANDS
    assert [text.split()[:2] for text in helps] == [["usage:", command] for command in COMMANDS]


def test_no_module_is_compiled_again_when_root_runs_a_command(root: DebianRoot) -> None:
    environment = root.path / "usr/lib/tablesnap"
    before = sorted(environment.rglob("*"))

    root.run("tablelist", "file:///srv/store", check=False)

    assert sorted(environment.rglob("*")) == before


def test_what_another_program_needs_of_python_does_not_hurt(root: DebianRoot) -> None:
    root.shell("mkdir /tmp/other && echo 'raise SystemExit(9)' | tee /tmp/other/botocore.py >/tmp/other/logging.py")

    root.shell("PYTHONPATH=/tmp/other PYTHONHOME=/tmp/other tablesnap --help")


def test_only_root_reads_the_credentials(root: DebianRoot) -> None:
    assert (
        root.run("stat", "-c", "%U %a", "/etc/tablesnap", "/etc/tablesnap/credentials").stdout == "root 750\nroot 600\n"
    )


def test_a_start_is_refused_politely_until_it_is_configured(root: DebianRoot) -> None:
    refused = root.run(INIT, "start")

    assert "RUN is not yes in /etc/default/tablesnap" in refused.stdout
    assert status(root) == 3


def test_a_wrong_word_is_wrong_usage(root: DebianRoot) -> None:
    assert root.run(INIT, "strat", check=False).returncode == 2


def test_it_backs_up_and_stops(root: DebianRoot) -> None:
    configure(root)

    root.run(INIT, "start")
    assert status(root) == 0
    assert "running already" in root.run(INIT, "start").stdout
    wait_until(stored(root, "a-Data.db"), "the file that was there")
    root.shell("echo more >/srv/b-Data.db && mv /srv/b-Data.db /srv/data/")
    wait_until(stored(root, "b-Data.db"), "the file that came")
    root.run(INIT, "stop")
    assert status(root) == 3
    root.run(INIT, "stop")

    root.shell(
        "tableslurp -n $(hostname) file:///srv/store /srv/data /srv/back && cmp /srv/data/a-Data.db /srv/back/a-Data.db"
    )


def test_it_runs_as_a_user_of_its_own_with_what_it_needs(root: DebianRoot) -> None:
    configure(root)
    root.shell("echo \"AWS_SECRET_ACCESS_KEY='a b+c/d'\" >>/etc/tablesnap/credentials")

    root.run(INIT, "start")

    process = f"/proc/{pid_of(root)}"
    assert root.run("stat", "-c", "%U", process).stdout == "tablesnap\n"
    environment = root.run("cat", f"{process}/environ").stdout.split("\0")
    assert "AWS_SECRET_ACCESS_KEY=a b+c/d" in environment
    assert "TABLESNAP_SYSLOG=1" in environment
    limits = root.run("cat", f"{process}/limits").stdout
    assert re.search(r"^Max open files\s+(\d+)\s+\1\s", limits, flags=re.MULTILINE)


def test_lines_of_1_x_still_work_and_show_no_secret(root: DebianRoot) -> None:
    root.shell(f"""cat >{DEFAULTS} <<'END'
# Uncomment to log to syslog
export TABLESNAP_SYSLOG=True
RUN=yes
DAEMON_OPTS="-k AKIDOLD -s verysecret -r -B --endpoint-url http://127.0.0.1:9 --aws-region us-east-1 bucket /srv/data"
END""")

    root.run(INIT, "start")

    assert status(root) == 0
    line = root.run("cat", f"/proc/{pid_of(root)}/cmdline").stdout.split("\0")
    assert "AKIDOLD" in line
    assert "verysecret" not in "".join(line)
    assert "verysecret" not in root.run("cat", "/var/log/tablesnap-init.log").stdout


def test_a_pattern_is_given_as_it_is_written(root: DebianRoot) -> None:
    configure(root, options="-r -B -e [.]tmp* -- file:///srv/store /srv/data")

    root.shell(f"cd /srv/data && touch .tmp && {INIT} start")

    assert "[.]tmp*" in root.run("cat", f"/proc/{pid_of(root)}/cmdline").stdout.split("\0")


def test_a_daemon_that_dies_at_once_is_a_start_that_failed(root: DebianRoot) -> None:
    configure(root, options="--no-such-flag")

    failed = root.run(INIT, "start", check=False)

    assert failed.returncode == 1
    assert "--no-such-flag" in failed.stdout
    assert status(root) == 3


def test_a_killed_daemon_is_dead_and_starts_again(root: DebianRoot) -> None:
    configure(root)
    root.run(INIT, "start")

    root.shell(f"kill -KILL {pid_of(root)}")

    wait_until(lambda: status(root) == 1, "the status to say that it is dead")
    root.run(INIT, "start")
    assert status(root) == 0


def test_a_process_that_has_the_number_of_a_dead_daemon_is_left_alone(root: DebianRoot) -> None:
    other = "--start --background --make-pidfile --pidfile /run/tablesnap.pid --chuid tablesnap --exec /bin/sleep"
    root.shell(f"start-stop-daemon {other} -- infinity")
    pid = pid_of(root)

    assert status(root) == 1
    root.run(INIT, "stop")

    assert root.shell(f"kill -0 {pid}", check=False).returncode == 0


def test_a_restart_is_another_process_and_a_reload_the_same(root: DebianRoot) -> None:
    configure(root)
    root.run(INIT, "start")
    first = pid_of(root)

    root.run(INIT, "reload")
    reloaded = pid_of(root)
    root.run(INIT, "restart")
    restarted = pid_of(root)
    root.run(INIT, "force-reload")

    assert reloaded == first
    assert len({first, restarted, pid_of(root)}) == 3
    assert status(root) == 0


def test_reloading_what_does_not_run_fails(root: DebianRoot) -> None:
    assert root.run(INIT, "reload", check=False).returncode == 7


def test_an_upgrade_keeps_what_was_configured_and_the_daemon_running(root: DebianRoot) -> None:
    configure(root)
    root.shell("echo '# mine' >>/etc/tablesnap/credentials")
    root.run(INIT, "start")
    old = pid_of(root)
    kept = root.run("cat", DEFAULTS, "/etc/tablesnap/credentials").stdout

    root.shell("""
        dpkg-deb --raw-extract /tablesnap.deb /newer
        sed -i 's/^Version: .*/&+newer/' /newer/DEBIAN/control
        dpkg-deb --build -Znone /newer /newer.deb
        apt-get --quiet --yes install /newer.deb
    """)

    assert root.run("dpkg-query", "--show", "--showformat=${Version}", "tablesnap").stdout.endswith("+newer")
    assert root.run("cat", DEFAULTS, "/etc/tablesnap/credentials").stdout == kept
    assert root.run("stat", "-c", "%a", "/etc/tablesnap/credentials").stdout == "600\n"
    assert status(root) == 0
    assert pid_of(root) != old


def test_removal_stops_the_daemon_and_keeps_the_configuration(root: DebianRoot) -> None:
    configure(root)
    root.run(INIT, "start")
    pid = pid_of(root)

    root.run("apt-get", "--quiet", "--yes", "remove", "tablesnap")

    assert root.shell(f"kill -0 {pid}", check=False).returncode != 0
    assert not (root.path / "usr/lib/tablesnap").exists()
    assert "RUN=yes" in root.run("cat", DEFAULTS).stdout
    # What is left of the script without the program says nothing and harms nothing.
    assert root.run("/bin/sh", INIT, "start").stdout == ""


def test_a_purge_leaves_the_backup_and_its_owner_alone(root: DebianRoot) -> None:
    configure(root)
    root.shell("echo secret >/etc/tablesnap/credentials-other; echo RUN=yes >/etc/default/tablesnap-other")
    root.run(INIT, "start")
    wait_until(stored(root, "a-Data.db"), "the backup")

    root.run("apt-get", "--quiet", "--yes", "purge", "tablesnap")

    left = root.shell("find /etc /usr/lib /run /var/log -name '*tablesnap*'").stdout.splitlines()
    assert left == []
    assert stored(root, "a-Data.db")()
    assert root.run("stat", "-c", "%U", "/srv/store").stdout == "tablesnap\n"


def test_it_can_be_installed_again_after_a_purge(root: DebianRoot) -> None:
    root.run("apt-get", "--quiet", "--yes", "purge", "tablesnap")

    root.run("apt-get", "--quiet", "--yes", "install", "/tablesnap.deb")

    configure(root)
    root.run(INIT, "start")
    assert status(root) == 0


def test_the_user_may_read_what_cassandra_writes_if_cassandra_was_there_first(root: DebianRoot) -> None:
    root.run("apt-get", "--quiet", "--yes", "purge", "tablesnap")
    root.run("addgroup", "--system", "--quiet", "cassandra")

    root.run("apt-get", "--quiet", "--yes", "install", "/tablesnap.deb")

    assert "cassandra" in root.run("id", "-Gn", "tablesnap").stdout.split()
