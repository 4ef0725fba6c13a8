"""Which sets of sstables read as a table did at a moment: by its commits alone, and by trying all there can be."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from tests.daemon.replay import Commit, Life

Lives = frozenset[Life]


def right_sets(commits: Sequence[Commit], at: datetime) -> set[Lives]:
    """Return every set that reads as the table did at the moment *at*.

    Each is what was live after some commit, with all additions from there to the moment; but nothing from before the
    last time that rows were taken away. What only changed places after the moment may have done so in the set.
    """
    live = _live_after_each(commits)
    found = set()
    for position in _positions(commits, at):
        for base in range(_first_base(commits[:position]), position + 1):
            since = [commit.added for commit in commits[base:position] if commit.is_addition]
            found.add(live[base].union(*since))
        for base in range(position + 1, len(commits) + 1):
            if commits[base - 1].is_addition or commits[base - 1].takes_rows_away:
                break
            found.add(live[base])
    return found


def lacking(held: Lives, commits: Sequence[Commit], parents: Sequence[Commit], at: datetime) -> Lives:
    """Return what a secondary index with these *commits* must have had at the moment *at*, and *held* is without.

    An entry too much does no harm; one that lacks hides a row. What was flushed together with the table counts from the
    moment that this did.
    """
    cleared = [commit.at for commit in (*commits, *parents) if commit.takes_rows_away and commit.at <= at]
    since = max(cleared, default=None)
    wanted: set[Life] = set()
    for commit in (commit for commit in commits if commit.is_addition):
        if since is not None and commit.at <= since:
            continue
        flushes = [parent.at for parent in parents if parent.is_addition and parent.at <= commit.at]
        if max(flushes, default=commit.at) <= at:
            wanted |= commit.added
    return frozenset(life for life in wanted if not _is_covered(life, held, commits))


def _is_covered(life: Life, held: Lives, commits: Sequence[Commit]) -> bool:
    """Say whether *held* has *life*, or all that was put in its place."""
    if life in held:
        return True
    successors = [commit.added for commit in commits if life in commit.removed and not commit.takes_rows_away]
    return any(all(_is_covered(one, held, commits) for one in added) for added in successors)


def _live_after_each(commits: Sequence[Commit]) -> list[Lives]:
    live: list[Lives] = [frozenset()]
    for commit in commits:
        live.append((live[-1] - commit.removed) | commit.added)
    return live


def _positions(commits: Sequence[Commit], at: datetime) -> Iterator[int]:
    """Yield how many commits there may have been: a kernel's clock ticks too seldom to tell two that came close."""
    for position in range(len(commits) + 1):
        before = position == 0 or commits[position - 1].at <= at
        after = position == len(commits) or commits[position].at >= at
        if before and after:
            yield position


def _first_base(commits: Sequence[Commit]) -> int:
    taken = [number for number, commit in enumerate(commits, start=1) if commit.takes_rows_away]
    return taken[-1] if taken else 0
