"""Wait for a condition, generously; a test says what, never how long."""

import time
from collections.abc import Callable

LIMIT_SECONDS = 60.0


def wait_until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Poll until *condition* holds; fail after a time that no working program needs."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"still waiting for {what}"
        time.sleep(0.01)  # the pause between two looks
