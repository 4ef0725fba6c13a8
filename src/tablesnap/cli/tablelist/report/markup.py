"""HTML and SVG in which whatever is not markup is text: a table may be called ``<script>``."""

from collections.abc import Iterable
from html import escape

from tablesnap.cli.line.printable import printable

_EMPTY = frozenset({"meta", "br", "path", "rect"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: str) -> Markup:
    """Return an element. Of a name in *attributes* the underscore at its end is left out, the others are hyphens."""
    given = "".join(f' {key.removesuffix("_").replace("_", "-")}="{_text(value)}"' for key, value in attributes.items())
    if name in _EMPTY:
        return Markup(f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{''.join(map(_markup, children))}</{name}>")


def together(parts: Iterable[str]) -> Markup:
    """Return these parts one after the other."""
    return Markup("".join(map(_markup, parts)))


def name(text: str) -> Markup:
    """Return a name that comes from elsewhere: its writing direction must not spread to what stands beside it."""
    return element("bdi", text)


def _markup(text: str) -> str:
    return text if isinstance(text, Markup) else _text(text)


def _text(text: str) -> str:
    return escape(printable(text))
