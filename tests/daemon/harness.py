"""The daemon as operators run it: a process, its log, signals to it, files written before its eyes, and the bucket."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from tests.azurite import Azurite
from tests.cli.forking import Asked
from tests.cli.process import Forked
from tests.endpoint import S3Server
from tests.environment import environment
from tests.fake_gcs import FakeGcs

from tablesnap.errors import NoSuchObject
from tablesnap.rules.index import Index
from tablesnap.rules.index_decoding import decode
from tablesnap.rules.keys import directory_of, is_index
from tablesnap.store.address import parse_address
from tablesnap.store.azure import AzureStore
from tablesnap.store.azure_account import find_account
from tablesnap.store.opening import StoreOptions, open_store
from tablesnap.store.port import Listed, Store

NODE = "node1.example.com"
ALL_EVENTS = tuple(f"--listen-events={name}" for name in ("IN_MOVED_TO", "IN_CLOSE_WRITE", "IN_CREATE"))
LIMIT = 60.0  # seconds after which what has not happened never will; nothing is meant to come near it
POLL_SECONDS = 0.05

T = TypeVar("T")


@dataclass(frozen=True)
class StoredObject:
    """One object, all of it."""

    key: str
    body: bytes
    metadata: Mapping[str, str]
    content_type: str
    modified: datetime


@dataclass(frozen=True)
class Bucket:
    """A bucket of a real store, and what to tell the daemon so that it finds it."""

    url: str
    arguments: tuple[str, ...] = ()  # go before BUCKET
    environment: Mapping[str, str] = field(default_factory=dict)
    open: Callable[[], Store] | None = None  # where the URL alone does not open it from within this process

    @classmethod
    def in_directory(cls, directory: Path) -> "Bucket":
        """Return the bucket in *directory*, made if it is not there."""
        directory.mkdir(parents=True, exist_ok=True)
        return cls(f"file://{directory}")

    @classmethod
    def on(cls, server: S3Server, name: str) -> "Bucket":
        """Return the bucket *name* on *server*, which need not be there yet."""
        arguments: tuple[str, ...] = ("--endpoint-url", server.endpoint_url, "--aws-region", "us-east-1")
        if server.ca_bundle:
            arguments += ("--ca-bundle", server.ca_bundle)
        options = StoreOptions(
            access_key=server.access_key,
            secret_key=server.secret_key,
            region="us-east-1",
            endpoint_url=server.endpoint_url,
            ca_bundle=server.ca_bundle,
        )
        return cls(
            f"s3://{name}",
            arguments,
            {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key},
            lambda: open_store(parse_address(f"s3://{name}"), options),
        )

    @classmethod
    def in_azure(cls, server: Azurite, name: str) -> "Bucket":
        """Return the container *name* on *server*, which need not be there yet."""
        environment = {"AZURE_STORAGE_ACCOUNT_NAME": server.account, "AZURE_STORAGE_ACCOUNT_KEY": server.key}
        account = find_account(environment, server.endpoint_url)
        return cls(
            f"az://{name}",
            ("--endpoint-url", server.endpoint_url),
            environment,
            lambda: AzureStore(name, account=account),
        )

    @classmethod
    def in_google(cls, server: FakeGcs, name: str) -> "Bucket":
        """Return the bucket *name* on *server*, which need not be there yet."""
        own = {"GOOGLE_SERVICE_ACCOUNT": server.account}

        def opened() -> Store:
            with environment(own):
                return open_store(parse_address(f"gs://{name}"), StoreOptions(endpoint_url=server.endpoint_url))

        return cls(f"gs://{name}", ("--endpoint-url", server.endpoint_url), own, opened)

    def store(self) -> Store:
        """Return the store, apart from the daemon's own."""
        return self._store

    # Opened once, as who waits asks twenty times a second, and to open it costs a tenth of one.
    @cached_property
    def _store(self) -> Store:
        return self.open() if self.open else open_store(parse_address(self.url))

    def keys(self) -> set[str]:
        """Return the key of every object."""
        return {listed.key for listed in self.store().list("")}

    def objects(self, which: Callable[[str], bool] = lambda key: True) -> dict[str, StoredObject]:
        """Read every object, or those *which* are asked for by their keys; one deleted meanwhile is left out."""
        store = self.store()
        found = {}
        for key in sorted(listed.key for listed in store.list("") if which(listed.key)):
            try:
                head, body = store.head(key), b"".join(store.read(key))
            except NoSuchObject:
                continue
            found[key] = StoredObject(key, body, head.metadata, head.content_type, head.modified)
        return found

    def bodies(self, which: Callable[[str], bool] = lambda key: True) -> dict[str, bytes]:
        """Read as `objects` does, but no more than the body of each: half the requests."""
        found = {}
        for listed in self.store().list(""):
            if which(listed.key):
                with suppress(NoSuchObject):
                    found[listed.key] = b"".join(self.store().read(listed.key))
        return found

    def data(self) -> dict[str, bytes]:
        """Return the body of every object that is no index, by its key."""
        return self.bodies(lambda key: not is_index(key))

    def indexes(self) -> dict[str, Index]:
        """Return every index, by its key. One that is listed as it was is not read again: those who wait ask often."""
        found = {}
        for listed in self.store().list(""):
            if not is_index(listed.key):
                continue
            if listed not in self._indexes:
                with suppress(NoSuchObject):
                    body = b"".join(self.store().read(listed.key))
                    self._indexes[listed] = decode(body, directory_of(listed.key))
            if listed in self._indexes:
                found[listed.key] = self._indexes[listed]
        return found

    @cached_property
    def _indexes(self) -> dict[Listed, Index]:
        return {}

    def newest_index(self, directory: Path) -> Index | None:
        """Return the index of *directory* that was taken last, of those that say when; None if there is none."""
        indexes = [index for index in self.indexes().values() if index.directory == str(directory) and index.taken_at]
        return max(indexes, key=lambda index: (index.taken_at, index.seen_at), default=None)


