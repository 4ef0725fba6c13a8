"""A forward proxy on loopback, as companies have them between their machines and the world."""

import base64
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "proxy-authorization", "proxy-connection"}


@dataclass(frozen=True)
class ForwardProxy:
    """A proxy, and who was reached by it."""

    url: str
    reached: list[str] = field(default_factory=list)  # "GET host:port", "CONNECT host:port"


@contextmanager
def forward_proxy(password: str = "") -> Iterator[ForwardProxy]:
    """Run a proxy that knows every name, and takes it for this machine's; with a *password* it lets in ``me`` alone."""
    reached: list[str] = []
    wanted = f"Basic {base64.b64encode(f'me:{password}'.encode()).decode()}"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def is_let_in(self) -> bool:
            if not password or self.headers.get("Proxy-Authorization") == wanted:
                return True
            self.send_response(407)
            self.send_header("Proxy-Authenticate", "Basic")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return False

        def forward(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if not self.is_let_in():
                return
            reached.append(f"{self.command} {url.netloc}")
            connection = HTTPConnection("127.0.0.1", url.port or 80, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
            connection.request(self.command, f"{url.path}?{url.query}" if url.query else url.path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            if answer.getheader("Content-Length") is None:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            connection.close()

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward  # noqa: N815 - http.server's names

        def do_CONNECT(self) -> None:
            if not self.is_let_in():
                return
            reached.append(f"CONNECT {self.path}")
            with socket.create_connection(("127.0.0.1", int(self.path.rpartition(":")[2]))) as server:
                self.send_response_only(200)
                self.end_headers()
                _carry(self.connection, server)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass  # `reached` is the log

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, name="forward-proxy")
    thread.start()
    try:
        yield ForwardProxy(f"http://127.0.0.1:{listener.server_port}", reached)
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()


def _carry(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes between two until one of them has no more."""
    across = {one: other, other: one}
    while True:
        ready, _, _ = select.select([one, other], [], [])
        for side in ready:
            data = side.recv(1 << 16)
            if not data:
                return
            across[side].sendall(data)
