"""The command ``tablesnap``: watch directories and back up every file as it appears."""

import logging
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tablesnap.cli.console.ending import end
from tablesnap.cli.console.exit_codes import EXIT_FAILED, EXIT_FAULTY, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE
from tablesnap.cli.console.signals import Signals
from tablesnap.cli.line.confidential import without_secrets
from tablesnap.cli.line.flags import SECRETS
from tablesnap.cli.line.secrets import SecretVisible, hide_own
from tablesnap.cli.tablesnap.flags import grammar_of, make_parser
from tablesnap.errors import TablesnapError, UsageError

if TYPE_CHECKING:
    from tablesnap.cli.tablesnap.options import Options

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon until it is told to stop, and return its exit code."""
    code = _do(argv)
    return end(code) if argv is None else code


def _do(argv: Sequence[str] | None) -> int:
    _fill_standard_descriptors()
    visible = hide_own(grammar_of(make_parser()[1]), dests=SECRETS) if argv is None else None
    try:
        # Most modules are loaded only now, for that takes a while, and until then the secret was readable.
        from tablesnap.cli.tablesnap.options import parse

        options = parse(sys.argv[1:] if argv is None else argv, os.environ)
        if options.explain:
            from tablesnap.cli.tablesnap.explain import explain

            return explain(options)
        return _run(options, visible)
    except UsageError as error:
        print(f"tablesnap: {without_secrets(str(error))}", file=sys.stderr)
        return EXIT_USAGE
    except TablesnapError as error:
        print(f"tablesnap: {without_secrets(str(error))}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _run(options: "Options", visible: SecretVisible | None) -> int:
    signals = Signals()
    # Loaded only now, so that a wrong line is answered at once, and no signal kills the process while it starts.
    from tablesnap import __version__
    from tablesnap.cli.console.journal import JOURNAL_SOCKET
    from tablesnap.cli.console.log_queue import LogQueue
    from tablesnap.cli.console.logs import set_up_logging
    from tablesnap.cli.console.progress import progress_for
    from tablesnap.cli.console.screen import Screen
    from tablesnap.cli.tablesnap.notify import supervisor_of
    from tablesnap.daemon.claim import claimed
    from tablesnap.daemon.service import Daemon
    from tablesnap.store.opening import identity_of, open_store

    assert options.address is not None, "the daemon has a store"
    screen = Screen()
    syslog = bool(os.environ.get("TABLESNAP_SYSLOG"))
    debug = bool(os.environ.get("TDEBUG"))
    # systemd says so to what it starts, and there the journal is the system's log.
    journal = JOURNAL_SOCKET if "JOURNAL_STREAM" in os.environ else None
    lines = LogQueue(
        set_up_logging(screen, log_format=options.log_format, debug=debug, syslog=syslog, journal_socket=journal)
    )
    if visible is not None:
        log.warning("%s", visible)
    progress = progress_for(screen)
    exit_code = EXIT_FAILED
    try:
        with claimed(options.settings, identity_of(options.address, options.store, os.environ)):
            store = open_store(options.address, options.store)
            daemon = Daemon(options.settings, store, progress, supervisor=supervisor_of(os.environ))
            signals.direct(daemon, before_exit=screen.rescue)
            log.info(
                "starting tablesnap %s: node %s, bucket %s, paths %s",
                __version__,
                options.settings.node,
                options.address,
                ", ".join(options.settings.paths),
            )
            is_kept_back = daemon.run()
        exit_code = signals.exit_code or (EXIT_FAULTY if is_kept_back else EXIT_OK)
    except TablesnapError as error:
        if not syslog and options.log_format == "text":
            raise
        # Who reads a machine's log reads this there: an init script throws standard error away.
        log.critical("%s", error)
    finally:
        progress.end()
        lines.finish(exit_code)
    return exit_code


def _fill_standard_descriptors() -> None:
    """Open 0, 1 and 2 if they were closed: else a file of ours gets the number that others write messages to."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
