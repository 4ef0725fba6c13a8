"""A proxy before an S3 server on loopback: it remembers each request, and answers in the server's place if told to."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from tests.s3_servers import S3Server

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "te", "upgrade"}


@dataclass(frozen=True)
class Request:
    """One request, as it arrived."""

    method: str
    path: str  # percent-decoded: /bucket/key
    query: str
    size: int  # bytes of its body

    @property
    def is_index(self) -> bool:
        """Say whether this is about an index."""
        return self.path.endswith("-listdir.json")

    @property
    def is_data(self) -> bool:
        """Say whether this is about an object that is no index."""
        return ":/" in self.path and not self.is_index


@dataclass(frozen=True)
class Answer:
    """What the proxy says instead of the server."""

    status: int  # 0: nothing, the connection is cut
    forwarded: bool = False  # whether the server had the request nevertheless


Interference = Callable[[Request], Answer | None]


class Proxy:
    """Stands before *server*; what *interfere* returns is answered instead of what the server would say."""

    def __init__(self, server: S3Server) -> None:
        self.interfere: Interference = lambda _: None
        self.requests: list[Request] = []
        self._target = urlsplit(server.endpoint_url)
        self._listener = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server = S3Server(
            f"http://127.0.0.1:{self._listener.server_address[1]}", server.access_key, server.secret_key
        )

    def serve(self) -> None:
        """Answer until `close`."""
        self._listener.serve_forever(poll_interval=0.05)

    def close(self) -> None:
        """Answer no more."""
        self._listener.shutdown()
        self._listener.server_close()

    def counted(self, method: str, wanted: Callable[[Request], bool] = lambda _: True) -> int:
        """Return how many requests of *method* that are *wanted* came so far."""
        return sum(one.method == method and wanted(one) for one in list(self.requests))

    def forward(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """Have the server answer."""
        connection = http.client.HTTPConnection(str(self._target.hostname), self._target.port, timeout=60)
        try:
            headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
            connection.request(request.command, request.path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def __getattr__(self, name: str) -> Callable[[], None]:
                if name.startswith("do_"):
                    return self.answer
                raise AttributeError(name)

            def answer(self) -> None:
                body = self.body()
                url = urlsplit(self.path)
                request = Request(self.command, unquote(url.path), url.query, len(body))
                proxy.requests.append(request)
                instead = proxy.interfere(request)
                status, headers, text = 0, list[tuple[str, str]](), b""
                if instead is None or instead.forwarded:
                    status, headers, text = proxy.forward(self, body)
                if instead is not None:
                    status, headers, text = instead.status, [], b""
                if not status:
                    self.close_connection = True
                    return
                self.send_response_only(status)
                for name, value in headers:
                    if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                        self.send_header(name, value)
                # The answer to a HEAD says how long the object is, and sends nothing.
                length = dict(headers).get("Content-Length", "0") if self.command == "HEAD" else str(len(text))
                self.send_header("Content-Length", length)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(text)

            def body(self) -> bytes:
                if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length", 0)))
                pieces = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    pieces.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(pieces)

            def log_message(self, *_: object) -> None:
                pass  # `requests` is the log

        return Handler


@contextmanager
def proxied(server: S3Server) -> Iterator[Proxy]:
    """Run a proxy before *server* while the block lasts."""
    proxy = Proxy(server)
    thread = threading.Thread(target=proxy.serve, name="proxy")
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()
