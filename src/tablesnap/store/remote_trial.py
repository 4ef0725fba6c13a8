"""The check at start of Google and Azure: whether a create keeps what is there, and whether what is there can be read.

Both do, by ``x-goog-if-generation-match: 0`` and ``If-None-Match: *``; an emulator or a gateway in their place may
ignore the condition, as the S3 servers do that `s3_trial` names.
"""

import logging
from collections.abc import Callable, Mapping

from obstore.exceptions import PermissionDeniedError

from tablesnap.errors import AlreadyStored, NoSuchObject, ObjectArchived, StoreRefused, StoreUnavailable
from tablesnap.store import probe
from tablesnap.store.keys import shown
from tablesnap.store.port import Content, Store

log = logging.getLogger(__name__)

Create = Callable[[str, Content, Mapping[str, str]], object]  # raises `AlreadyStored` where the store says so


def try_condition(key: str, create: Create, metadata: Callable[[str], Mapping[str, str]], name: str) -> bool:
    """Return whether the store called *name* refuses to create what is there, tried by the probe under *key*.

    Where it does not, the probe says so from then on, and is not overwritten once more at each start.
    """
    try:
        known = metadata(key).get(probe.CONDITION)
    except (NoSuchObject, StoreRefused):
        known = None  # who may only add is welcome; all else that is refused is so again below
    honours = known != probe.IGNORED and not (
        _creates(key, create, probe.SENT) and _creates(key, create, probe.IGNORED)
    )
    if not honours:
        log.warning(
            "%s would overwrite objects (it ignores the condition of a create); from now on each upload asks first "
            "what is there, but daemons with the same keys could overwrite each other",
            name,
        )
    return honours


def _creates(key: str, create: Create, condition: str) -> bool:
    try:
        create(key, probe.CONTENT, {probe.CONDITION: condition})
    except AlreadyStored:
        return False
    return True


def read_back(store: Store, key: str, name: str) -> None:
    """Read the probe whole and in part, as a restore does; that it is not allowed is a remark."""
    try:
        for offset in (0, 7):
            if b"".join(store.read(key, offset=offset)) != probe.CONTENT.read(offset, probe.CONTENT.size):
                raise StoreRefused(f"{name}: {shown(key)} is not what was stored there; is a proxy in between?")
    except NoSuchObject as error:
        raise StoreUnavailable(f"{name}: {shown(key)} was stored, and is not there") from error
    except StoreRefused as error:
        if not isinstance(error, ObjectArchived) and not isinstance(error.__cause__, PermissionDeniedError):
            raise
        log.warning("whether what is stored here can be read was not seen: %s", error)
