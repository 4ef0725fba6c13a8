"""The files of a restore point, as a reader sees them."""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

from tablesnap.rules.index import Owner, StoredFile


@dataclass(frozen=True, slots=True)
class KeptFile:
    """One file of a restore point. What 1.x did not write down is None; its objects' metadata have some of it."""

    directory: str  # absolute, on the machine that was backed up
    name: str
    key: str
    size: int | None = None  # bytes
    checksum: int | None = None  # CRC-64/NVME
    mtime_ns: int | None = None
    mode: int | None = None
    owner: Owner | None = None

    @property
    def path(self) -> str:
        """Where it was."""
        return posixpath.join(self.directory, self.name)


class KeptFiles(Sequence[KeptFile]):
    """The files of an index, by directory; each is put together when its turn comes, as there may be a million."""

    def __init__(self, directories: Mapping[str, Mapping[str, StoredFile]]) -> None:
        self._directories = directories

    def __len__(self) -> int:
        return sum(map(len, self._directories.values()))

    def __iter__(self) -> Iterator[KeptFile]:
        for directory, files in self._directories.items():
            for name, file in files.items():
                yield KeptFile(
                    directory, name, file.key, file.size, file.checksum, file.mtime_ns, file.mode, file.owner
                )

    @overload
    def __getitem__(self, place: int) -> KeptFile: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[KeptFile]: ...
    def __getitem__(self, place: int | slice) -> KeptFile | Sequence[KeptFile]:
        return tuple(self)[place]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))
