"""Show the daemon at work: it watches an example data directory, which this script fills as Cassandra does.

Run it by ``make demo``. It needs no account, no server and no terminal, ends by itself, and leaves all it made in
``.demo`` for a look around.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tablesnap.checksum import crc64nvme

HERE = Path.cwd()
DEMO = HERE / ".demo"
DATA = DEMO / "data"
BUCKET = DEMO / "bucket"
STORED = BUCKET / "node1:"  # where the objects of a node called node1 lie
LOG = DEMO / "tablesnap.log"
ORDERS = DATA / "shop" / "orders-5d1c3f20c4f211f0a1b2c3d4e5f60718"
CARTS = DATA / "shop" / "carts-7e2d4a31c4f211f0a1b2c3d4e5f60718"
TABLESNAP = [sys.executable, "-m", "tablesnap"]
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
WRITING_SECONDS = 0.3  # how long a node takes, at least, between the first and the last record of a transaction


def main() -> int:
    """Run the demonstration and return an exit code."""
    shutil.rmtree(DEMO, ignore_errors=True)
    for directory in (ORDERS, BUCKET):
        directory.mkdir(parents=True)
    say("A table that was there before the daemon: one sstable, in its own directory.")
    commit(ORDERS, "flush", add=[1])

    command = daemon_command()
    say(
        "The daemon starts. -B takes in what is there, -r all directories below, -a those to come; and an index "
        "follows a change within a second, instead of ten, so that you need not wait:"
    )
    print(f"    {spell(command)}\n")
    with running(command) as daemon:
        seen: set[Path] = set()
        show_until(daemon, seen, ORDERS, components_of(1))

        say(
            "A flush, as Cassandra 3 and later do it: a transaction log is begun, components are written under their "
            "final names, and with the last record of the log they count. Restore points follow these transactions."
        )
        commit(ORDERS, "flush", add=[2])
        show_until(daemon, seen, ORDERS, components_of(1, 2))

        say(
            "A compaction puts sstable 3 in the place of 1 and 2, and a flush follows. The next restore point waits "
            "for the flush alone: 1 and 2, which are stored, read the same as 3."
        )
        commit(ORDERS, "compaction", add=[3], remove=[1, 2])
        commit(ORDERS, "flush", add=[4])
        show_until(daemon, seen, ORDERS, components_of(1, 2, 4))

        say("A truncate. The table is empty now, and the restore point before this one brings everything back.")
        commit(ORDERS, "unknowncompactiontype", remove=[3, 4])  # the name that truncates have there
        show_until(daemon, seen, ORDERS, set())

        say(
            "A new table of Cassandra 2, which keeps no transactions: files are written under temporary names and then "
            "renamed, and a restore point is what is in the directory when nothing moves."
        )
        CARTS.mkdir()
        write_and_rename(CARTS, 1)
        show_until(daemon, seen, CARTS, components_of(1, version="la"))

    points, files = read_back()
    say(
        f"The daemon was told to stop and did. Its {points} restore points were read back, {files} files in all: each "
        "file is stored, and its bytes are what the restore point says."
    )
    print_what_next(command)
    return 0


def say(text: str) -> None:
    """Print one step of the story."""
    print(textwrap.fill(f"* {text}", width=118, subsequent_indent="  ", break_on_hyphens=False), flush=True)


def spell(command: list[str]) -> str:
    """Spell a command so that it can be pasted into a shell, from the project's own directory."""
    return " ".join(word.removeprefix(f"{HERE}/") for word in command)


def daemon_command() -> list[str]:
    """Return the command line of the real daemon, run by this Python."""
    flags = ["-r", "-a", "-B", "-n", "node1", "--index-interval", "1"]
    return [*TABLESNAP, *flags, BUCKET.as_uri(), str(DATA)]


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


def stem(generation: int, version: str = "nb") -> str:
    """Return what the names of an sstable's components begin with; stock Cassandra 5.0 writes version nb."""
    return f"{version}-{generation}-big-"


def components_of(*generations: int, version: str = "nb") -> set[str]:
    """Return the names of all components of these sstables."""
    return {stem(generation, version) + component for generation in generations for component in COMPONENTS}


