"""What is stored must be the bytes of one life of the file, or nothing."""

import os
import resource
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tablesnap.capture.file import IN_MEMORY, LARGE_MEMORY, captured
from tablesnap.capture.pace import Pace
from tablesnap.capture.pin import Pins
from tablesnap.checksum import crc64nvme
from tablesnap.errors import CannotRead, FileChanged, FileVanished
from tablesnap.store.port import READ_SIZE

DATA = "nb-1-big-Data.db"
LONG_AGO_NS = 1_700_000_000_123_456_789
LARGE = IN_MEMORY + READ_SIZE + 17


def pattern(size: int) -> bytes:
    return bytes(range(251)) * (size // 251) + bytes(range(size % 251))


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return path


class Interruption(Pace):
    """Lets something happen to a file between two reads of it: a pace is asked before each."""

    def __init__(self, at: int, action: object) -> None:
        super().__init__(1e12)
        self._left = at
        self._action = action

    def spend(self, size: int) -> None:
        if self._left == 0:
            assert callable(self._action)
            self._action()
        self._left -= 1


@pytest.mark.parametrize(
    "size",
    [
        0,
        1,
        READ_SIZE - 1,
        READ_SIZE,
        READ_SIZE + 1,
        LARGE_MEMORY,
        LARGE_MEMORY + READ_SIZE + 1,
        IN_MEMORY,
        LARGE,
    ],
)
def test_the_content_is_the_file_and_its_checksum_that_of_its_bytes(tmp_path: Path, size: int) -> None:
    path = written(tmp_path / DATA, pattern(size))

    with captured(str(path)) as file:
        assert b"".join(file.content.chunks()) == pattern(size)
        assert file.content.checksum == crc64nvme(pattern(size))
        assert file.content.size == file.incarnation.size == size
        assert file.incarnation.mtime_ns == LONG_AGO_NS
        file.insist_unchanged()


@pytest.mark.parametrize("size", [1000, LARGE_MEMORY + 17, IN_MEMORY, LARGE])
def test_no_file_is_mapped_and_nothing_large_is_held_in_memory(tmp_path: Path, size: int) -> None:
    path = written(tmp_path / DATA, pattern(size))

    with captured(str(path)) as file:
        assert str(path) not in Path("/proc/self/maps").read_text()
        assert (file.content.buffer is None) is (size > IN_MEMORY)
        assert (file.content.descriptor is None) is (size <= IN_MEMORY)


@pytest.mark.parametrize(("size", "said"), [(LARGE_MEMORY + 17, "the bytes it had"), (LARGE, "FileChanged")])
def test_a_file_truncated_while_it_is_uploaded_does_not_end_the_process(tmp_path: Path, size: int, said: str) -> None:
    path = written(tmp_path / DATA, pattern(size))
    script = f"""
        import os
        from tablesnap.capture.file import captured
        from tablesnap.checksum import crc64nvme
        from tablesnap.errors import FileChanged
        with captured({str(path)!r}) as file:
            os.truncate({str(path)!r}, 0)
            checksum = 0
            try:
                for chunk in file.content.chunks():
                    checksum = crc64nvme(chunk, checksum)
                print("the bytes it had" if checksum == file.content.checksum else "other bytes")
            except FileChanged:
                print("FileChanged")
    """

    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout.strip()) == (0, said)


def test_what_the_disk_cannot_read_is_an_error_of_that_file() -> None:
    unreadable = "/proc/self/mem"  # an empty regular file, to look at; its first byte is nobody's, so the answer is EIO

    with (
        pytest.raises(CannotRead, match=f"{unreadable} cannot be read: Input/output error; look at the disk"),
        captured(unreadable),
    ):
        pass


def test_mode_and_owner_are_those_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "a", b"x")
    path.chmod(0o640)

    with captured(str(path)) as file:
        assert file.mode & 0o7777 == 0o640
        assert (file.owner.uid, file.owner.gid) == (os.getuid(), os.getgid())
        assert f'"mode": {file.mode}' in file.metadata["stat"]


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def shrink(path: Path) -> None:
    os.truncate(path, 5)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"other")


