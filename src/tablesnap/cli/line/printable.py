"""Text that may hold anything, such as the names of files, made fit for a line on a terminal or in a log."""

import re

# Controls, and what is not seen or turns round what stands beside it: Unicode's other line ends, its format characters
# (category Cf: https://www.unicode.org/reports/tr9/ and tr36), and the fillers of the Hangul that show as nothing.
_UNSEEN = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    """Return *text* as one line that any terminal takes, whatever is in the names of files."""
    return without_controls(text.replace("\t", "\\x09")).encode("utf-8", "backslashreplace").decode()


def without_controls(text: str) -> str:
    """Return *text* with what a terminal acts upon, or does not show, escaped; but for tabs."""
    return _UNSEEN.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
