"""Show the daemon at work: it watches an example data directory, which this script fills as a database does.

Run it by ``make demo``. It needs no account, no server and no terminal, ends by itself, and leaves all it made in
``.demo`` for a look around.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path.cwd()
DEMO = HERE / ".demo"
DATA = DEMO / "data"
BUCKET = DEMO / "bucket"
STORED = BUCKET / "node1:"  # where the objects of a node called node1 lie
LOG = DEMO / "tablesnap.log"
ORDERS = DATA / "shop" / "orders-5d1c3f20c4f211f0a1b2c3d4e5f60718"
CARTS = DATA / "shop" / "carts-7e2d4a31c4f211f0a1b2c3d4e5f60718"
COMPONENTS = {
    "CompressionInfo.db": 60,
    "Digest.crc32": 10,
    "Filter.db": 1_200,
    "Index.db": 9_000,
    "Statistics.db": 5_000,
    "Data.db": 300_000,
    "TOC.txt": 90,
}
PATIENCE_SECONDS = 60


def main() -> int:
    """Run the demonstration and return an exit code."""
    shutil.rmtree(DEMO, ignore_errors=True)
    for directory in (ORDERS, BUCKET):
        directory.mkdir(parents=True)
    say("A table that was there before the daemon: one sstable, in its own directory.")
    write_and_close(ORDERS, 1)

    command = daemon_command()
    say("The daemon starts. -B takes in what is there, -r all directories below, -a those to come:")
    print(f"    {spell(command)}\n")
    with running(command) as daemon:
        seen: set[Path] = set()
        show_until(daemon, seen, ORDERS, components_of(1))

        say("A flush, as Cassandra 3 and later do it: components written under their final names, then closed.")
        write_and_close(ORDERS, 2)
        show_until(daemon, seen, ORDERS, components_of(1, 2))

        say("A new table, its sstable written under temporary names and then renamed, as Cassandra 2 does it.")
        CARTS.mkdir()
        write_and_rename(CARTS, 1)
        show_until(daemon, seen, CARTS, components_of(1))

        say("A compaction: sstables 1 and 2 become 3, and are deleted. Their objects stay, for the earlier moments.")
        write_and_close(ORDERS, 3)
        for generation in (1, 2):
            delete(ORDERS, generation)
        show_until(daemon, seen, ORDERS, components_of(3))

        say("An incremental backup: hard links in a directory of their own, the same bytes under other names.")
        link_all(CARTS, CARTS / "backups", 1)
        show_until(daemon, seen, CARTS / "backups", components_of(1))

    compared = compare_newest()
    say(
        f"The daemon was told to stop and did. {compared} files on disk were compared with their objects: all the same."
    )
    print_what_next(command)
    return 0


def say(text: str) -> None:
    """Print one step of the story."""
    print(f"* {text}", flush=True)


def spell(command: list[str]) -> str:
    """Spell a command so that it can be pasted into a shell, from the project's own directory."""
    return " ".join(command).replace(f"{HERE}/.venv", ".venv").replace(f" {HERE}/", " ")


def daemon_command() -> list[str]:
    """Return the command line of the real daemon, installed beside this Python."""
    tablesnap = Path(sys.executable).with_name("tablesnap")
    events = ["--listen-events", "IN_MOVED_TO", "--listen-events", "IN_CLOSE_WRITE", "--listen-events", "IN_CREATE"]
    return [str(tablesnap), "-r", "-a", "-B", "-n", "node1", *events, BUCKET.as_uri(), str(DATA)]


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon while the block lasts, its log in a file; then ask it to stop, as an init system does."""
    with LOG.open("wb") as log:
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield daemon
            daemon.send_signal(signal.SIGTERM)
            if daemon.wait(timeout=PATIENCE_SECONDS) != 0:
                give_up(f"it ended with exit code {daemon.returncode}")
        finally:
            daemon.kill()
            daemon.wait()


def give_up(why: str) -> None:
    """End the demonstration with the daemon's own words."""
    sys.exit(f"demo: {why}; the daemon's log, {LOG.relative_to(HERE)}, says:\n{LOG.read_text()}")


def name(generation: int, component: str) -> str:
    """Return the file name of a component of the sstable with this *generation*."""
    return f"nb-{generation}-big-{component}"


def components_of(*generations: int) -> set[str]:
    """Return the names of all components of these sstables."""
    return {name(generation, component) for generation in generations for component in COMPONENTS}


