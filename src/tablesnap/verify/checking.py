"""Check the histories of a node, several at a time."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

from tablesnap.catalog.timeline import Timeline
from tablesnap.download.line import Line
from tablesnap.verify.history import Checked, HistoryCheck, Tools
from tablesnap.verify.objects import ObjectChecker
from tablesnap.verify.proven import ProvenStore
from tablesnap.verify.share import Share

_AT_ONCE = 4  # histories of which all objects are known at a time


def check_all(
    node: str, found: list[Timeline], line: Line, share: Share, *, threads: int, may_be_frozen: bool = False
) -> Generator[Checked, None, None]:
    """Yield what a check of each timeline of *node* comes to, in their order; *found* is emptied.

    Objects are asked for by so many *threads*, and those in today's *share* downloaded. What is archived is a fault
    unless it *may_be_frozen*. Raises `Halted` where the run
    has ended.
    """
    found.reverse()
    # The histories' pool is the one that is left first: else it would wait for objects that nobody checks any more.
    with (
        ThreadPoolExecutor(threads, thread_name_prefix="check") as workers,
        ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="history") as histories,
    ):
        checker = ObjectChecker(line, share, may_be_frozen=may_be_frozen)
        tools = Tools(ProvenStore(line), checker, share.takes, line.finished, workers)

        def check(timeline: Timeline) -> Checked:
            line.go_on()
            return HistoryCheck(node, timeline, tools).run()

        try:
            # Taken from the list, because a timeline keeps what it has read.
            yield from histories.map(check, (found.pop() for _ in range(len(found))))
        except BaseException:
            line.halt("it was given up")
            raise