def replace(path: Path) -> None:
    other = path.with_name("other-file")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(LONG_AGO_NS, LONG_AGO_NS))
    other.replace(path)


CHANGES = [grow, shrink, empty, overwrite, replace]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("size", "reads"), [(1000, 0), (LARGE_MEMORY + READ_SIZE, 1), (LARGE, 0), (LARGE, 3)])
def test_a_file_that_changes_while_its_checksum_is_taken_is_noticed(
    tmp_path: Path, change: object, size: int, reads: int
) -> None:
    path = written(tmp_path / DATA, pattern(size))

    assert callable(change)
    with (
        pytest.raises(FileChanged, match=r"changed|ended"),
        captured(str(path), pace=Interruption(reads, lambda: change(path))) as file,
    ):
        file.insist_unchanged()


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("size", [0, 1000, LARGE])
def test_a_file_that_changes_while_it_is_uploaded_is_noticed(tmp_path: Path, change: object, size: int) -> None:
    path = written(tmp_path / DATA, pattern(size))

    assert callable(change)
    with captured(str(path)) as file:
        change(path)
        with pytest.raises(FileChanged, match="changed"):
            file.insist_unchanged()


def test_a_file_written_again_right_after_it_was_captured_has_another_incarnation(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"first")

    with captured(str(path)) as file:
        path.write_bytes(b"other")
        with pytest.raises(FileChanged):
            file.insist_unchanged()


def test_a_file_with_a_time_to_come_is_captured_all_the_same(tmp_path: Path) -> None:
    path = written(tmp_path / "a", b"first")
    to_come = time.time_ns() + 10**12
    os.utime(path, ns=(to_come, to_come))

    with captured(str(path)) as file:
        assert file.incarnation.mtime_ns == to_come


@pytest.mark.parametrize("size", [1000, LARGE])
def test_a_file_deleted_after_it_was_opened_is_still_stored(tmp_path: Path, size: int) -> None:
    path = written(tmp_path / DATA, pattern(size))

    with captured(str(path), pace=Interruption(0, path.unlink)) as file:
        assert b"".join(file.content.chunks()) == pattern(size)
        file.insist_unchanged()


@pytest.mark.parametrize("size", [0, 1000, LARGE])
def test_a_file_deleted_before_its_turn_is_stored_through_its_pin(tmp_path: Path, size: int) -> None:
    path = written(tmp_path / DATA, pattern(size))
    pins = Pins()
    pin = pins.take(str(path), rank=0)
    assert pin is not None
    path.unlink()

    with captured(str(path), pin=pin) as file:
        assert b"".join(file.content.chunks()) == pattern(size)
        assert file.content.checksum == crc64nvme(pattern(size))
        assert file.incarnation == pin.incarnation
        file.insist_unchanged()
    pins.close()


@pytest.mark.parametrize("replaced", ["before", "meanwhile"])
def test_another_life_under_the_name_of_a_pinned_file_is_neither_read_nor_minded(tmp_path: Path, replaced: str) -> None:
    path = written(tmp_path / DATA, pattern(1000))
    pins = Pins()
    pin = pins.take(str(path), rank=0)
    if replaced == "before":
        written(tmp_path / "new", b"other").replace(path)

    with captured(str(path), pin=pin) as file:
        if replaced == "meanwhile":
            written(tmp_path / "new", b"other").replace(path)
        assert b"".join(file.content.chunks()) == pattern(1000)
        file.insist_unchanged()
    pins.close()


@pytest.mark.parametrize("change", [grow, shrink, overwrite])
@pytest.mark.parametrize("size", [1000, LARGE])
def test_a_pinned_file_that_is_written_to_is_noticed(tmp_path: Path, change: object, size: int) -> None:
    path = written(tmp_path / DATA, pattern(size))
    pins = Pins()
    pin = pins.take(str(path), rank=0)

    assert callable(change)
    with captured(str(path), pin=pin) as file:
        change(path)
        with pytest.raises(FileChanged, match="changed"):
            file.insist_unchanged()
    pins.close()


