"""Where a directory store keeps an object: its key, turned into paths and back.

A key whose every segment is an ordinary file name is its own path: ``node1:/var/lib/cassandra/…/nb-7-big-Data.db``
lies in the folder ``node1:``, in the folder ``var``, and so on, and ``ls`` and ``cp`` are all that a restore by hand
needs. Any other key is *odd*: one with an empty, ``.`` or ``..`` segment, a control character, a name too long for a
file, something under `PRIVATE` itself, or a name that a folder has taken (``a`` beside ``a/b``). It is kept under
`ODD`, percent-encoded as a whole and cut in pieces: folders begin with ``+``, the file with ``=``, so neither takes the
other's name. Nothing else is escaped.

What is known of an object besides its bytes lies under `METADATA`, at its path with the same two marks.
"""

import re
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

PRIVATE = ".tablesnap"
ODD = f"{PRIVATE}/odd"
METADATA = f"{PRIVATE}/metadata"
INCOMING = f"{PRIVATE}/incoming"

# C0, DEL and C1 are harmless to the kernel, but not to the terminal of whoever looks for a backup;
# surrogates are Python's spelling of a name that is no UTF-8.
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_LONGEST_NAME = 254  # bytes; a file name has 255 at most, one of which a mark in METADATA takes
_PIECE = 200  # characters of a percent-encoded key in one folder's name


def is_ordinary(key: str) -> bool:
    """Tell whether *key* can be a path as it stands."""
    segments = key.split("/")
    return segments[0] != PRIVATE and all(is_ordinary_name(segment) for segment in segments)


def is_ordinary_name(name: str) -> bool:
    """Tell whether *name* can be a file's name as it stands."""
    return name not in ("", ".", "..") and not _NO_TEXT.search(name) and len(name.encode()) <= _LONGEST_NAME


def odd_path(key: str) -> str:
    """Return the path, relative to the store's directory, of an odd key."""
    encoded = quote(key, safe="")
    pieces = [encoded[start : start + _PIECE] for start in range(0, len(encoded), _PIECE)] or [""]
    return "/".join([ODD, *(f"+{piece}" for piece in pieces[:-1]), f"={pieces[-1]}"])


def key_of_odd_path(path: str) -> str | None:
    """Return the key whose `odd_path` is *path*, or None if there is none."""
    *folders, last = PurePosixPath(path).relative_to(ODD).parts
    key = unquote("".join(name[1:] for name in [*folders, last]), errors="replace")
    return key if odd_path(key) == path else None


def metadata_path(path: str) -> str:
    """Return where the metadata of the object at *path* lies."""
    *folders, last = path.split("/")
    return "/".join([METADATA, *(f"+{name}" for name in folders), f"={last}"])
