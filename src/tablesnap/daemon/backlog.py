"""Count what was found at start, and tell of it."""

import logging

from tablesnap.daemon.intake import Judged
from tablesnap.daemon.progress import Progress
from tablesnap.units import spell_count, spell_size

log = logging.getLogger(__name__)


class Backlog:
    """The files found at start that are still to be stored or compared. Used by the daemon's one thread alone."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.files = 0

    def begin(self, judged: Judged) -> None:
        """Say what became of the files found at start, and begin to count those that wait."""
        if judged.stored or judged.waiting:
            log.info(
                "of the files found at start, stored already: %d; still to be stored or compared: %d (%s)",
                judged.stored,
                judged.waiting,
                spell_size(judged.size),
            )
        if judged.left_alone:
            log.warning(
                "left unprotected, because -B was not given: %s found at start; with -B they are stored too",
                spell_count(judged.left_alone, "file"),
            )
        if judged.waiting:
            self.files = judged.waiting
            self._progress.begin(judged.waiting, judged.size)

    def count(self, files: int, size: int) -> None:
        """Count so many *files* and bytes as done."""
        if self.files and files:
            self.files -= files
            self._progress.advance(files, size)
            if self.files <= 0:
                self._progress.end()

    def end(self) -> None:
        """Count no more."""
        self._progress.end()
