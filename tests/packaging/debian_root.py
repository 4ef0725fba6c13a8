"""A clean Debian 12 in a directory, and commands inside it as if on a machine of its own."""

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
        self.path = Path(f"/proc/{namespace}/root{path}")  # as it is for those who are not inside
        self._path = path
        self._namespace = namespace

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run *command* inside; what it wrote to standard error is in `stdout` too, in the order written."""
        finished = subprocess.run(
            ["nsenter", f"--target={self._namespace}", "--mount", "--pid", "chroot", str(self._path), *command],
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
[ -z "$2" ] || mount -t overlay -o "$2" overlay "$1"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -t tmpfs -o mode=755 tmpfs "$1/run"
echo mounted
while :; do sleep 3600; done
"""


@contextmanager
def entered(path: Path, changes: Path | None = None) -> Iterator[DebianRoot]:
    """Enter the root at *path*, and leave it as it is if there is a directory for *changes*, which can go on from them.

    What is mounted for that is seen by nobody else, and gone however this process ends.
    """
    layer = layer_of(path, changes) if changes is not None else ""
    holder = subprocess.Popen(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", _ENTER, "sh", str(path), layer],
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


def layer_of(path: Path, changes: Path) -> str:
    """Return the options by which an overlay keeps what is changed of *path* in *changes*."""
    upper, work = changes / "upper", changes / "work"
    upper.mkdir(parents=True, exist_ok=True)
    work.mkdir(exist_ok=True)
    return f"lowerdir={path},upperdir={upper},workdir={work}"


def _only_child(pid: int) -> int:
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)
