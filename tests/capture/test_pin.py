"""What is pinned can be read when its name is gone, and takes no more of the disk than it may."""

import os
import resource
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tablesnap.capture.listing import look_at_file
from tablesnap.capture.pin import Pin, Pins
from tablesnap.errors import CannotRead, FileVanished

ADDITION, BASE = 0, 1


@pytest.fixture
def pins() -> Iterator[Pins]:
    pins = Pins()
    yield pins
    pins.close()


def written(path: Path, data: bytes = b"rows") -> Path:
    path.write_bytes(data)
    return path


def taken(pins: Pins, path: Path, *, rank: int = ADDITION) -> Pin:
    pin = pins.take(str(path), rank=rank)
    assert pin is not None
    return pin


def read(pin: Pin) -> bytes:
    with pin.reading() as descriptor:
        return os.pread(descriptor, 1 << 20, 0)


def is_open(descriptor: int) -> bool:
    return os.path.lexists(f"/proc/self/fd/{descriptor}")


def test_a_pin_knows_which_life_of_the_file_it_holds(tmp_path: Path, pins: Pins) -> None:
    path = written(tmp_path / "a", b"12345")

    pin = taken(pins, path, rank=7)

    assert pin.incarnation == look_at_file(str(path))
    assert pin.incarnation.inode == path.stat().st_ino
    assert (pin.path, pin.size, pin.device, pin.rank) == (str(path), 5, path.stat().st_dev, 7)


def test_a_deleted_file_is_read_through_its_pin(tmp_path: Path, pins: Pins) -> None:
    path = written(tmp_path / "a", b"rows")
    pin = taken(pins, path)

    path.unlink()

    assert pin.is_deleted()
    assert read(pin) == b"rows"


def test_a_file_replaced_under_its_name_is_still_the_one_that_was_pinned(tmp_path: Path, pins: Pins) -> None:
    path = written(tmp_path / "a", b"old")
    pin = taken(pins, path)

    written(tmp_path / "new", b"other").replace(path)

    assert pin.is_deleted()
    assert read(pin) == b"old"


def test_a_file_that_has_another_name_is_not_deleted(tmp_path: Path, pins: Pins) -> None:
    path = written(tmp_path / "a")
    pin = taken(pins, path)

    os.link(path, tmp_path / "snapshot")
    path.unlink()

    assert not pin.is_deleted()
    assert pins.held() == 0


def as_nothing(path: Path) -> None:
    assert not path.exists()


def as_directory(path: Path) -> None:
    path.mkdir()


def as_fifo(path: Path) -> None:
    os.mkfifo(path)


def as_link(path: Path) -> None:
    path.symlink_to(written(path.with_name("target")))


