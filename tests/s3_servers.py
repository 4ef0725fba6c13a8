"""Two S3 servers on loopback as pytest fixtures: moto keeps odd keys as Amazon does, versitygw is a real one."""

import importlib.util
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

START_TIMEOUT_SECONDS = 60
NO_MOTO = "moto is not installed: pip install 'moto[s3]' flask flask-cors"


@dataclass(frozen=True)
class S3Server:
    """A server that answers on loopback until its fixture ends."""

    endpoint_url: str
    access_key: str
    secret_key: str
    ca_bundle: str | None = None

    def client(self) -> Any:
        """Return a plain boto3 client: the other pair of eyes on what an adapter did."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            verify=self.ca_bundle,
            config=Config(s3={"addressing_style": "path"}),
        )

    def make_bucket(self, name: str) -> None:
        """Create a bucket; *name* has three letters or more."""
        self.client().create_bucket(Bucket=name)


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test for *reason*, or fail it where every server has been promised."""
    if os.environ.get("TABLESNAP_REQUIRE_SERVERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    """Return a port of loopback that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


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


@contextmanager
def moto_server() -> Iterator[S3Server]:
    """Run moto in a process of its own, so that its memory is not counted as ours."""
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
        skip_or_fail(NO_MOTO)
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(command, port, dict(os.environ)):
        yield S3Server(f"http://127.0.0.1:{port}", access_key="moto-access", secret_key="moto-secret")


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


def versitygw_program() -> str | None:
    """Return the path of versitygw: what VERSITYGW names, else one on PATH, else where `go install` puts it."""
    named = os.environ.get("VERSITYGW")
    found = named or shutil.which("versitygw") or shutil.which(str(Path.home() / "go" / "bin" / "versitygw"))
    return shutil.which(found) if found else None


@contextmanager
def versitygw_server(certificate: Path | None = None, key: Path | None = None) -> Iterator[S3Server]:
    """Run versitygw on a new directory; over TLS if it is given a *certificate* and its *key*."""
    program = versitygw_program()
    if program is None:
        skip_or_fail(
            "versitygw was not found: go install github.com/versity/versitygw/cmd/versitygw@v1.8.0, "
            "or name the program in VERSITYGW"
        )
    port = free_port()
    tls = ["--cert", str(certificate), "--key", str(key)] if certificate and key else []
    environment = {**os.environ, "ROOT_ACCESS_KEY": "versity-access", "ROOT_SECRET_KEY": "versity-secret"}
    with tempfile.TemporaryDirectory(prefix="versitygw-") as directory:
        command = [program, "--port", f"127.0.0.1:{port}", "--keep-alive", "--quiet", *tls, "posix", directory]
        with running(command, port, environment):
            yield S3Server(
                f"{'https' if tls else 'http'}://127.0.0.1:{port}",
                access_key=environment["ROOT_ACCESS_KEY"],
                secret_key=environment["ROOT_SECRET_KEY"],
            )


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[S3Server]:
    """moto, for the whole test session."""
    with moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def versitygw_endpoint() -> Iterator[S3Server]:
    """versitygw, for the whole test session."""
    with versitygw_server() as server:
        yield server


@dataclass
class Request:
    """One request on its way to a server."""

    method: str
    path: str  # with the query, as it was sent
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def access_key(self) -> str:
        """Who signed it."""
        return self.headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]


@dataclass(frozen=True)
class Reply:
    """What a proxy says itself, in place of the server."""

    status: int
    code: str = ""

    def body(self) -> bytes:
        """Return the answer in S3's form."""
        return f"<Error><Code>{self.code}</Code><Message>said the proxy</Message></Error>".encode()


class Fate(Enum):
    """What becomes of the connection of a request."""

    RESET_UNHEARD = auto()  # the server never hears of it
    RESET_DONE = auto()  # the server has done it, and nobody hears its answer


Meddle = Callable[[Request], Reply | Fate | None]


@dataclass(frozen=True)
class Proxy(S3Server):
    """A server, and everything it was asked through here."""

    seen: list[Request] = field(default_factory=list)


@contextmanager
def proxy(server: S3Server, meddle: Meddle = lambda _: None) -> Iterator[Proxy]:
    """Stand between a client and *server*; *meddle* may change a request, answer it, or cut its connection."""
    upstream = urlsplit(server.endpoint_url).netloc
    seen: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items() if name.lower() != "expect"}
            request = Request(self.command, self.path, headers, body)
            seen.append(request)
            fate = meddle(request)
            if fate is Fate.RESET_UNHEARD:
                self.reset()
            elif isinstance(fate, Reply):
                self.reply(fate.status, {"Content-Type": "application/xml"}, fate.body())
            else:
                connection = HTTPConnection(upstream, timeout=60)
                connection.request(request.method, request.path, request.body, request.headers)
                answer = connection.getresponse()
                data = answer.read()
                if fate is Fate.RESET_DONE:
                    self.reset()
                else:
                    self.reply(answer.status, dict(answer.getheaders()), data)
                connection.close()

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815 - http.server's names

        def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            # The answer to a HEAD has the length of what a GET would send.
            length = next((value for name, value in headers.items() if name.lower() == "content-length"), None)
            self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def reset(self) -> None:
            # No linger: what is closed so is reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            pass

    with listening(Handler) as url:
        yield Proxy(url, server.access_key, server.secret_key, server.ca_bundle, seen)


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve *handler* on loopback while the block lasts, and yield its URL."""
    listener = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    listener.daemon_threads = True
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.server_port}"
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()
