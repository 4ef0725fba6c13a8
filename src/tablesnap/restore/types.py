"""Whether what is restored has the types that its table has on this machine now. Cassandra compares nothing.

An sstable names only the columns that were written to since the flush before it. So all are read: here, which costs
little, and of what is restored, where it is one request beside the eight or more that the same sstable takes when it
comes. Neither is done for a table that has no live sstables here.
"""

import hashlib
import os
import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tablesnap.checksum import crc64nvme
from tablesnap.errors import CannotRead, StoreUnavailable, TablesnapError
from tablesnap.restore.chosen import Chosen
from tablesnap.restore.comparing import Interrupted, sums_kept
from tablesnap.restore.live import LARGEST, STATISTICS, Live, directories_beside, live_of
from tablesnap.restore.request import Request
from tablesnap.rules import sstable
from tablesnap.rules.differing import Differing, differing, merged
from tablesnap.rules.kept import KeptFile
from tablesnap.rules.place import SYSTEM_KEYSPACES, place_of
from tablesnap.rules.placing import Placed
from tablesnap.rules.sstable_header import Header, read_header
from tablesnap.rules.system_schema import is_schema
from tablesnap.store.port import Store

_SHOWN = 5  # columns, before the rest is counted
_ADVICE = (
    "Cassandra does not compare them: it would show wrong bytes, or fail. To have these rows, restore them for a table "
    'beside it that has the types of then: docs/guide/restore.md, "A column has another type". To restore them all the '
    "same: --allow-other-types"
)


@dataclass(frozen=True)
class Compared:
    """What stands in the way of a restore because of types, and what is to be said of them."""

    obstacles: Sequence[str] = ()
    warnings: Sequence[str] = ()


class TypeComparer:
    """Compares the types of what is restored with those that its tables have on this machine."""

    def __init__(self, request: Request, store: Store, *, threads: int, stop: threading.Event) -> None:
        self._request = request
        self._store = store
        self._threads = threads
        self._stop = stop

    def compare(self, chosen: Chosen, placed: Sequence[Placed], gone: Collection[str]) -> Compared:
        """Compare what was *chosen*. What is there under the paths *gone* is no part of what a table has now.

        Raises `StoreUnavailable` and `Interrupted`. What cannot be read for another reason is said.
        """
        obstacles: list[str] = []
        warnings: list[str] = []
        unread: dict[str, None] = {}
        # With the schema come the types of then, and the sstables of another table of the same name do not matter.
        alone = not any(is_schema(choice.timeline.name) for choice in chosen.choices)
        for table, those in _statistics_of(placed).items():
            live = [*live_of(self._directories(table, those, beside=alone), gone)]
            unread |= dict.fromkeys(one.unread for one in live)
            if not any(one.header for one in live):
                continue  # nothing is asked of the store
            restored, why = self._read_all(those)
            unread[why] = None
            for one in live:
                obstacles += _obstacles(table, restored, one)
                warnings += _warnings(table, restored, one)
        warnings += [f"not all types were compared with those of now: {why}" for why in unread if why]
        if self._request.allow_other_types:
            return Compared(warnings=[*obstacles, *warnings])
        return Compared([f"{one}. {_ADVICE}" for one in obstacles], warnings)

    def _directories(self, table: str, those: Sequence[Placed], *, beside: bool) -> list[str]:
        """Return where live sstables of a *table* may be."""
        targets = dict.fromkeys(one.directory for one in those)
        if not beside:
            return list(targets)
        had = (os.path.dirname(os.path.dirname(one.file.directory)) for one in those)
        data_dirs = dict.fromkeys((*had, *self._request.data_dirs.values()))
        found = [path for target in targets for path in directories_beside(table, target, data_dirs.keys())]
        return list(dict.fromkeys((*targets, *found)))

    def _read_all(self, those: Sequence[Placed]) -> tuple[list[Header], str]:
        """Return what can be read of what is restored; and of one that cannot, why."""
        with ThreadPoolExecutor(self._threads, thread_name_prefix="types") as pool:
            try:
                found = [*pool.map(self._read, (one.file for one in those))]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        headers = [one for one in found if isinstance(one, Header)]
        return headers, next((one for one in found if isinstance(one, str)), "")

    def _read(self, file: KeptFile) -> Header | str:
        if self._stop.is_set():
            raise Interrupted("interrupted while comparing types; nothing was changed")
        try:
            return read_header(_verified(self._store, file))
        except StoreUnavailable:
            raise
        except TablesnapError as error:
            return f"{file.key} {error}"


def _statistics_of(placed: Sequence[Placed]) -> Mapping[str, Sequence[Placed]]:
    """Return the Statistics.db of each table, but for those of indexes, of copies, and of Cassandra's own tables."""
    found: defaultdict[str, list[Placed]] = defaultdict(list)
    for one in placed:
        component, place = sstable.parse(one.file.name), place_of(one.file.directory)
        if component is None or component.component != STATISTICS or not sstable.has_header(component):
            continue
        if not (place.index or place.copies or place.table.partition("/")[0] in SYSTEM_KEYSPACES):
            found[place.table].append(one)
    return found


def _verified(store: Store, file: KeptFile) -> bytes:
    """Return the content of an object. Raises what the store raises, and `CannotRead` if it is not what was stored."""
    checksum, md5 = file.checksum, None
    if checksum is None:
        checksum, md5 = sums_kept(store, file.key)
    body = b""
    for piece in store.read(file.key):
        body += piece
        if len(body) > LARGEST:
            raise CannotRead(f"has more than {LARGEST} bytes")
    found = hashlib.md5(body, usedforsecurity=False).hexdigest()
    if (found != md5) if checksum is None else (crc64nvme(body) != checksum):
        raise CannotRead("is not what was stored, or no checksum of it was kept")
    return body


def _obstacles(table: str, restored: Sequence[Header], live: Live) -> Iterator[str]:
    """Yield, at the most once, which types are others in what is live."""
    if live.header is None:
        return
    found: dict[str, Differing] = {}
    for header in restored:
        for one in differing(header, live.header):
            found.setdefault(one.what, one)
    if found:
        spelt = [f"{one.what} was {one.then} and is {one.now} now" for one in found.values()]
        yield f"{table} has other types in {live.directory}: {_listed(spelt, '; ')}"


def _warnings(table: str, restored: Sequence[Header], live: Live) -> Iterator[str]:
    """Yield which columns one of them has alone."""
    then, now = merged(restored), live.header
    if then is None or now is None:
        return
    if dropped := sorted(then.columns.keys() - now.columns.keys()):
        yield (
            f"{table}: no sstable in {live.directory} has {_columns(dropped)}. An import leaves out what was dropped "
            'from the table: docs/guide/restore.md, "A column was dropped"'
        )
    if added := sorted(now.columns.keys() - then.columns.keys()):
        yield f"{table}: nothing that is restored has {_columns(added)}, which {live.directory} has: null in its rows"


def _columns(names: Sequence[str]) -> str:
    return f"column{'s' if len(names) > 1 else ''} {_listed(names, ', ')}"


def _listed(words: Sequence[str], separator: str) -> str:
    more = [f"and {len(words) - _SHOWN} more"] if len(words) > _SHOWN else []
    return separator.join([*words[:_SHOWN], *more])