def as_socket(path: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.close()


def below_a_file(path: Path) -> None:
    path.parent.rmdir()
    written(path.parent)


@pytest.mark.parametrize("make", [as_nothing, as_directory, as_fifo, as_link, as_socket, below_a_file])
def test_what_is_no_file_any_more_is_not_pinned_and_leaves_nothing_open(
    tmp_path: Path, pins: Pins, make: object
) -> None:
    path = tmp_path / "table" / "a"
    path.parent.mkdir()
    assert callable(make)
    make(path)
    before = len(os.listdir("/proc/self/fd"))

    assert pins.take(str(path), rank=ADDITION) is None
    assert len(os.listdir("/proc/self/fd")) == before


def test_nothing_is_created_or_changed_beside_a_pinned_file(tmp_path: Path, pins: Pins) -> None:
    path = written(tmp_path / "a")
    before = (os.listdir(tmp_path), tmp_path.stat().st_ctime_ns, path.stat().st_ctime_ns)

    taken(pins, path)

    assert (os.listdir(tmp_path), tmp_path.stat().st_ctime_ns, path.stat().st_ctime_ns) == before


def test_a_pin_that_is_released_is_closed_and_twice_is_no_harm(tmp_path: Path, pins: Pins) -> None:
    pin = taken(pins, written(tmp_path / "a"))

    pins.release(pin)
    stranger = os.open(tmp_path, os.O_RDONLY)  # gets the number that has become free
    pins.release(pin)

    assert stranger == pin.descriptor
    assert is_open(stranger)
    assert not pin.is_deleted()
    os.close(stranger)


def test_who_comes_to_read_after_the_release_is_told_that_it_is_too_late(tmp_path: Path, pins: Pins) -> None:
    path = written(tmp_path / "a")
    pin = taken(pins, path)
    pins.release(pin)

    with pytest.raises(FileVanished, match=rf"{path} was let go"), pin.reading():
        pass


def test_a_pin_released_under_a_reader_is_closed_when_the_last_one_is_done(tmp_path: Path, pins: Pins) -> None:
    path = written(tmp_path / "a", b"rows")
    pin = taken(pins, path)
    path.unlink()

    with pin.reading() as descriptor:
        with pin.reading():
            pins.release(pin)
        assert os.pread(descriptor, 10, 0) == b"rows"
        assert pins.held() == 4

    assert not is_open(descriptor)
    assert pins.held() == 0


def test_threads_that_read_and_release_at_once_never_meet_a_closed_descriptor(tmp_path: Path, pins: Pins) -> None:
    path = written(tmp_path / "a", b"rows")
    outcomes: list[bytes | None] = []
    begin = threading.Barrier(5)

    def read_some() -> None:
        begin.wait(60)
        for pin in held:
            try:
                outcomes.append(read(pin))
            except FileVanished:
                outcomes.append(None)

    held = [taken(pins, path) for _ in range(100)]
    readers = [threading.Thread(target=read_some) for _ in range(4)]
    for reader in readers:
        reader.start()
    begin.wait(60)
    for pin in held:
        pins.release(pin)
    for reader in readers:
        reader.join(60)

    assert len(outcomes) == 400
    assert set(outcomes) <= {b"rows", None}
    assert not any(is_open(pin.descriptor) for pin in held)


def test_held_are_the_bytes_of_deleted_files_alone(tmp_path: Path, pins: Pins) -> None:
    gone, here = written(tmp_path / "a", b"123"), written(tmp_path / "b", b"12345")
    for path in (gone, here):
        taken(pins, path)

    gone.unlink()

    assert pins.held() == 3


def test_only_what_is_deleted_is_ever_to_be_let_go(tmp_path: Path, pins: Pins) -> None:
    first, second = written(tmp_path / "a"), written(tmp_path / "b")
    deleted, _ = taken(pins, first), taken(pins, second)

    assert pins.to_let_go(0) == []
    first.unlink()

    assert pins.to_let_go(0) == [deleted]
    assert read(deleted) == b"rows"  # a plan, and no more


def test_bases_go_before_additions_and_the_newest_of_these_before_the_rest(tmp_path: Path, pins: Pins) -> None:
    paths = [written(tmp_path / name, name.encode()) for name in ("old", "new", "base", "large base")]
    old, new = (taken(pins, path) for path in paths[:2])
    base, large = (taken(pins, path, rank=BASE) for path in paths[2:])
    for path in paths:
        path.unlink()

    assert pins.to_let_go(0) == [large, base, new, old]


def test_without_a_limit_more_than_a_tenth_of_the_file_system_is_too_much(tmp_path: Path, pins: Pins) -> None:
    path = written(tmp_path / "a")
    status = os.statvfs(tmp_path)
    os.truncate(path, status.f_blocks * status.f_frsize // 10 + 1)  # a hole, which takes no room
    pin = taken(pins, path)

    assert pins.to_let_go(None) == []
    path.unlink()

    assert pins.to_let_go(None) == [pin]


def test_what_was_let_go_and_is_still_being_read_makes_no_other_go(tmp_path: Path, pins: Pins) -> None:
    first, second = written(tmp_path / "a"), written(tmp_path / "b")
    leaving, staying = taken(pins, first), taken(pins, second)  # the newest would go first
    for path in (first, second):
        path.unlink()

    with leaving.reading():
        pins.release(leaving)

        assert staying not in pins.to_let_go(4) or free_is_scarce(tmp_path)


def free_is_scarce(path: Path) -> bool:
    status = os.statvfs(path)
    return status.f_bavail * 20 < status.f_blocks


def test_a_file_system_is_measured_as_df_does(tmp_path: Path, pins: Pins) -> None:
    pin = taken(pins, written(tmp_path / "a"))
    status = os.statvfs(tmp_path)

    file_system = pin.file_system()

    assert file_system is not None
    assert 0 <= file_system.free <= file_system.size <= status.f_blocks * status.f_frsize


def test_no_more_files_are_pinned_than_leave_descriptors_for_the_rest(tmp_path: Path) -> None:
    path = written(tmp_path / "a")
    pins = Pins(most=2)
    first, _ = taken(pins, path), taken(pins, path)

    with pytest.raises(CannotRead, match=rf"{path} cannot be pinned: 2 files are held open already; raise .*ulimit -n"):
        pins.take(str(path), rank=ADDITION)
    pins.release(first)

    taken(pins, path)
    pins.close()


def test_without_descriptors_left_the_message_names_the_limit_to_raise(tmp_path: Path) -> None:
    path = written(tmp_path / "a")
    script = f"""
        import os
        from tablesnap.capture.pin import Pins
        from tablesnap.errors import CannotRead
        pins = Pins()
        try:
            while True:
                assert pins.take({str(path)!r}, rank=0)
        except CannotRead as error:
            os.write(1, str(error).encode())
        pins.close()
        assert pins.take({str(path)!r}, rank=0)
    """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)),
        check=True,
    )

    assert done.stdout.startswith(f"{path} cannot be opened: Too many open files; raise")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_without_permission_the_message_says_who_must_be_let_in() -> None:
    script = """
        import os
        from tablesnap.capture.pin import Pins
        from tablesnap.errors import CannotRead
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        try:
            Pins().take("/proc/1/environ", rank=0)
        except CannotRead as error:
            os.write(1, str(error).encode())
    """

    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)

    assert done.stdout.endswith("Permission denied; let the user tablesnap runs as read it")
