"""Delete what is backed up, where the operator asked for that."""

import logging
import os

from tablesnap.capture.listing import look_at_file
from tablesnap.daemon.directory import Directory
from tablesnap.daemon.settings import Settings
from tablesnap.rules import sstable
from tablesnap.rules.place import is_copies_of

log = logging.getLogger(__name__)


def delete_stored(directory: Directory, settings: Settings) -> None:
    """With ``--delete-on-backup``: delete what the newest index names as stored; without indexes, what is stored.

    In this order because a file that no restore point names could not be found again once it is gone here.
    """
    if not settings.delete_on_backup:
        return
    for name, stored in list(directory.stored.items()):
        named = directory.newest is not None and directory.newest.files.get(name) == stored.file
        if name in directory.pending or not (named or not settings.with_index):
            continue
        if sstable.parse(name) is not None and not _is_spare(directory, name):
            continue
        path = os.path.join(directory.path, name)
        here = look_at_file(path)
        if here is None or not here.same_as(stored.incarnation):
            continue  # another life of the name, which is not stored
        try:
            directory.own_deletions.add(name)
            os.unlink(path)
        except OSError as error:
            directory.own_deletions.discard(name)
            log.error("cannot delete %s after its backup: %s", path, error.strerror)
        else:
            del directory.stored[name]
            log.debug("deleted %s after its backup", path)


def _is_spare(directory: Directory, name: str) -> bool:
    """Say whether the component *name* is a copy that Cassandra itself has no use for, and its whole sstable is named.

    An sstable anywhere but in backups/ or a snapshot is its table's own, whatever wrote it: to delete it is to delete
    rows. And half of an sstable must not go while the other half is arriving, or none would ever be recorded whole.
    """
    component = sstable.parse(name)
    if component is None or directory.newest is None or not is_copies_of(directory.path, parent_holds_sstables=True):
        return False
    if directory.newest.missing:
        return False  # not while what belongs with it is not stored
    stem = component.stem
    return sstable.is_complete([other[len(stem) :] for other in directory.newest.files if other.startswith(stem)])
