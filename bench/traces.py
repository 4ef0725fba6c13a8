"""What Cassandra did to one table, as its transaction logs tell it: small enough to be kept."""

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tablesnap.rules.txnlog import Kind

TRACES = Path(__file__).with_name("traces")


@dataclass(frozen=True)
class Step:
    """One committed transaction."""

    at: float  # seconds since the first one
    kind: Kind
    added: Mapping[str, int]  # bytes of all components, by stem
    removed: tuple[str, ...]  # stems


@dataclass(frozen=True)
class Trace:
    """The transactions of one table, in the order in which their COMMITs were read."""

    strategy: str
    cassandra: str  # the version
    options: Mapping[str, str]  # of compaction
    workload: str
    steps: tuple[Step, ...]


def save(trace: Trace, path: Path) -> None:
    """Write a trace; the same trace gives the same bytes."""
    steps = [[round(step.at, 3), step.kind.value, dict(step.added), list(step.removed)] for step in trace.steps]
    document = {
        "strategy": trace.strategy,
        "cassandra": trace.cassandra,
        "options": dict(trace.options),
        "workload": trace.workload,
        "steps": steps,
    }
    path.write_bytes(gzip.compress(json.dumps(document, separators=(",", ":")).encode(), mtime=0))


def load(path: Path) -> Trace:
    """Read a trace."""
    document = json.loads(gzip.decompress(path.read_bytes()))
    return Trace(
        strategy=document["strategy"],
        cassandra=document["cassandra"],
        options=document["options"],
        workload=document["workload"],
        steps=tuple(_steps(document["steps"])),
    )


def _steps(spelt: Iterable[tuple[float, str, dict[str, int], list[str]]]) -> Iterable[Step]:
    for at, kind, added, removed in spelt:
        yield Step(at, Kind(kind), added, tuple(removed))
