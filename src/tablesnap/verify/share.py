"""Which objects are downloaded: all, none, or another share each day."""

from dataclasses import dataclass

from tablesnap.checksum import crc64nvme
from tablesnap.rules import sstable
from tablesnap.rules.kept import KeptFile


@dataclass(frozen=True)
class Share:
    """One of so many shares: on days that follow each other another one each, so that in the end none is left out."""

    of: int = 0  # 0: nothing is downloaded, 1: everything
    day: int = 0

    def takes(self, file: KeptFile) -> bool:
        """Say whether *file* is to be downloaded. The components of an sstable always go together."""
        if self.of <= 1:
            return self.of == 1
        component = sstable.parse(file.name)
        together = f"{file.directory}/{component.stem if component is not None else file.name}"
        return crc64nvme(together.encode("utf-8", "surrogateescape")) % self.of == self.day % self.of
