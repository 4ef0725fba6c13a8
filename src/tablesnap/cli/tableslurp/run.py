"""What ``tableslurp`` does: restore directories as they were at a moment."""

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import replace

from tablesnap.catalog.finding import timelines_at
from tablesnap.catalog.inventory import nodes
from tablesnap.cli.console.command import say, silence_stdout
from tablesnap.cli.console.exit_codes import EXIT_FAILED, EXIT_FAULTY, EXIT_INTERRUPTED, EXIT_OK
from tablesnap.cli.console.logs import set_up_logging
from tablesnap.cli.console.meaning import directory_meant
from tablesnap.cli.console.progress import SharedProgress, progress_for
from tablesnap.cli.console.screen import Screen
from tablesnap.cli.console.signals import stop_on_signals
from tablesnap.cli.line.printable import printable
from tablesnap.cli.tableslurp.flags import Options
from tablesnap.cli.tableslurp.next_steps import next_steps
from tablesnap.cli.tableslurp.text import plan_lines
from tablesnap.download.line import Patience
from tablesnap.errors import TablesnapError
from tablesnap.restore.archived import thaw
from tablesnap.restore.choosing import choose
from tablesnap.restore.chosen import Choice, Chosen
from tablesnap.restore.comparing import Interrupted
from tablesnap.restore.plan import Plan
from tablesnap.restore.planning import make_plan
from tablesnap.restore.request import Request
from tablesnap.restore.restoring import Outcome, carry_out
from tablesnap.restore.segments import choose_segments
from tablesnap.store.archive import NoThawer, Thawer, thawing_takes
from tablesnap.store.opening import open_store, open_thawer
from tablesnap.store.port import Store
from tablesnap.units import spell_count

_NAME = "tableslurp"
_COLUMNS = 80
_NODES = 5  # that are named where the one that was asked for is not there


def slurp(options: Options) -> int:
    """Restore what was asked for, and return the exit code."""
    screen = Screen()
    set_up_logging(screen, log_format="text", debug=bool(os.environ.get("TDEBUG")), syslog=False)
    store, thawer = open_store(options.address, options.store), open_thawer(options.address, options.store)
    try:
        return restore(options, store, screen, lambda: stop_on_signals(screen.rescue), thawer=thawer)
    except Interrupted as error:
        _say(str(error))
    except KeyboardInterrupt:
        _say("interrupted; nothing was changed")
    return EXIT_INTERRUPTED


def restore(
    options: Options,
    store: Store,
    screen: Screen,
    stop_when: Callable[[], threading.Event],
    patience: Patience | None = None,
    *,
    thawer: Thawer | None = None,
) -> int:
    """Restore from *store*, and return the exit code; once it is chosen what, *stop_when* says when to end.

    Raises what the store raises, and `Interrupted`.
    """
    options = replace(options, request=_meant(options, store))
    chosen = _choose(options, store)
    stop = stop_when()
    plan = make_plan(options.request, chosen, store, threads=options.threads, stop=stop)
    _print_plan(options, plan)
    faulty = bool(plan.refusals) or any(choice.faults for choice in plan.choices)
    faulty |= any(choice.is_emptied for choice in plan.choices) and not (options.request.at or options.request.file)
    if plan.obstacles:
        _say("nothing was restored, for what is in the way")
        return EXIT_FAILED
    if plan.frozen:
        _say(_thaw(options, plan, thawer or NoThawer()))
        return EXIT_FAILED
    if not plan.choices:
        _say("nothing was restored, as all was left out")
        return EXIT_FAULTY
    if options.dry_run:
        return EXIT_FAULTY if faulty else EXIT_OK
    progress = progress_for(screen, "restore")
    progress.begin(plan.files, plan.size)
    try:
        outcome = carry_out(
            plan,
            store,
            threads=options.threads,
            progress=SharedProgress(progress),
            stop=stop,
            patience=patience,
        )
    finally:
        progress.end()
    try:
        _print_outcome(options, plan, outcome)
        sys.stdout.flush()
    except OSError:
        silence_stdout()  # who read it is gone; the exit code says how it ended
    if outcome.interrupted:
        return EXIT_INTERRUPTED
    if any(not failure.brought for failure in outcome.failures) or outcome.not_removed:
        return EXIT_FAILED
    return EXIT_FAULTY if faulty or outcome.failures else EXIT_OK


