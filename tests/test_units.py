import pytest

from tablesnap.units import spell_count


@pytest.mark.parametrize(
    ("number", "thing", "spelt"),
    [
        (1, "file", "1 file"),
        (0, "file", "0 files"),
        (1, "directory", "1 directory"),
        (2, "directory", "2 directories"),
        (2, "day", "2 days"),
        (2, "key", "2 keys"),
    ],
)
def test_a_number_of_things_is_spelt_as_english_has_it(number: int, thing: str, spelt: str) -> None:
    assert spell_count(number, thing) == spelt
