"""Explain of each file whether it is protected. It looks and asks; it watches, writes and changes nothing."""

import os
import re
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from tablesnap.capture.listing import Listing, advice_on, look_at_directory
from tablesnap.capture.pin import Pins
from tablesnap.catalog.catalog import Catalog, Survey
from tablesnap.explain.explanations import Explanation, State, Stored, of_component, of_file, why_dead, why_excluded
from tablesnap.live.events import Committed, IndexLog, LogGone
from tablesnap.live.look import fingerprint_of, look_at_table, sort_out
from tablesnap.live.witness import Witness
from tablesnap.rules import history, sstable
from tablesnap.rules.incarnation import Incarnation
from tablesnap.rules.index import Index
from tablesnap.rules.index_parts import newest_of, project
from tablesnap.rules.keys import Keys
from tablesnap.rules.lifecycle import Lifecycle, lifecycle_of
from tablesnap.rules.place import is_copies_of, is_scratch, place_of
from tablesnap.rules.selection import Selection
from tablesnap.rules.txnlog import dead
from tablesnap.rules.view import Name
from tablesnap.store.port import Store
from tablesnap.watch.hints import DirectoryHint
from tablesnap.watch.links import Refusal, Tree, second_choices

EVERYTHING = Selection(include=(re.compile(""),))

_NOT_ASKED = "it would be backed up; without BUCKET the store was not asked whether it is"
_UNREADABLE = "the newest index of its directory cannot be read"
_NOT_LOOKED = "which sstables are live cannot be told just now; try again"
_LEFT_OUT = "in backups/ or snapshots/ of a table, which are left out unless PATH or -i names them"


@dataclass
class _Table:
    """What is found of one table."""

    live: Mapping[Name, Mapping[str, Incarnation]] = field(default_factory=dict)  # what Cassandra would read
    chosen: Mapping[Name, Mapping[str, Incarnation]] = field(default_factory=dict)  # of that, what is backed up
    dead: Mapping[Name, str] = field(default_factory=dict)
    listings: Mapping[str, Listing] = field(default_factory=dict)


