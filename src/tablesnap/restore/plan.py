"""What a restore is going to do: said in full before the first byte."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from tablesnap.download.folders import Roots
from tablesnap.download.one import Fetch
from tablesnap.restore.chosen import Apart, Choice, Refusal, SchemaMoment
from tablesnap.rules.placing import Renamed
from tablesnap.rules.points import Fault
from tablesnap.units import spell_utc


@dataclass(frozen=True, slots=True)
class Different:
    """A file that is there with other content than the restore point has."""

    path: str
    why: str


@dataclass(frozen=True, slots=True)
class Frozen:
    """What the store has to thaw first: a file that is to be fetched, or an index that says what is."""

    key: str
    path: str  # of an index its key
    size: int
    storage_class: str
    is_thawing: bool  # the store was asked for it


@dataclass(frozen=True, slots=True)
class Space:
    """What a file system needs to have free, and has."""

    path: str  # of a directory on it that is there
    needed: int  # bytes, at the most at one time
    free: int  # bytes

    @property
    def is_enough(self) -> bool:
        """Say whether all will find room."""
        return self.needed <= self.free


@dataclass(frozen=True, slots=True)
class NewDirectory:
    """A directory that is made, like the one above it."""

    path: str
    mode: int
    owner: tuple[int, int]  # uid and gid, -1 for the caller's


@dataclass(frozen=True)
class Plan:
    """What a restore is going to do. With any of *obstacles*, or of what is *frozen*, it is not begun."""

    origin: str
    target: str
    choices: Sequence[Choice] = ()
    refusals: Sequence[Refusal] = ()  # of what is left out
    schema: SchemaMoment | None = None
    apart: Apart | None = None
    groups: Sequence[Sequence[Fetch]] = ()  # what is fetched, by sstable, its Data.db last
    size: int = 0  # bytes that are fetched
    there: Sequence[str] = ()  # paths of what is there already with the right content
    there_size: int = 0
    different: Sequence[Different] = ()  # there with other content: replaced with --force, else an obstacle
    directories: Sequence[str] = ()  # that are restored into
    roots: Roots = field(default_factory=Roots)  # below which no link is followed
    new_directories: Sequence[NewDirectory] = ()  # of these and those above them, what is made
    removals: Sequence[str] = ()  # with --exact: what the restore point does not name
    renamed: Sequence[Renamed] = ()
    spaces: Sequence[Space] = ()
    frozen: Sequence[Frozen] = ()  # of what has to be read; with any of them nothing is fetched
    obstacles: Sequence[str] = ()
    warnings: Sequence[str] = field(default=())

    @property
    def files(self) -> int:
        """How many files are fetched."""
        return sum(len(group) for group in self.groups)

    @property
    def is_done(self) -> bool:
        """Say whether there is nothing to do: all is there as it was."""
        return not self.groups and not self.removals and not self.obstacles

    def as_json(self) -> dict[str, object]:
        """Return all of it for programs."""
        return {
            "origin": self.origin,
            "target": self.target,
            "restore_points": [_choice_as_json(choice) for choice in self.choices],
            "left_out": [
                {"name": refusal.name, "why": refusal.why, "faults": _faults_as_json(refusal.faults)}
                for refusal in self.refusals
            ],
            "system_schema": None if self.schema is None else _schema_as_json(self.schema),
            "apart": None if self.apart is None else _apart_as_json(self.apart),
            "to_fetch": {"files": self.files, "bytes": self.size},
            "there_already": {"files": len(self.there), "bytes": self.there_size},
            "different": [{"path": one.path, "why": one.why} for one in self.different],
            "fetch": [_fetch_as_json(fetch) for group in self.groups for fetch in group],
            "directories": list(self.directories),
            "remove": list(self.removals),
            "renamed": [{"from": one.path, "to": one.target} for one in self.renamed],
            "space": [{"path": one.path, "needed": one.needed, "free": one.free} for one in self.spaces],
            "frozen": [asdict(one) for one in self.frozen],
            "obstacles": list(self.obstacles),
            "warnings": list(self.warnings),
        }


def _choice_as_json(choice: Choice) -> dict[str, object]:
    point = choice.point
    return {
        "name": choice.timeline.name,
        "index": point.key,
        "taken_at": spell_utc(point.taken_at),
        "since": spell_utc(point.since),
        "seen_at": spell_utc(point.seen_at),
        "until": spell_utc(point.until),
        "files": len(choice.files),
        "bytes": sum(file.size or 0 for file in choice.files),
        "complete": point.is_complete and not choice.faults,
        "superset": choice.superset,
        "emptied": choice.is_emptied,
        "behind": list(choice.lagging.behind),
        "late": list(choice.lagging.late),
        "faults": _faults_as_json(choice.faults),
        "notes": list(choice.notes),
    }


def _schema_as_json(schema: SchemaMoment) -> dict[str, object]:
    return {
        "as_of": None if schema.moment is None else spell_utc(schema.moment),
        "passed_over": list(schema.passed),
        "may_lack": list(schema.may_lack),
        "disagreeing": [
            {
                "name": one.name,
                "taken_at": spell_utc(one.taken_at),
                "until": spell_utc(one.until),
                "seconds": one.by.total_seconds(),
            }
            for one in schema.disagreeing
        ],
        "unknown": list(schema.unknown),
        "mixed": schema.moment is None and schema.is_allowed,
    }


def _apart_as_json(apart: Apart) -> dict[str, object]:
    return {
        "seconds": apart.by.total_seconds(),
        "first": {"name": apart.first, "until": spell_utc(apart.first_until)},
        "last": {"name": apart.last, "taken_at": spell_utc(apart.last_taken_at)},
        "all_known_at": None if apart.moment is None else spell_utc(apart.moment),
    }


def _faults_as_json(faults: Sequence[Fault]) -> list[dict[str, str]]:
    return [{"path": fault.path, "key": fault.key, "what": fault.what} for fault in faults]


def _fetch_as_json(fetch: Fetch) -> dict[str, object]:
    return {"key": fetch.key, "path": fetch.target, "size": fetch.size, "replaces": fetch.replace}
