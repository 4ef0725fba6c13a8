"""The objects of one history, a million of them in little memory."""

from array import array
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from tablesnap.rules.keys import directory_of
from tablesnap.rules.purging import Stored
from tablesnap.store.port import Listed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Objects(Mapping[str, int]):
    """The sizes of objects by key, and what else a listing says of them.

    Each has a number, from 0 on. Names are kept apart from the directories, which they share, and all else in arrays.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, dict[str, int]] = {}  # by the directory's key, then by name
        self._sizes = array("Q")
        self._moments = array("q")

    def add(self, one: Listed | Stored) -> None:
        """Add an object, once."""
        directory_key = directory_of(one.key)
        self._numbers.setdefault(directory_key, {})[one.key[len(directory_key) :]] = len(self._sizes)
        self._sizes.append(one.size)
        self._moments.append((one.modified - _EPOCH) // _MICROSECOND)

    def number(self, key: str) -> int | None:
        """Return the number of the object under *key*, or None if it is not among these."""
        directory_key = directory_of(key)
        return self._numbers.get(directory_key, {}).get(key[len(directory_key) :])

    def stored(self) -> Iterator[tuple[int, Stored]]:
        """Yield every object with its number."""
        for directory_key, names in self._numbers.items():
            for name, number in names.items():
                modified = _EPOCH + self._moments[number] * _MICROSECOND
                yield number, Stored(directory_key + name, self._sizes[number], modified)

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(self._sizes)

    def __getitem__(self, key: str) -> int:
        number = self.number(key)
        if number is None:
            raise KeyError(key)
        return self._sizes[number]

    def __iter__(self) -> Iterator[str]:
        return (directory_key + name for directory_key, names in self._numbers.items() for name in names)

    def __len__(self) -> int:
        return len(self._sizes)
