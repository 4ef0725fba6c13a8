"""Commands that die at their n-th step: each forked from a process that has loaded everything."""

import itertools
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.daemon.harness import clean_environment

# What changes a disk. The store is a directory of it, so that its requests are among these.
STEPS = ("open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.utime")
ENDLESS = 1 << 62
_LOADED = ("cli.tablesnap", "cli.tablechop", "cli.purging", "cli.options", "daemon.service", "store.file")


@contextmanager
def dying(name: str, words: Sequence[str], step: int, log: Path) -> Iterator[ForkServerProcess]:
    """Run the command *name*, which kills itself before its *step*-th step; kill it in the end if it still runs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([f"tablesnap.{module}" for module in _LOADED])
    process = context.Process(target=_run, args=(name, [*words], step, str(log), clean_environment()))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _run(name: str, words: list[str], step: int, log: str, environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    main = import_module(f"tablesnap.cli.{name}.main").main
    count = itertools.count(1)

    def hear(event: str, details: tuple[object, ...]) -> None:
        # What is opened to be read changes nothing, and the interpreter opens its modules.
        if event in STEPS and not (event == "open" and _only_reads(details)) and next(count) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hear)
    sys.exit(main(words))


def _only_reads(details: tuple[object, ...]) -> bool:
    flags = details[2]
    return not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
