"""A daemon that dies and is started again, as by a supervisor, and the check of what it has stored in the end."""

import json
import signal
from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Self

from tests.commands import command
from tests.daemon.harness import Bucket, Daemon, running, wait_until
from tests.faults.weather import Weather

CATCHING_UP = 600.0  # seconds after which a daemon that has not caught up never will
LOOKS = 10.0  # of tablecheck, which takes far longer than the time between two
STOPPED = {0, 3}  # exit codes of a daemon that is told to stop: 3 says that something is not stored
# An index says so itself while a daemon has not caught up: a restore takes none such, and a later one lacks nothing.
TOLERATED = {"missing"}
NOT_YET = {"unprotected", "unchecked", "nothing"}  # faults that go as the daemon catches up; no other does
DEFECT = "by a defect in tablesnap"  # what the log says where a file is tried again after an error nobody thought of


class Wrong(Exception):
    """A promise was broken. Not an `AssertionError`, which whoever waits takes for "not yet"."""


class Supervised:
    """A daemon on *bucket*, as it is seen through *weather*. It runs within a ``with``."""

    def __init__(self, bucket: Bucket, weather: Weather, log: Path, *arguments: str | Path) -> None:
        self._bucket = bucket
        self._weather = weather
        self._log = log
        self._arguments = arguments
        self._life = ExitStack()
        self._daemon: Daemon | None = None
        self._is_doomed = False
        self.ends: Counter[str] = Counter()  # of lives, by their causes

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.kill()
        self._life.close()

    def doom(self, requests: int) -> None:
        """Have it killed when that many requests have come from now on, whoever makes them."""
        daemon = self._running

        def end() -> None:
            self._is_doomed = True
            daemon.send(signal.SIGKILL)

        self._weather.call_at(requests, end)

    def tend(self) -> None:
        """Start it again where it was killed, or refused before it began; raise `Wrong` if it ended by itself."""
        code = self._running.process.poll()
        if code is None:
            return
        if not self._is_doomed and not self._was_refused():
            raise Wrong(f"the daemon ended by itself, with {code}:\n{self._running.log[-5000:]}")
        self.ends["killed" if self._is_doomed else "refused at start"] += 1
        self._life.close()
        self._start()

    def restart(self) -> None:
        """Tell it to stop, and start it again."""
        self.stop()
        self._life.close()
        self._start()

    def stop(self) -> None:
        """Tell it to stop; raise `Wrong` if it takes that otherwise, or has met with what it did not know."""
        self.send(signal.SIGTERM)
        process = self._running.process
        wait_until(lambda: process.poll() is not None, "the daemon to end", limit=CATCHING_UP)
        self.ends["stopped"] += 1
        code, said = process.poll(), self._running.log
        if code not in STOPPED and not self._is_doomed and not self._was_refused():
            raise Wrong(f"the daemon was told to stop, and ended with {code}:\n{said[-5000:]}")
        if DEFECT in said:
            raise Wrong(f"the daemon met with what it did not know:\n{said[said.index(DEFECT) - 2000 :][:9000]}")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, once it heeds them: before, one ends it as it would any process."""
        daemon = self._running
        wait_until(
            lambda: "starting tablesnap" in daemon.log or daemon.process.poll() is not None,
            "the daemon to heed signals",
            limit=CATCHING_UP,
        )
        daemon.send(number)

    def await_rest(self, calm: Bucket) -> str:
        """Wait until all on the disk is stored, by what tablecheck sees in *calm* weather; return its summary."""
        return wait_until(partial(self._found_right, calm), "tablecheck to find all right", limit=LOOKS)

    def _found_right(self, calm: Bucket) -> str:
        self.tend()
        data = [path for path in self._arguments if isinstance(path, Path)]
        against = [flag for path in data for flag in ("--against", str(path))]
        said = command("tablecheck", calm, flags=("--json", *against))
        lines = [json.loads(line) for line in said.out.splitlines()]
        faults = [line for line in lines if "fault" in line and line["fault"] not in TOLERATED]
        if any(fault["fault"] not in NOT_YET for fault in faults):
            raise Wrong(f"tablecheck ended with {said.code}: {faults}")
        assert "summary" in said.out, f"nothing is stored yet: {said.err}"
        assert not faults, f"the daemon has not caught up: {faults}"
        for directory in {path.parent for one in data for path in one.rglob("*-Data.db")}:
            index = calm.newest_index(directory)
            assert index is None or not index.missing, f"of {directory} there is not stored {sorted(index.missing)}"
        return json.dumps(lines[-1])

    def _start(self) -> None:
        self._weather.call_nobody()  # who was to die then is gone
        self._is_doomed = False
        self._life = ExitStack()
        self._daemon = self._life.enter_context(
            running(self._bucket, *self._arguments, log=self._log, await_watching=False)
        )

    @property
    def _running(self) -> Daemon:
        assert self._daemon
        return self._daemon

    def _was_refused(self) -> bool:
        """Say whether the store refused what a daemon asks of it at start. Only then may a refusal end it."""
        said = self._running.log
        # The last line of a traceback begins with the name of an error.
        is_told = said.rstrip().rpartition("\n")[2].startswith("tablesnap: ")
        return self._running.process.poll() == 1 and "the store is ready" not in said and is_told
