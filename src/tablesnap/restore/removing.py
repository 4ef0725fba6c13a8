"""Removing what a restore point does not name, for `--exact`; and making sure that nobody is using it."""

import os
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from itertools import groupby
from pathlib import Path

from tablesnap.download import folders
from tablesnap.download.folders import Roots
from tablesnap.download.temporary import is_temporary
from tablesnap.rules import sstable

_COPIES = frozenset({"snapshots", "backups"})
_DATABASES = ("java", "scylla")  # what a process that may not be looked into must not be
_DELETED = " (deleted)"


def plan_removals(directories: Iterable[str], named: Collection[str]) -> list[str]:
    """Return the paths of all files in *directories* that are not *named*, in the order in which they may go.

    What is no file stays: directories, links, sockets. So does what is below snapshots or backups. A Data.db goes
    first: an sstable without one is none.
    """
    found = [path for directory in directories if not _is_copies(directory) for path in _files_in(directory)]
    return sorted(
        (path for path in found if path not in named),
        key=lambda path: (not sstable.is_data(os.path.basename(path)), path),
    )


def remove(paths: Iterable[str], roots: Roots) -> list[tuple[str, str]]:
    """Remove these files, and return those that could not be, and why. What is no file any more stays.

    No link is followed but in the paths of *roots*: what a directory below them was planned as, it has to be still.
    """
    failed: dict[str, str] = {}
    for directory, group in groupby(paths, os.path.dirname):
        those = list(group)
        try:
            with folders.opened(roots.real(directory)) as folder:
                failed |= {path: why for path in those if (why := _remove_one(folder, os.path.basename(path)))}
                folders.sync(folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            failed |= dict.fromkeys(those, error.strerror or str(error))
    return list(failed.items())


def _remove_one(folder: int, name: str) -> str:
    """Remove a file, and say why it could not be; empty if it is gone."""
    try:
        if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            return "is no file any more"
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        return error.strerror or str(error)
    return ""


def users_of(directories: Collection[str], proc: str = "/proc") -> list[str]:
    """Name each process that has something in or below *directories* open, or that may have: it cannot be seen.

    A process in a container knows a directory by another path, so what is open is also compared by its inode.
    """
    wanted = _Wanted(directories)
    if not wanted.inodes:
        return []
    users = [f"{proc} is not all to be seen (hidepid); run as root"] if _is_hidden(proc) else []
    for entry in sorted(_processes(proc), key=lambda one: int(one.name)):
        why = _why_in_the_way(entry, wanted)
        if why:
            users.append(f"process {entry.name} ({_command(entry)}) {why}")
    return users


class _Wanted:
    """What must not be open: directories, and all that is in or below them."""

    def __init__(self, directories: Collection[str]) -> None:
        self.inodes: set[tuple[int, int]] = set()
        self.paths = {os.path.realpath(directory) for directory in directories if os.path.isdir(directory)}
        for directory in self.paths:
            for folder, _, names in os.walk(directory):
                for path in (folder, *(os.path.join(folder, name) for name in names)):
                    with suppress(FileNotFoundError):
                        status = os.lstat(path)
                        self.inodes.add((status.st_dev, status.st_ino))

    def has_path(self, path: str) -> bool:
        """Say whether *path* is one of the directories, or below one."""
        path = path.removesuffix(_DELETED)
        return any(path == directory or path.startswith(directory + "/") for directory in self.paths)

    def has_inode(self, status: os.stat_result) -> bool:
        """Say whether *status* is of something that is in or below the directories."""
        return (status.st_dev, status.st_ino) in self.inodes


def _why_in_the_way(process: Path, wanted: _Wanted) -> str:
    """Say what *process* has to do with what is wanted; empty if it has nothing to do with it, or is ourselves."""
    if process.name == str(os.getpid()):
        return ""
    try:
        # Of a shell that stands in a directory, nothing is lost.
        standing = [process / "cwd"] if _may_be_database(process) else []
        for link in (*standing, *(process / "fd").iterdir()):
            with suppress(FileNotFoundError):  # closed meanwhile
                if wanted.has_path(os.readlink(link)) or wanted.has_inode(os.stat(link)):
                    return f"has {os.readlink(link)} open"
        return next((f"has {path} mapped" for path in _mapped(process) if wanted.has_path(path)), "")
    except (FileNotFoundError, ProcessLookupError):
        return ""  # it has ended
    except PermissionError:
        if _may_be_database(process):
            return "may have it open, and only root can see that"
        return ""


def _mapped(process: Path) -> Iterator[str]:
    with (process / "maps").open(encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            path = line.rstrip("\n").partition("/")
            if path[1]:
                yield "/" + path[2]


def _processes(proc: str) -> list[Path]:
    return [entry for entry in Path(proc).iterdir() if entry.name.isdecimal()]


def _command(process: Path) -> str:
    with suppress(OSError):
        return (process / "comm").read_text(errors="replace").strip()
    return "?"


def _may_be_database(process: Path) -> bool:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return True
    names = (_command(process), os.fsdecode(os.path.basename(words[0])))
    return any(name.startswith(_DATABASES) for name in names) or any(b"cassandra" in word.lower() for word in words)


def _is_hidden(proc: str) -> bool:
    """Say whether processes of others cannot even be listed, as hardened systems have it for all but root."""
    if os.geteuid() == 0:
        return False
    with suppress(OSError), (Path(proc) / "self/mounts").open(errors="replace") as mounts:
        fields = [line.split() for line in mounts]
        return any(
            one[1] == proc
            and any(option.startswith("hidepid=") and option[8:] not in {"0", "off"} for option in one[3].split(","))
            for one in fields
        )
    return True


def _is_copies(directory: str) -> bool:
    return not _COPIES.isdisjoint(directory.split("/"))


def _files_in(directory: str) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return [
                entry.path for entry in entries if entry.is_file(follow_symlinks=False) and not is_temporary(entry.name)
            ]
    except FileNotFoundError:
        return []
