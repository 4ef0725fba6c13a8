"""The file systems that a restore goes to: is there room, and may we write."""

import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import nlargest

from tablesnap.download.temporary import is_temporary
from tablesnap.restore.plan import NewDirectory, Space

_CAP_CHOWN = 1 << 0


@dataclass(frozen=True, slots=True)
class Arriving:
    """A file that is to be written: how large it is, and how many bytes it frees that it replaces."""

    directory: str
    size: int
    frees: int = 0


def existing(path: str) -> str:
    """Return *path*, or the nearest above it that is there."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


def why_not_writable(directory: str) -> str:
    """Say why nothing can be written into *directory*, or it cannot be made; empty if it can."""
    ground = existing(directory)
    if not os.path.isdir(ground):
        return f"{ground} is no directory"
    if os.statvfs(ground).f_flag & os.ST_RDONLY:
        return f"{ground} is on a file system that is mounted read-only"
    if not os.access(ground, os.W_OK | os.X_OK, effective_ids=True):
        return f"{ground} cannot be written to by this user"
    return ""


def why_not_there(root: str) -> str:
    """Say what is wrong with a directory that the operator named; it is made where only itself is missing."""
    above = os.path.dirname(root)
    if os.path.islink(root) and not os.path.exists(root):
        return f"{root} is a link to {os.readlink(root)}, which is not there; is something not mounted?"
    if os.path.lexists(root) or os.path.isdir(above):
        return ""
    return f"{above} is not there, where {root} should be made; if it is meant so: mkdir -p {above}"


def spaces(arriving: Iterable[Arriving], *, at_once: int) -> tuple[list[Space], list[str]]:
    """Return for each file system what it has free and needs at the most, *at_once* files being written at a time.

    And say where there are too few inodes. A file that replaces another is there beside it for a moment.
    """
    by_system: defaultdict[int, list[Arriving]] = defaultdict(list)
    grounds: dict[int, str] = {}
    folders: dict[str, int] = {}
    for one in arriving:
        if one.directory not in folders:
            ground = existing(one.directory)
            folders[one.directory] = os.stat(ground).st_dev
            grounds.setdefault(folders[one.directory], ground)
        by_system[folders[one.directory]].append(one)
    found: list[Space] = []
    crowded: list[str] = []
    for device, those in by_system.items():
        system = os.statvfs(grounds[device])
        left = sum(_leftovers(folder) for folder, its in folders.items() if its == device)
        free = (system.f_bfree if os.geteuid() == 0 else system.f_bavail) * system.f_frsize + left
        found.append(Space(grounds[device], _needed(those, system.f_frsize, at_once), free))
        new = sum(1 for one in those if not one.frees)
        if system.f_files and system.f_favail < new:
            crowded.append(
                f"{grounds[device]}: there is room for {system.f_favail} more files, and not for {new}; "
                "make room, or choose another TARGET"
            )
    return sorted(found, key=lambda one: one.path), crowded


def _needed(arriving: Iterable[Arriving], block: int, at_once: int) -> int:
    """Return the most that is taken at one time, in whichever order the files come."""
    those = [(_in_blocks(one.size, block), one.frees) for one in arriving]
    growth = sum(max(size - frees, 0) for size, frees in those)
    return growth + sum(nlargest(at_once, (min(size, frees) for size, frees in those)))


def _in_blocks(size: int, block: int) -> int:
    return -(-size // block) * block


def _leftovers(directory: str) -> int:
    """Return what the files take that killed runs left in *directory*: they are removed before the first byte."""
    try:
        with os.scandir(directory) as entries:
            return sum(frees(entry.path) for entry in entries if is_temporary(entry.name))
    except OSError:
        return 0


def frees(path: str) -> int:
    """Return how many bytes become free when *path* goes: none if a snapshot has it as well."""
    try:
        status = os.lstat(path)
    except OSError:
        return 0
    return status.st_blocks * 512 if status.st_nlink == 1 and stat.S_ISREG(status.st_mode) else 0


def may_give_away() -> bool:
    """Say whether this process may give files to any user."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        effective = next(line.split()[1] for line in status if line.startswith("CapEff:"))
    return bool(int(effective, 16) & _CAP_CHOWN)


def new_directories(owners: Mapping[str, tuple[int, int] | None]) -> list[NewDirectory]:
    """Return what has to be made so that all these directories are there, those above first.

    Each is like what it is made in, but for what anybody may do there; *owners* says whose it is where that is known.
    """
    found: dict[str, NewDirectory] = {}
    may_be_anyones = may_give_away()
    for directory, owner in owners.items():
        ground = existing(directory)
        status = os.stat(ground)
        likeness = (status.st_uid, status.st_gid) if may_be_anyones else (-1, -1)
        mode = stat.S_IMODE(status.st_mode) & ~(stat.S_IWOTH | stat.S_ISVTX)
        lacking = []
        while directory != ground:
            lacking.append(directory)
            directory = os.path.dirname(directory)
        for path in reversed(lacking):
            found.setdefault(path, NewDirectory(path, mode, owner or likeness))
    return list(found.values())
