"""Say what was stored: one line for an sstable or a file, not one for each component."""

import logging
import os
from dataclasses import dataclass

from tablesnap.daemon.directory import Directory
from tablesnap.rules import sstable
from tablesnap.units import spell_count, spell_size

log = logging.getLogger(__name__)


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

    def announce(self, directories: dict[str, Directory], now: float, *, all_of_them: bool = False) -> None:
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
