"""Say what was stored, one line for an sstable or a file, and what was recorded."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass

from tablesnap.daemon.directory import Directory
from tablesnap.rules import sstable
from tablesnap.rules.index import Index
from tablesnap.units import spell_count, spell_size, spell_utc

log = logging.getLogger(__name__)

NAMED_AT_ONCE = 5  # restore points with a line each; of more that are recorded at the same time the sum is said


@dataclass
class _Sum:
    files: int = 0
    size: int = 0
    last: float = 0.0


class Announcer:
    """Gathers components into sstables. Used by the daemon's one thread alone."""

    def __init__(self, wait: float) -> None:
        self._wait = wait  # seconds, for the sstable's other components
        self._sums: dict[tuple[str, str], _Sum] = {}

    @property
    def has_more(self) -> bool:
        """Whether something was stored that was not said yet."""
        return bool(self._sums)

    def stored(self, directory: Directory, name: str, size: int, now: float) -> None:
        """Note that the file *name* of *size* bytes was stored."""
        component = sstable.parse(name)
        if component is None:
            log.info("stored %s (%s)", os.path.join(directory.path, name), spell_size(size))
            return
        total = self._sums.setdefault((directory.path, component.stem), _Sum())
        total.files += 1
        total.size += size
        total.last = now

    def announce(self, directories: Mapping[str, Directory], now: float, *, all_of_them: bool = False) -> None:
        """Say which sstables are stored, of those that have no component on its way."""
        on_their_way: dict[str, set[str]] = {}
        for (path, stem), total in list(self._sums.items()):
            if not all_of_them:
                if now - total.last < self._wait:
                    continue
                if path not in on_their_way:
                    on_their_way[path] = _stems(directories.get(path))
                if stem in on_their_way[path]:
                    continue
            del self._sums[path, stem]
            sstable_path = os.path.join(path, stem[:-1])
            log.info("stored %s (%s, %s)", sstable_path, spell_count(total.files, "file"), spell_size(total.size))


def _stems(directory: Directory | None) -> set[str]:
    """Return the stems of what is on its way in *directory*. Not by the full rule of names, as this is done often."""
    return {name[: name.rfind("-") + 1] for name in directory.pending} if directory else set()


class Recordings:
    """Gathers restore points that were recorded. Used by the daemon's one thread alone."""

    def __init__(self) -> None:
        self._points: list[tuple[str, Index]] = []

    def recorded(self, name: str, index: Index) -> None:
        """Note that a restore point of the table or directory of this *name* is stored; *index* has all its files."""
        self._points.append((name, index))

    def announce(self) -> None:
        """Say which restore points were recorded since the last time."""
        points, self._points = self._points, []
        if len(points) > NAMED_AT_ONCE:
            moments = sorted(index.taken_at for _, index in points if index.taken_at is not None)
            log.info(
                "recorded %s, as of moments from %s to %s (%s)",
                spell_count(len(points), "restore point"),
                spell_utc(moments[0]),
                spell_utc(moments[-1]),
                spell_size(sum(_size_of(index) for _, index in points)),
            )
            return
        for name, index in points:
            missing = f"; {spell_count(len(index.missing), 'file')} missing" if index.missing else ""
            number = sum(len(files) for files in (index.files, *index.others.values()))
            moment = spell_utc(index.taken_at) if index.taken_at else "an unknown moment"
            size = spell_size(_size_of(index))
            log.info("recorded %s as of %s (%s, %s%s)", name, moment, spell_count(number, "file"), size, missing)


def _size_of(index: Index) -> int:
    return sum(file.size for files in (index.files, *index.others.values()) for file in files.values())