def _thaw(options: Options, plan: Plan, thawer: Thawer) -> str:
    """Ask the store to thaw what is frozen, if that was asked for, and say what to do next."""
    count = spell_count(len(plan.frozen), "file")
    classes = sorted({one.storage_class for one in plan.frozen})
    scheme = options.address.scheme
    hours = ", ".join(f"{one} {thawing_takes(scheme, one) or 'up to 12 hours'}" for one in classes)
    if scheme == "az":
        return (
            f"nothing was restored: {count} must be rehydrated first, each by `az storage blob set-tier --tier Hot`; "
            f"it takes: {hours}. Run the same again then"
        )
    if options.thaw is None or options.dry_run:
        return (
            f"nothing was restored: {count} must be thawed first. Run it again with --thaw DAYS, which asks the store "
            f"for that; it takes: {hours}"
        )
    asked = thaw(plan.frozen, thawer, options.thaw, threads=options.threads)
    said = f"the store was asked to thaw {spell_count(asked, 'file')}, for {spell_count(options.thaw, 'day')}"
    before = f"for {spell_count(len(plan.frozen) - asked, 'file')} it was asked before"
    what = "; ".join([said] * bool(asked) + [before] * (asked < len(plan.frozen)))
    return f"nothing was restored yet: {what}. That takes: {hours}. Run the same again then, and it goes on"


def _meant(options: Options, store: Store) -> Request:
    """Return what was asked for, with the directory that ORIGIN means."""
    request = options.request
    origin = directory_meant(store, request.keys, request.origin)
    if origin is None:
        raise TablesnapError(_nothing(options, store, f"no table called {request.origin} is stored"))
    return replace(request, origin=origin)


def _choose(options: Options, store: Store) -> Chosen:
    request = options.request
    timelines = timelines_at(store, request.keys, request.origin, recursive=request.recursive)
    if not timelines:
        raise TablesnapError(_nothing(options, store, f"nothing is stored as {request.keys.plain(request.origin)}"))
    chosen = choose(request, timelines, store)
    if not request.commitlogs:
        return chosen
    segments = choose_segments(request, chosen, store)
    if isinstance(segments, Choice):
        return replace(chosen, choices=[*chosen.choices, segments])
    return replace(chosen, refusals=[*chosen.refusals, segments])


def _nothing(options: Options, store: Store, what: str) -> str:
    """Say *what* is not stored, and what to look at."""
    keys = options.request.keys
    message = f"{what} in {options.address}"
    there = nodes(store, keys.prefix, keys.separator)
    if keys.node in there:
        below = (
            ""
            if options.request.recursive or not options.request.origin.startswith("/")
            else "; for what is below it give -r"
        )
        return f"{message}: see tablelist -n {keys.node} for what is{below}"
    if not there:
        return f"{message}, nor of any node; see --prefix and --keyname-separator"
    more = f" and {len(there) - _NODES} more" if len(there) > _NODES else ""
    return f"{message}, nor of the node {keys.node}; there are {', '.join(there[:_NODES])}{more}: name one with -n"


def _print_plan(options: Options, plan: Plan) -> None:
    width = shutil.get_terminal_size((_COLUMNS, 24)).columns
    try:
        if options.json:
            print(json.dumps({"plan": plan.as_json()}))
        for line in () if options.json else plan_lines(plan, options.request.keys.node, width):
            print(line)
        sys.stdout.flush()
    except OSError as error:
        silence_stdout()
        raise TablesnapError(f"the plan could not be printed ({error.strerror}); nothing was restored") from error


def _print_outcome(options: Options, plan: Plan, outcome: Outcome) -> None:
    failures = [(failure.fetch.target, failure.why) for failure in outcome.failures]
    lacking = sum(not failure.brought for failure in outcome.failures)
    restored = plan.files - lacking
    if options.json:
        ended = {
            "restored": restored,
            "failed": [{"path": path, "why": why} for path, why in failures],
            "removed": outcome.removed,
            "not_removed": list(outcome.not_removed),
            "interrupted": outcome.interrupted,
        }
        print(json.dumps({"outcome": ended}), flush=True)
    for path, why in failures:
        _say(f"{path}: {why}")
    for line in outcome.not_removed:
        _say(line)
    if lacking or outcome.interrupted:
        ended_how = "interrupted: " if outcome.interrupted else ""
        _say(f"{ended_how}{restored} of {spell_count(plan.files, 'file')} restored; run it again, and it goes on")
        return
    removed = f", {outcome.removed} removed" if outcome.removed else ""
    there = f"{len(plan.there)} {'was' if len(plan.there) == 1 else 'were'} there"
    _say(f"{spell_count(restored, 'file')} restored, {there}{removed}")
    if not options.json:
        for line in next_steps(plan, options.request):
            print(printable(line))


def _say(text: str) -> None:
    say(_NAME, text)
