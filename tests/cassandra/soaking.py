"""A node at work, a daemon in bad weather, and restores of moments that are known: for as long as somebody has time."""

import json
import random
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from tests.cassandra.at_work import KEYSPACE, AtWork, Grown, say
from tests.cassandra.journal import Moment, now
from tests.cassandra.restore import Reader, RestorePoints, Rows
from tests.commands import Said, command
from tests.daemon.harness import POLL_SECONDS, Bucket, wait_until
from tests.faults.supervised import CATCHING_UP, Supervised, Wrong
from tests.faults.weather import Weather

from tablesnap.units import spell_utc

REQUESTS = 150  # of a daemon that is to be killed: it meets one of so many
STEPS = 12  # between two restores


@dataclass(frozen=True)
class Places:
    """The bucket as it is, the same as the daemon sees it, and where files go."""

    calm: Bucket
    rough: Bucket
    scratch: Path


class Soak:
    """A run. Each step that it takes is printed."""

    def __init__(self, load: AtWork, reader: Reader, places: Places, weather: Weather, pick: random.Random) -> None:
        self._load = load
        self._reader = reader
        self._places = places
        self._weather = weather
        self._pick = pick
        intervals = "--index-interval", pick.choice(("0", "1", "5")), "--base-interval", pick.choice(("2", "20"))
        log = places.scratch / "daemon.log"
        self._daemon = Supervised(places.rough, weather, log, "-r", "-a", "-B", *intervals, *load.data)
        self._restored = 0
        self._points: dict[str, RestorePoints] = {}  # by the name of the table's directory; an index is read once
        self.count: Counter[str] = Counter()

    def run(self, goes_on: Callable[[], bool]) -> None:
        """Take steps and restore while it *goes_on*, once at least; then insist that all is well in good weather."""
        with self._daemon:
            while True:
                say(f"something happens to {self._weather.change():.0%} of the requests")
                for _ in range(self._pick.randint(1, STEPS)):
                    self._step()
                    self._daemon.tend()
                self._restore(self._pick.choice(self._load.tables))
                if not goes_on():
                    break
            self._come_to_rest()

    def _step(self) -> None:
        steps = {**self._load.steps, self._doom: 6, self._restart: 2, self._look_again: 1}
        [step] = self._pick.choices(list(steps), weights=list(steps.values()))
        self.count[step.__name__.lstrip("_")] += 1
        step()

    def _doom(self) -> None:
        requests = self._pick.randint(1, REQUESTS)
        say(f"kill the daemon at its request {requests} from now")
        self._daemon.doom(requests)

    def _restart(self) -> None:
        say("stop the daemon, and start it again")
        self._daemon.restart()

    def _look_again(self) -> None:
        say("have the daemon look everywhere")
        self._daemon.send(signal.SIGHUP)

    # What is restored

    def _restore(self, table: Grown) -> None:
        """Restore a table as of some moment, first in this weather; where that is said to fail, in good weather."""
        table.journal.wait()
        moments = [moment.after for moment in table.journal.moments]
        at = self._pick.choice((now(), self._pick.choice(moments)))
        is_known = any(point.taken_at <= at for point in self._points_of(table).complete())
        for bucket in (self._places.rough, self._places.calm):
            said, rows = self._slurp(table, at, bucket)
            where = "through the weather" if bucket is self._places.rough else "in calm weather"
            say(f"restore {table.name} as of {at} {where}: exit code {said.code}")
            self.count[f"restored with {said.code} {where}"] += 1
            if said.code == 0:
                self._insist_on_rows(table, at, said, rows)
                return
        if is_known:
            raise Wrong(f"{table.name} as of {at} was not restored, and could have been:\n{said.out}\n{said.err}")

    def _points_of(self, table: Grown) -> RestorePoints:
        return self._points.setdefault(table.name, RestorePoints(self._places.calm, table.directories))

    def _slurp(self, table: Grown, at: datetime, bucket: Bucket) -> tuple[Said, Rows]:
        self._restored += 1
        target = self._places.scratch / f"restored-{self._restored}" / KEYSPACE / table.name
        target.parent.mkdir(parents=True)
        words = (str(table.directories[0]), str(target))
        with self._weather.without_stalls():
            said = command("tableslurp", bucket, *words, flags=("--json", "--at", spell_utc(at)))
        rows: Rows = {}
        if said.code == 0:
            table.journal.await_expiry()
            rows = self._reader.read(table.journal.table, [target] if target.is_dir() else [])
        shutil.rmtree(target.parents[1])
        return said, rows

    def _insist_on_rows(self, table: Grown, at: datetime, said: Said, rows: Rows) -> None:
        """A restore point is of the moment it names, and still true at the last moment that it names."""
        [point] = json.loads(said.out.splitlines()[0])["plan"]["restore_points"]
        taken, until = (datetime.fromisoformat(point[name]) for name in ("taken_at", "until"))
        if taken > at or not point["complete"]:
            raise Wrong(f"{table.name} as of {at} was restored as of {point}")
        for moment in (taken, min(until, at)):
            if moment < table.journal.moments[0].before:
                self.count["too old to tell"] += 1
            elif complaint := table.journal.complaint(moment, rows):
                raise Wrong(f"{table.name} as of {at}, from {point}: {complaint}")

    # How it ends

    def _come_to_rest(self) -> None:
        say(f"good weather from now on; met so far: {dict(self._weather.met)}")
        self._weather.clear()
        self._daemon.tend()
        last = self._load.come_to_rest()
        for table in self._load.living:
            is_there = partial(self._is_recorded, table, last[table.name])
            wait_until(is_there, f"a restore point of {table.name}", limit=CATCHING_UP)
        say(f"tablecheck: {self._daemon.await_rest(self._places.calm)}")
        for table in self._load.living:
            self._insist_on_the_newest(table)
        say(f"steps: {dict(self.count)}")
        self._daemon.stop()

    def _is_recorded(self, table: Grown, flushed: Moment) -> bool:
        self._daemon.tend()
        return self._points_of(table).has_one_after(flushed.before, limit=POLL_SECONDS)

    def _insist_on_the_newest(self, table: Grown) -> None:
        said, rows = self._slurp(table, now(), self._places.calm)
        if said.code:
            raise Wrong(f"{table.name} was not restored:\n{said.out}\n{said.err}")
        wanted = table.journal.rows(table.journal.moments[-1].state)
        if rows != wanted:
            raise Wrong(f"{table.name} is not what was written: {table.journal.complaint(now(), rows)}")
