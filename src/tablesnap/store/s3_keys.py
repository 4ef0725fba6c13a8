"""Which keys S3 and obstore can name."""

import re

from tablesnap.errors import KeyRefused
from tablesnap.store.keys import require_utf8, shown

LONGEST_KEY = 1024  # bytes

# obstore refuses or drops these; the last two cannot stand in XML either.
_ODD_CHARACTERS = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")


def require_key(key: str) -> None:
    """Raise `KeyRefused` for what S3 takes as no key at all."""
    encoded = require_utf8(key)
    if not encoded:
        raise KeyRefused("an object in S3 cannot have an empty name")
    if len(encoded) > LONGEST_KEY:
        raise KeyRefused(f"{shown(key)} has {len(encoded)} bytes, and a key in S3 has {LONGEST_KEY} at most")


def is_plain(key: str) -> bool:
    """Tell whether obstore, and servers that keep objects as files, name an object exactly so.

    obstore 0.12 refuses empty, ``.`` and ``..`` segments and control characters, and drops a leading or trailing slash
    in silence; versitygw 1.8 resolves such segments as if the key were a path; SeaweedFS takes a backslash for a slash.
    """
    return not (has_odd_segment(key) or "\\" in key or _ODD_CHARACTERS.search(key))


def has_odd_segment(key: str) -> bool:
    """Tell whether *key*, taken for a path, would be another's."""
    return any(segment in ("", ".", "..") for segment in key.split("/"))


def fits_xml(text: str) -> bool:
    """Tell whether a server that does not encode its listings can spell *text* there."""
    return not _ODD_CHARACTERS.search(text)
