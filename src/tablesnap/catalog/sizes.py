"""The sizes of objects by their keys, of which a table may have millions."""

from collections.abc import Iterable

from tablesnap.rules.keys import directory_of


class Sizes:
    """Sizes of objects; what the keys in one directory begin with is kept once."""

    def __init__(self) -> None:
        self._sizes: dict[str, dict[str, int | None]] = {}  # by the key of the directory, then by the rest of the key

    def want(self, key: str, name: str) -> None:
        """Prepare for the object under *key*, which is most often called *name*: that text is then not kept twice."""
        directory_key, rest = _split(key)
        self._sizes.setdefault(directory_key, {})[name if name == rest else rest] = None

    def note(self, key: str, size: int) -> None:
        """Take in what a listing says."""
        directory_key, name = _split(key)
        self._sizes.setdefault(directory_key, {})[name] = size

    def note_wanted(self, key: str, size: int) -> None:
        """Take in what a listing says of an object that was prepared for, and of no other."""
        directory_key, name = _split(key)
        if name in self._sizes.get(directory_key, {}):
            self.note(key, size)

    def of(self, key: str) -> int | None:
        """Return the size of an object; None: it was not listed."""
        directory_key, name = _split(key)
        return self._sizes.get(directory_key, {}).get(name)

    @property
    def directory_keys(self) -> Iterable[str]:
        """The keys of the directories."""
        return self._sizes.keys()


def _split(key: str) -> tuple[str, str]:
    directory_key = directory_of(key)
    return directory_key, key[len(directory_key) :]
