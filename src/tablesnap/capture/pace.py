"""Read no faster than a guest should."""

import threading
import time


class Pace:
    """A rate shared by all who read with it."""

    def __init__(self, bytes_per_second: float) -> None:
        self._rate = bytes_per_second
        self._lock = threading.Lock()
        self._free_at = 0.0

    def spend(self, size: int) -> None:
        """Wait until *size* more bytes may be read."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._free_at)
            self._free_at = start + size / self._rate
        if start > now:
            time.sleep(start - now)  # to be slow is what is asked of us
