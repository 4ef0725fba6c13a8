"""What every adapter asks of a key before it is used, and how it spells one in a message."""

from tablesnap.errors import KeyRefused


def require_utf8(key: str) -> bytes:
    """Return *key* in UTF-8, or raise `KeyRefused` where it has no such form."""
    try:
        return key.encode("utf-8")
    except UnicodeEncodeError as error:
        raise KeyRefused(f"{shown(key)} has no UTF-8 form, so no store can name it; rename the file") from error


def shown(key: str) -> str:
    """Spell *key* so that a message stays one line, whatever is in it."""
    return key if key.isprintable() and key else ascii(key)
