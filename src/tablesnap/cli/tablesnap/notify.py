"""Tell systemd, or whatever else speaks its protocol, how the daemon fares: sd_notify(3)."""

import os
import socket
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress

from tablesnap.cli.line.printable import printable
from tablesnap.daemon.supervisor import Supervisor, Unsupervised

_PATIENCE_SECONDS = 1.0  # for a supervisor that does not read; much less than after which it takes the daemon for dead


def supervisor_of(environ: MutableMapping[str, str]) -> Supervisor:
    """Return whom *environ* says to tell; what it says is for this process alone, and taken out of it."""
    address = environ.pop("NOTIFY_SOCKET", "")
    watched_pid = environ.pop("WATCHDOG_PID", "") or str(os.getpid())
    limit = environ.pop("WATCHDOG_USEC", "")
    if not address.startswith(("/", "@")):
        return Unsupervised()
    seconds = int(limit) / 1e6 if limit.isdecimal() and watched_pid == str(os.getpid()) else 0.0
    return NotifySocket(address, watchdog_seconds=seconds)


class NotifySocket:
    """A supervisor behind a socket. What cannot be sent is lost: a backup goes on without whoever asked for it."""

    def __init__(
        self, address: str, *, watchdog_seconds: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        # An @ stands for the zero byte with which the names of Linux begin that are no files.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(_PATIENCE_SECONDS)
        self._clock = clock
        self._every = watchdog_seconds / 4  # systemd asks for half; one that is late, or lost, is made good by the next
        self._next = 0.0
        self._status = ""

    def ready(self) -> None:
        """Send READY=1."""
        self._send("READY=1")

    def alive(self) -> None:
        """Send WATCHDOG=1, if a watchdog waits for it and the last is old enough."""
        if not self._every:
            return
        now = self._clock()
        if now >= self._next:
            self._next = now + self._every
            self._send("WATCHDOG=1")

    def status(self, spell: Callable[[], str]) -> None:
        """Send STATUS=, if it is another than the last."""
        text = spell()
        if text != self._status:
            self._status = text
            self._send(f"STATUS={printable(text)}")

    def stopping(self) -> None:
        """Send STOPPING=1."""
        self._send("STOPPING=1")

    def _send(self, assignment: str) -> None:
        # It went away, or does not read: there is nobody else to tell.
        with suppress(OSError):
            self._socket.sendto(assignment.encode(), self._address)