class Daemon:
    """The daemon's process and its log."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path, *, forked: bool = False) -> None:
        """Start *command*; where it is to be *forked*, these are the arguments of ``tablesnap`` alone."""
        self._log = log
        self.process: subprocess.Popen[bytes] | Forked
        with log.open("ab") as stderr:
            self._log_begins = stderr.tell()  # an earlier run may have written to it
            if forked:
                asked = Asked("tablesnap", command, dict(environment), os.getcwd(), str(log), str(log))
                self.process = Forked(asked)
            else:
                self.process = subprocess.Popen(
                    command, env=environment, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr
                )

    @property
    def log(self) -> str:
        """What it has said so far."""
        return self._log.read_bytes()[self._log_begins :].decode("utf-8", "replace")

    def wait_until(self, condition: Callable[[], T], what: str = "", *, limit: float = LIMIT) -> T:
        """Return what *condition* returns once that is true; an `AssertionError` from it means "not yet"."""
        return wait_until(condition, what, limit=limit, alive=lambda: self.process.poll() is None)

    def wait_for_log(self, text: str, *, times: int = 1) -> None:
        """Wait until the log has *text* so many *times*."""
        self.wait_until(lambda: self.log.count(text) >= times, f"{text!r} in the log")

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def wait_for_end(self) -> int:
        """Return its exit code."""
        try:
            return self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            raise AssertionError("the daemon does not end") from None

    def stop(self) -> None:
        """Stop it as a service manager does, and insist that it calls that a success."""
        self.send(signal.SIGTERM)
        code = self.wait_for_end()
        assert code == 0, f"exit code {code}"


@contextmanager
def running(
    bucket: Bucket,
    *arguments: str | Path,
    log: Path,
    environment: Mapping[str, str] | None = None,
    await_watching: bool = True,
    under: Sequence[str] = (),
    forked: bool = True,
) -> Iterator[Daemon]:
    """Run the daemon on *bucket* while the block lasts; the *arguments* that are text are flags, a `Path` is a PATH.

    It is stopped at the end, unless the block saw to that, and must then exit 0. The log is appended to *log*.
    *under* is a command that runs the daemon as its own process, with limits say. Otherwise it is *forked* by one that
    has loaded it, unless a test looks at what a process has from its start.
    """
    flags, paths = _flags_and_paths(arguments)
    words = ["-n", NODE, *flags, *bucket.arguments, bucket.url, *paths]
    forked = forked and not under
    command = words if forked else [*under, sys.executable, "-m", "tablesnap", *words]
    environment = clean_environment() | {"TDEBUG": "1"} | dict(bucket.environment) | dict(environment or {})
    daemon = Daemon(command, environment, log, forked=forked)
    try:
        if await_watching:
            daemon.wait_for_log("watching")
        yield daemon
        if daemon.process.poll() is None:
            daemon.stop()
    except BaseException as error:
        error.add_note(f"the daemon's log:\n{daemon.log}")
        raise
    finally:
        if daemon.process.poll() is None:
            daemon.kill()


def _flags_and_paths(arguments: tuple[str | Path, ...]) -> tuple[list[str], list[str]]:
    paths = [str(one) for one in arguments if isinstance(one, Path)]
    return [one for one in arguments if isinstance(one, str)], paths


def clean_environment() -> dict[str, str]:
    """Return this process's environment without whatever would lead to a store, and without a proxy to loopback."""
    kept = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("AWS_", "AZURE_", "GOOGLE_", "TABLESNAP_")) and not name.lower().endswith("_proxy")
    }
    nothing = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return kept | nothing | {"AWS_EC2_METADATA_DISABLED": "true"}


