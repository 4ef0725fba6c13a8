"""JSON taken in piece by piece, so that a document of any size is never in memory as a whole.

Whoever reads one names what comes next. What does not come, or is nested deeper or is longer than anything that we
write, raises `ValueError` where it begins: what is behind it is not looked at.
"""

import codecs
import json
from collections.abc import Iterator

PIECE = 1 << 16  # bytes that are taken in at a time
_LONGEST = 1 << 20  # characters of one value that is read as a whole
_DEEPEST = 8  # objects and lists in each other that are passed over

_scan = json.JSONDecoder().raw_decode
_SPACE = " \t\n\r"  # RFC 8259, section 2


class Document:
    """One JSON document, read from its beginning to its end."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._taken = 0
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._text = ""
        self._at = 0

    def members(self) -> Iterator[str]:
        """Yield the name of each member of an object; its value is to be read before the next is asked for."""
        for _ in self._between("{", "}"):
            name = self.value()
            if not isinstance(name, str):
                raise ValueError(f"{name!r} is no name of a member")
            self._expect(":")
            yield name

    def elements(self) -> Iterator[object]:
        """Yield each element of a list, which is read as a whole."""
        for _ in self._between("[", "]"):
            yield self.value()

    def value(self) -> object:
        """Read one value as a whole."""
        self._peek()
        while True:
            try:
                value, end = _scan(self._text, self._at)
            except json.JSONDecodeError:
                if len(self._text) - self._at > _LONGEST:
                    raise ValueError("something in it is longer than in any index") from None
                if not self._take_in():
                    raise ValueError("it ends too early, or is no JSON") from None
            except RecursionError:
                raise ValueError("it is nested deeper than any index") from None
            else:
                # A number at the end of what was taken in may go on.
                if end < len(self._text) or not self._take_in():
                    self._at = end
                    return value
                # What was before the value is no longer there, and the value begins at the beginning.

    def skip(self, deepest: int = _DEEPEST) -> None:
        """Pass over one value."""
        if not deepest:
            raise ValueError("it is nested deeper than any index")
        char = self._peek()
        if char == "{":
            for _ in self.members():
                self.skip(deepest - 1)
        elif char == "[":
            for _ in self._between("[", "]"):
                self.skip(deepest - 1)
        else:
            self.value()

    def end(self) -> None:
        """Raise `ValueError` unless nothing more comes."""
        if self._peek():
            raise ValueError("something comes after its end")

    def _between(self, begin: str, end: str) -> Iterator[None]:
        self._expect(begin)
        if self._peek() == end:
            self._at += 1
            return
        while True:
            yield
            if self._peek() == end:
                self._at += 1
                return
            self._expect(",")

    def _expect(self, char: str) -> None:
        if self._peek() != char:
            raise ValueError(f"{self._text[self._at : self._at + 1]!r} stands where {char!r} has to")
        self._at += 1

    def _peek(self) -> str:
        """Pass over blanks, and return the character after them; nothing at the end."""
        while True:
            while (char := self._text[self._at : self._at + 1]) and char in _SPACE:
                self._at += 1
            if char or not self._take_in():
                return char

    def _take_in(self) -> bool:
        """Take in one more piece, and let go of what was read; say whether there was one."""
        if self._taken >= len(self._body):
            return False
        piece = self._body[self._taken : self._taken + PIECE]
        self._taken += len(piece)
        self._text = self._text[self._at :] + self._decode(piece, self._taken >= len(self._body))
        self._at = 0
        return True
