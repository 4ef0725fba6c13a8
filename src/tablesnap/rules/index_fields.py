"""The fields of an index's body, read with suspicion and spelt.

Every field is looked at, because whoever has an `Index` goes by it: a purge above all. What is no such field raises
`ValueError` or `TypeError`.
"""

from datetime import UTC, datetime


def whole_number(value: object) -> int:
    """Read a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    return value


def natural(value: object) -> int:
    """Read a whole number that is not below nothing."""
    number = whole_number(value)
    if number < 0:
        raise ValueError(f"{number} is below nothing")
    return number


def text(value: object) -> str:
    """Read a text."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def texts(value: object) -> tuple[str, ...]:
    """Read a list of texts."""
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return tuple(text(one) for one in value)


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
    return one


def spell(one: datetime | None) -> str:
    """Spell a moment: ``2026-11-22T20:25:17.123456Z``."""
    if one is None:
        raise ValueError("a restore point without a moment")
    return one.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
