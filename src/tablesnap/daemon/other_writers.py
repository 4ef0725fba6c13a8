"""See to it that no other run of tablesnap records the same directories unnoticed."""

import logging
import os
import secrets
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC
from hashlib import blake2b
from pathlib import Path

from tablesnap.catalog.strangers import Stranger, Strangers
from tablesnap.daemon.timing import Timing
from tablesnap.errors import TablesnapError
from tablesnap.rules import sstable
from tablesnap.rules.index import Index
from tablesnap.rules.keys import plain_of
from tablesnap.rules.place import place_of
from tablesnap.rules.writers import Writer
from tablesnap.units import spell_count

log = logging.getLogger(__name__)

MACHINE_ID = Path("/etc/machine-id")
_PURPOSE = b"tablesnap writer"  # machine-id(5): an id is to be hashed, for one purpose, before anybody else sees it


def identify(machine_id: Path = MACHINE_ID) -> Writer:
    """Return who this process is. In a container without an id of its own the host name stands for the machine."""
    host = socket.gethostname()
    try:
        known = machine_id.read_text("ascii").strip() or host
    except (OSError, ValueError):
        known = host
    machine = blake2b(os.fsencode(known), digest_size=8, key=_PURPOSE).hexdigest()
    return Writer(machine=machine, host=host, run=secrets.token_hex(8))


def is_beside(key: str, name: str) -> bool:
    """Say whether a Data.db of this *name* was stored beside another object, which has its plain *key*.

    Other components are rewritten in place and stored so every day.
    """
    return name.endswith(sstable.DATA) and plain_of(key) != key


class OtherWriters:
    """Looks some minutes after the start, every hour, and where a key was taken. Used by the daemon's one thread alone.

    At the start nothing can be told: the newest restore points are an earlier run's, or those of a machine that this
    one replaces. Only what another run writes from then on shows that it is still there.
    """

    def __init__(self, strangers: Strangers, writer: Writer, timing: Timing, now: Callable[[], float]) -> None:
        self._strangers = strangers
        self._writer = writer
        self._timing = timing
        self._now = now
        self._due = now() + timing.writers_first
        self._looked = -timing.writers_suspected
        self._thread: threading.Thread | None = None

    def begin(self, points: Iterable[Index]) -> None:
        """Say who this is, and who wrote the newest restore points."""
        log.info("recording as %s", self._writer)
        others = {
            point.writer.machine: point.writer
            for point in points
            if point.writer is not None and point.writer.machine != self._writer.machine
        }
        for other in others.values():
            log.warning(
                "the newest restore points in the store were written on another machine, by %s; "
                "if tablesnap still runs there, give this one another --name or --prefix",
                other,
            )

    def suspect(self, directory: str) -> None:
        """Take in that the key of an sstable is taken by other content, as by another node's."""
        self._strangers.suspect(directory)

    def look(self) -> None:
        """Look at the next tick."""
        self._due = 0.0

    def tick(self) -> None:
        """Begin to look, where it is time to."""
        now = self._now()
        suspected = self._strangers.are_suspected and now - self._looked >= self._timing.writers_suspected
        if not (suspected or now >= self._due) or (self._thread is not None and self._thread.is_alive()):
            return
        self._looked = now
        self._due = now + self._timing.writers_every
        # In a thread of its own: the store may take its time, and neither a decision nor a survey waits for this.
        self._thread = threading.Thread(target=self._look, name="writers", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait for the look that is going on, if one is."""
        if self._thread is not None:
            self._thread.join()

    def _look(self) -> None:
        found: defaultdict[Writer, list[Stranger]] = defaultdict(list)
        try:
            for stranger in self._strangers.look():
                found[stranger.writer].append(stranger)
        except TablesnapError as error:
            log.warning("could not see whether another tablesnap records the same directories: %s", error)
        for writer, strangers in found.items():
            self._say(writer, strangers)
        log.debug("looked for what other runs have recorded")

    def _say(self, writer: Writer, strangers: list[Stranger]) -> None:
        newest = max(strangers, key=lambda one: one.stored_at)
        others = len({place_of(one.directory).table for one in strangers}) - 1
        log.error(
            "two daemons write restore points of %s%s: this is %s, and %s has written one at %s. Their files are mixed "
            "up, and a restore may bring those of the other. Stop one of them, or give it another --name or --prefix",
            place_of(newest.directory).table,
            f" and {spell_count(others, 'other table')}" if others else "",
            self._writer,
            writer,
            newest.stored_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        )
