"""Symbolic links to directories below a PATH: which are followed, and which directories are there then.

A directory is watched once, under one path: its own where that is below a PATH without a link, else the one by which
the store knows it already, else the first by name. `Watcher` and `Tree` go by the same rules; it watches, and a tree is
what one look finds.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush

from tablesnap.rules import sstable
from tablesnap.rules.place import is_copies_of, is_within

Identity = tuple[int, int]  # device and inode
Groups = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Refusal:
    """Why a link is not followed."""

    why: str
    harmless: bool = False  # no backup lacks anything because of that


def identity_of(path: str) -> Identity | None:
    """Return the device and inode at *path*, links followed; None if nothing can be seen there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino)


def already(other: str) -> Refusal:
    """Return why a directory that is there as *other* too is not taken."""
    return Refusal(f"it is the same directory as {other}, and backed up by that name", harmless=True)


def refusal_of(link: str, paths: Iterable[str], avoid: Collection[str]) -> Refusal | None:
    """Say why *link*, which is below one of the PATHs *paths*, is not followed; None: it is.

    *avoid* are directories of which nothing must be watched, as a store is: each upload would be the next file there.
    """
    if _is_in_copies(link):
        return Refusal("links in snapshots and backups never are", harmless=True)
    target = os.path.realpath(link)
    for one in map(os.path.realpath, avoid):
        if is_within(target, one) or is_within(one, target):
            return Refusal("it leads to where the store is")
    for path in paths:
        real = os.path.realpath(path)
        if is_within(target, real):
            return Refusal(f"what it leads to is below {path} itself, and backed up by its own name", harmless=True)
        if is_within(real, target):
            return Refusal(f"{path} is in the directory that it leads to")
    if is_within(os.path.realpath(os.path.dirname(link)), target):
        return Refusal("it is in the directory that it leads to")
    return None


def _is_in_copies(path: str) -> bool:
    while path != "/":
        parent, name = os.path.split(path)
        # Which directory of 2.0 is a table's shows only by what it holds; the look is spared where no name asks for it.
        holds = name in ("snapshots", "backups") and _holds_sstables(parent)
        if is_copies_of(path, parent_holds_sstables=holds):
            return True
        path = parent
    return False


def _holds_sstables(directory: str) -> bool:
    try:
        return any(sstable.parse(name) is not None for name in os.listdir(directory))
    except OSError:
        return False


def list_below(path: str) -> tuple[list[str], list[str]]:
    """Return the directories in *path*, and the links; raise `OSError` if it cannot be listed."""
    directories, links = [], []
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_symlink():
                links.append(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                directories.append(entry.path)
    return sorted(directories), sorted(links)


@dataclass
class Tree:
    """The directories at and below some PATHs, each once. A look, taken when it is made."""

    paths: tuple[str, ...]
    avoid: tuple[str, ...] = ()
    second: Collection[str] = ()  # paths under which nothing is taken that is to be had under another
    directories: dict[str, None] = field(default_factory=dict)
    refused: dict[str, Refusal] = field(default_factory=dict)  # by link
    contested: Groups = ()  # of each directory that several links reach: its paths
    _at: dict[Identity, str] = field(default_factory=dict)
    _links: list[str] = field(default_factory=list)  # a heap

    def __post_init__(self) -> None:
        for path in self.paths:
            self._walk(path)
        links = list(self._links)
        self.contested = contested_by(links, self.paths, self.avoid)
        self._follow()
        self.second, self._links = (), sorted(links)
        self._follow()  # what was left for a path that is not there after all

    def _follow(self) -> None:
        while self._links:
            link = heappop(self._links)
            here = identity_of(link)
            if here is None or not os.path.isdir(link):
                continue
            refusal = refusal_of(link, self.paths, self.avoid) if here not in self._at else None
            if refusal is None:
                self._walk(link)
            else:
                self.refused[link] = refusal

    def _walk(self, top: str) -> None:
        for path, links in walk(top, self._takes):
            self.directories[path] = None
            for link in links:
                heappush(self._links, link)

    def _takes(self, path: str) -> bool:
        here = identity_of(path)
        if path in self.second:
            return False
        other = self._at.setdefault(here, path) if here is not None else path
        if other == path:
            return True
        self.refused[path] = already(other)
        return False


def walk(top: str, takes: Callable[[str], bool]) -> Iterator[tuple[str, list[str]]]:
    """Yield *top* and each directory below it that *takes* says yes to, with its links, which are not followed.

    A directory that cannot be listed is yielded too.
    """
    stack = [top]
    while stack:
        path = stack.pop()
        if not takes(path):
            continue
        try:
            below, links = list_below(path)
        except OSError:
            below, links = [], []
        yield path, links
        stack += reversed(below)


def contested_by(links: Iterable[str], paths: tuple[str, ...], avoid: tuple[str, ...]) -> Groups:
    """Return, of each directory that several of *links* reach, the paths by which they do."""
    reached: dict[Identity, list[str]] = {}
    links = sorted(links)
    for link in links if len(links) > 1 else ():
        for here, path in _reach(link, paths, avoid).items():
            reached.setdefault(here, []).append(path)
    return tuple(tuple(found) for found in reached.values() if len(found) > 1)


def _reach(link: str, paths: tuple[str, ...], avoid: tuple[str, ...]) -> dict[Identity, str]:
    """Return what *link* leads to, with all below it, links followed."""
    reached: dict[Identity, str] = {}

    def takes(path: str) -> bool:
        here = identity_of(path)
        return here is not None and reached.setdefault(here, path) == path

    waiting = [link]
    while waiting:
        one = heappop(waiting)
        if os.path.isdir(one) and refusal_of(one, paths, avoid) is None:
            for _, links in walk(one, takes):
                for below in links:
                    heappush(waiting, below)
    return reached


def second_choices(contested: Groups, indexed: Collection[str]) -> frozenset[str]:
    """Return those paths of contested directories that have no index, where another of the same directory has.

    *indexed* are the directories of which the store has an index; one below counts as well.
    """
    second: set[str] = set()
    for group in contested:
        first = [path for path in group if any(is_within(one, path) for one in indexed)]
        if first:
            second.update(set(group) - set(first))
    return frozenset(second)
