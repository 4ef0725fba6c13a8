"""The command that restores one restore point, as it can be typed."""

import posixpath
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tablesnap.catalog.summary import Outline, Summary
from tablesnap.cli.line.printable import printable
from tablesnap.cli.tablelist.report.title import title_of
from tablesnap.rules.keys import spell_moment
from tablesnap.rules.place import place_of
from tablesnap.units import spell_utc


@dataclass(frozen=True)
class Source:
    """What a command says of where a node's backups are, without a secret."""

    bucket: str
    node: str
    flags: tuple[str, ...] = ()  # such as --endpoint-url, that the report was asked for with


def restore_commands(source: Source, summary: Summary, points: Sequence[Outline]) -> Iterator[str]:
    """Yield of each of the *points*, all of one timeline, newest first, what restores it; empty where nothing does."""
    taken = Counter(point.taken_at for point in points)
    earliest = datetime.max.replace(tzinfo=UTC)  # of those that are newer
    for point in points:
        # Where a clock was ahead once, a newer one may be of an earlier moment.
        is_alone = point.is_sound and taken[point.taken_at] == 1 and point.taken_at < earliest
        yield _restore_command(source, summary, point, is_alone=is_alone)
        earliest = min(earliest, point.taken_at)


def _restore_command(source: Source, summary: Summary, point: Outline, *, is_alone: bool) -> str:
    if point.unreadable:
        return ""
    # A moment names no restore point that is not whole, and neither of two that were taken at one: their keys do.
    which = ["--at", spell_utc(point.taken_at)] if is_alone else ["-f", point.key]
    if not point.is_sound:
        which.append("--allow-missing")
    origin = next((one for one in summary.directories if not place_of(one).index), summary.directories[0])
    target = _target(summary, point, is_alone=is_alone)
    words = ["tableslurp", "-n", source.node, *source.flags, *which, source.bucket, origin, target]
    # What a page cannot show as it is cannot be copied from it.
    if any(word != printable(word) for word in words):
        return ""
    return f"mkdir -p {shlex.quote(posixpath.dirname(target))} && {shlex.join(words)}"


def _target(summary: Summary, point: Outline, *, is_alone: bool) -> str:
    """Return a directory to restore into: another for each restore point, so that no two are mixed.

    Its last names are keyspace and table, without which ``nodetool import`` takes nothing.
    """
    moment = spell_moment(point.taken_at) + ("" if is_alone else f"-{spell_moment(point.seen_at)}")
    title = title_of(summary.name)
    name = title.name.removeprefix(f"{title.keyspace}.") if title.keyspace else posixpath.basename(summary.name)
    return posixpath.join(f"restored-{moment}", title.keyspace, name)
