"""Do on disk what Cassandra does, without it: flushes and compactions with their transaction logs, in its order."""

import os
import time
import uuid
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

# What 5.0 gives a flush of a compressed table, one MB in all.
FLUSH: Mapping[str, int] = {
    "Data.db": 930_000,
    "Index.db": 48_000,
    "Filter.db": 6_000,
    "Summary.db": 1_200,
    "Digest.crc32": 10,
    "CompressionInfo.db": 500,
    "Statistics.db": 14_198,
    "TOC.txt": 92,
}
AFTER_FLUSH_SECONDS, AFTER_OTHERS_SECONDS = 0.0006, 0.0035  # from COMMIT to the end of the log, seen on 5.0.6
_STILL_OPEN = ("Data.db", "Index.db")  # while the others are written


class ScriptedTable:
    """The directory of one table, and what Cassandra would do there."""

    def __init__(self, directory: Path, *, log_lives: float | None = None) -> None:
        """*log_lives* is how many seconds a log is there after its COMMIT; None: as many as Cassandra's are."""
        self.directory = directory
        self._log_lives = log_lives
        self._generation = 0

    def next_stem(self) -> str:
        """Return the stem of a new sstable."""
        self._generation += 1
        return f"nb-{self._generation}-big-"

    def flush(self) -> tuple[str, float]:
        """Write an sstable; return its stem, and the monotonic time at which its COMMIT was on disk."""
        stem = self.next_stem()
        log = _Log(self.directory, "flush")
        log.append("ADD", self._prefix(stem), files=len(FLUSH))
        paths = {kind: self.directory / (stem + kind) for kind in FLUSH}
        still_open = {kind: os.open(paths[kind], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644) for kind in _STILL_OPEN}
        self._write(paths["Filter.db"], FLUSH["Filter.db"])
        _finish(still_open["Index.db"], FLUSH["Index.db"])
        for kind in ("Summary.db", "Digest.crc32", "CompressionInfo.db"):
            self._write(paths[kind], FLUSH[kind])
        _finish(still_open["Data.db"], FLUSH["Data.db"])
        for kind in ("Statistics.db", "TOC.txt"):
            self._write(paths[kind], FLUSH[kind])
        log.append("COMMIT")
        committed = time.monotonic()
        self._retire(log, AFTER_FLUSH_SECONDS)
        return stem, committed

    def compact(self, removed: Sequence[str], added: Sequence[tuple[str, Mapping[str, Path]]]) -> None:
        """Put sstables in the place of others; what is *added* are links to files, by stem and kind."""
        log = _Log(self.directory, "compaction")
        for stem, files in added:
            log.append("ADD", self._prefix(stem), files=len(files))
            for kind, source in files.items():
                (self.directory / (stem + kind)).hardlink_to(source)
        self._remove(removed, log)

    def truncate(self, removed: Sequence[str]) -> None:
        """Take all sstables away."""
        self._remove(removed, _Log(self.directory, "unknowncompactiontype"))

    def _remove(self, stems: Sequence[str], log: "_Log") -> None:
        """Say in the log what goes, commit, and have it gone."""
        old = {stem: list(self.directory.glob(f"{stem}*")) for stem in stems}
        for stem, paths in old.items():
            updated = max(path.stat().st_mtime_ns for path in paths) // 1_000_000
            log.append("REMOVE", self._prefix(stem), updated, len(paths))
        log.append("COMMIT")
        for path in [path for paths in old.values() for path in paths]:
            path.unlink()
        self._retire(log, AFTER_OTHERS_SECONDS)

    def _retire(self, log: "_Log", seconds: float) -> None:
        # The script's own clock: a node's logs live as long as they did when they were recorded.
        time.sleep(seconds if self._log_lives is None else self._log_lives)
        log.unlink()

    def _prefix(self, stem: str) -> str:
        return str(self.directory / stem)

    def _write(self, path: Path, size: int) -> None:
        _finish(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), size)


def _finish(descriptor: int, size: int) -> None:
    os.write(descriptor, os.urandom(size))
    os.fsync(descriptor)
    os.close(descriptor)


class _Log:
    """A transaction log, each record of which is on disk before anything else is done."""

    def __init__(self, directory: Path, operation: str) -> None:
        self._path = directory / f"nb_txn_{operation}_{uuid.uuid1()}.log"

    def append(self, kind: str, prefix: str = "", updated: int = 0, files: int = 0) -> None:
        numbers = (updated, updated >> 32, files)
        checksum = zlib.crc32(
            prefix.encode() + kind.encode() + b"".join((number & 0xFFFFFFFF).to_bytes(4, "big") for number in numbers)
        )
        # Opened and closed for each record, as each is an event that the daemon hears.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(descriptor, f"{kind}:[{prefix},{updated},{files}][{checksum}]\n".encode())
        os.fsync(descriptor)
        os.close(descriptor)

    def unlink(self) -> None:
        self._path.unlink()
