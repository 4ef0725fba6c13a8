"""When a directory's index is due, and what it says."""

import logging
import os
from dataclasses import replace
from datetime import datetime, timedelta

from tablesnap.capture.listing import Listing
from tablesnap.daemon.directory import Directory
from tablesnap.daemon.settings import Settings
from tablesnap.rules import history
from tablesnap.rules.incarnation import fingerprint
from tablesnap.rules.index import FORMAT, Index, StoredFile, names_for_1x
from tablesnap.rules.keys import Keys, plain_of

log = logging.getLogger(__name__)

AT_THE_LATEST_SECONDS = 10.0  # and how long it waits for quiet, or for files on their way
BACKLOG_SECONDS = 300.0  # the same while files found at start are on their way
AGAIN_SECONDS = 24 * 3600.0  # how often an unchanged directory's index is written again


def is_due(directory: Directory, now: float) -> bool:
    """Say whether it is time to look at *directory* and record it."""
    if not directory.surveyed or directory.index_in_flight:
        return False
    if directory.changed_since is None:
        return directory.last_index is not None and now - directory.last_index >= AGAIN_SECONDS
    if not directory.pending and now - directory.last_event >= directory.quiet:
        return True
    return is_overdue(directory, now)


def is_overdue(directory: Directory, now: float) -> bool:
    """Say whether the index must be written though files are on their way: it names them as missing."""
    if directory.changed_since is None or (directory.strict and now - directory.last_event < directory.quiet):
        return False
    if directory.has_backlog():
        return now - max(directory.changed_since, directory.last_index or 0.0) >= BACKLOG_SECONDS
    return now - directory.changed_since >= AT_THE_LATEST_SECONDS


class Recorder:
    """Says what a directory's next index holds. Used by the daemon's one thread alone."""

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self._settings = settings
        self._keys = keys

    def compose(self, directory: Directory, listing: Listing, taken_at: datetime, latest: datetime) -> Index | None:
        """Return the index of *listing*, taken at *taken_at*; None if there is nothing to record, or nothing new.

        No moment is later than *latest*.

        Only files whose very incarnation is stored are named as stored: the index is written after what it names.
        """
        live = history.live(directory.path, listing.files, self._settings.selection)
        files: dict[str, StoredFile] = {}
        for name, one in sorted(live.items()):
            stored = directory.recall(name, one)
            if stored is not None and name not in directory.pending:
                files[name] = stored.file
        if not files:
            # Never an empty index: nothing there may as well mean that a disk is gone.
            return None
        previous = directory.newest
        # It does not go back where the clock does. But a clock that was ahead once must not hold it up for ever.
        if previous is not None and previous.taken_at is not None and previous.taken_at <= latest:
            taken_at = max(taken_at, previous.taken_at + timedelta(microseconds=1))
        directory_key = self._keys.below(directory.path)
        index = Index(
            directory=directory.path,
            names=names_for_1x(files, directory_key, previous),
            files=files,
            missing=tuple(sorted(live.keys() - files.keys())),
            pending=tuple(sorted((live.keys() - files.keys()) & directory.pending.keys())),
            node=self._settings.node,
            taken_at=taken_at,
            seen_at=taken_at,
            until=taken_at,
            next=self._still_needed(directory),
            live=fingerprint(live),
        )
        if previous is None or not _says_the_same(index, previous):
            return index
        return _said_again(index, previous)

    def _still_needed(self, directory: Directory) -> tuple[str, ...]:
        """Return the keys that the newest index names and that files on their way may turn out to be stored as.

        The next index has such a file as missing. Did it not go on to name the object, a purge might take that, so that
        no comparison could rely on it any more: after five minutes, all the rest of a backlog would be sent anew.
        """
        if not directory.pending:
            return ()
        awaited = {self._keys.plain(os.path.join(directory.path, name)) for name in directory.pending}
        return tuple(sorted(key for key in directory.named if {key, plain_of(key)} & awaited))


def _said_again(index: Index, previous: Index) -> Index | None:
    """Return the same restore point as still true now, once a day: whatever had changed would have been seen."""
    if previous.seen_at is None or index.seen_at is None:
        return None
    if (index.seen_at - previous.seen_at).total_seconds() < AGAIN_SECONDS:
        return None
    return replace(index, taken_at=previous.taken_at)


def _says_the_same(index: Index, previous: Index) -> bool:
    return (
        previous.format == FORMAT
        and index.files == previous.files
        and index.missing == previous.missing
        and index.pending == previous.pending
        and index.next == previous.next
    )
