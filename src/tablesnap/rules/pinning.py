"""Which pins to let go: a guest keeps deleted files on a database's disk only where there is room for them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SHARE = 10  # one part in so many of a file system may be held, where no limit is given
SCARCE = 20  # one part in so many of a file system left free is too little to hold anything


@dataclass(frozen=True)
class FileSystem:
    """What one file system has for those who are not root."""

    size: int  # bytes
    free: int


@dataclass(frozen=True)
class Burden:
    """A file that is deleted, and takes up room for as long as it is held open."""

    number: int  # pins are numbered as they are taken
    rank: int  # 0: of an addition; more: of a base, or of something worth less yet
    size: int  # bytes
    device: int  # the file system it is on


def plan_letting_go(
    burdens: Iterable[Burden], file_systems: Mapping[int, FileSystem], *, limit: int | None
) -> list[Burden]:
    """Choose which of *burdens* must go, in this order, so that no more than *limit* bytes are held in all.

    Without a limit it is a tenth of each file system. Where less than a twentieth is free, or nobody can say how much
    is, everything goes: the database comes first.
    """
    going: list[Burden] = []
    staying: dict[int, list[Burden]] = {}
    for burden in sorted(burdens, key=_worth):
        if _is_scarce(file_systems.get(burden.device)):
            going.append(burden)
        else:
            staying.setdefault(0 if limit is not None else burden.device, []).append(burden)
    for place, held in staying.items():
        going += _above(held, limit if limit is not None else file_systems[place].size // SHARE)
    return sorted(going, key=_worth)


def _worth(burden: Burden) -> tuple[int, ...]:
    """Order by what is lost least. A base can be begun again, and the largest file makes the most room.

    An addition lost ends the view, and each before it is a restore point: so of additions the newest goes first.
    """
    return (-burden.rank, -burden.size if burden.rank > 0 else 0, -burden.number)


def _above(held: list[Burden], limit: int) -> list[Burden]:
    """Return the first of *held* without which the rest is within *limit*."""
    total = sum(burden.size for burden in held)
    going: list[Burden] = []
    for burden in held:
        if total <= limit:
            break
        if burden.size > 0:  # an empty file makes no room
            going.append(burden)
            total -= burden.size
    return going


def _is_scarce(file_system: FileSystem | None) -> bool:
    return file_system is None or file_system.free * SCARCE < file_system.size
