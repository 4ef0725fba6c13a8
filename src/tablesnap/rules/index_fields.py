"""The fields of an index's body, read with suspicion and spelt.

Every field is looked at, because whoever has an `Index` goes by it: a purge above all. What is no such field raises
`ValueError` or `TypeError`. So does what no system says of a file and no clock of a moment: a number that the system
does not take, or a moment to which nothing can be added, would stop whoever comes upon it later.
"""

from datetime import UTC, datetime

# What Linux can say of a file: off_t, time_t in nanoseconds, mode_t as stat has it, uid_t without the one that is none.
LARGEST_SIZE = (1 << 63) - 1
LATEST_MTIME_NS = ((1 << 63) - 1) * 10**9
LARGEST_MODE = (1 << 16) - 1
LARGEST_ID = (1 << 32) - 2

# What any program that reads JSON can hold: RFC 8259, section 6.
LARGEST_SERIAL = (1 << 53) - 1

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(9000, 1, 1, tzinfo=UTC)  # a margin before the last moment that can be spelt: years are added to some


def whole_number(value: object) -> int:
    """Read a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    return value


def natural(value: object, largest: int) -> int:
    """Read a whole number that is not below nothing, and not above *largest*."""
    number = whole_number(value)
    if not 0 <= number <= largest:
        raise ValueError(f"a number is not between 0 and {largest}")  # which has a thousand digits, it may be
    return number


def mtime_ns(value: object) -> int:
    """Read when a file was changed, in nanoseconds since 1970."""
    number = whole_number(value)
    if not -LATEST_MTIME_NS <= number <= LATEST_MTIME_NS:
        raise ValueError("a file was changed at a moment that no system tells")
    return number


def text(value: object) -> str:
    """Read a text: what a system can say, so nothing that ends one, and of surrogates those that stand for a byte."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    if "\0" in value:
        raise ValueError(f"{value!r} has a NUL in it")
    if not value.isascii():
        value.encode("utf-8", "surrogateescape")
    return value


def name(value: object) -> str:
    """Read the name of a file."""
    one = text(value)
    if one in {"", ".", ".."} or "/" in one:
        raise ValueError(f"{one!r} is no file's name")
    return one


def directory(value: object) -> str:
    """Read the absolute path of a directory."""
    one = text(value)
    if not one.startswith("/") or ".." in one.split("/"):
        raise ValueError(f"{one!r} is no directory's path")
    return one


def list_of(value: object) -> list[object]:
    """Read a list."""
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def members(value: object) -> dict[str, object]:
    """Read an object."""
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no object")
    return value


def moment(value: object) -> datetime:
    """Read a moment, which must say its time zone."""
    one = datetime.fromisoformat(text(value))
    if one.tzinfo is None:
        raise ValueError(f"{value!r} does not say its time zone")
    return _within_reach(one)


def spell(one: datetime | None) -> str:
    """Spell a moment: ``2026-11-22T20:25:17.123456Z``. Raises `ValueError` for one that `moment` does not read."""
    if one is None:
        raise ValueError("a restore point without a moment")
    return _within_reach(one).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _within_reach(one: datetime) -> datetime:
    if not _FIRST <= one < _LAST:
        raise ValueError(f"{one.isoformat()} is not between {_FIRST.year} and {_LAST.year}")
    return one
