"""What goes wrong is said, nothing is hidden behind another reason, and no secret is shown."""

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.daemon.harness import Bucket, clean_environment, running, sstable, write_by_rename, write_sstables
from tests.defects.support import await_restore_point, restored
from tests.endpoint import S3Server

from tablesnap.cli.tablecheck import flags as tablecheck_flags
from tablesnap.cli.tablechop import flags as tablechop_flags
from tablesnap.cli.tablelist import flags as tablelist_flags
from tablesnap.cli.tableslurp import flags as tableslurp_flags
from tablesnap.cli.tablesnap import flags as daemon_flags
from tablesnap.errors import FileVanished, TablesnapError
from tablesnap.upload.pool import Pool

PROJECT = Path(__file__).parents[2]
README = PROJECT / "README.md"
MANUAL = PROJECT / "docs" / "reference" / "tablesnap.md"
GUIDES = [README, *sorted((PROJECT / "docs" / "guide").glob("*.md"))]
PARSERS = {
    "tablesnap": daemon_flags.make_parser,
    "tablelist": tablelist_flags.make_parser,
    "tableslurp": tableslurp_flags.make_parser,
    "tablecheck": tablecheck_flags.make_parser,
    "tablechop": tablechop_flags.make_parser,
}
A_STRANGER = 12345  # a user who has nothing to do with the test


def test_o07_a_defect_is_not_taken_for_a_vanished_file(caplog: pytest.LogCaptureFixture) -> None:
    """O7 of tablesnap 1.2.1: any programming error was logged as "file removed", and the file skipped."""
    failures = iter([KeyError("a defect"), OSError("another")])
    done = threading.Event()
    results: list[int | TablesnapError] = []

    def work(item: int) -> int:
        for failure in failures:
            raise failure
        return item

    def report(_: int, result: int | TablesnapError) -> None:
        results.append(result)
        done.set()

    pool = Pool(work, report, threads=1, retries=None, final=(FileVanished,))
    with caplog.at_level(logging.ERROR):
        pool.start()
        pool.add(7, urgency=0)
        assert done.wait(60)
        pool.stop()

    assert results == [7]
    assert "KeyError: 'a defect'" in caplog.text
    assert "OSError: another" in caplog.text


def test_o07_a_file_that_cannot_be_read_is_reported_missing_and_not_skipped(
    data: Path, bucket: Bucket, log: Path
) -> None:
    """O7 of tablesnap 1.2.1: whatever went wrong with a file, it was logged as removed, and skipped."""
    unreadable = data.with_name("unreadable")
    unreadable.write_bytes(b"content")
    with running(bucket, "--retries", "1", data, log=log, under=make_unreadable(unreadable)) as daemon:
        unreadable.rename(data / unreadable.name)
        write_by_rename(data / "readable", b"more content")
        daemon.wait_for_log(f"gave up on {data / unreadable.name}")

        def recorded() -> bool:
            index = bucket.newest_index(data)
            assert index is not None
            assert index.missing == (unreadable.name,)
            return restored(bucket, index) == {"readable": b"more content"}

        daemon.wait_until(recorded, "an index that names the file as missing")
        assert "let the user tablesnap runs as read it" in daemon.log

        os.chmod(data / unreadable.name, 0o644)
        daemon.send(signal.SIGHUP)
        await_restore_point(daemon, bucket, data, {"unreadable": b"content", "readable": b"more content"})


def test_o07_an_sstable_that_cannot_be_read_is_reported_and_makes_good_once_it_can_be(
    data: Path, bucket: Bucket, log: Path
) -> None:
    """O7 of tablesnap 1.2.1: whatever went wrong with a file, it was logged as removed, and skipped."""
    files = write_sstables(data, 1)
    unreadable = data / "nb-2-big-Statistics.db"
    outside = data.with_name(unreadable.name)
    outside.write_bytes(b"unreadable")
    flags = ("--retries", "1", "--index-interval", "0", "-B")
    with running(bucket, *flags, data, log=log, under=make_unreadable(outside)) as daemon:
        await_restore_point(daemon, bucket, data, files)
        second = sstable(data, 2) | {unreadable: b"unreadable"}
        outside.rename(unreadable)
        for path in second.keys() - {unreadable}:
            write_by_rename(path, second[path])
        daemon.wait_for_log(f"gave up on {unreadable}")
        daemon.wait_for_log("there is no restore point")
        assert "let the user tablesnap runs as read it" in daemon.log
        before = bucket.newest_index(data)
        assert before is not None
        assert restored(bucket, before) == files

        os.chmod(unreadable, 0o644)
        daemon.send(signal.SIGHUP)
        await_restore_point(daemon, bucket, data, files | {path.name: body for path, body in second.items()})


