"""Who tells the supervisor: the thread that would hang, and no other."""

import threading
from collections.abc import Callable
from pathlib import Path

from tests.daemon.in_process import Counting
from tests.stores import Clock
from tests.waiting import wait_until

from tablesnap.daemon.service import Daemon
from tablesnap.daemon.settings import Settings
from tablesnap.store.memory import MemoryStore


class Noting:
    """A supervisor that notes which thread told it what."""

    def __init__(self) -> None:
        self.told: list[tuple[str, threading.Thread]] = []

    def ready(self) -> None:
        self._note("ready")

    def alive(self) -> None:
        self._note("alive")

    def status(self, spell: Callable[[], str]) -> None:
        self._note(spell())

    def stopping(self) -> None:
        self._note("stopping")

    def _note(self, what: str) -> None:
        self.told.append((what, threading.current_thread()))

    def has_heard(self, what: str) -> bool:
        return any(said == what for said, _ in list(self.told))


def test_all_that_a_supervisor_hears_comes_from_the_thread_that_decides(tmp_path: Path) -> None:
    supervisor = Noting()
    settings = Settings(paths=(str(tmp_path),), node="n")
    daemon = Daemon(settings, MemoryStore(Clock()), Counting(), supervisor=supervisor)
    deciding = threading.Thread(target=daemon.run, daemon=True)

    deciding.start()
    wait_until(lambda: supervisor.has_heard("watching 1 directory; nothing waits to be stored"), "the status")
    daemon.stop()
    deciding.join(60)

    said = [what for what, _ in supervisor.told]
    assert {thread for _, thread in supervisor.told} == {deciding}
    assert said.index("alive") < said.index("ready") < said.index("stopping")
