"""Give up uploads that nobody will finish: whoever began them died, or lost his way."""

from collections.abc import Sequence

from tablesnap.errors import StoreError
from tablesnap.purge.planning import Terms
from tablesnap.rules.purging import is_ours
from tablesnap.store.upkeep import Unfinished, Upkeep


def stale_uploads(upkeep: Upkeep, terms: Terms) -> list[Unfinished]:
    """Return the unfinished uploads at and below PATH that are older than the grace period.

    Raises what the store raises.
    """
    found = upkeep.unfinished(terms.keys.below(terms.path))
    return [one for one in found if one.begun <= terms.now - terms.grace and is_ours(one.key)]


def give_up(upkeep: Upkeep, stale: Sequence[Unfinished]) -> list[str]:
    """Give up these uploads, and return what went wrong with which. One that fails stops no other."""
    failures = []
    for one in stale:
        try:
            upkeep.give_up(one)
        except StoreError as error:
            failures.append(str(error))
    return failures
