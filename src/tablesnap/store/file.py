"""A store in a local or network directory: the embedded default, needing no server and no account.

`naming` says where an object lies. It becomes visible by one ``link(2)``, which never overwrites, after its bytes and
its metadata are on disk: kill the writer anywhere, and a reader finds the whole object or none. What a killed writer
leaves is metadata without an object, which the next writer of that key replaces, or a file in `INCOMING`, which
`check` sweeps.

Writers and deleters take turns by a lock on a file, held while names change and not while bytes are written. It is not
what prevents overwriting, ``link`` is; it keeps an object and its metadata a pair, and a folder from being removed
while it is about to be used. A process that dies loses its locks. Readers take none.

Files are for owner and group at most: they are copies of a database.
"""

import errno
import fcntl
import os
import stat
import sys
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

from tablesnap.checksum import crc64nvme
from tablesnap.errors import (
    AlreadyStored,
    DamagedUpload,
    KeyRefused,
    NoSuchObject,
    StoreError,
    StoreRefused,
    StoreUnavailable,
)
from tablesnap.store.keys import require_utf8, shown
from tablesnap.store.naming import (
    INCOMING,
    METADATA,
    ODD,
    PRIVATE,
    is_ordinary,
    is_ordinary_name,
    key_of_odd_path,
    metadata_path,
    odd_path,
)
from tablesnap.store.port import READ_SIZE, Content, Head, Listed
from tablesnap.store.sidecar import DEFAULT_TYPE, Sidecar

_LOCK = f"{PRIVATE}/lock"
_CLOCK = f"{PRIVATE}/clock"
_FILE_MODE = 0o660
_FOLDER_MODE = 0o770
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}  # what link(2) says where the filesystem has none
_REFUSALS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV}
# A name that is a folder's, below a file, behind a link, or that this filesystem does not allow (FAT, SMB: ``:``).
_NO_SUCH_NAME = {errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG}