def wait_until(
    condition: Callable[[], T], what: str = "", *, limit: float = LIMIT, alive: Callable[[], bool] = lambda: True
) -> T:
    """Return what *condition* returns once that is true; an `AssertionError` from it means "not yet"."""
    pause = threading.Event()
    why = ""
    for _ in range(int(limit / POLL_SECONDS)):
        was_alive = alive()
        try:
            if result := condition():
                return result
        except AssertionError as error:
            why = str(error)
        assert was_alive, f"the daemon ended while it was waited for {what}\n{why}"
        # Nothing tells us when a file or an object of another process appears, so we look now and then.
        pause.wait(POLL_SECONDS)
    raise AssertionError(f"waited in vain for {what}\n{why}")


def write_by_rename(path: Path, data: bytes) -> None:
    """Write as Cassandra 2.x does: under a temporary name, then renamed."""
    temporary = path.with_name(path.name + "-tmp")
    temporary.write_bytes(data)
    temporary.rename(path)


def write_by_close(path: Path, data: bytes) -> None:
    """Write as Cassandra does since 3.0: under its own name, then closed."""
    path.write_bytes(data)


def write_by_link(path: Path, data: bytes) -> None:
    """Write as a snapshot does: a hard link to a file that is finished."""
    temporary = path.with_name(path.name + "-tmp")
    temporary.write_bytes(data)
    os.link(temporary, path)
    temporary.unlink()


def sstable(directory: Path, generation: int, salt: bytes = b"") -> dict[Path, bytes]:
    """Return the paths and bytes of a small sstable's components, Data.db last."""
    kinds = ("CompressionInfo.db", "Digest.crc32", "Filter.db", "Index.db", "Statistics.db", "Summary.db", "TOC.txt")
    return {
        directory / f"nb-{generation}-big-{kind}": f"{kind} of {directory.name}/{generation} ".encode() + salt
        for kind in (*kinds, "Data.db")
    }


def write_sstables(
    directory: Path, *generations: int, salt: bytes = b"", write: Callable[[Path, bytes], None] = write_by_rename
) -> dict[str, bytes]:
    """Write small sstables, and return what each file holds, by its name."""
    written = {}
    for generation in generations:
        for path, body in sstable(directory, generation, salt).items():
            write(path, body)
            written[path.name] = body
    return written
