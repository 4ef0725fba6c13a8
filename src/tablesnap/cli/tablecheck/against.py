"""What is live on the disk and not protected, as faults of a check."""

import os
import posixpath
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from tablesnap.cli.tablecheck.flags import Against
from tablesnap.explain.explaining import Explainer
from tablesnap.explain.explanations import Explanation, State
from tablesnap.rules.keys import Keys
from tablesnap.rules.place import place_of
from tablesnap.store.port import Store
from tablesnap.units import spell_seconds
from tablesnap.verify.finding import Finding, Kind

_KINDS = {State.PENDING: Kind.UNPROTECTED, State.UNKNOWN: Kind.UNCHECKED}
_EVER = float("inf")


@dataclass(frozen=True)
class Unprotected:
    """One file that is live and in no restore point, or of which that could not be found out."""

    finding: Finding
    seconds: float  # since it has been so, at most: since it was last written


def compare(store: Store, keys: Keys, against: Against, now: float) -> Iterator[Unprotected]:
    """Yield what is not protected for longer than is tolerated. Raises what the store raises."""
    explainer = Explainer(against.paths, avoid=against.avoid, selection=against.selection, keys=keys, store=store)
    for one in explainer.explain():
        if one.state in _KINDS:
            seconds = _age(one.path, now)
            if seconds >= against.tolerate:
                yield Unprotected(_finding(keys, one, seconds), seconds)


def _finding(keys: Keys, one: Explanation, seconds: float) -> Finding:
    directory = posixpath.dirname(one.path)
    what = one.why if seconds == _EVER else f"{one.why}; it was written {spell_seconds(seconds)} ago"
    return Finding(_KINDS[one.state], keys.node, place_of(directory).table, keys.plain(one.path), one.path, what)


def _age(path: str, now: float) -> float:
    """Return how long ago a file was last written. Nothing excuses what is no file, or does not say."""
    try:
        status = os.lstat(path)
    except OSError:
        return _EVER
    return max(0.0, now - status.st_mtime) if stat.S_ISREG(status.st_mode) else _EVER
