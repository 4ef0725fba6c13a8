"""What ``tablecheck`` does: prove that what is stored can be restored."""

import os
import sys
import threading
import time
from contextlib import closing
from datetime import datetime

from tablesnap.catalog.inventory import nodes
from tablesnap.catalog.summary import timelines_below
from tablesnap.catalog.timeline import Timeline
from tablesnap.cli.console.exit_codes import EXIT_FAILED, EXIT_FAULTY, EXIT_INTERRUPTED, EXIT_OK
from tablesnap.cli.console.logs import set_up_logging
from tablesnap.cli.console.meaning import directory_meant, nothing_found
from tablesnap.cli.console.progress import SharedProgress, progress_for
from tablesnap.cli.console.screen import Screen
from tablesnap.cli.console.signals import stop_on_signals
from tablesnap.cli.line.printable import printable
from tablesnap.cli.tablecheck.against import compare
from tablesnap.cli.tablecheck.flags import Against, Options
from tablesnap.cli.tablecheck.lines import checked_json, finding_json, finding_line, note_line, tally_json
from tablesnap.cli.tablecheck.tally import Tally
from tablesnap.cli.tablecheck.textfile import write_textfile
from tablesnap.download.line import Halted, Line, Patience
from tablesnap.rules.keys import Keys
from tablesnap.store.opening import open_store
from tablesnap.store.port import Store
from tablesnap.verify.checking import check_all
from tablesnap.verify.finding import Finding
from tablesnap.verify.history import Checked
from tablesnap.verify.proven import ProvenStore


def check(options: Options, now: datetime) -> int:
    """Print what is wrong, and return the exit code."""
    store = open_store(options.address, options.store)
    screen = Screen()
    set_up_logging(screen, log_format="text", debug=bool(os.environ.get("TDEBUG")), syslog=False)
    run = Run(options, store, screen, stop_on_signals(screen.rescue), Tally(began=now.timestamp()))
    try:
        run.check_nodes()
    except Halted:
        # What was found is said, and no figures are written: they would say that all is told.
        sys.stdout.flush()
        print(f"tablecheck: {printable(run.why_ended)}; until then: {run.tally.spell()}", file=sys.stderr)
        return EXIT_INTERRUPTED if run.interrupted else EXIT_FAILED
    sys.stdout.flush()
    if options.textfile is not None:
        write_textfile(options.textfile, run.tally, now=time.time())
    if not options.json:
        print(f"tablecheck: {run.tally.spell()}", file=sys.stderr)
    return EXIT_FAULTY if run.tally.faulty else EXIT_OK


class Run:
    """One run of the command: checks, prints and counts."""

    def __init__(self, options: Options, store: Store, screen: Screen, stop: threading.Event, tally: Tally) -> None:
        self.tally = tally
        self._options = options
        self._store = store
        self._stop = stop
        self._screen = screen
        self._progress = progress_for(screen, "check")
        self._shared = SharedProgress(self._progress)
        self._line = Line(store, self._shared, Patience(), stop)
        # Where both are one terminal, a line goes above the bar and not into it.
        self._print = screen.print if screen.is_terminal and sys.stdout.isatty() else print

    @property
    def interrupted(self) -> bool:
        """Say whether the operator has ended it."""
        return self._stop.is_set()

    @property
    def why_ended(self) -> str:
        """Say why it did not come to its end."""
        return f"the check has not come to its end: {self._line.why_halted}"

    def check_nodes(self) -> None:
        """Check everything that was asked for; raise `Halted` where that cannot come to its end."""
        options = self._options
        store = ProvenStore(self._line)
        names = nodes(store, options.prefix, options.separator) if options.node is None else [options.node]
        for name in names:
            self._check_node(Keys(options.prefix, name, options.separator), store)
        if not self.tally.tables:
            begin = f"{options.prefix}{options.node or 'NODE'}{options.separator}"
            raise nothing_found(options.address, begin, options.path)
        if options.against is not None:
            assert options.node is not None, "there is one that the disk belongs to"
            self._compare(Keys(options.prefix, options.node, options.separator), options.against)
        if options.json:
            self._print(tally_json(self.tally))

    def _check_node(self, keys: Keys, store: Store) -> None:
        path = self._options.path
        below = "/" if path is None else directory_meant(store, keys, path)
        found = timelines_below(store, keys, below) if below is not None else []
        extents = [_extent(timeline) for timeline in found]
        self._progress = progress_for(self._screen, f"check of {printable(keys.node)}")
        self._shared.turn_to(self._progress)
        self._progress.begin(sum(files for files, _ in extents), sum(size for _, size in extents))
        checks = check_all(
            keys.node,
            found,
            self._line,
            self._options.share,
            threads=self._options.threads,
            may_be_frozen=self._options.archive,
        )
        try:
            with closing(checks):
                for (files, size), checked in zip(extents, checks, strict=True):
                    self._take(checked, keys)
                    # What no index names is not looked at, and what is named in vain is not there.
                    self._shared.advance(max(0, files - checked.objects), max(0, size - checked.size))
        finally:
            self._progress.end()

    def _take(self, checked: Checked, keys: Keys) -> None:
        self.tally.add(checked)
        for finding in checked.findings:
            self._say(finding, keys)
        if self._options.json:
            self._print(checked_json(checked))
            return
        for note in checked.notes:
            self._print(note_line(note, checked, keys))

    def _compare(self, keys: Keys, against: Against) -> None:
        self.tally.unprotected = 0.0
        for one in compare(self._store, keys, against, time.time()):
            self.tally.add_unprotected(one)
            self._say(one.finding, keys)

    def _say(self, finding: Finding, keys: Keys) -> None:
        self._print(finding_json(finding) if self._options.json else finding_line(finding, keys))


def _extent(timeline: Timeline) -> tuple[int, int]:
    """Return how many objects there are of a history, and their bytes, without the indexes."""
    parts = timeline.directories.values()
    indexes = [one for part in parts for one in part.indexes]
    return (
        sum(part.objects for part in parts) - len(indexes),
        sum(part.size for part in parts) - sum(one.size for one in indexes),
    )