class Explainer:
    """Explains the files that are, or are below, *paths*; with *store*, by its newest indexes of the node of *keys*.

    *avoid* is where the store itself is: no link is followed to there.
    """

    def __init__(
        self, paths: Collection[str], *, avoid: tuple[str, ...], selection: Selection, keys: Keys, store: Store | None
    ) -> None:
        self._paths = paths
        self._avoid = avoid
        self._selection = selection
        self._catalog = Catalog(store, keys) if store is not None else None
        self._pins = Pins()
        self._witness = Witness(self._pins, self._let_go, time.monotonic)
        self._asked: dict[str, set[str] | None] = {}  # directories, and which names there; None: every one
        self._unlistable: dict[str, str] = {}

    def explain(self) -> list[Explanation]:
        """Return what is to be said, sorted by path. Raises what the store raises."""
        self._asked, refused = self._find()
        listings = {path: listing for path in self._asked if (listing := self._list(path)) is not None}
        left_out = self._left_out(listings)
        survey = self._survey([path for path in listings if path not in left_out])
        found: list[Explanation] = [
            Explanation(path, State.UNKNOWN, why, is_directory=True)
            for path, why in self._unlistable.items()
            if path in self._asked
        ]
        tables: dict[str, list[str]] = {}
        for path, listing in listings.items():
            if path in left_out:
                found += (Explanation(os.path.join(path, name), State.EXCLUDED, _LEFT_OUT) for name in listing.files)
            elif keeps_transactions(path, listing.files):
                tables.setdefault(place_of(path).table, []).append(path)
            else:
                found += self._explain_ordinary(path, listing, self._stored(path, survey))
            found += self._links(path, listing, refused)
        for directories in tables.values():
            found += self._explain_table(directories, listings, survey)
        found += self._not_there(listings)
        wanted = (one for one in found if self._is_asked(one.path))
        return sorted(wanted, key=lambda one: one.path)

    # What is there.

    def _find(self) -> tuple[dict[str, set[str] | None], Mapping[str, Refusal]]:
        """Return what is asked about, and which links are not followed."""
        tree = self._tree()
        asked: dict[str, set[str] | None] = dict.fromkeys(tree.directories)
        for path in self._paths:
            directory, name = os.path.split(path)
            names = asked.setdefault(directory, set()) if not os.path.isdir(path) else None
            if names is not None:
                names.add(name)
        return asked, tree.refused

    def _tree(self) -> Tree:
        """Return the directories as a daemon that starts now would watch them."""
        paths = tuple(filter(os.path.isdir, self._paths))
        tree = Tree(paths, self._avoid)
        survey = self._survey([path for group in tree.contested for path in group]) if tree.contested else None
        if survey is None:
            return tree
        return Tree(paths, self._avoid, second_choices(tree.contested, survey.newest))

    def _links(self, directory: str, listing: Listing, refused: Mapping[str, Refusal]) -> Iterator[Explanation]:
        for name in listing.links:
            path = os.path.join(directory, name)
            refusal = refused.get(path)
            if not os.path.exists(path):
                yield Explanation(
                    path, State.UNKNOWN, "a symbolic link to what is not there; is something not mounted?"
                )
            elif refusal is not None:
                state = State.EXCLUDED if refusal.harmless else State.UNKNOWN
                yield Explanation(path, state, f"a symbolic link, which is not followed: {refusal.why}")
            elif path not in self._asked:
                why = "a symbolic link to a file, which is not followed; name the directory of that as a PATH"
                yield Explanation(path, State.EXCLUDED, why)

    def _list(self, path: str) -> Listing | None:
        try:
            return look_at_directory(path)
        except OSError as error:
            self._unlistable[path] = f"cannot be listed: {error.strerror}; {advice_on(error)}"
            return None

    def _is_asked(self, path: str) -> bool:
        if path in self._unlistable:
            return True
        directory, name = os.path.split(path)
        names = self._asked[directory]
        return names is None or name in names

    def _not_there(self, listings: Mapping[str, Listing]) -> Iterator[Explanation]:
        for directory, names in self._asked.items():
            listing = listings.get(directory)
            for name in names or ():
                if listing is not None and name not in listing.files and name not in listing.links:
                    path = os.path.join(directory, name)
                    yield Explanation(path, State.UNKNOWN, "there is no regular file of this name any more")

    def _left_out(self, listings: Mapping[str, Listing]) -> set[str]:
        """Return the directories that hold copies, whose bytes are stored already, and nobody asked for them."""
        left_out: set[str] = set()
        for path in sorted(listings):  # a parent comes before what is in it
            parent = os.path.dirname(path)
            holds = parent in listings and any(sstable.parse(name) is not None for name in listings[parent].files)
            if not (parent in left_out or is_copies_of(path, parent_holds_sstables=holds)):
                continue
            if not history.takes_copies_in(path, self._paths, self._selection):
                left_out.add(path)
        return left_out

    # What the store says.

    def _survey(self, directories: Collection[str]) -> Survey | None:
        return self._catalog.survey(directories, directories) if self._catalog is not None else None

    def _stored(self, directory: str, survey: Survey | None, table: _Table | None = None) -> Stored:
        """Return what the store says of *directory*, which may be one of *table*'s."""
        if survey is None:
            return Stored(unknown=_NOT_ASKED)
        beside = table.listings if table is not None else ()
        points = [survey.points[one] for one in {directory, *beside} if one in survey.points]
        # A crash may leave one of a table's directories behind, and each daemon has a restore point of its own disks.
        point = newest_of(one for one in points if directory in directories_of(one))
        if point is None:
            return Stored(unknown=_UNREADABLE if directory in survey.newest else "")
        own = project(point, directory) if point.others else point
        return Stored(own, is_present=table is not None and _is_present(point, table))

    # What is to be said.

    def _explain_ordinary(self, directory: str, listing: Listing, stored: Stored) -> Iterator[Explanation]:
        live = history.live(directory, listing.files, self._selection)
        for name, here in listing.files.items():
            path = os.path.join(directory, name)
            if excluded := why_excluded(path, name, self._selection):
                yield Explanation(path, *excluded)
            elif name in live:
                yield Explanation(path, *_readable(path, *of_file(name, here, stored)), live=True)
            else:
                yield Explanation(path, State.NOT_LIVE, "Scylla is still writing its sstable: there is no TOC.txt")

    def _explain_table(
        self, directories: list[str], listings: Mapping[str, Listing], survey: Survey | None
    ) -> Iterator[Explanation]:
        points = [survey.points[one] for one in directories if one in survey.points] if survey is not None else []
        others = {one for point in points for one in directories_of(point) if os.path.isdir(one)}
        table = self._look(sorted({*directories, *others}))
        for directory in directories:
            if table is None:
                yield from self._explain_ordinary(directory, listings[directory], Stored(unknown=_NOT_LOOKED))
                continue
            stored = self._stored(directory, survey, table)
            for name, here in table.listings[directory].files.items():
                yield self._explain_in_table(directory, name, here, stored, table)

    def _explain_in_table(
        self, directory: str, name: str, here: Incarnation, stored: Stored, table: _Table
    ) -> Explanation:
        path = os.path.join(directory, name)
        component = sstable.parse(name)
        one = (directory, component.stem) if component is not None else None
        live = one in table.live if component is not None and not component.temporary else False
        excluded = why_excluded(path, name, self._selection)
        if one is not None and one in table.dead and (excluded is None or excluded[0] is State.EXCLUDED):
            return Explanation(path, State.NOT_LIVE, table.dead[one])
        if excluded is not None:
            return Explanation(path, *excluded, live=live)
        if component is None or one is None:
            return Explanation(path, *_readable(path, *of_file(name, here, stored)), live=True)
        if one in table.chosen:
            judged = of_component(name, component.stem, table.chosen[one], stored)
            return Explanation(path, *_readable(path, *judged), live=True)
        return Explanation(path, State.UNKNOWN, "components of its sstable are missing, and no transaction is at work")

    def _look(self, directories: list[str]) -> _Table | None:
        for directory in directories:
            # Cassandra resolves links before it writes a path down, and here go the names the operator gave.
            self._witness.see(DirectoryHint(directory))
        looked = look_at_table(directories, self._list, self._witness, self._selection)
        if looked is None:
            return None
        look, listings = looked
        # Those of the look: a log stays open, and can be read when it is gone.
        transactions = self._witness.look(dict.fromkeys(directories, ())).transactions
        everything = sort_out(listings, dead(transactions), EVERYTHING)
        return _Table(everything.live, look.live, why_dead(transactions), listings)

    def _let_go(self, message: Committed | IndexLog | LogGone) -> None:
        """Hold nothing that a transaction brought."""
        if isinstance(message, Committed):
            for pins in message.pins.values():
                for pin in pins:
                    self._pins.release(pin)


def keeps_transactions(directory: str, names: Collection[str]) -> bool:
    """Say whether Cassandra keeps transactions in *directory*, by the *names* in it; 2.x and Scylla do not."""
    if place_of(directory).copies or is_scratch(directory):
        return False
    return lifecycle_of(names) is Lifecycle.LOGGED


def directories_of(point: Index) -> set[str]:
    """Return the directories of the table that a restore point holds."""
    return {point.directory, *point.others}


def _is_present(point: Index, table: _Table) -> bool:
    live = {name: files for name, files in table.chosen.items() if name[0] in directories_of(point)}
    return bool(point.live) and point.live == fingerprint_of(live)


def _readable(path: str, state: State, why: str) -> tuple[State, str]:
    """Say so where what is to be stored cannot be read."""
    if state is State.PENDING and not os.access(path, os.R_OK):
        return State.UNKNOWN, f"this user may not read it; {why}"
    return state, why
