"""The objects of one history, a million of them in little memory."""

from array import array
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tablesnap.rules.keys import directory_of
from tablesnap.rules.purging import Stored
from tablesnap.store.port import Listed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ABSENT = -(1 << 63)


@dataclass
class _Names:
    """Numbers by the directory's key, then by name; and sizes by number."""

    numbers: dict[str, dict[str, int]] = field(default_factory=dict)
    sizes: "array[int]" = field(default_factory=lambda: array("Q"))


class Objects(Mapping[str, int]):
    """The sizes of objects by key, and what else a listing says of them.

    Each has a number. Names are kept apart from the directories, which they share, and all else in arrays. Some of
    these are apart from others only in which objects they hold: those share names and numbers.
    """

    def __init__(self, names: _Names | None = None) -> None:
        """Begin without any; with *names*, all that will be put here are of those."""
        self._names = names or _Names()
        self._moments = array("q", [_ABSENT]) * len(self._names.sizes)  # _ABSENT: not one of these
        self._count = 0

    def add(self, one: Listed | Stored) -> None:
        """Add an object that is not there."""
        directory_key = directory_of(one.key)
        self._names.numbers.setdefault(directory_key, {})[one.key[len(directory_key) :]] = len(self._names.sizes)
        self._names.sizes.append(one.size)
        self._moments.append(_microseconds(one.modified))
        self._count += 1

    def put(self, number: int, moment: int) -> None:
        """Add that object of those that these are some of, with its moment in microseconds."""
        self._moments[number] = moment
        self._count += 1

    def number(self, key: str) -> int | None:
        """Return the number of the object under *key*, or None if it is not one of these."""
        number = self._number(key)
        return None if number is None or self._moments[number] == _ABSENT else number

    def only(self, numbers: Collection[int]) -> "Objects":
        """Return those of these that have these *numbers*."""
        if 2 * len(numbers) < self._count:  # names of their own: most of the memory is let go of then
            few = Objects()
            wanted = set(numbers)
            for number, one in self.stored():
                if number in wanted:
                    few.add(one)
            return few
        found = Objects(self._names)
        for number in numbers:
            found.put(number, self._moments[number])
        return found

    def seen_again(self, listed: Iterator[Listed]) -> "Objects":
        """Return those of these that are *listed*, with the moments that they have now."""
        found = Objects(self._names)
        for one in listed:
            number = self.number(one.key)
            if number is not None:
                found.put(number, _microseconds(one.modified))
        return found

    def stored(self) -> Iterator[tuple[int, Stored]]:
        """Yield every object with its number."""
        for directory_key, names in self._names.numbers.items():
            for name, number in names.items():
                moment = self._moments[number]
                if moment != _ABSENT:
                    yield (
                        number,
                        Stored(
                            directory_key + name, self._names.sizes[number], _EPOCH + timedelta(microseconds=moment)
                        ),
                    )

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(size for size, moment in zip(self._names.sizes, self._moments, strict=True) if moment != _ABSENT)

    def __getitem__(self, key: str) -> int:
        number = self.number(key)
        if number is None:
            raise KeyError(key)
        return self._names.sizes[number]

    def __iter__(self) -> Iterator[str]:
        return (one.key for _, one in self.stored())

    def __len__(self) -> int:
        return self._count

    def _number(self, key: str) -> int | None:
        directory_key = directory_of(key)
        names = self._names.numbers.get(directory_key)
        return None if names is None else names.get(key[len(directory_key) :])


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
