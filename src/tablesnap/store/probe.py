"""The probe: the one small object by which the check at start tries a store. It is kept, and found again.

Nothing deletes it, so whoever may only list, read and write can make it, and a bucket with locks gathers none. What the
trial showed stands in its metadata: where a store overwrites, it is not overwritten once more at each start. Whoever
deletes it has the store tried afresh.
"""

import re

from tablesnap.store.port import Content

NAME = ".tablesnap-probe"
CONTENT = Content.of(b"tablesnap tries by this object what the store does. It may be deleted.\n")  # never to change

# Metadata: what became of the condition that nothing may be there yet.
CONDITION = "condition"
REFUSED, IGNORED, SENT = "refused", "ignored", "sent"

_PROBE = re.compile(rf"(.*/)?{re.escape(NAME)}(-[A-Z0-9_]+)?", re.DOTALL)


def key_of(prefix: str, storage_class: str | None = None) -> str:
    """Return the probe's key; one that was stored in another class tells nothing of this one."""
    return prefix + NAME + (f"-{storage_class.upper()}" if storage_class else "")


def is_probe(key: str) -> bool:
    """Tell whether *key* is a probe's, which no listing shows: it is no part of any backup."""
    return _PROBE.fullmatch(key) is not None
