"""BUCKET and PATHs that stand among the patterns of ``-e`` or ``-i``, and who gets them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tablesnap.cli.line.slips import names_only_a_path


@dataclass(frozen=True)
class Patterns:
    """The words after one ``-e`` or ``-i``, up to the next flag."""

    words: tuple[str, ...]


def share_out(items: Sequence[str | Patterns], *, exists: Callable[[str], bool]) -> tuple[list[str], list[str]]:
    """Split a command line into its patterns and the words for BUCKET and PATHs, both in their order.

    ``-e X BUCKET PATH`` worked up to 1.0.3, when -e took one pattern, and ``-e A B`` since, when it took all words to
    the next flag. Both are meant as they were written, so where BUCKET or PATH is lacking, it is taken from the end
    of what -e swallowed: the last words that exist as paths, and the word before them as BUCKET if there is none yet.
    """
    words = [item for item in items if isinstance(item, str)]
    groups = [(at, item.words) for at, item in enumerate(items) if isinstance(item, Patterns)]
    able = [(at, group) for at, group in groups if len(group) > 1]
    if not able or (len(words) > 1 and not names_only_a_path(words[0])):
        return [word for _, group in groups for word in group], words
    lender, group = next((one for one in reversed(able) if exists(one[1][-1])), able[-1])
    before = [item for item in items[:lender] if isinstance(item, str)]
    after = words[len(before) :]
    count = _to_borrow(group, bucket_given=bool(before), path_given=bool(after), exists=exists)
    kept = {lender: group[: len(group) - count]}
    patterns = [word for at, group in groups for word in kept.get(at, group)]
    return patterns, [*before, *group[len(group) - count :], *after]


def _to_borrow(group: Sequence[str], *, bucket_given: bool, path_given: bool, exists: Callable[[str], bool]) -> int:
    """How many words at the end of *group* are no patterns. At least one is left."""
    bucket = 0 if bucket_given else 1
    room = len(group) - 1 - bucket
    paths = _run(group, room, exists)
    if not paths and not path_given:
        # A path that is not there has to be reported as such, by name, and not as a pattern too many.
        paths = _run(group, room, lambda word: exists(word) or names_only_a_path(word))
    if not paths and not path_given:
        return len(group) - 1  # as 1.0.3 did: one pattern, and the rest is BUCKET and PATHs
    while bucket and paths < room and names_only_a_path(group[-1 - paths]):
        paths += 1  # no bucket is called so
    return paths + bucket


def _run(group: Sequence[str], room: int, holds: Callable[[str], bool]) -> int:
    count = 0
    while count < room and holds(group[-1 - count]):
        count += 1
    return count
