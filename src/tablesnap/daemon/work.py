"""What a worker does with one file: capture it, store it, make sure that it did not change meanwhile."""

import os

from tablesnap.capture.file import captured
from tablesnap.capture.pace import Pace
from tablesnap.daemon.messages import Protected, Task
from tablesnap.rules.index import StoredFile
from tablesnap.rules.keys import Keys
from tablesnap.upload.one import Uploader

FOUND_BYTES_PER_SECOND = 64 << 20  # how fast files are read only to be compared with what is stored


class Protector:
    """Stores the file of a task. Safe to use from several threads."""

    def __init__(self, keys: Keys, uploader: Uploader) -> None:
        self._keys = keys
        self._uploader = uploader
        self._pace = Pace(FOUND_BYTES_PER_SECOND)

    def __call__(self, task: Task) -> Protected:
        """Store the file of *task* and return what an index has to say of it."""
        path = os.path.join(task.directory, task.name)
        with captured(path, pace=self._pace if task.expected else None, pin=task.pin) as file:
            placed = self._uploader.place(
                file.content,
                self._keys.plain(path),
                metadata=file.metadata,
                is_named=task.is_named,
                expected=task.expected,
            )
            # After the upload, not before: only now is it sure that all bytes were read from one life of the file.
            file.insist_unchanged()
            return Protected(
                incarnation=file.incarnation,
                file=StoredFile(
                    key=placed.key,
                    size=file.content.size,
                    checksum=file.content.checksum,
                    mtime_ns=file.incarnation.mtime_ns,
                    mode=file.mode,
                    owner=file.owner,
                ),
                sent=placed.sent,
                because_named=placed.because_named,
            )
