"""Names as they are printed: no terminal acts upon what is in them, and no reader is misled by it."""

import unicodedata

import pytest

from tablesnap.cli.line.printable import printable


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("users-5a1c/nb-1-big-Data.db", "users-5a1c/nb-1-big-Data.db"),
        ("Größe Ελλάδα 表 🗄", "Größe Ελλάδα 表 🗄"),
        ("a\x1b[31mRED\x07\tb\n", r"a\x1b[31mRED\x07\x09b\x0a"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),  # would be shown as gpj.exe turned round
        ("us\u200bers", r"us\u200bers"),  # would be shown as users
        ("a\u2028b", r"a\u2028b"),
        ("a\U000e0041", r"a\U000e0041"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_a_terminal_acts_upon_or_does_not_show_is_escaped(text: str, printed: str) -> None:
    assert printable(text) == printed


def test_no_character_of_a_kind_that_is_not_shown_is_printed() -> None:
    unseen = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in {"Cc", "Zl", "Zp"}]
    turning = [chr(code) for code in range(0x110000) if unicodedata.bidirectional(chr(code)) in _TURNING]

    assert [char for char in unseen + turning if char in printable(char)] == []


_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