def test_a_pin_is_read_more_than_once_and_let_go_under_its_reader(tmp_path: Path) -> None:
    path = written(tmp_path / DATA, pattern(LARGE))
    pins = Pins()
    pin = pins.take(str(path), rank=0)
    assert pin is not None
    path.unlink()
    before = len(os.listdir("/proc/self/fd"))

    for _ in range(2):
        with captured(str(path), pin=pin) as file:
            pass
    with captured(str(path), pin=pin) as file:
        pins.release(pin)
        assert b"".join(file.content.chunks()) == pattern(LARGE)
        file.insist_unchanged()
    with pytest.raises(FileVanished, match="let go"), captured(str(path), pin=pin):
        pass

    assert len(os.listdir("/proc/self/fd")) == before - 1


def test_a_hard_link_and_a_change_of_owner_change_no_bytes(tmp_path: Path) -> None:
    path = written(tmp_path / "a", b"x")

    with captured(str(path)) as file:
        os.link(path, tmp_path / "snapshot")
        path.chmod(0o600)
        file.insist_unchanged()


def as_nothing(path: Path) -> None:
    assert not path.exists()


def as_directory(path: Path) -> None:
    path.mkdir()


def as_fifo(path: Path) -> None:
    os.mkfifo(path)


def as_link(path: Path) -> None:
    target = path.with_name("target")
    target.write_bytes(b"not mine")
    path.symlink_to(target)


def as_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def as_socket(path: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.close()


@pytest.mark.parametrize("make", [as_nothing, as_directory, as_fifo, as_link, as_dangling_link, as_socket])
def test_what_is_no_file_counts_as_vanished(tmp_path: Path, make: object) -> None:
    path = tmp_path / "a"
    assert callable(make)
    make(path)

    with pytest.raises(FileVanished, match=str(path)), captured(str(path)):
        pass


def test_a_file_whose_directory_became_a_file_counts_as_vanished(tmp_path: Path) -> None:
    written(tmp_path / "a", b"x")

    with pytest.raises(FileVanished), captured(str(tmp_path / "a" / "b")):
        pass


def test_no_descriptor_is_left_open_whatever_happens(tmp_path: Path) -> None:
    path = written(tmp_path / DATA, pattern(LARGE))
    (tmp_path / "directory").mkdir()
    before = len(os.listdir("/proc/self/fd"))

    with captured(str(path)):
        pass
    with pytest.raises(FileVanished), captured(str(tmp_path / "directory")):
        pass
    with pytest.raises(FileChanged), captured(str(path), pace=Interruption(1, lambda: grow(path))) as file:
        file.insist_unchanged()

    assert len(os.listdir("/proc/self/fd")) == before


def test_without_descriptors_left_the_message_names_the_limit_to_raise(tmp_path: Path) -> None:
    path = written(tmp_path / "a", b"x")
    script = f"""
        import os
        from tablesnap.capture.file import captured
        from tablesnap.errors import CannotRead
        held = []
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        try:
            with captured({str(path)!r}):
                pass
        except CannotRead as error:
            os.write(1, str(error).encode())
    """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)),
        check=True,
    )

    assert done.stdout.startswith(f"{path} cannot be opened: Too many open files; raise")
    assert "ulimit -n" in done.stdout


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_without_permission_the_message_says_who_must_be_let_in(tmp_path: Path) -> None:
    script = """
        import os
        from tablesnap.capture.file import captured
        from tablesnap.errors import CannotRead
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        try:
            with captured("/proc/1/environ"):
                pass
        except CannotRead as error:
            os.write(1, str(error).encode())
    """

    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)

    assert done.stdout == (
        "/proc/1/environ cannot be opened: Permission denied; let the user tablesnap runs as read it"
    )
