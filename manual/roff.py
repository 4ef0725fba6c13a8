"""Text as roff has it, so that what is copied from a page is what was written."""

from collections.abc import Sequence

BOLD, ITALIC = "\\fB{}\\fR", "\\fI{}\\fR"

# In these a reader's terminal would show another sign: a dash, a typographic quote, an accent.
_LITERAL = {"-": "\\-", "'": "\\(aq", "`": "\\(ga", "~": "\\(ti", "^": "\\(ha", '"': "\\(dq"}
_PROSE = {'"': "\\(dq", "~": "\\(ti", "^": "\\(ha", "`": "\\(ga"}


def literal(text: str) -> str:
    """Render what is typed or printed, sign by sign."""
    return "".join(_sign(sign, _LITERAL) for sign in text)


def prose(text: str) -> str:
    """Render a text, in which a hyphen is a hyphen."""
    return "".join(_sign(sign, _PROSE) for sign in text)


def _sign(sign: str, signs: dict[str, str]) -> str:
    if sign == "\\":
        return "\\e"
    return signs.get(sign, sign) if sign.isascii() else f"\\[u{ord(sign):04X}]"


def control(line: str) -> str:
    """Keep a line of text from being taken for a request."""
    return f"\\&{line}" if line.startswith((".", "'")) else line


def spelling(names: Sequence[str], value: str) -> str:
    """Render the names of a flag, and its value."""
    short_first = sorted(names, key=lambda name: name.startswith("--"))
    bold = ", ".join(BOLD.format(literal(name)) for name in short_first)
    return f"{bold} {ITALIC.format(literal(value))}" if value else bold
