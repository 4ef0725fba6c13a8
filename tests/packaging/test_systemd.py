"""The units, rated by systemd and run by it: process 1 of a Debian 12 in which the package is installed."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.endpoint import S3Server
from tests.packaging.booted import BootedDebian, booted
from tests.packaging.debian_root import entered
from tests.packaging.tools import expect_tools
from tests.waiting import wait_until

UNITS = Path(__file__).parents[2] / "debian"
MOST_EXPOSED = 2.0
WORKING_LINE = "-r -a -B -n node1 file:///srv/backup /srv/data"
# A store that is a directory is the one thing the daemon may write to; the rest is so that a test need not wait.
DROP_IN = "[Service]\nReadWritePaths=/srv/backup\nRestartSec=100ms\nWatchdogSec=2s\n"

pytestmark = pytest.mark.packaging


@pytest.fixture(scope="module")
def machine(package: Path, installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BootedDebian]:
    """A Debian that runs, with the package installed."""
    changes = tmp_path_factory.mktemp("booted")
    with entered(installed, changes) as root:
        root.run("apt-get", "--quiet", "--yes", "install", "--no-install-recommends", "systemd-sysv")
        for unit in ("tablesnap", "tablesnap@"):
            folder = root.path / f"etc/systemd/system/{unit}.service.d"
            folder.mkdir(parents=True)
            (folder / "test.conf").write_text(DROP_IN)
    with booted(installed, changes) as one:
        yield one


@pytest.fixture
def system(machine: BootedDebian) -> Iterator[BootedDebian]:
    """That Debian with an empty log, a directory to back up, and one to store it in."""
    machine.sh("mkdir /srv/data /srv/backup && chown tablesnap: /srv/backup")
    machine.sh("journalctl --quiet --sync --rotate --vacuum-time=1us")
    yield machine
    machine.sh("systemctl stop 'tablesnap*'; systemctl reset-failed; rm -rf /srv/data /srv/backup")
    machine.sh("printf 'RUN=no\nDAEMON_OPTS=\n' > /etc/default/tablesnap")


def configure(system: BootedDebian, line: str, *, run: str = "yes", instance: str = "") -> None:
    defaults = system.path / f"etc/default/tablesnap{instance}"
    defaults.write_text(f'RUN={run}\nDAEMON_OPTS="{line}"\n')


def write_file(system: BootedDebian, name: str) -> Callable[[], bool]:
    """Finish a file, and return what says whether it is backed up."""
    system.sh(f"echo content > /srv/data/{name}.part && mv /srv/data/{name}.part /srv/data/{name}")
    return (system.path / f"srv/backup/node1:/srv/data/{name}-listdir.json").exists


def exposure(unit: Path) -> float:
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(unit)], capture_output=True, text=True
    )
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", said.stdout)
    assert found, said.stdout + said.stderr
    return float(found[1])


@pytest.mark.parametrize("name", ["tablesnap.service", "tablesnap@.service"])
def test_systemd_rates_the_units_as_little_exposed(name: str) -> None:
    expect_tools("systemd-analyze")

    assert exposure(UNITS / name) < MOST_EXPOSED


def test_an_instance_differs_in_its_name_and_its_files_alone() -> None:
    one = (UNITS / "tablesnap.service").read_text()

    instance = one.replace("as they appear", "as they appear (%i)")
    for path in ("/etc/default/tablesnap", "/etc/tablesnap/credentials"):
        instance = instance.replace(path, f"{path}-%i")

    assert (UNITS / "tablesnap@.service").read_text() == instance


def test_systemd_finds_nothing_to_say_of_the_units(system: BootedDebian) -> None:
    said = system.sh(
        "cd /lib/systemd/system && systemd-analyze verify --man=no tablesnap.service tablesnap@one.service"
    )

    assert said == ""


def test_nothing_is_started_until_it_is_configured_and_that_is_no_failure(system: BootedDebian) -> None:
    system.sh("systemctl start tablesnap")

    assert system.show("tablesnap", "ActiveState", "Result", "NRestarts") == ["inactive", "exec-condition", "0"]
    assert "set RUN=yes in /etc/default/tablesnap" in system.sh("journalctl --unit=tablesnap")
    assert system.sh("systemctl is-enabled tablesnap") == "enabled"


def test_it_is_started_once_it_watches_and_stopped_when_all_is_stored(system: BootedDebian) -> None:
    configure(system, WORKING_LINE)

    system.sh("systemctl start tablesnap")
    assert system.show("tablesnap", "ActiveState") == ["active"]
    wait_until(write_file(system, "one"), "a backup")
    wait_until(lambda: "nothing waits" in system.show("tablesnap", "StatusText")[0], "the status")
    system.sh("systemctl reload tablesnap")
    wait_until(lambda: "that was asked for" in system.sh("journalctl --identifier=tablesnap"), "another look")
    system.sh("systemctl stop tablesnap")

    assert system.show("tablesnap", "ActiveState", "Result", "ExecMainStatus") == ["inactive", "success", "0"]
    assert system.show("tablesnap", "User") == ["tablesnap"]
    assert system.sh("stat --format=%U '/srv/backup/node1:/srv/data/one'") == "tablesnap"


# Process 1 says why: of what stands still, its own watchdog; of what was killed, the signal.
@pytest.mark.parametrize(("signal", "why"), [("KILL", "status=9/KILL"), ("STOP", "Watchdog timeout")])
def test_dead_or_hung_it_is_started_again_and_makes_good_what_it_missed(
    system: BootedDebian, signal: str, why: str
) -> None:
    configure(system, WORKING_LINE)
    system.sh("systemctl start tablesnap")

    system.sh(f"systemctl kill --signal={signal} tablesnap")
    missed = write_file(system, "missed")

    wait_until(missed, "what came meanwhile")
    wait_until(lambda: system.show("tablesnap", "ActiveState", "NRestarts") == ["active", "1"], "its start")
    assert why in system.sh("journalctl --unit=tablesnap")


def test_a_wrong_line_is_not_tried_again(system: BootedDebian) -> None:
    configure(system, "--no-such-flag")

    system.sh("systemctl start tablesnap", check=False)

    wait_until(lambda: system.show("tablesnap", "ActiveState") == ["failed"], "the failure")
    assert system.show("tablesnap", "ExecMainStatus", "NRestarts") == ["2", "0"]
    assert "no-such-flag" in system.sh("journalctl --unit=tablesnap")


def test_a_line_of_1_x_with_its_keys_still_works_and_shows_no_secret(
    system: BootedDebian, moto_endpoint: S3Server
) -> None:
    moto_endpoint.make_bucket("backups")
    keys = f"-k {moto_endpoint.access_key} -s a-long-secret --aws-region us-east-1"
    configure(system, f"{keys} --endpoint-url {moto_endpoint.endpoint_url} -n node1 backups /srv/data")

    system.sh("systemctl start tablesnap")
    write_file(system, "one")

    # The check's probe, the file and the index.
    wait_until(lambda: moto_endpoint.client().list_objects_v2(Bucket="backups")["KeyCount"] == 3, "a backup")
    assert "tablesnap" in system.sh("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert "a-long-secret" not in system.sh("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert "a-long-secret" not in system.sh("systemctl status tablesnap; journalctl --unit=tablesnap")


def test_an_instance_has_a_file_of_its_own(system: BootedDebian) -> None:
    configure(system, "-n node1 file:///srv/backup /srv/data", instance="-second")

    system.sh("systemctl start tablesnap@second")

    wait_until(write_file(system, "one"), "a backup")
    assert system.show("tablesnap@second", "ActiveState") == ["active"]
    assert system.show("tablesnap", "ActiveState") == ["inactive"]


def test_the_journal_has_fields_to_search_by(system: BootedDebian) -> None:
    configure(system, WORKING_LINE)
    system.sh("systemctl start tablesnap")

    wait_until(write_file(system, "one"), "a backup")
    found = system.sh("journalctl --output=json TABLESNAP_TEMPLATE='stored %s (%s)'")

    entry = json.loads(found)
    assert entry["MESSAGE"] == "INFO stored /srv/data/one (8 B)"
    assert (entry["PRIORITY"], entry["SYSLOG_FACILITY"], entry["SYSLOG_IDENTIFIER"]) == ("6", "3", "tablesnap")
    assert entry["_SYSTEMD_UNIT"] == "tablesnap.service"
