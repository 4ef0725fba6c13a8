"""A Debian 12 of its own in a directory: made by debootstrap, entered by chroot."""

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SUITE = "bookworm"
# What a shell in there finds, whatever this process has in its environment.
_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}
# In a mount namespace that ends with its last process, so that nothing stays mounted whatever happens to the test.
_ENTER = """
set -e
mount --make-rprivate /
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -t tmpfs tmpfs "$1/tmp"
root=$1
shift
exec chroot "$root" "$@"
"""


@dataclass(frozen=True)
class DebianRoot:
    """An installed Debian below *path*."""

    path: Path

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run *command* in there as root, and return what it said; raise `AssertionError` if it fails and *check*."""
        # A daemon that it leaves behind may keep the output open: so to a file, which need not come to an end.
        with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
            ended = subprocess.run(
                ["unshare", "--mount", "sh", "-c", _ENTER, "sh", str(self.path), *command],
                env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
            said.seek(0)
            ended_with = subprocess.CompletedProcess(ended.args, ended.returncode, said.read(), "")
        assert not check or ended_with.returncode == 0, (
            f"{command} returned {ended_with.returncode}: {ended_with.stdout}"
        )
        return ended_with

    def sh(self, script: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a shell's *script* in there as root."""
        return self.run("sh", "-c", script, check=check)

    def copy(self, path: Path) -> "DebianRoot":
        """Return a copy at *path*, which must not be there."""
        subprocess.run(["cp", "-a", str(self.path), str(path)], check=True)
        return DebianRoot(path)

    def remove(self) -> None:
        """Delete it, and nothing that may be mounted in it."""
        subprocess.run(["rm", "-rf", "--one-file-system", str(self.path)], check=True)

    def inside(self, path: str) -> Path:
        """Return where the absolute *path* of that Debian is on this machine."""
        return self.path / path.lstrip("/")


def make_root(path: Path, *, include: Sequence[str] = ()) -> DebianRoot:
    """Install a Debian below *path*, with the packages *include* beside the smallest set there is."""
    packages = [f"--include={','.join(include)}"] if include else []
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", *packages, SUITE, str(path)], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-3000:]
    # apt asks the same names as this machine does.
    resolver = Path("/etc/resolv.conf")
    if resolver.exists():
        (path / "etc/resolv.conf").write_bytes(resolver.read_bytes())
    return DebianRoot(path)
