"""Carries out a plan: directories, files, and in the end, if nothing failed, removals."""

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from tablesnap.download import folders
from tablesnap.download.folders import Roots
from tablesnap.download.line import Patience
from tablesnap.download.pool import Failure, Progress, fetch_all
from tablesnap.download.temporary import remove_leftovers
from tablesnap.errors import TablesnapError
from tablesnap.restore.plan import NewDirectory, Plan
from tablesnap.restore.removing import remove, users_of
from tablesnap.rules import sstable
from tablesnap.store.port import Store
from tablesnap.units import spell_count


class CannotBegin(TablesnapError):
    """The plan has obstacles, or a directory cannot be made."""


@dataclass(frozen=True)
class Outcome:
    """How it ended."""

    failures: Sequence[Failure] = ()
    removed: int = 0
    not_removed: Sequence[str] = ()  # what --exact could not remove, and why
    interrupted: bool = False

    @property
    def is_whole(self) -> bool:
        """Say whether all that was planned is done."""
        return not self.failures and not self.not_removed and not self.interrupted


def carry_out(
    plan: Plan,
    store: Store,
    *,
    threads: int,
    progress: Progress,
    stop: threading.Event,
    patience: Patience | None = None,
) -> Outcome:
    """Do what *plan* says. Run again after an interruption, with a new plan, it goes on.

    Raises `CannotBegin` before anything is fetched.
    """
    if plan.obstacles:
        raise CannotBegin("; ".join(plan.obstacles))
    if plan.frozen:
        raise CannotBegin(f"{spell_count(len(plan.frozen), 'file')} must be thawed first")
    for directory in plan.new_directories:
        _make(directory, plan.roots)
    for path in plan.directories:
        _sweep(path, plan.roots)
    _take_apart(plan)
    failures = fetch_all(
        store, plan.groups, threads=threads, progress=progress, stop=stop, patience=patience, roots=plan.roots
    )
    if failures or stop.is_set():
        return Outcome(failures=failures, interrupted=stop.is_set())
    return _remove(plan)


def _remove(plan: Plan) -> Outcome:
    # Only now that all is there: until then, what is removed might be all that is left of something.
    if not plan.removals:
        return Outcome()
    # Whoever was started since the plan was made counts as well.
    users = users_of(plan.directories)
    if users:
        return Outcome(not_removed=[f"nothing was removed: {user}" for user in users])
    failed = remove(plan.removals, plan.roots)
    return Outcome(
        removed=len(plan.removals) - len(failed), not_removed=[f"{path} was not removed: {why}" for path, why in failed]
    )


def _take_apart(plan: Plan) -> None:
    """Remove each Data.db that is to be replaced: components of two sstables must never stand together as one."""
    for group in plan.groups:
        data = group[-1]
        if data.replace and sstable.is_data(os.path.basename(data.target)):
            for path, why in remove([data.target], plan.roots):
                raise CannotBegin(f"{path} cannot be replaced: {why}")


def _make(directory: NewDirectory, roots: Roots) -> None:
    try:
        folders.make(roots.real(directory.path), directory.owner, directory.mode)
    except FileExistsError:
        return
    except OSError as error:
        raise CannotBegin(f"{directory.path} cannot be made: {error.strerror}") from error


def _sweep(path: str, roots: Roots) -> None:
    try:
        remove_leftovers(roots.real(path))
    except OSError as error:
        raise CannotBegin(f"{path} cannot be cleared of what an earlier run left: {error.strerror}") from error
