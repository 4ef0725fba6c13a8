"""A Debian in a directory, booted: its own systemd is process 1 of namespaces that end with it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.packaging.debian_root import layer_of
from tests.waiting import wait_until

# A control group of its own, which it sees as the uppermost.
_IN_A_GROUP = """
set -e
mount -t cgroup2 cgroup2 "$1/mnt"
mkdir "$1/mnt/$2"
echo $$ > "$1/mnt/$2/cgroup.procs"
umount "$1/mnt"
exec unshare --cgroup --pid --fork --kill-child --uts --ipc --mount --propagation private sh -c "$3" sh "$1" "$4"
"""
_BOOT = """
set -e
mount -t overlay -o "$2" overlay "$1"
cd "$1"
mount -t proc proc proc
# What is set there holds for the whole machine.
mount --bind proc/sys proc/sys
mount -o remount,ro,bind proc/sys
mount -t sysfs -o ro sysfs sys
mount -t tmpfs tmpfs sys/fs/cgroup
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do touch dev/$device && mount --bind /dev/$device dev/$device; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs dev/shm
ln -s /proc/self/fd dev/fd
mkdir -p .before
pivot_root . .before
umount -l /.before
exec env -i container=tests PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --log-target=journal --show-status=no
"""
_LEAVE_THE_GROUP = """
mount -t cgroup2 cgroup2 "$1/mnt"
[ ! -d "$1/mnt/$2" ] || find "$1/mnt/$2" -depth -type d -exec rmdir {} +
"""


class BootedDebian:
    """What runs in a booted Debian."""

    def __init__(self, pid: int) -> None:
        self.path = Path(f"/proc/{pid}/root")  # as it is for those who are not inside
        self._pid = pid  # of its process 1, as this machine numbers it

    def sh(self, script: str, *, check: bool = True) -> str:
        """Run a shell's *script* in there as root, and return what it said; it must not fail if *check*."""
        command = ["nsenter", f"--target={self._pid}", "--all", "sh", "-c", script]
        done = subprocess.run(
            command,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert not check or done.returncode == 0, f"{script} returned {done.returncode}: {done.stdout}"
        return done.stdout.rstrip("\n")

    def show(self, unit: str, *properties: str) -> list[str]:
        """Return the values of *properties* of a unit."""
        asked = [self.sh(f"systemctl show --value --property={name} {unit}") for name in properties]
        return [value.strip() for value in asked]


@contextmanager
def booted(path: Path, changes: Path) -> Iterator[BootedDebian]:
    """Boot the Debian at *path* with its *changes*, among which is systemd; end all in it when the block ends."""
    group = f"tests-{os.getpid()}-{path.name}"
    enter = ["unshare", "--mount", "--propagation", "private", "sh", "-c"]
    with subprocess.Popen([*enter, _IN_A_GROUP, "sh", str(path), group, _BOOT, layer_of(path, changes)]) as outside:
        try:
            wait_until(lambda: outside.poll() is not None or _init_of(outside.pid), "systemd to begin")
            pid = _init_of(outside.pid)
            assert pid, f"systemd did not begin: {outside.poll()}"
            debian = BootedDebian(pid)
            wait_until(lambda: debian.sh("systemctl is-system-running", check=False) == "running", "the system to run")
            yield debian
        finally:
            outside.kill()
            outside.wait()
            # The last processes are gone a moment after the first.
            leave = [*enter, _LEAVE_THE_GROUP, "sh", str(path), group]
            wait_until(lambda: subprocess.run(leave, capture_output=True).returncode == 0, "the control group to empty")


def _init_of(outside: int) -> int:
    """Return the process that is systemd, below *outside*, or 0 if it has not come so far."""
    try:
        [child] = Path(f"/proc/{outside}/task/{outside}/children").read_text().split()
        return int(child) if Path(f"/proc/{child}/comm").read_text().strip() == "systemd" else 0
    except (OSError, ValueError):
        return 0
