"""Which files are backed up at all."""

import posixpath
import re
from dataclasses import dataclass

_TEMPORARY = "-tmp"


@dataclass(frozen=True)
class Selection:
    """The operator's ``--include`` or ``--exclude``, either of which takes the place of the default.

    A pattern is searched for in the file's whole absolute path, as 1.x did for uploads. 1.x matched bare names where it
    listed a directory, so that ``-i '/ks/'`` uploaded everything and listed nothing; here one rule serves both.
    """

    include: tuple[re.Pattern[str], ...] = ()
    exclude: tuple[re.Pattern[str], ...] = ()

    def selects(self, path: str) -> bool:
        """Say whether the file at this absolute *path* is backed up."""
        if self.include:
            return any(pattern.search(path) for pattern in self.include)
        if self.exclude:
            return not any(pattern.search(path) for pattern in self.exclude)
        # The file's own name alone: a directory such as /data/app-tmp/ must not hide all it holds.
        return _TEMPORARY not in posixpath.basename(path)
