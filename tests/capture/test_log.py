"""A log is read to its end, whatever becomes of its name."""

import os
import socket
from pathlib import Path

import pytest

from tablesnap.capture.log import OpenLog
from tablesnap.errors import CannotRead, FileVanished
from tablesnap.rules.txnlog import Outcome, read_log

NAME = "nb_txn_flush_0a3c2f10-1111-11ee-8c99-0242ac120002.log"
ADD = b"ADD:[/var/lib/cassandra/data/ks/t-0a3c2f10111111ee8c990242ac120002/nb-3-big-,0,8][1557404253]\n"
COMMIT = b"COMMIT:[,0,0][2613697770]\n"
LONG_AGO_NS = 1_700_000_000_123_456_789


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_bytes(ADD)
    return path


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as log:
        log.write(data)


def test_what_is_appended_is_read(path: Path) -> None:
    with OpenLog.open(str(path)) as log:
        assert log.read() == ADD

        append(path, COMMIT)

        assert log.read() == ADD + COMMIT
        assert log.read() == ADD + COMMIT


def test_what_was_written_just_before_the_unlink_is_read_after_it(path: Path) -> None:
    with OpenLog.open(str(path)) as log:
        log.read()
        append(path, COMMIT)
        path.unlink()

        assert log.read() == ADD + COMMIT


def test_a_log_that_was_never_read_while_it_had_a_name_is_read(path: Path) -> None:
    with OpenLog.open(str(path)) as log:
        path.unlink()
        path.write_bytes(b"another")

        assert log.read() == ADD


def test_a_line_read_in_two_halves_is_whole(path: Path) -> None:
    with OpenLog.open(str(path)) as log:
        append(path, COMMIT[:9])
        torn = read_log(NAME, [log.read()])
        append(path, COMMIT[9:])
        whole = read_log(NAME, [log.read()])

    assert (torn.outcome, whole.outcome) == (Outcome.OPEN, Outcome.COMMITTED)
    assert torn.added == whole.added


def test_a_log_of_a_great_compaction_is_read_whole(path: Path) -> None:
    append(path, ADD * 5_000)

    with OpenLog.open(str(path)) as log:
        assert log.read() == ADD * 5_001


def test_the_moment_of_the_last_write_is_known_after_the_unlink(path: Path) -> None:
    with OpenLog.open(str(path)) as log:
        append(path, COMMIT)
        os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
        path.unlink()

        assert log.written_ns == LONG_AGO_NS


def test_an_append_moves_the_moment_of_the_last_write(path: Path) -> None:
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))

    with OpenLog.open(str(path)) as log:
        append(path, COMMIT)

        assert log.written_ns > LONG_AGO_NS


def test_a_log_that_is_gone_has_vanished(tmp_path: Path) -> None:
    with pytest.raises(FileVanished, match=NAME):
        OpenLog.open(str(tmp_path / NAME))


def test_what_is_no_file_is_no_log(tmp_path: Path, path: Path) -> None:
    link, pipe, directory, listener = (tmp_path / name for name in ("link", "pipe", "directory", "listener"))
    link.symlink_to(path)
    os.mkfifo(pipe)
    directory.mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(listener))

    for other in (link, pipe, directory, listener):
        with pytest.raises(FileVanished, match=other.name):
            OpenLog.open(str(other))


def test_a_log_that_the_disk_does_not_give_says_what_to_try() -> None:
    unreadable = "/proc/self/mem"  # a regular file whose first byte is an input/output error

    with (
        OpenLog.open(unreadable) as log,
        pytest.raises(CannotRead, match=rf"{unreadable} cannot be read: .*; look at the disk \(dmesg\)"),
    ):
        log.read()


def test_a_closed_log_holds_nothing_open_and_may_be_closed_again(path: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))
    log = OpenLog.open(str(path))

    log.close()
    log.close()

    assert set(os.listdir("/proc/self/fd")) == before


def test_a_program_that_is_started_does_not_inherit_a_log(path: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))

    with OpenLog.open(str(path)):
        opened = {int(name) for name in set(os.listdir("/proc/self/fd")) - before}

        assert not any(os.get_inheritable(descriptor) for descriptor in opened)