class FileStore:
    """Objects as files under *directory*, which must exist: one made on the fly would hide a missing mount."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._guard = threading.Lock()
        self._prepared = False
        self._durable: set[str] = set()  # folders known to be on disk, with all above them

    def check(self, prefix: str = "") -> None:
        """Find out whether objects can be written here, and sweep what killed writers left."""
        with self._translated("a test file"):
            self._prepare()
            with suppress(FileNotFoundError):
                if os.path.samefile(self._at(PRIVATE), self._at(PRIVATE.upper())):
                    raise StoreRefused(f"file: {self._directory} ignores case, so keys would collide; use another")
            self._sweep()
            with self._incoming("a test file") as (descriptor, path), self._locked():
                os.fsync(descriptor)
                self._link(path, f"{path}.linked")
                os.unlink(self._at(f"{path}.linked"))

    def create(
        self,
        key: str,
        content: Content,
        *,
        content_type: str = DEFAULT_TYPE,
        metadata: Mapping[str, str] | None = None,
        standard: bool = False,
    ) -> None:
        """Write, sync, and only then give the object its name."""
        require_utf8(key)
        with self._translated(key):
            self._prepare()
            self._require_absent(key)  # before the bytes are sent; and once more when it counts
        with self._incoming(key) as (data, data_path), self._incoming(key) as (described, sidecar_path):
            self._fill(data, content, key)
            with self._translated(key):
                _write(described, Sidecar(content.size, content.checksum, content_type, metadata or {}).encode())
                os.fsync(described)
                with self._locked():
                    self._require_absent(key)
                    self._publish(key, data_path, sidecar_path)

    def head(self, key: str) -> Head:
        """Describe the object. Its age is by the filesystem's clock, which stamped it: a file server has its own."""
        with self._translated(key), self._opened(key) as (descriptor, path):
            status = os.fstat(descriptor)
            known = self._sidecar(path, status.st_size)
            return Head(
                size=status.st_size,
                modified=_modified(status),
                store_clock=self._now(),
                checksum=known.checksum if known else None,
                content_type=known.content_type if known else DEFAULT_TYPE,
                metadata=known.metadata if known else {},
            )

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the object, or this range of it, in pieces of `READ_SIZE`."""
        end = sys.maxsize if length is None else offset + length
        with self._translated(key), self._opened(key) as (descriptor, _):
            while piece := os.pread(descriptor, min(READ_SIZE, end - offset), offset):
                offset += len(piece)
                yield piece

    def list(self, prefix: str) -> Iterator[Listed]:
        """Walk the folders that can hold such keys. Links, devices and names that are no text are no objects."""
        require_utf8(prefix)
        with self._translated(prefix):
            os.stat(self._directory)
            for path, status in self._walk("", prefix):
                if path.startswith(prefix):
                    yield Listed(path, status.st_size, _modified(status))
            for path, status in self._walk(ODD, ""):
                key = key_of_odd_path(path)
                if key is not None and key.startswith(prefix):
                    yield Listed(key, status.st_size, _modified(status))

    def level(self, prefix: str) -> "Iterator[Listed | str]":
        """Look into one folder, and at the odd keys, of which there are few. A folder that holds no object is none."""
        require_utf8(prefix)
        with self._translated(prefix):
            os.stat(self._directory)
            odd: set[str] = set()
            for path, status in self._walk(ODD, ""):
                key = key_of_odd_path(path)
                if key is None or not key.startswith(prefix):
                    continue
                name, slash, _ = key[len(prefix) :].partition("/")
                if not slash:
                    yield Listed(key, status.st_size, _modified(status))
                elif prefix + name + slash not in odd:
                    odd.add(prefix + name + slash)
                    yield prefix + name + slash
            for one in self._entries(prefix):
                if one not in odd:
                    yield one

    def delete(self, keys: Iterable[str]) -> None:
        """Delete each object, then its metadata, then the folders left empty; durable on return."""
        touched: set[str] = set()
        for key in keys:
            require_utf8(key)
            with self._translated(key):
                self._prepare()
            with self._translated(key), self._locked():
                for path in _paths(key):
                    if self._is_object(path):
                        self._remove(path, touched)
                        self._remove(metadata_path(path), touched)
        with self._translated("a folder"):
            for folder in touched:
                with suppress(FileNotFoundError):
                    self._sync(folder)

    # How an object comes and goes

    def _fill(self, descriptor: int, content: Content, key: str) -> None:
        size = checksum = 0
        for (
            chunk
        ) in content.chunks():  # not under `_translated`: what goes wrong in reading the source is not the store's
            with self._translated(key):
                _write(descriptor, chunk)
            checksum = crc64nvme(chunk, checksum)
            size += len(chunk)
        if (size, checksum) != (content.size, content.checksum):
            raise DamagedUpload(f"file: {shown(key)} did not arrive as it was sent; try again")
        with self._translated(key):
            os.utime(descriptor)  # the object's age counts from when it is whole
            os.fsync(descriptor)

    def _publish(self, key: str, data: str, sidecar: str) -> None:
        for path in _paths(key):
            try:
                self._make_folder(os.path.dirname(path))
                if self._mode(path) is not None:
                    continue  # a folder: `a` beside `a/b`
            except OSError as error:
                if error.errno not in _NO_SUCH_NAME or path == odd_path(key):
                    raise
                continue
            beside = metadata_path(path)
            self._make_folder(os.path.dirname(beside))
            os.rename(self._at(sidecar), self._at(beside))
            # On disk before the link: whoever can see an object must find its checksum and metadata.
            self._sync(os.path.dirname(beside))
            self._link(data, path)
            self._sync(os.path.dirname(path))
            return
        raise AlreadyStored(key)

    def _link(self, source: str, target: str) -> None:
        try:
            os.link(self._at(source), self._at(target))
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # FAT and some network filesystems. The lock is held and the name was found free, so nothing is overwritten.
            os.rename(self._at(source), self._at(target))

    def _remove(self, path: str, touched: set[str]) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._at(path))
        folder = os.path.dirname(path)
        while folder not in ("", ODD, METADATA):
            try:
                os.rmdir(self._at(folder))
            except OSError:
                break  # not empty: the ordinary case
            self._durable.discard(folder)
            folder = os.path.dirname(folder)
        touched.add(folder)

    def _require_absent(self, key: str) -> None:
        if any(self._is_object(path) for path in _paths(key)):
            raise AlreadyStored(key)

    # How one is found

    @contextmanager
    def _opened(self, key: str) -> Iterator[tuple[int, str]]:
        require_utf8(key)
        for path in _paths(key):
            if not self._is_object(path):
                continue
            try:
                descriptor = os.open(self._at(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                continue  # deleted this moment
            try:
                yield descriptor, path
            finally:
                os.close(descriptor)
            return
        os.stat(self._directory)  # a missing mount says nothing about the object
        raise NoSuchObject(key)

    def _sidecar(self, path: str, size: int) -> Sidecar | None:
        """Return what is known of the object, unless it is a stranger's file, or one cut short on the disk."""
        try:
            with open(self._at(metadata_path(path)), "rb") as file:
                sidecar = Sidecar.decode(file.read())
        except (FileNotFoundError, ValueError):
            return None
        return sidecar if sidecar.size == size else None

    def _is_object(self, path: str) -> bool:
        mode = self._mode(path)
        return mode is not None and stat.S_ISREG(mode)

    def _mode(self, path: str) -> int | None:
        """Return the type of what is at *path*, or None where nothing is or can be."""
        try:
            return os.lstat(self._at(path)).st_mode
        except OSError as error:
            if error.errno == errno.ENOENT or error.errno in _NO_SUCH_NAME:
                return None
            raise

    def _walk(self, start: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
        """Yield every file below *start* that may begin with *prefix*; folders are held in memory, files are not."""
        pending = [start]
        while pending:
            folder = pending.pop()
            with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self._at(folder)) as entries:
                for entry in entries:
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if path == PRIVATE or not is_ordinary_name(entry.name):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        if f"{path}/".startswith(prefix) or prefix.startswith(f"{path}/"):
                            pending.append(path)
                    elif entry.is_file(follow_symlinks=False):
                        with suppress(FileNotFoundError):  # deleted this moment
                            yield path, entry.stat(follow_symlinks=False)

    def _entries(self, prefix: str) -> "Iterator[Listed | str]":
        """Yield the files and the folders whose paths begin with *prefix*, and have no more slashes than it."""
        folder = prefix.rpartition("/")[0]
        if folder and not (is_ordinary(folder) and self._is_folder(folder)):
            return
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self._at(folder)) as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                if path == PRIVATE or not is_ordinary_name(entry.name) or not path.startswith(prefix):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if any(True for _ in self._walk(path, "")):
                        yield f"{path}/"
                elif entry.is_file(follow_symlinks=False):
                    with suppress(FileNotFoundError):  # deleted this moment
                        status = entry.stat(follow_symlinks=False)
                        yield Listed(path, status.st_size, _modified(status))

    def _is_folder(self, path: str) -> bool:
        """Tell whether *path* is a folder of this store, and so no link on the way: those are not followed."""
        segments = path.split("/")
        modes = (self._mode("/".join(segments[:depth])) for depth in range(1, len(segments) + 1))
        return all(mode is not None and stat.S_ISDIR(mode) for mode in modes)

    # The directory itself

    def _at(self, path: str) -> str:
        return os.path.join(self._directory, path) if path else self._directory

    def _prepare(self) -> None:
        """Make our own folders, once: should they go later, the directory is another than it was."""
        with self._guard:
            if self._prepared:
                if not os.path.isdir(self._at(PRIVATE)):
                    raise StoreUnavailable(f"file: {self._directory} is not what it was at start; is it still mounted?")
                return
            os.stat(self._directory)
            for folder in (PRIVATE, INCOMING, METADATA, ODD):
                self._make_folder(folder)
            self._prepared = True

    def _make_folder(self, folder: str) -> None:
        """Make *folder* and those above it, each on disk before it is used. Needs the lock, or `_guard`."""
        if not folder or (folder in self._durable and os.path.isdir(self._at(folder))):
            return
        self._make_folder(os.path.dirname(folder))
        try:
            os.mkdir(self._at(folder), _FOLDER_MODE)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(self._at(folder)).st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder) from None
        # Even if it was there: whoever made it may have died before this.
        self._sync(os.path.dirname(folder))
        self._durable.add(folder)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._at(_LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
        try:
            # Threads take turns by `_guard`, since a network filesystem may count a lock as the whole process's.
            with self._guard:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _incoming(self, key: str) -> Iterator[tuple[int, str]]:
        """Yield a new file's descriptor and path. It is locked while we live, and so not swept."""
        with self._translated(key):
            descriptor, path = self._new_file()
        try:
            yield descriptor, path
        finally:
            with suppress(OSError):  # what cannot be removed now is swept later
                os.unlink(self._at(path))
            os.close(descriptor)

    def _new_file(self) -> tuple[int, str]:
        while True:
            path = f"{INCOMING}/{uuid.uuid4().hex}"
            descriptor = os.open(self._at(path), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
            if _lock_if_free(descriptor) and os.fstat(descriptor).st_nlink:
                return descriptor, path
            os.close(descriptor)  # swept between open and lock

    def _sweep(self) -> None:
        with os.scandir(self._at(INCOMING)) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    descriptor = os.open(entry.path, os.O_RDWR | os.O_CLOEXEC)
                    try:
                        if _lock_if_free(descriptor):
                            os.unlink(entry.path)
                    finally:
                        os.close(descriptor)

    def _sync(self, folder: str) -> None:
        descriptor = os.open(self._at(folder), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _now(self) -> datetime:
        """Return the filesystem's clock, or ours where it cannot be written to."""
        try:
            descriptor = os.open(self._at(_CLOCK), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
        except OSError:
            return datetime.now(UTC)
        try:
            os.utime(descriptor)
            return _modified(os.fstat(descriptor))
        finally:
            os.close(descriptor)

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._meaning_of(error, what) from error

    def _meaning_of(self, error: OSError, what: str) -> StoreError:
        where = f"file: {self._directory}"
        if not os.path.isdir(self._directory):
            if self._prepared:
                return StoreUnavailable(f"{where} is gone; is it still mounted?")
            return StoreRefused(f"{where} is no directory; make it (mkdir -p {self._directory}) or mount it")
        if error.errno in (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ):
            return KeyRefused(f"{where} cannot name {shown(what)}: {error.strerror}; it may be too long")
        if error.errno in _REFUSALS:
            return StoreRefused(f"{where} refuses {shown(what)}: {error.strerror}; see who may write there, and locks")
        return StoreUnavailable(f"{where} failed at {shown(what)}: {error.strerror}")


def _paths(key: str) -> Iterator[str]:
    """Yield where the object may lie: at its own path if it has one, else among the odd ones."""
    if is_ordinary(key):
        yield key
    yield odd_path(key)


def _modified(status: os.stat_result) -> datetime:
    seconds, nanoseconds = divmod(status.st_mtime_ns, 10**9)
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=nanoseconds // 1000)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _lock_if_free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
