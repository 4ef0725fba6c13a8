"""Chooses the archived commit log segments to replay over what is restored."""

import posixpath
from dataclasses import replace
from datetime import datetime

from tablesnap.catalog.finding import timelines_at
from tablesnap.restore.chosen import Choice, Chosen, Refusal
from tablesnap.restore.request import Request
from tablesnap.rules.commitlogs import Segment, needed, segment_id
from tablesnap.rules.kept import KeptFile
from tablesnap.rules.keys import plain_of
from tablesnap.rules.points import undated_point
from tablesnap.store.port import Listed, Store
from tablesnap.units import spell_count


def choose_segments(request: Request, chosen: Chosen, store: Store) -> Choice | Refusal:
    """Choose from what is stored of the directory that segments were archived to.

    All objects are looked at, and no index, which names what was in the directory: there a segment is deleted once it
    is stored. Raises what the store raises.
    """
    directory = request.commitlogs
    folder = request.keys.below(directory)
    newest: dict[str, Listed] = {}
    for one in store.level(folder):
        if isinstance(one, Listed) and segment_id(_name_of(one)) is not None:
            known = newest.get(_name_of(one))
            if known is None or (known.modified, known.size) < (one.modified, one.size):
                newest[_name_of(one)] = one
    if not newest:
        return Refusal(directory, "no commit log segment is stored of it; see --commitlogs in the manual")
    since = min((_flushed_by(choice, request) for choice in chosen.choices if choice.files), default=None)
    if since is None:
        return Refusal(directory, "no sstables are restored that its segments could be replayed over")
    segments = [Segment(name, one.key, one.size, one.modified) for name, one in newest.items()]
    taken = needed(segments, since, request.at)
    [timeline] = timelines_at(store, request.keys, directory, recursive=False)
    first, last = taken[0], taken[-1]
    point = replace(undated_point("", directory, last.stored_at, covers=(directory,)), since=first.stored_at)
    files = tuple(KeptFile(directory, one.name, one.key, size=one.size) for one in taken)
    older = len(segments) - len(taken)
    notes = [f"{spell_count(older, 'segment')} more, older or later than is needed"] if older else []
    archived = frozenset(one.key for one in newest.values() if one.archived)
    return Choice(timeline, point, files, notes=notes, archived=archived)


def _flushed_by(choice: Choice, request: Request) -> datetime:
    """Return until when the restore point was true: no commit until then is known that it lacks.

    What had not been flushed by then is in no more segments than Cassandra keeps, which are taken besides. Where the
    point is put together from several indexes, the oldest of them counts.
    """
    point = choice.point
    if point.since != point.taken_at:
        return point.since
    return min(point.until, request.at) if request.at is not None else point.until


def _name_of(listed: Listed) -> str:
    return posixpath.basename(plain_of(listed.key))
