"""Print what ``--explain`` was asked for."""

import json
import os
import posixpath
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain

from tablesnap.cli.console.exit_codes import EXIT_FAILED, EXIT_FAULTY, EXIT_OK
from tablesnap.cli.console.logs import set_up_logging
from tablesnap.cli.console.screen import Screen
from tablesnap.cli.line.printable import printable
from tablesnap.cli.tablesnap.options import Options
from tablesnap.explain.explaining import Explainer
from tablesnap.explain.explanations import Explanation, State
from tablesnap.rules.place import place_of
from tablesnap.store.opening import open_store

_WIDTH = max(len(state.value) for state in State)
_NAMED = 3  # files, before they are counted
_WANTING = (State.PENDING, State.UNKNOWN)  # what somebody may have to see to


def explain(options: Options) -> int:
    """Print a line for each file, or for those of a table together, and return the exit code."""
    set_up_logging(Screen(), log_format=options.log_format, debug=bool(os.environ.get("TDEBUG")), syslog=False)
    store = open_store(options.address, options.store) if options.address is not None else None
    asked = options.settings
    explainer = Explainer(asked.paths, avoid=asked.avoid, selection=asked.selection, keys=asked.keys, store=store)
    found = explainer.explain()
    try:
        for line in _lines(options, found):
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:
        # Who read it has seen enough; and the interpreter must not complain at its end that it cannot flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    if not options.json:
        print(f"tablesnap: {_summary(found)}", file=sys.stderr)
    return EXIT_FAULTY if any(one.state in _WANTING for one in found) else EXIT_OK


def _lines(options: Options, found: Sequence[Explanation]) -> Iterable[str]:
    if options.json:
        return map(_as_json, found)
    if options.verbose:
        return map(_as_text, found)
    return chain.from_iterable(map(_together, _groups(found, options.settings.paths)))


def _groups(found: Sequence[Explanation], paths: Collection[str]) -> Iterator[list[Explanation]]:
    """Yield what is said of the files of one table in one line, table after table; a file in *paths* stays alone.

    What is protected, or need not be, is one line; of all else there is a line for each reason.
    """
    tables: dict[str, dict[tuple[State, str], list[Explanation]]] = {}
    for one in found:
        is_alone = one.is_directory or one.path in paths
        table = tables.setdefault(one.path if is_alone else place_of(_own_directory(one.path)).table, {})
        table.setdefault((one.state, one.why if one.state in _WANTING else ""), []).append(one)
    order = list(State)
    for table in tables.values():
        yield from (group for _, group in sorted(table.items(), key=lambda item: order.index(item[0][0])))


def _together(group: Sequence[Explanation]) -> list[str]:
    """Return one line for files that are in the same state; one for each where they are few."""
    if len(group) <= _NAMED:
        return list(map(_as_text, group))
    (why, count), *others = Counter(one.why for one in group).most_common()
    more = f"; {len(group) - count} for {'another reason' if len(others) == 1 else 'other reasons'}" if others else ""
    where = {_own_directory(one.path) for one in group}
    what = where.pop() if len(where) == 1 else place_of(where.pop()).table
    return [printable(f"{group[0].state.value:{_WIDTH}}  {what}  {len(group)} files  ({why}{more})")]


def _own_directory(path: str) -> str:
    """Return the directory of a file; of one in a hidden index or a copy that of the table itself."""
    directory = posixpath.dirname(path)
    while (place := place_of(directory)).copies or place.index:
        directory = posixpath.dirname(directory)
    return directory


def _as_text(one: Explanation) -> str:
    return printable(f"{one.state.value:{_WIDTH}}  {one.path}  ({one.why})")


def _as_json(one: Explanation) -> str:
    return json.dumps({"path": one.path, "state": one.state.value, "why": one.why, "live": one.live})


def _summary(found: Sequence[Explanation]) -> str:
    counts = Counter(one.state for one in found)
    return ", ".join(f"{state.value}: {counts[state]}" for state in State)
