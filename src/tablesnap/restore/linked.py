"""Links in the way of a restore: those that the operator named are followed, and no other."""

import os
import re
from collections.abc import Iterable, Iterator

from tablesnap.download.folders import Roots
from tablesnap.rules.placing import Layout, Placement, named_paths

_TABLE = re.compile(r"\w+-[0-9a-f]{32}", re.ASCII)


def follow(placement: Placement, layout: Layout) -> Roots:
    """Follow the links that were named; a table's directory is named where it is one, as others are found by TARGET."""
    given = {layout.target, *layout.data_dirs.values()}
    named = named_paths(placement.directories, layout)
    return Roots.followed(path for path in named if path in given or os.path.islink(path))


def obstacles(placement: Placement, roots: Roots) -> Iterator[str]:
    """Name each link below the *roots* that files would go through, and the flag that says it is meant."""
    for link in dict.fromkeys(link for one in placement.directories for link in _links_above(one, roots)):
        name = os.path.basename(link)
        source = _source_of(link, placement)
        table = _TABLE.fullmatch(os.path.basename(source))
        renaming = f" or --table-dir {table[0]}={name}" if table else ""
        yield (
            f"{link} is a link to {os.readlink(link)}, and a restore follows none below TARGET; "
            f"if it is meant, say so: --data-dir {source}={link}{renaming}"
        )


def _links_above(directory: str, roots: Roots) -> Iterable[str]:
    """Return the links among *directory* and what is above it, up to its root."""
    root = roots.above(directory) or "/"
    found: list[str] = []
    while directory not in {root, "/"}:
        if os.path.islink(directory):
            found.append(directory)
        directory = os.path.dirname(directory)
    return reversed(found)


def _source_of(link: str, placement: Placement) -> str:
    """Return the directory of the node that goes to *link*."""
    for one in placement.placed:
        if one.directory == link or one.directory.startswith(f"{link}/"):
            source = one.file.directory
            for _ in range(one.directory.count("/") - link.count("/")):
                source = os.path.dirname(source)
            return source
    return "OLD"
