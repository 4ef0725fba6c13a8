"""How many files may be open."""

import resource
from contextlib import suppress

ENOUGH = 1 << 20  # files; more than a kernel allows one process unless told to
SPARED = 512  # descriptors for everything that is not a pin: sockets, listings, memory maps, transaction logs


def raise_file_limit() -> int:
    """Raise the limit of open files as far as is allowed without root, and return the limit in force."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A limit that cannot be raised is no reason not to start: fewer files are pinned then.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return ENOUGH if soft == resource.RLIM_INFINITY else soft


def pins_within(limit: int) -> int:
    """Return how many files may be pinned where *limit* may be open, so that the rest of the daemon can go on."""
    return max(limit // 2, limit - SPARED)
