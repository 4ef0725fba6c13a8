"""``tablechop --freshen``: keep a bucket's own rules from deleting what is in use."""

import json
import sys
from datetime import datetime

from tablesnap.catalog.summary import timelines_below
from tablesnap.catalog.timeline import Timeline
from tablesnap.cli.console.exit_codes import EXIT_FAILED, EXIT_FAULTY, EXIT_OK
from tablesnap.cli.console.meaning import nothing_found
from tablesnap.cli.line.printable import printable
from tablesnap.cli.tablechop.flags import Options
from tablesnap.cli.tablechop.terms import terms_of
from tablesnap.errors import TablesnapError
from tablesnap.purge.clock import store_clock
from tablesnap.purge.freshening import Aging, find_aging, freshen
from tablesnap.store.port import Store
from tablesnap.store.upkeep import Upkeep
from tablesnap.units import spell_count, spell_size


class Freshener:
    """Goes through what is stored of one node, one history after the other, and prints what it does."""

    def __init__(self, options: Options, store: Store, upkeep: Upkeep) -> None:
        self._options = options
        self._store = store
        self._upkeep = upkeep

    def run(self, now: datetime) -> int:
        """Do all of it, and return the exit code."""
        expiries = self._upkeep.expiries()
        if not expiries:
            raise TablesnapError(
                f"no rule of {self._options.address} deletes objects by their age, so nothing need be made young; "
                "leave out --freshen, or see the bucket's lifecycle"
            )
        found = timelines_below(self._store, self._options.keys, self._options.path)
        if not found:
            raise nothing_found(self._options.address, self._options.keys.below(self._options.path), None)
        terms = terms_of(self._options, store_clock(self._store, found), now)
        objects = size = failed = left_alone = 0
        for timeline in found:
            aging = find_aging(self._store, timeline, terms, expiries)
            failures = [] if self._options.dry_run else freshen(self._upkeep, aging)
            self._report(timeline, aging, failures)
            objects, size = objects + len(aging.keys), size + aging.size
            failed, left_alone = failed + len(failures), left_alone + bool(aging.faults)
        done = "would copy" if self._options.dry_run else "copied"
        if not self._options.json:
            what = (
                f"{spell_count(objects - failed, 'object')} onto themselves, {spell_size(size)} with all that was due"
            )
            alone = f"; {left_alone} left alone" if left_alone else ""
            print(f"tablechop: {done} {what}{alone}", file=sys.stderr)
        if failed:
            return EXIT_FAILED
        return EXIT_FAULTY if left_alone else EXIT_OK

    def _report(self, timeline: Timeline, aging: Aging, failures: list[str]) -> None:
        if self._options.json:
            fields = {
                "node": self._options.keys.node,
                "name": timeline.name,
                "due": {"objects": len(aging.keys), "bytes": aging.size},
                "failures": failures,
                "left_alone": [{"key": fault.key, "path": fault.path, "what": fault.what} for fault in aging.faults],
            }
            print(json.dumps(fields))
            return
        lines = [f"left alone: {fault.key}: {fault.what}" for fault in aging.faults]
        lines += [f"not copied: {failure}" for failure in failures]
        if aging.keys:
            lines.append(f"due: {spell_count(len(aging.keys), 'object')}, {spell_size(aging.size)}")
        if lines:
            print(printable(", ".join(sorted(timeline.directories))))
        for line in lines:
            print(f"  {printable(line)}")
