"""Text that may hold anything, such as the names of files, made fit for a line on a terminal or in a log."""

import re

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


def printable(text: str) -> str:
    """Return *text* as one line that any terminal takes, whatever is in the names of files."""
    return without_controls(text.replace("\t", "\\x09")).encode("utf-8", "backslashreplace").decode()


def without_controls(text: str) -> str:
    """Return *text* with its control characters escaped, but for tabs."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
