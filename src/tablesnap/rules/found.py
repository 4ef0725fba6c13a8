"""What to do with a file that was there before the daemon."""

from enum import Enum

from tablesnap.rules.incarnation import Incarnation
from tablesnap.rules.index import Index


class Verdict(Enum):
    """What becomes of a file found at start."""

    STORED = "stored"  # the newest index names this very incarnation
    LEFT_ALONE = "left alone"  # unprotected, because nobody asked for it
    COMPARED = "compared"  # an object has its key: read the file once and compare
    UPLOADED = "uploaded"


def judge(
    name: str, incarnation: Incarnation, newest: Index | None, *, backup: bool, key_taken: bool, verify: bool
) -> Verdict:
    """Say what becomes of the file *name* found at start in a directory whose newest index is *newest*.

    Without *backup* (``-B``) a file is left alone only where no earlier run was responsible for it: the directory has
    no index, or the newest one says that the file was not stored, nor on its way. Any other was missed by an earlier
    run, which died or was cut off, and is made good. *verify* (``--md5-on-start``) trusts no index.
    """
    stored = newest.files.get(name) if newest else None
    if stored is not None and incarnation.same_as(stored.incarnation):
        return Verdict.COMPARED if verify else Verdict.STORED
    if not backup and (newest is None or (name in newest.missing and name not in newest.pending)):
        return Verdict.LEFT_ALONE
    return Verdict.COMPARED if key_taken else Verdict.UPLOADED