def commit(table: Path, operation: str, *, add: list[int] | None = None, remove: list[int] | None = None) -> None:
    """Do a transaction as Cassandra does: its log tells at any time which sstables count."""
    log = table / f"nb_txn_{operation}_{uuid.uuid1()}.log"
    for generation in add or []:
        append(log, "ADD", f"{table}/{stem(generation)}", files=len(COMPONENTS))
        for component, size in COMPONENTS.items():
            # What takes the place of others is as large as they were together, as their rows are.
            (table / (stem(generation) + component)).write_bytes(os.urandom(size * max(1, len(remove or []))))
    for generation in remove or []:
        append(log, "REMOVE", f"{table}/{stem(generation)}", files=len(COMPONENTS))
    time.sleep(WRITING_SECONDS)  # a log is there for as long as its transaction takes, and that is no time here
    append(log, "COMMIT")
    for generation in remove or []:
        for component in COMPONENTS:
            (table / (stem(generation) + component)).unlink()
    log.unlink()


def append(log: Path, kind: str, prefix: str = "", *, files: int = 0) -> None:
    """Append a record to a transaction log, and have it on disk; its moment is left at 0, as for what is new."""
    checksum = zlib.crc32(prefix.encode() + kind.encode() + bytes(8) + files.to_bytes(4, "big"))
    with log.open("a") as file:
        file.write(f"{kind}:[{prefix},0,{files}][{checksum}]\n")
        file.flush()
        os.fsync(file.fileno())


def write_and_rename(directory: Path, generation: int) -> None:
    """Write an sstable under temporary names, then rename each component, as Cassandra 2.2 does."""
    for component, size in COMPONENTS.items():
        (directory / f"tmp-{stem(generation, 'la')}{component}").write_bytes(os.urandom(size))
    for component in COMPONENTS:
        name = stem(generation, "la") + component
        (directory / f"tmp-{name}").rename(directory / name)


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
    """Print what a restore point holds, and what is on disk by now."""
    directory = Path(next(iter(index)))
    ours = index["tablesnap"]
    size = sum(entry[0] for entry in ours["files"].values())
    print(f"    restore point of {directory.relative_to(DATA)} at {ours['taken_at']}")
    print(f"      holds    {sstables_among(ours['files'])}: {len(ours['files'])} files, {size:,} bytes")
    if ours["missing"]:
        print(f"      missing  {', '.join(ours['missing'])}")
    print(f"      on disk  {sstables_among(file.name for file in directory.glob('*.db'))}")
    print(f"      index    {path.relative_to(BUCKET)}\n", flush=True)


def sstables_among(names: Iterable[str]) -> str:
    """Spell out whose components the *names* are."""
    return ", ".join(sorted({name.rpartition("-")[0] for name in names})) or "no sstable"


def read_back() -> tuple[int, int]:
    """Compare what every restore point names with what is stored; return the numbers of restore points and files."""
    indexes = list(STORED.rglob("*-listdir.json"))
    files = 0
    for path in indexes:
        index = json.loads(path.read_bytes())
        directory = next(iter(index))
        for name, (size, checksum, _, _, _, *key) in index["tablesnap"]["files"].items():
            stored = BUCKET / (key[0] if key else f"node1:{directory}/{name}")
            body = stored.read_bytes()
            if (len(body), crc64nvme(body)) != (size, int(checksum, 16)):
                give_up(f"{stored.relative_to(BUCKET)} is not what {path.relative_to(BUCKET)} says")
            files += 1
    return len(indexes), files


def print_what_next(command: list[str]) -> None:
    """Print commands to go on by hand."""
    newest = max(STORED.rglob("*-listdir.json"), key=lambda path: path.stat().st_mtime_ns)
    print(
        f"""
To go on by hand, from this directory:

    {spell(command)}
        start it again, in a terminal: it finds everything stored. Ctrl-C ends it.
    cp Makefile .demo/anything && mv .demo/anything {DATA.relative_to(HERE)}
        meanwhile, in another: a file that is moved in is stored at once, and its index follows.
    {spell([*TABLESNAP, "--explain", *command[len(TABLESNAP) :]])}
        say of each table whether its files are protected, and why; -v says it of each file
    find '.demo/bucket/node1:' -name '*-listdir.json'
        every restore point there is
    python3 -m json.tool '{newest.relative_to(HERE)}'
        what one of them says; docs/reference/bucket-layout.md explains each word
    less .demo/tablesnap.log
        what the daemon said
    {spell([*TABLESNAP, "--help"])}
        what else it can do. For a real bucket, write its name in place of file://...
"""
    )


if __name__ == "__main__":
    sys.exit(main())
