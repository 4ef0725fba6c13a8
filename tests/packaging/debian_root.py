"""A clean Debian 12 in a directory, and commands inside it as if on a machine of its own."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def make_root(path: Path, *, include: Sequence[str] = ()) -> Path:
    """Install the smallest Debian 12 there is, and the packages in *include*, in *path*."""
    options = [f"--include={','.join(include)}"] if include else []
    finished = subprocess.run(
        ["debootstrap", "--variant=minbase", *options, "bookworm", str(path)], capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr
    # Without an init system Debian starts and stops nothing unless it is told that it may.
    policy = path / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 0\n")
    policy.chmod(0o755)
    return path


class DebianRoot:
    """A root whose processes live until it is left; they see themselves and no others."""

    def __init__(self, path: Path, namespace: int) -> None:
        self.path = path
        self._namespace = namespace

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run *command* inside; what it wrote to standard error is in `stdout` too, in the order written."""
        finished = subprocess.run(
            ["nsenter", f"--target={self._namespace}", "--mount", "--pid", "chroot", str(self.path), *command],
            env={"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert not check or finished.returncode == 0, f"{command} exited {finished.returncode}:\n{finished.stdout}"
        return finished

    def shell(self, script: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run lines of sh inside."""
        return self.run("/bin/sh", "-ec", script, check=check)


# It ends as the first process of the root: all others die with it, and it is the parent of those that lost theirs.
_ENTER = """
set -e
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -t tmpfs -o mode=755 tmpfs "$1/run"
echo mounted
while :; do sleep 3600; done
"""


@contextmanager
def entered(path: Path) -> Iterator[DebianRoot]:
    """Enter the root at *path*. What is mounted for that is seen by nobody else, and gone however this process ends."""
    holder = subprocess.Popen(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", _ENTER, "sh", str(path)],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "mounted\n", "the root could not be mounted; see above"
        yield DebianRoot(path, _only_child(holder.pid))
    finally:
        holder.kill()
        holder.wait()


@contextmanager
def copied(path: Path, copy: Path) -> Iterator[DebianRoot]:
    """Enter a copy of the root at *path*, which is gone afterwards."""
    # In C, and with holes, owners and links as they are: shutil.copytree knows nothing of owners.
    subprocess.run(["cp", "--archive", "--reflink=auto", str(path), str(copy)], check=True)
    try:
        with entered(copy) as root:
            yield root
    finally:
        shutil.rmtree(copy)


def _only_child(pid: int) -> int:
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)
