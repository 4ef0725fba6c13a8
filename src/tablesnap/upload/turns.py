"""Take turns: no group waits behind another's long queue."""

import threading


class Turns:
    """Start-time fair queueing: a smaller turn goes first. Safe to use from several threads.

    A group's items keep their order. One that was idle begins beside those being served now: neither before them, for
    the time it did not use, nor behind everything the others have queued.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0  # the turn of the item most recently begun
        self._last: dict[str, int] = {}  # given to each group

    def next(self, group: str) -> int:
        """Return the turn of *group*'s next item."""
        with self._lock:
            turn = max(self._now, self._last.get(group, -1) + 1)
            self._last[group] = turn
            return turn

    def began(self, turn: int) -> None:
        """Note that the item with this *turn* was begun. One that is tried again has had its turn, and is no harm."""
        with self._lock:
            self._now = max(self._now, turn)

    def forget(self, group: str) -> None:
        """Hold nothing against *group*: it is gone, or what it had queued was called off without work."""
        with self._lock:
            self._last.pop(group, None)
