"""The files of an index in little memory: it may name a million, and a program may hold several indexes.

Each file is put together when it is asked for. Kept whole they would take four times as much: most of a file's memory
would go into its key, which its name says, and into numbers that are objects.
"""

from array import array
from collections.abc import ItemsView, Iterator, Mapping, Sequence, ValuesView

from tablesnap.rules.index import Owner, StoredFile

_SHORT = 1 << 63  # mtimes between this and its negative are kept in eight bytes


class Columns(Mapping[str, StoredFile]):
    """Files by their names, in the order in which they were added. Once handed out, nothing is added to it any more."""

    def __init__(self, directory_key: str, owners: Sequence[Owner]) -> None:
        self._directory_key = directory_key
        self._owners = owners
        self._names: list[str] = []
        self._sizes = array("Q")
        self._checksums = array("Q")
        self._mtimes = array("q")
        self._modes = array("H")
        self._places = array("I")
        self._keys: dict[int, str] = {}  # of those whose keys are not their names in the directory
        self._far: dict[int, int] = {}  # mtimes that do not fit
        self._rows: dict[str, int] = {}

    def add(self, name: str, numbers: tuple[int, int, int, int, int], key: str | None) -> None:
        """Add a file: its size, checksum, mtime, mode and the place of its owner, all of them within their bounds."""
        size, checksum, mtime_ns, mode, place = numbers
        row = len(self._names)
        if not -_SHORT <= mtime_ns < _SHORT:
            self._far[row] = mtime_ns
            mtime_ns = 0
        if key is not None:
            self._keys[row] = key
        self._names.append(name)
        self._sizes.append(size)
        self._checksums.append(checksum)
        self._mtimes.append(mtime_ns)
        self._modes.append(mode)
        self._places.append(place)

    @property
    def has_doubles(self) -> bool:
        """Say whether a name was added twice."""
        return len(set(self._names)) < len(self._names)

    def items(self) -> ItemsView[str, StoredFile]:
        """Return each file with its name."""
        return _Items(self)

    def values(self) -> ValuesView[StoredFile]:
        """Return each file."""
        return _Values(self)

    def row(self, row: int) -> StoredFile:
        """Return the file that was added as that number, from 0."""
        key = self._keys.get(row)
        return StoredFile(
            key=self._directory_key + self._names[row] if key is None else key,
            size=self._sizes[row],
            checksum=self._checksums[row],
            mtime_ns=self._far.get(row, self._mtimes[row]),
            mode=self._modes[row],
            owner=self._owners[self._places[row]],
        )

    def __getitem__(self, name: str) -> StoredFile:
        if not self._rows and self._names:
            self._rows = {one: row for row, one in enumerate(self._names)}
        return self.row(self._rows[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return len(self) == len(other) and all(other.get(name) == file for name, file in self.items())

    __hash__ = None  # type: ignore[assignment] # as of any mapping that is compared by what is in it

    def __repr__(self) -> str:
        return repr(dict(self.items()))


# These two go from row to row: a lookup of each name, as `Mapping` has it, takes a dictionary of all.


class _Items(ItemsView[str, StoredFile]):
    def __init__(self, files: Columns) -> None:
        super().__init__(files)
        self._files = files

    def __iter__(self) -> Iterator[tuple[str, StoredFile]]:
        return ((name, self._files.row(row)) for row, name in enumerate(self._files))


class _Values(ValuesView[StoredFile]):
    def __init__(self, files: Columns) -> None:
        super().__init__(files)
        self._files = files

    def __iter__(self) -> Iterator[StoredFile]:
        return map(self._files.row, range(len(self._files)))