def write_and_close(directory: Path, generation: int) -> None:
    """Write an sstable under its final names."""
    for component, size in COMPONENTS.items():
        (directory / name(generation, component)).write_bytes(os.urandom(size))


def write_and_rename(directory: Path, generation: int) -> None:
    """Write an sstable under temporary names, then rename each component."""
    for component, size in COMPONENTS.items():
        (directory / f"tmp-{name(generation, component)}").write_bytes(os.urandom(size))
    for component in COMPONENTS:
        (directory / f"tmp-{name(generation, component)}").rename(directory / name(generation, component))


def link_all(source: Path, target: Path, generation: int) -> None:
    """Hard-link an sstable's components into another directory."""
    target.mkdir()
    for component in COMPONENTS:
        os.link(source / name(generation, component), target / name(generation, component))


def delete(directory: Path, generation: int) -> None:
    """Delete an sstable."""
    for component in COMPONENTS:
        (directory / name(generation, component)).unlink()


def show_until(daemon: subprocess.Popen[bytes], seen: set[Path], directory: Path, names: set[str]) -> None:
    """Print the restore points that appear, until one of *directory* holds exactly these *names* and misses none."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for path in sorted(set(STORED.rglob("*-listdir.json")) - seen, key=lambda path: path.stat().st_mtime_ns):
            seen.add(path)
            index = json.loads(path.read_bytes())
            show(path, index)
            ours = index["tablesnap"]
            if next(iter(index)) == str(directory) and set(ours["files"]) == names and not ours["missing"]:
                return
        if daemon.poll() is not None:
            give_up(f"the daemon ended with exit code {daemon.returncode}")
        time.sleep(0.05)  # a reader of the bucket can only look again
    give_up(f"no restore point of {directory.relative_to(DATA)} as it now is appeared within {PATIENCE_SECONDS} s")


def show(path: Path, index: dict[str, Any]) -> None:
    """Print what a restore point holds."""
    directory = Path(next(iter(index)))
    ours = index["tablesnap"]
    sstables = sorted({file.rsplit("-", 1)[0] for file in ours["files"]})
    size = sum(entry[0] for entry in ours["files"].values())
    print(f"    restore point of {directory.relative_to(DATA)} at {ours['taken_at']}")
    print(f"      holds    {', '.join(sstables)}: {len(ours['files'])} files, {size:,} bytes")
    if ours["missing"]:
        print(f"      missing  {', '.join(ours['missing'])}")
    print(f"      index    {path.relative_to(BUCKET)}\n", flush=True)


def compare_newest() -> int:
    """Compare every file on disk with the object that its directory's newest index names; return their number."""
    newest: dict[str, dict[str, Any]] = {}
    for path in STORED.rglob("*-listdir.json"):
        index = json.loads(path.read_bytes())
        directory = next(iter(index))
        held = newest.get(directory)
        if held is None or held["tablesnap"]["taken_at"] < index["tablesnap"]["taken_at"]:
            newest[directory] = index
    files = [path for path in DATA.rglob("*") if path.is_file()]
    for path in files:
        entry = newest[str(path.parent)]["tablesnap"]["files"][path.name]
        key = entry[5] if len(entry) > 5 else f"node1:{path}"
        if (BUCKET / key).read_bytes() != path.read_bytes():
            give_up(f"{path} is not what is stored as {key}")
    return len(files)


def print_what_next(command: list[str]) -> None:
    """Print commands to go on by hand."""
    newest = max(STORED.rglob("*-listdir.json"), key=lambda path: path.stat().st_mtime_ns)
    print(
        f"""
To go on by hand, from this directory:

    {spell(command)}
        start it again, in a terminal: it finds everything stored. Ctrl-C ends it.
    cp Makefile {(DATA / "anything").relative_to(HERE)}
        meanwhile, in another: a new file is stored at once, and its index follows.
    find '.demo/bucket/node1:' -name '*-listdir.json'
        every restore point there is
    python3 -m json.tool '{newest.relative_to(HERE)}'
        what one of them says; docs/reference/bucket-layout.md explains each word
    less .demo/tablesnap.log
        what the daemon said
    .venv/bin/tablesnap --help
        what else it can do. For a real bucket, write its name in place of file://...
"""
    )


if __name__ == "__main__":
    sys.exit(main())
