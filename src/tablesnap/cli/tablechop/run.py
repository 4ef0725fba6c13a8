"""What ``tablechop`` does: forget by age, and delete what nothing needs."""

import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from tablesnap.catalog.ahead import read_ahead
from tablesnap.catalog.summary import timelines_below
from tablesnap.catalog.timeline import Timeline
from tablesnap.cli.console.exit_codes import EXIT_FAILED, EXIT_FAULTY, EXIT_OK
from tablesnap.cli.console.meaning import expect_written_out, nothing_found
from tablesnap.cli.console.spelling import spell_second
from tablesnap.cli.line.printable import printable
from tablesnap.cli.tablechop.as_json import deleted_fields, purge_fields, tidying_fields
from tablesnap.cli.tablechop.flags import Options
from tablesnap.cli.tablechop.freshen import Freshener
from tablesnap.cli.tablechop.terms import terms_of
from tablesnap.cli.tablechop.text import heading, notes, outcome_lines, plan_lines, spell_total
from tablesnap.errors import TablesnapError, UsageError
from tablesnap.purge.clock import store_clock
from tablesnap.purge.planning import Plan, Terms, plan_purge
from tablesnap.purge.purging import purge
from tablesnap.purge.tidying import give_up, stale_uploads
from tablesnap.purge.total import Total
from tablesnap.store.opening import open_store, open_upkeep
from tablesnap.store.port import Store
from tablesnap.store.upkeep import Upkeep
from tablesnap.units import spell_count

_COLUMNS = 80
_AHEAD = 4  # histories that are planned while another is purged


class TooMuch(TablesnapError):
    """More would be deleted than was asked for."""


def chop(options: Options, now: datetime) -> int:
    """Purge, or print the plan, and return the exit code."""
    store, upkeep = open_store(options.address, options.store), open_upkeep(options.address, options.store)
    expect_written_out(store, options.keys, options.path)
    command = Freshener if options.freshen else Chopper
    return command(options, store, upkeep).run(now)


class Chopper:
    """Purges what is stored of one node, one history after the other, and prints what it does."""

    def __init__(self, options: Options, store: Store, upkeep: Upkeep) -> None:
        self._options = options
        self._store = store
        self._upkeep = upkeep
        self._total = Total()
        self._heading = ""  # of the history that is being purged, until it is printed
        self._width = shutil.get_terminal_size((_COLUMNS, 24)).columns

    def run(self, now: datetime) -> int:
        """Do all of it, and return the exit code."""
        found = timelines_below(self._store, self._options.keys, self._options.path)
        if not found:
            raise nothing_found(self._options.address, self._options.keys.below(self._options.path), None)
        terms = terms_of(self._options, store_clock(self._store, found), now)
        plans: Iterable[tuple[Timeline, Plan]] = self._plans(found, terms)
        if self._options.limit is not None:
            plans = list(plans)  # all of them, before anything is done
        too_much = self._too_much()
        if too_much and not self._options.dry_run:
            raise TooMuch(f"{too_much}; nothing was deleted. See --dry-run, and add --yes if that is meant")
        for timeline, plan in plans:
            self._carry_out(timeline, plan, terms)
        self._tidy(terms)
        for remark in self._upkeep.remarks():
            self._say(remark)
        self._say(f"{spell_total(self._total, dry_run=self._options.dry_run)}{self._left_alone()}")
        if self._options.forget_all and not self._options.yes:
            raise UsageError("nothing was deleted; add --yes to forget all of that")
        if too_much:
            raise TooMuch(f"{too_much}, and would not be done without --yes")
        if self._total.failures:
            return EXIT_FAILED
        return EXIT_FAULTY if self._total.left_alone else EXIT_OK

    def _plans(self, found: Sequence[Timeline], terms: Terms) -> Iterator[tuple[Timeline, Plan]]:
        for timeline, plan in zip(
            found, read_ahead(lambda one: plan_purge(self._store, one, terms), found, _AHEAD), strict=True
        ):
            self._total.add_plan(plan)
            yield timeline, plan

    def _too_much(self) -> str:
        """Say that more would be deleted than `--limit` allows, if so. It is for when all is planned."""
        limit, share = self._options.limit, self._total.share
        if limit is None or share <= limit or self._options.yes:
            return ""
        return f"{share:.1%} of what is stored would be deleted, which is more than --limit {limit:.1%}"

    def _carry_out(self, timeline: Timeline, plan: Plan, terms: Terms) -> None:
        outcome = None
        self._heading = heading(timeline)
        if self._options.dry_run:
            for line in plan_lines(plan, self._width):
                self._print(line)
            self._list(one.key for one in (*plan.pointers, *plan.indexes))
            self._list(plan.needless)
        else:
            outcome = purge(self._store, timeline, plan, terms, self._list)
            self._total.add_outcome(outcome)
            for line in outcome_lines(outcome):
                self._print(line)
        self._total.left_alone += bool(outcome.faults if outcome else plan.faults)
        for line in notes(plan, outcome, self._width):
            self._print(line)
        if self._options.json:
            print(json.dumps(purge_fields(self._options.keys.node, timeline, plan, outcome)))
        elif self._options.dry_run:
            print()

    def _tidy(self, terms: Terms) -> None:
        stale = stale_uploads(self._upkeep, terms)
        failures = [] if self._options.dry_run else give_up(self._upkeep, stale)
        self._total.failures += len(failures)
        if self._options.json:
            if stale:
                print(json.dumps(tidying_fields(stale, failures, dry_run=self._options.dry_run)))
            return
        for one in stale if self._options.list_deletes or self._options.dry_run else ():
            print(f"unfinished upload of {spell_second(one.begun)}: {printable(one.key)}")
        for failure in failures:
            print(printable(f"! not given up: {failure}"))
        if stale:
            done = "would give up" if self._options.dry_run else "gave up"
            self._say(f"{done} {spell_count(len(stale) - len(failures), 'unfinished upload')}")

    def _list(self, keys: Iterable[str]) -> None:
        for key in keys if self._options.list_deletes else ():
            if self._options.json:
                print(json.dumps(deleted_fields(key)))
            else:
                self._print(f"  {'delete' if self._options.dry_run else 'deleted'}  {printable(key)}")

    def _print(self, line: str) -> None:
        """Print a line for people, below the heading of its history."""
        if self._options.json:
            return
        if self._heading:
            print(self._heading)
            self._heading = ""
        print(line)

    def _left_alone(self) -> str:
        return f"; {self._total.left_alone} left alone" if self._total.left_alone else ""

    def _say(self, text: str) -> None:
        if not self._options.json:
            print(f"tablechop: {printable(text)}", file=sys.stderr)
