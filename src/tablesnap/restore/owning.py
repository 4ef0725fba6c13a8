"""Whose the restored files are to be."""

import grp
import os
import pwd
from collections.abc import Iterable, Iterator

from tablesnap.download.owner import NumericOwner, gid_of, uid_of
from tablesnap.restore.ground import may_give_away
from tablesnap.restore.request import Request
from tablesnap.rules.kept import KeptFile

LEFT = -1  # for a uid or gid: as it is of any new file


def owner_of(file: KeptFile, request: Request) -> NumericOwner | None:
    """Return whose *file* is to be: as recorded if that is asked for, else whoever was named; None for the caller."""
    if request.preserve and file.owner is not None:
        return uid_of(file.owner.user, file.owner.uid), gid_of(file.owner.group, file.owner.gid)
    return asked_for(request)


def asked_for(request: Request) -> NumericOwner | None:
    """Return the owner that was named; None if there is none."""
    if request.owner is None and request.group is None:
        return None
    return (
        LEFT if request.owner is None else request.owner,
        LEFT if request.group is None else request.group,
    )


def may_own(owner: NumericOwner) -> bool:
    """Say whether this process may give its files to *owner*."""
    uid, gid = owner
    own_group = gid in {LEFT, os.getegid(), *os.getgroups()}
    return may_give_away() or (uid in {LEFT, os.geteuid()} and own_group)


def unknown_names(files: Iterable[KeptFile]) -> Iterator[str]:
    """Name the users and groups that were recorded and are not known here, with the numbers that stand for them."""
    owners = {file.owner for file in files if file.owner is not None}
    for user, uid in sorted({(owner.user, owner.uid) for owner in owners if owner.user}):
        if not _is_user(user):
            yield f"there is no user {user} here: what was theirs will be user {uid}'s"
    for group, gid in sorted({(owner.group, owner.gid) for owner in owners if owner.group}):
        if not _is_group(group):
            yield f"there is no group {group} here: what was theirs will be group {gid}'s"


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _is_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True
