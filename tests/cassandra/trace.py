"""What Cassandra did to its files, event by event: taken down from the kernel, and kept small.

A trace has no content, only its sizes, and no path of the machine it was made on; a transaction log's records are kept
as text, without their checksums, which depend on the path.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

TRACES = Path(__file__).with_name("traces")


class Act(Enum):
    """What happened to a name."""

    CREATED = "C"
    LINKED = "L"  # created as another name of a file that was there: `source`
    CLOSED = "W"  # after it was open for writing
    LOGGED = "A"  # the same of a transaction log: `records` were appended
    CAME = "T"  # from outside of what is watched, or from `source`
    LEFT = "F"  # for outside of what is watched
    DELETED = "D"
    MADE = "d"  # a directory
    REMOVED = "r"  # a directory
    MARKED = "M"  # no event: the moment `name` of a scenario, at which `live` was live


@dataclass(frozen=True)
class Step:
    """One event."""

    at: int  # milliseconds since the first one
    act: Act
    directory: str = ""  # the number of the data directory, and the rest of the path: ``0/ks/t-1b25...``
    name: str = ""
    source: tuple[str, str] | None = None
    size: int | None = None  # where it may have other content than before
    records: tuple[str, ...] = ()  # ``ADD:[{0}/ks/t-1b25.../nb-1-big-,0,8]``
    live: Mapping[str, Sequence[str]] | None = None  # by directory, the files that Cassandra calls final


@dataclass(frozen=True)
class Trace:
    """The events of one run of a scenario."""

    scenario: str
    cassandra: str  # the version
    disks: int
    steps: tuple[Step, ...]


def save(trace: Trace, path: Path) -> None:
    """Write a trace; the same trace gives the same bytes."""
    places = {place: number for number, place in enumerate(dict.fromkeys(step.directory for step in trace.steps))}
    rows = []
    for step in trace.steps:
        row: list[object] = [step.at, step.act.value, places[step.directory], step.name]
        if step.source is not None:
            row += [step.source[0], step.source[1]]
        if step.act in (Act.CLOSED, Act.CAME) and step.size is not None:
            row.append(step.size)
        row += step.records
        if step.live is not None:
            row.append({directory: list(names) for directory, names in step.live.items()})
        rows.append(row)
    document = {
        "scenario": trace.scenario,
        "cassandra": trace.cassandra,
        "disks": trace.disks,
        "directories": list(places),
        "steps": rows,
    }
    path.write_bytes(gzip.compress(json.dumps(document, separators=(",", ":")).encode(), mtime=0))


def load(path: Path) -> Trace:
    """Read a trace."""
    document = json.loads(gzip.decompress(path.read_bytes()))
    directories = document["directories"]
    steps = tuple(
        _step(at, Act(act), directories[place], name, rest) for at, act, place, name, *rest in document["steps"]
    )
    return Trace(document["scenario"], document["cassandra"], document["disks"], steps)


def _step(at: int, act: Act, directory: str, name: str, rest: list[object]) -> Step:
    step = Step(at, act, directory, name)
    if act is Act.LOGGED:
        return replace(step, records=tuple(map(str, rest)))
    if rest and isinstance(rest[-1], dict):
        return replace(step, live=rest[-1])
    if rest and isinstance(rest[-1], int):
        step = replace(step, size=rest[-1])
        rest = rest[:-1]
    return replace(step, source=(str(rest[0]), str(rest[1]))) if rest else step
