"""The image is built from the Containerfile, on a base made here, and run as the guide says.

No registry is asked: the base is a Debian with its Python. What podman cannot do in a machine that is itself a
container, which is to make control groups, is left out; all else is the guide's own line.
"""

import json
import os
import re
import resource
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.daemon.harness import NODE, Bucket, wait_until, write_by_rename
from tests.packaging.debian_root import make_root
from tests.packaging.tools import expect_root, expect_tools

from tablesnap import __version__

# To install a Debian and build on it takes long.
pytestmark = [pytest.mark.packaging, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guide" / "supervisors.md"
BASE = "localhost/base"
COMMANDS = ("tablecheck", "tablechop", "tablelist", "tableslurp", "tablesnap")
ASK_EACH = """
import importlib, os, subprocess, sys
for command in sys.argv[1:]:
    subprocess.run([command, "--version"], check=True)
    print("compiled:", os.path.exists(importlib.import_module(f"tablesnap.cli.{command}.main").__cached__), flush=True)
"""
GROUP = 4242  # may read the database's files, as no other may
# Of a hierarchy of control groups that is half the old kind and half the new, the runtime will have nothing.
WITHOUT_CGROUPS = 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"'


class Podman:
    """podman with a storage of its own, in a mount namespace of its own."""

    def __init__(self, images: Path, run: Path) -> None:
        self._storage = (f"--root={images}", f"--runroot={run}")

    def __call__(self, *words: str | Path, within: Path = ROOT) -> str:
        """Run a command of podman's to its end, and return what it printed."""
        command = ["unshare", "--mount", "sh", "-c", WITHOUT_CGROUPS, "sh", "podman", "--cgroup-manager=cgroupfs"]
        done = subprocess.run([*command, *self._storage, *words], capture_output=True, text=True, cwd=within)
        assert done.returncode == 0, f"podman {words} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def state(self, what: str) -> str:
        """Return a field of the state of the container that the guide starts."""
        return self("inspect", "--format", f"{{{{.{what}}}}}", "tablesnap").strip()


def guides_command(verb: str) -> str:
    """Return the guide's first command of ``podman`` with this *verb*, on one line."""
    text = GUIDE.read_text(encoding="utf-8").replace("\\\n", "")
    [found, *_] = re.findall(rf"^podman {verb} (.*)$", text, re.MULTILINE)
    return str(found)


def settings_of_pip(directory: Path) -> list[str]:
    """Return the flags that give a build this machine's index and certificates, as the image must not hold them."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    settings = dict(re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", listed.stdout, re.MULTILINE))
    lines = [f"{name} = {value}" for name, value in settings.items() if name != "find-links"]
    (directory / "pip.conf").write_text("\n".join(["[global]", *lines, ""]))
    return [f"--volume={directory}/pip.conf:/etc/pip.conf:ro", "--volume=/etc/ssl/certs:/etc/ssl/certs:ro"]


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """A podman that has the image, built with the guide's command."""
    expect_tools("podman", "crun", "debootstrap", "unshare")
    expect_root()
    here = tmp_path_factory.mktemp("podman")
    debian = make_root(here / "debian", include=("python3", "python3-venv", "ca-certificates"))
    subprocess.run(["tar", "-C", str(debian), "-cf", str(here / "debian.tar"), "."], check=True)
    with TemporaryDirectory() as run:  # podman wants it to be short: sockets are in it
        podman = Podman(here / "images", Path(run))
        podman("import", here / "debian.tar", BASE)
        podman(
            "build",
            "--isolation=chroot",
            "--layers=false",
            f"--build-arg=BASE={BASE}",
            *settings_of_pip(here),
            *guides_command("build").split(),
        )
        yield podman
        podman("rm", "--all", "--force")


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    """A directory that the group may read and nobody else."""
    for directory in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        directory.chmod(directory.stat().st_mode | stat.S_IXOTH)
    watched = tmp_path / "watched"
    watched.mkdir()
    os.chown(watched, 0, GROUP)
    watched.chmod(0o2750)
    return watched


def write_for_the_group(path: Path, data: bytes) -> None:
    umask = os.umask(0o027)
    try:
        write_by_rename(path, data)
    finally:
        os.umask(umask)


def limit_of_files() -> str:
    """Return how many files may be open here, as podman takes it: more is not every root's to give."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    return f"{limit}:{limit}"


# podman gives a container as many processes as it may have itself, which not every root may.
FLAGS_OF_THIS_MACHINE = ("--cgroups=disabled", "--ulimit=nproc=1024:1024")


def run_words(watched: Path, bucket: Path) -> list[str]:
    """Return the words of the guide's ``podman run``, for these directories."""
    line = guides_command("run")
    for theirs, ours in {
        "$(hostname --fqdn)": NODE,
        "$(stat -c %g /var/lib/cassandra/data)": str(watched.stat().st_gid),
        "524288:524288": limit_of_files(),
        "/var/lib/cassandra/data": str(watched),
        " my-bucket ": f" file://{bucket} ",
    }.items():
        assert theirs in line
        line = line.replace(theirs, ours)
    return [f"--volume={bucket}:{bucket}", *FLAGS_OF_THIS_MACHINE, *shlex.split(line)]


def test_the_image_is_not_root_and_holds_nothing_but_the_program(podman: Podman) -> None:
    [image] = json.loads(podman("image", "inspect", "tablesnap"))

    config = image["Config"]
    assert (config["User"], config["StopSignal"], config["Entrypoint"]) == ("65532:65532", "SIGTERM", ["tablesnap"])
    assert {text.partition("=")[0] for text in config["Env"]} == {"PATH", "PYTHONDONTWRITEBYTECODE"}
    assert config["Labels"]["org.opencontainers.image.licenses"] == "BSD-2-Clause"


def test_every_command_is_in_the_image_and_compiled(podman: Podman) -> None:
    nofile = f"--ulimit=nofile={limit_of_files()}"
    flags = ("--rm", "--read-only", "--network=none", nofile, *FLAGS_OF_THIS_MACHINE)

    said = podman("run", *flags, "--entrypoint=/opt/tablesnap/bin/python", "tablesnap", "-c", ASK_EACH, *COMMANDS)

    assert said.splitlines() == [line for name in COMMANDS for line in (f"{name} {__version__}", "compiled: True")]


def test_the_guides_container_backs_up_is_started_again_and_ends_well(podman: Podman, watched: Path) -> None:
    directory = watched.parent / "bucket"
    bucket = Bucket.in_directory(directory)
    os.chown(directory, 65532, 65532)

    podman("run", *run_words(watched, directory))
    write_for_the_group(watched / "one", b"before")
    wait_until(lambda: bucket.data().get(f"{NODE}:{watched}/one"), "the first file in the bucket")
    os.kill(int(podman.state("State.Pid")), signal.SIGKILL)
    write_for_the_group(watched / "two", b"after")
    wait_until(lambda: bucket.data().get(f"{NODE}:{watched}/two"), "the second file in the bucket")
    podman("stop", "tablesnap")

    assert bucket.data() == {f"{NODE}:{watched}/one": b"before", f"{NODE}:{watched}/two": b"after"}
    assert (podman.state("RestartCount"), podman.state("State.ExitCode")) == ("1", "0")
    assert (directory / f"{NODE}:{watched}/one").stat().st_uid == 65532