def make_unreadable(path: Path) -> tuple[str, ...]:
    """Take away the right to read *path*, and return the command under which that holds for root, too."""
    path.chmod(0)
    if os.geteuid() != 0:
        return ()
    os.chown(path, A_STRANGER, A_STRANGER)
    command = ("unshare", "--user", "--map-root-user")  # root of a namespace in which the stranger has no number
    if shutil.which("unshare") is None or subprocess.run([*command, "true"]).returncode:
        pytest.skip("for root every file is readable, and this machine has no user namespaces to run as less")
    return command


def test_o08_the_manual_gives_the_defaults_that_the_help_gives() -> None:
    """O8 of tablesnap 1.2.1: manual and man page named other defaults than the program had."""
    manual = MANUAL.read_text(encoding="utf-8")
    told = dict(
        re.findall(
            r"^\| (?:`-\w`, )?`(--[\w-]+) \w+` \| (?:a colon \()?`?(IN_MOVED_TO|\d+|:)`?\)? \|", manual, re.MULTILINE
        )
    )
    done = " ".join(help_text().split())

    assert told == {
        "--listen-events": "IN_MOVED_TO",
        "--keyname-separator": ":",
        "--threads": "4",
        "--max-upload-size": "5120",
        "--multipart-chunk-size": "256",
    }
    for flag in told.keys() - {"--listen-events"}:
        assert done.partition(f"{flag} ")[2].partition("(default: ")[2].startswith(told[flag]), flag
    assert "IN_MOVED_TO (the default)" in done


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_o08_every_flag_that_a_guide_gives_to_a_command_exists(page: Path) -> None:
    """O8 of tablesnap 1.2.1: README and man page had drifted from the program."""
    # Of a container's line what follows the image is ours; and what another command prints is that command's.
    text = re.sub(r"\$\([^)]*\)", "", page.read_text("utf-8").replace("\\\n", " "))
    found = 0
    for command, make in PARSERS.items():
        lines = re.findall(rf"^(?:.*[\s=/])?{command} (.*)$", text, re.MULTILINE)
        lines += re.findall("^DAEMON_OPTS=(.*)$", text, re.MULTILINE) if command == "tablesnap" else []
        flags = {flag for line in lines for flag in re.findall(r"(?<![^\s\"])--?[a-zA-Z][\w-]*", line)}
        known = {name for action in make()[1] for name in action.option_strings}
        short = {f"-{letter}" for flag in flags if re.fullmatch("-[a-zA-Z]+", flag) for letter in flag[1:]}
        assert {flag for flag in flags if flag.startswith("--")} | short <= known, command
        found += len(flags)

    assert found


def help_text() -> str:
    """Return what --help prints."""
    command = [sys.executable, "-m", "tablesnap", "--help"]
    environment = clean_environment()
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def test_o10_the_secret_on_the_command_line_is_not_in_the_process_list(
    data: Path, log: Path, moto_endpoint: S3Server
) -> None:
    """O10 of tablesnap 1.2.1: the secret key stood in the process list for every user of the machine."""
    secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    moto_endpoint.make_bucket("o10")
    bucket = Bucket.on(moto_endpoint, "o10")
    given = Bucket(bucket.url, ("-k", "AKIAEXAMPLE", "-s", secret, *bucket.arguments))
    with running(given, data, log=log, forked=False) as daemon:
        write_by_rename(data / "file", b"content")
        await_restore_point(daemon, bucket, data, {"file": b"content"})
        shown = Path(f"/proc/{daemon.process.pid}/cmdline").read_bytes().decode()

        assert "AKIAEXAMPLE" in shown
        assert secret not in shown
        assert secret not in daemon.log


@pytest.mark.parametrize("name", ["tablesnap.service", "tablesnap@.service", "tablesnap.default"])
def test_o10_the_package_gives_no_secret_on_the_command_line(name: str) -> None:
    """O10 of tablesnap 1.2.1: packaged, it had the keys on its command line."""
    assert not re.search(r"\s(-s|--aws-secret)\b", (PROJECT / "debian" / name).read_text())


@pytest.mark.parametrize("name", ["tablesnap.service", "tablesnap@.service"])
def test_o10_the_units_run_as_a_user_of_their_own(name: str) -> None:
    """O10 of tablesnap 1.2.1: packaged, it ran as root."""
    assert re.findall(r"^User=(.*)$", (PROJECT / "debian" / name).read_text(), re.MULTILINE) == ["tablesnap"]
