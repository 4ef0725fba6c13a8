"""How long to wait before the next try."""

import random

FIRST_SECONDS = 0.5
CAP_SECONDS = 300.0


def delay(failures: int, *, cap: float = CAP_SECONDS) -> float:
    """Return the seconds to wait after so many *failures* in a row: doubling, capped, with full jitter above a half.

    The jitter keeps a thousand daemons that lost one store from coming back to it in step.
    """
    longest = min(cap, FIRST_SECONDS * 2.0 ** min(failures - 1, 20))
    jitter: float = random.uniform(0.5, 1.0)
    return longest * jitter
