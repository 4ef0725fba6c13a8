"""Print what ``--explain`` was asked for."""

import json
import os
import sys
from collections import Counter

from tablesnap.cli.exit_codes import EXIT_FAILED, EXIT_FAULTY, EXIT_OK
from tablesnap.cli.logs import set_up_logging
from tablesnap.cli.options import Options
from tablesnap.cli.printable import printable
from tablesnap.cli.screen import Screen
from tablesnap.daemon.explaining import Explainer
from tablesnap.daemon.explanations import Explanation, State
from tablesnap.store.opening import open_store

_WIDTH = max(len(state.value) for state in State)


def explain(options: Options) -> int:
    """Print a line for each file, and return the exit code."""
    set_up_logging(Screen(), log_format=options.log_format, debug=bool(os.environ.get("TDEBUG")), syslog=False)
    store = open_store(options.address, options.store) if options.address is not None else None
    found = Explainer(options.settings, store).explain()
    try:
        for one in found:
            print(_as_json(one) if options.json else _as_text(one))
        sys.stdout.flush()
    except BrokenPipeError:
        # Who read it has seen enough; and the interpreter must not complain at its end that it cannot flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    if not options.json:
        print(f"tablesnap: {_summary(found)}", file=sys.stderr)
    return EXIT_FAULTY if any(one.state in (State.PENDING, State.UNKNOWN) for one in found) else EXIT_OK


def _as_text(one: Explanation) -> str:
    return printable(f"{one.state.value:{_WIDTH}}  {one.path}  ({one.why})")


def _as_json(one: Explanation) -> str:
    return json.dumps({"path": one.path, "state": one.state.value, "why": one.why, "live": one.live})


def _summary(found: list[Explanation]) -> str:
    counts = Counter(one.state for one in found)
    return ", ".join(f"{state.value}: {counts[state]}" for state in State)
