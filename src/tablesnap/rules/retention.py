"""How long a thing nobody names is safe."""

GRACE_SECONDS = 24 * 3600


def may_be_relied_on(*, named: bool, age_seconds: float) -> bool:
    """Say whether an object that was found under its key may stand for content about to be stored there.

    A purge deletes an object that no index names once it is older than the grace period. Between our finding it and
    our index that names it, a purge may run. If the newest index names it (*named*) no purge deletes it. If it is
    younger than half the grace period by the store's own clock, the other half is left for our index to be written.
    Anything else is stored anew under a key of its own, so that purge and upload cannot meet.
    """
    return named or age_seconds < GRACE_SECONDS / 2
