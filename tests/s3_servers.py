"""Two S3 servers on loopback as pytest fixtures: moto keeps odd keys as Amazon does, versitygw is a real one."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NoReturn

import pytest
from tests.endpoint import S3Server, free_port
from tests.faults.proxy import Fate, Proxy, Reply, Request, listening, proxy

__all__ = ["Fate", "Proxy", "Reply", "Request", "S3Server", "free_port", "listening", "proxy"]

START_TIMEOUT_SECONDS = 60
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
