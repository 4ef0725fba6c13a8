"""Does to a table's files what Cassandra 2.0 to 2.2 and Scylla do, in their order.

Source: ``SSTableWriter`` and ``StreamLockfile`` of 2.0 to 2.2; ``docs/dev/sstables-directory-structure.md`` of Scylla.
"""

import itertools
import uuid
from pathlib import Path

from tests.daemon.fake_cassandra import Written, content_of

COMPONENTS = ("Index.db", "Filter.db", "CompressionInfo.db", "Statistics.db", "TOC.txt", "Data.db")


class OldTable:
    """A table of 2.0 (``jb``), 2.1 (``ka``) or 2.2 (``la``): every file has a temporary name until it is finished."""

    def __init__(self, directory: Path, version: str) -> None:
        self.directory = directory
        self.version = version
        self.live: list[Written] = []
        self._generations = itertools.count(1)
        directory.mkdir(parents=True)

    @property
    def files(self) -> dict[str, bytes]:
        """What a restore point has to hold."""
        return {name: data for one in self.live for name, data in one.files.items()}

    def begin(self) -> Written:
        """Write an sstable, all of it under temporary names."""
        number = next(self._generations)
        if self.version == "la":
            final, temporary = f"la-{number}-big-", f"tmp-la-{number}-big-"
        else:
            final, temporary = f"ks-t-{self.version}-{number}-", f"ks-t-tmp-{self.version}-{number}-"
        written = Written(self.directory, final)
        for component in COMPONENTS:
            data = content_of(written, component)
            (self.directory / (temporary + component)).write_bytes(data)
            written.files[final + component] = data
        return written

    def finish(self, written: Written) -> Written:
        """Rename it, Data.db last; Summary.db is written after that."""
        for component in COMPONENTS:
            name = written.stem + component
            temporary = f"tmp-{name}" if self.version == "la" else name.replace("ks-t-", "ks-t-tmp-", 1)
            (self.directory / temporary).rename(self.directory / name)
        written.put("Summary.db", content_of(written, "Summary.db"))
        self.live.append(written)
        return written

    def flush(self) -> Written:
        return self.finish(self.begin())

    def compact(self, *inputs: Written) -> Written:
        """Put one in the place of *inputs*."""
        output = self.flush()
        for one in inputs:
            one.delete()
            self.live.remove(one)
        return output

    def lock(self) -> Path:
        """Begin to receive a stream, and return the lock that is deleted when all of it is there."""
        lock = self.directory / f"{uuid.uuid1()}.lockfile"
        lock.write_text("")
        return lock


class ScyllaTable:
    """A table of Scylla's: files have their names while they are empty still."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.live: list[Written] = []
        self._generations = itertools.count(1)
        directory.mkdir(parents=True)

    @property
    def files(self) -> dict[str, bytes]:
        """What a restore point has to hold."""
        return {name: data for one in self.live for name, data in one.files.items()}

    def begin(self) -> Written:
        """Write an sstable, all but its end."""
        number = next(self._generations)
        written = Written(self.directory, f"me-{number}-big-")
        scratch = self.directory / f"{number}.sstable"
        scratch.mkdir()
        names = [written.stem + component for component in (*COMPONENTS, "Summary.db", "Digest.crc32", "Scylla.db")]
        names.remove(f"{written.stem}TOC.txt")
        toc = written.path("TOC.txt.tmp")
        toc.write_bytes(b"what there will be")
        written.files[f"{written.stem}TOC.txt"] = b"what there will be"
        for name in names:
            (scratch / name).write_bytes(b"")
            (scratch / name).rename(self.directory / name)
        for name in names:
            written.put(name.removeprefix(written.stem), content_of(written, name))
        scratch.rmdir()
        return written

    def finish(self, written: Written) -> Written:
        """Seal it."""
        written.path("TOC.txt.tmp").rename(written.path("TOC.txt"))
        self.live.append(written)
        return written

    def flush(self) -> Written:
        return self.finish(self.begin())

    def compact(self, *inputs: Written) -> Written:
        """Put one in the place of *inputs*."""
        output = self.flush()
        for one in inputs:
            one.path("TOC.txt").rename(one.path("TOC.txt.tmp"))
            one.delete()
            one.path("TOC.txt.tmp").unlink()
            self.live.remove(one)
        return output
