"""Directories by their paths, so that all below one are found without a look at every other."""

import posixpath


class PathSet:
    """A set of absolute paths that knows which of them are at or below another."""

    def __init__(self) -> None:
        self._members: set[str] = set()
        self._below: dict[str, set[str]] = {}  # of members and of all that is above them: the next names down

    def __contains__(self, path: str) -> bool:
        return path in self._members

    def __len__(self) -> int:
        return len(self._members)

    def add(self, path: str) -> None:
        """Have *path* in the set."""
        self._members.add(path)
        while path != "/":
            parent = posixpath.dirname(path)
            siblings = self._below.setdefault(parent, set())
            if path in siblings:
                return
            siblings.add(path)
            path = parent

    def discard(self, path: str) -> None:
        """Have *path* in the set no more; what is below it stays."""
        self._members.discard(path)
        while path != "/" and path not in self._members and not self._below.get(path):
            self._below.pop(path, None)
            parent = posixpath.dirname(path)
            self._below.get(parent, set()).discard(path)
            path = parent

    def at_or_below(self, path: str) -> list[str]:
        """Return the members that are *path* or below it, each before what is below it."""
        found, stack = [], [path]
        while stack:
            here = stack.pop()
            if here in self._members:
                found.append(here)
            stack += self._below.get(here, ())
        return found
