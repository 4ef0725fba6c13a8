"""What a restore was asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tablesnap.rules.keys import Keys

NEWER, ALL = "newer", "all"  # which objects are taken beside the indexes, or without them


@dataclass(frozen=True)
class Request:
    """What a restore was asked for; the words of the command line are read and checked."""

    keys: Keys  # of the node that was backed up
    origin: str  # a directory of that node, absolute
    target: str  # a directory here, absolute
    recursive: bool = False
    at: datetime | None = None  # None: the newest
    file: str = ""  # the restore point recorded by the index of this file; or an index's whole key
    from_objects: str = ""  # besides what an index names: "", `NEWER` than the newest index, or `ALL`
    allow_missing: bool = False
    allow_mixed_schema: bool = False
    allow_other_types: bool = False
    force: bool = False
    exact: bool = False
    preserve: bool = False
    set_ids: bool = False  # with `preserve`: set-user-ID, set-group-ID and sticky bits as well
    owner: int | None = None  # None: the caller
    group: int | None = None
    data_dirs: Mapping[str, str] = field(default_factory=dict)  # data directory of the node -> directory here
    table_dirs: Mapping[str, str] = field(default_factory=dict)  # name of a table's directory there -> name here
    commitlogs: str = ""  # directory of the node that archived segments were backed up from
