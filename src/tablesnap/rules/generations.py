"""Generations for sstables that would have one name and are different ones."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tablesnap.rules import sstable
from tablesnap.rules.kept import KeptFile

# ``nb-7-big-``, ``ks-cf-ka-7-``; an id that is a UUID is free of collisions, and has no next one.
_STEM = re.compile(r"(?P<before>.+-)(?P<generation>[0-9]{1,10})(?P<after>-[a-z]+-|-)", re.ASCII)
_LAST = (1 << 31) - 1  # Cassandra keeps a generation in 31 bits

# By directory, what is there already: sizes of files by name, and -1 for what is no file.
Present = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Brought:
    """One sstable that is to be put into a directory."""

    target: str  # the directory
    stem: str  # as it was
    source: str  # the directory that it was in
    components: Mapping[str, KeptFile]  # by what follows the stem in their names

    @property
    def path(self) -> str:
        """Where it was, up to its stem."""
        return posixpath.join(self.source, self.stem)


def name_apart(brought: Iterable[Brought], present: Present, unfit: Collection[tuple[str, str]]) -> list[str]:
    """Return the stem that each of *brought* gets, so that different ones in a directory have different names.

    *unfit* are pairs of paths up to the stem, old and new, that are ruled out: other content is there. Two that are
    the same sstable keep the same name, and so do different ones whose name has no generation.
    """
    ordered = list(brought)
    stems = {id(one): one.stem for one in ordered}
    by_target: defaultdict[str, list[Brought]] = defaultdict(list)
    for one in ordered:
        by_target[one.target].append(one)
    for target, those in by_target.items():
        if len({one.stem for one in those}) < len(those):
            names = _Names(those, present.get(target, {}), unfit)
            stems |= {id(one): names.free_for(one) for one in names.second}
    return [stems[id(one)] for one in ordered]


class _Names:
    """The names in one directory: those that are there, and those that are to come."""

    def __init__(self, those: Sequence[Brought], present: Mapping[str, int], unfit: Collection[tuple[str, str]]):
        self._unfit = unfit
        self._present: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for name, size in present.items():
            component = sstable.parse(name)
            if component is not None:
                self._present[component.stem][name[len(component.stem) :]] = size
        self._taken = {one.stem for one in those}
        self.second = list(self._second_of_each(those))

    def _second_of_each(self, those: Iterable[Brought]) -> Iterable[Brought]:
        """Yield all but one of each name. The one whose content seems to be there keeps it, else the first."""
        by_stem: defaultdict[str, list[Brought]] = defaultdict(list)
        for one in those:
            by_stem[one.stem].append(one)
        for stem in sorted(by_stem):
            first, *others = sorted(by_stem[stem], key=lambda one: (not self._fits(one, one.stem), one.source))
            yield from (one for one in others if _STEM.fullmatch(one.stem) and not _is_same(one, first))

    def free_for(self, one: Brought) -> str:
        """Return the name that an earlier run gave to *one*, or the next that is free."""
        shape = _shape(one.stem)
        candidates = [stem for stem in self._present if stem not in self._taken and _shape(stem) == shape]
        fitting = [stem for stem in candidates if self._fits(one, stem)]
        stem = min(fitting, key=lambda stem: (-len(self._present[stem]), _generation(stem)), default="")
        if not stem:
            before, after = shape
            stem = f"{before}{self._next()}{after}"
        self._taken.add(stem)
        return stem

    def _fits(self, one: Brought, stem: str) -> bool:
        """Say whether all that is there under *stem* may be components of *one*, by their sizes."""
        there = self._present.get(stem, {})
        if not there or (one.path, posixpath.join(one.target, stem)) in self._unfit:
            return False
        return all(
            ending in one.components and size in {one.components[ending].size, None} for ending, size in there.items()
        )

    def _next(self) -> int:
        used = {_generation(stem) for stem in (*self._present, *self._taken)}
        if max(used) < _LAST:
            return max(used) + 1
        return next(number for number in range(1, _LAST) if number not in used)


def _is_same(one: Brought, other: Brought) -> bool:
    """Say whether the two are one sstable that lay in two places; what has no checksum is not known to be."""
    return one.components.keys() == other.components.keys() and all(
        is_same_content(file, other.components[ending]) for ending, file in one.components.items()
    )


def is_same_content(one: KeptFile, other: KeptFile) -> bool:
    """Say whether two files are known to have the same bytes."""
    return one.key == other.key or (
        one.checksum is not None and (one.size, one.checksum) == (other.size, other.checksum)
    )


def _shape(stem: str) -> tuple[str, str]:
    match = _STEM.fullmatch(stem)
    return (match["before"], match["after"]) if match else ("", "")


def _generation(stem: str) -> int:
    match = _STEM.fullmatch(stem)
    return int(match["generation"]) if match else 0
