"""Whose a restored file is, and who may do what with it."""

import grp
import json
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from tablesnap.errors import TablesnapError

NumericOwner = tuple[int, int]  # uid and gid; -1 leaves it as it is

PERMISSIONS = 0o777
SET_IDS = 0o7000  # set-user-ID, set-group-ID and sticky: they give whoever runs a file another's rights


class UnknownOwner(TablesnapError):
    """What was recorded of a file's owner and mode cannot be read."""


@dataclass(frozen=True)
class Attributes:
    """What is set on a file before it gets its name; None leaves it as of any new file."""

    mode: int | None = None  # no other bits than these are set
    owner: NumericOwner | None = None
    mtime_ns: int | None = None

    def apply(self, descriptor: int) -> None:
        """Set them, in the order in which none undoes another: a change of owner takes bits off the mode."""
        if self.owner is not None:
            os.fchown(descriptor, *self.owner)
        if self.mode is not None:
            os.fchmod(descriptor, self.mode)
        if self.mtime_ns is not None:
            os.utime(descriptor, ns=(self.mtime_ns, self.mtime_ns))


@lru_cache
def uid_of(user: str | None, uid: int) -> int:
    """Return the uid of *user* on this machine, which may be another than on the one backed up; else *uid*."""
    try:
        return pwd.getpwnam(user).pw_uid if user else uid
    except KeyError:
        return uid


@lru_cache
def gid_of(group: str | None, gid: int) -> int:
    """Return the gid of *group* on this machine, which may be another than on the one backed up; else *gid*."""
    try:
        return grp.getgrnam(group).gr_gid if group else gid
    except KeyError:
        return gid


def recorded(metadata: Mapping[str, str]) -> tuple[int, NumericOwner]:
    """Return the mode and owner that an object's *metadata* have under `stat`."""
    try:
        fields = json.loads(metadata["stat"])
        owner = (uid_of(fields.get("user"), int(fields["uid"])), gid_of(fields.get("group"), int(fields["gid"])))
        return int(fields["mode"]), owner
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise UnknownOwner("its mode and owner are not recorded; leave out --preserve") from error
