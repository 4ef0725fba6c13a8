"""How paths become keys. The layout is a public API: see docs/reference/bucket-layout.md."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from tablesnap.checksum import to_hex

INDEX_ENDING = "-listdir.json"
_MOMENT = re.compile(r"~[0-9]{8}T[0-9]{12}Z\Z")
_BESIDE = re.compile(r"~[0-9a-f]{16}(~[0-9]{8}T[0-9]{12}Z)?\Z")


@dataclass(frozen=True)
class Keys:
    """The names one node's files have in the store."""

    prefix: str
    node: str
    separator: str

    def plain(self, path: str) -> str:
        """Return the key of the file at this absolute *path*: prefix, node, separator, path.

        Consecutive slashes become one and leading ones go, as boto 2 did to the requests of 1.x. Bytes of a name that
        are no UTF-8 are spelt ``\\xNN``, since a key is text; the index holds the exact name and the exact key.
        """
        text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        return re.sub("/+", "/", f"{self.prefix}{self.node}{self.separator}{text}").lstrip("/")

    def below(self, directory: str) -> str:
        """Return what the key of everything in and below this absolute *directory* begins with."""
        return self.plain(directory.rstrip("/") + "/")


def beside(key: str, checksum: int, moment: datetime | None = None) -> str:
    """Return the key of content that found *key* taken by other content.

    *moment* is given where the checksum's own key is taken as well.
    """
    ending = f"~{spell_moment(moment)}" if moment else ""
    return f"{key}~{to_hex(checksum)}{ending}"


def plain_of(key: str) -> str:
    """Return the plain key of the file whose content may be stored as *key*: itself, or what `beside` was given."""
    return _BESIDE.sub("", key)


def index_key(newest: str, moment: datetime | None = None) -> str:
    """Return the key of the index whose newest sstable or file is stored as *newest*.

    *moment* is given where an earlier restore point has that key, and where the directory holds nothing: *newest* is
    the directory's own key then, up to the last slash.
    """
    ending = f"~{spell_moment(moment)}" if moment else ""
    return f"{newest}{ending}{INDEX_ENDING}"


def file_of_index(key: str) -> str:
    """Return the plain key of the file whose arrival the index of this *key* recorded."""
    return plain_of(without_moment(key))


def without_moment(key: str) -> str:
    """Return the key that `index_key` made this *key* of an index from."""
    return _MOMENT.sub("", key.removesuffix(INDEX_ENDING))


def moment_in(key: str) -> datetime | None:
    """Return the moment in the *key* of an index, by its look: it may as well be that of the object it is named after.

    None if there is none.
    """
    match = _MOMENT.search(key.removesuffix(INDEX_ENDING))
    if match is None:
        return None
    try:
        return datetime.strptime(match[0], "~%Y%m%dT%H%M%S%fZ").replace(tzinfo=UTC)
    except ValueError:
        return None  # other people's


def is_index(key: str) -> bool:
    """Say whether an object of this *key* is an index, by the rule 1.x's restore goes by."""
    return key.endswith(INDEX_ENDING)


def directory_of(key: str) -> str:
    """Return the part of *key* that stands for its directory, the last slash included."""
    return key[: key.rfind("/") + 1]


def spell_moment(moment: datetime) -> str:
    """Spell a moment as it stands in a key: ``20261122T202517123456Z``."""
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%S%fZ")
