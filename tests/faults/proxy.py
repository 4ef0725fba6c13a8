"""The one proxy of these tests. It stands before a server on loopback and remembers each request. It answers in the
server's place, changes an answer, loses one, and resets, stalls or slows the line in both directions, if told to."""

import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from os import close
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import trustme
from tests.endpoint import S3Server

from tablesnap.store.probe import is_probe

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "te", "upgrade"}
_MOST_AT_ONCE = 64 << 10  # bytes of a body between two looks at the clock
_PAUSE_SECONDS = 0.05


@dataclass
class Request:
    """One request on its way to a server. What meddles with it may change it."""

    method: str
    path: str  # with the query, as it was sent
    headers: dict[str, str]  # names in lower case
    body: bytes = b""  # empty while the line is asked, for nothing of it has arrived

    @property
    def access_key(self) -> str:
        """Who signed it."""
        return self.headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]

    @property
    def name(self) -> str:
        """What it is about, percent-decoded: /bucket/key."""
        return unquote(urlsplit(self.path).path)

    @property
    def key(self) -> str:
        """The key it is about; nothing where it is about a bucket."""
        return self.name.lstrip("/").partition("/")[2]

    @property
    def query(self) -> dict[str, str]:
        """What it asks for; of a name that comes twice, the last."""
        return {name: given[-1] for name, given in parse_qs(urlsplit(self.path).query, keep_blank_values=True).items()}

    @property
    def is_index(self) -> bool:
        """Say whether this is about an index."""
        return self.key.endswith("-listdir.json")

    @property
    def is_data(self) -> bool:
        """Say whether this is about an object that is no index, and not the check's probe."""
        return ":/" in self.key and not self.is_index and not is_probe(self.key)

    @property
    def call(self) -> str:
        """What Amazon calls it: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html."""
        on = "Object" if self.key else "Bucket"
        for (method, about, asked), name in _CALLS.items():
            if method == self.method and about == on and asked in self.query:
                return name
        if self.method == "PUT" and self.key and "x-amz-copy-source" in self.headers:
            return "CopyObject"
        return {"GET": "Get", "PUT": "Put", "HEAD": "Head", "DELETE": "Delete"}.get(self.method, self.method) + on


_CALLS = {
    ("GET", "Bucket", "list-type"): "ListObjectsV2",
    ("GET", "Bucket", "uploads"): "ListMultipartUploads",
    ("GET", "Object", "uploadId"): "ListParts",
    ("POST", "Bucket", "delete"): "DeleteObjects",
    ("POST", "Object", "uploads"): "CreateMultipartUpload",
    ("POST", "Object", "uploadId"): "CompleteMultipartUpload",
    ("POST", "Object", "restore"): "RestoreObject",
    ("PUT", "Object", "partNumber"): "UploadPart",
    ("DELETE", "Object", "uploadId"): "AbortMultipartUpload",
}


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What the proxy says itself, in place of the server."""

    status: int
    code: str = ""
    text: bytes | None = None  # the body where it is not an error in S3's form
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/xml"})
    is_done: bool = False  # whether the server had the request nevertheless, and did it

    def body(self) -> bytes:
        """Return the body: an error in S3's form, unless it has a text."""
        if self.text is not None:
            return self.text
        return f"<Error><Code>{self.code}</Code><Message>said the proxy</Message></Error>".encode()


class Fate(Enum):
    """What becomes of the connection of a request."""

    RESET_UNHEARD = auto()  # the server never hears of it
    RESET_DONE = auto()  # the server has done it, and nobody hears its answer
    STALLED_UNHEARD = auto()  # nothing comes, for as long as the proxy stands
    STALLED_DONE = auto()


@dataclass(frozen=True)
class Lie:
    """What the server said, changed on its way."""

    change: Callable[[Answer], Answer]


Meddle = Callable[[Request], Reply | Fate | Lie | None]


class Stop(Enum):
    """How a line ends."""

    RESET = auto()
    STALL = auto()  # for as long as the proxy stands
    END = auto()  # in good order, as if that had been all


@dataclass(frozen=True)
class Way:
    """How a body travels in one direction."""

    rate: float | None = None  # bytes a second
    length: int | None = None  # of bytes that pass; then comes the stop
    stop: Stop = Stop.RESET


@dataclass(frozen=True)
class Line:
    """How one request and its answer travel."""

    up: Way = Way()
    down: Way = Way()


@dataclass
class Faults:
    """What the proxy does to requests from now on. It is asked for the line first, when a body is yet to come."""

    meddle: Meddle = lambda _: None
    line: Callable[[Request], Line] = lambda _: Line()


@dataclass(frozen=True)
class Proxy(S3Server):
    """A server as it is seen through the proxy, and everything it was asked through here."""

    seen: list[Request] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)

    def counted(self, method: str, wanted: Callable[[Request], bool] = lambda _: True) -> int:
        """Return how many requests of *method* that are *wanted* came so far."""
        return sum(one.method == method and wanted(one) for one in list(self.seen))


class _Stopped(Exception):
    """The line came to an end that it was told to come to."""


def ask(server: S3Server, request: Request) -> Answer:
    """Have *server* answer, and nobody meddle."""
    connection = HTTPConnection(urlsplit(server.endpoint_url).netloc, timeout=60)
    try:
        headers = {name: value for name, value in request.headers.items() if name not in _HOP_BY_HOP}
        connection.request(request.method, request.path, request.body or None, headers)
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


@contextmanager
def proxy(server: S3Server, meddle: Meddle = lambda _: None, *, tls: bool = False) -> Iterator[Proxy]:
    """Stand between a client and *server*; *meddle* may change a request, answer it, or decide its fate.

    With *tls* the proxy has a certificate of its own, which `ca_bundle` names; the server is asked without TLS.
    """
    seen: list[Request] = []
    faults = Faults(meddle)
    over = threading.Event()

    class Handler(_Handler):
        def answer(self) -> None:
            request = Request(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
            line = faults.line(request)
            request.body = b"".join(_travelling(_body_of(self.rfile, request), line.up, over))
            request.headers.pop("expect", None)
            seen.append(request)
            self.reply(_answer(server, request, faults.meddle(request), over), line.down, over)

    with tempfile.TemporaryDirectory(prefix="proxy-") as directory:
        bundle = Path(directory) / "authority.pem"
        with listening(Handler, _context(bundle) if tls else None) as url:
            try:
                yield Proxy(url, server.access_key, server.secret_key, str(bundle) if tls else None, seen, faults)
            finally:
                over.set()  # who is stalled goes


def _answer(server: S3Server, request: Request, fate: Reply | Fate | Lie | None, over: threading.Event) -> Answer:
    done = ask(server, request) if _is_forwarded(fate) else Answer(0, {}, b"")
    match fate:
        case Reply():
            return Answer(fate.status, fate.headers, fate.body())
        case Lie():
            return fate.change(done)
        case Fate.RESET_UNHEARD | Fate.RESET_DONE:
            raise _Stopped
        case Fate.STALLED_UNHEARD | Fate.STALLED_DONE:
            over.wait()
            raise _Stopped
        case None:
            return done


def _is_forwarded(fate: Reply | Fate | Lie | None) -> bool:
    if isinstance(fate, Reply):
        return fate.is_done
    return fate not in (Fate.RESET_UNHEARD, Fate.STALLED_UNHEARD)


class _Handler(BaseHTTPRequestHandler):
    """Speaks HTTP; what it answers is for whoever makes one of it."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        raise NotImplementedError

    def answer_or_reset(self) -> None:
        try:
            self.answer()
        except _Stopped:
            self.reset()
        except (OSError, HTTPException):
            self.close_connection = True  # the client has gone, or the server has

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer_or_reset  # noqa: N815 - http.server's names

    def reply(self, answer: Answer, way: Way, over: threading.Event) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        # The answer to a HEAD has the length of what a GET would send.
        length = next((value for name, value in answer.headers.items() if name.lower() == "content-length"), None)
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            for piece in _travelling(iter([answer.body]), way, over):
                self.wfile.write(piece)
        if way.length is not None and way.length < len(answer.body):
            self.close_connection = True

    def reset(self) -> None:
        # No linger: what is closed so is reset. Closed here, for http.server would say goodbye first.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        close(self.connection.detach())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        pass  # `seen` is the log


def _travelling(pieces: Iterator[bytes], way: Way, over: threading.Event) -> Iterator[bytes]:
    """Yield the bytes of *pieces* as they come along *way*."""
    at_once = _MOST_AT_ONCE if way.rate is None else max(1, int(way.rate * _PAUSE_SECONDS))
    left = way.length
    if left == 0:
        _come_to(way.stop, over)
        return
    for piece in pieces:
        for start in range(0, len(piece), at_once):
            some = piece[start : start + at_once][:left]
            yield some
            if way.rate is not None:
                over.wait(len(some) / way.rate)  # the pace of the line
            if left is not None:
                left -= len(some)
                if not left:
                    _come_to(way.stop, over)
                    return


def _come_to(stop: Stop, over: threading.Event) -> None:
    if stop is Stop.STALL:
        over.wait()
    if stop is not Stop.END:
        raise _Stopped


def _body_of(stream: BufferedIOBase, request: Request) -> Iterator[bytes]:
    """Yield the body in pieces, as it comes."""
    if request.headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int(stream.readline().split(b";")[0], 16):
            yield stream.read(size)
            stream.readline()
        stream.readline()
        return
    left = int(request.headers.get("content-length") or 0)
    while left:
        piece = stream.read(min(left, _MOST_AT_ONCE))
        if not piece:
            raise ConnectionError("the client went away")
        left -= len(piece)
        yield piece


def _context(bundle: Path) -> ssl.SSLContext:
    """Return what the proxy needs to speak TLS, and write who vouches for it to *bundle*."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(bundle)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    # Little is taken from a client that is not read yet: a line that is slow is to be felt at its other end.
    receive_buffer = 256 << 10
    context: ssl.SSLContext | None = None

    def server_activate(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        super().server_activate()

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        if self.context is None:
            return connection, address
        # The handshake comes with the first read, in the thread of the connection: nobody else waits for it.
        return self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that goes away, which killed ones do


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve *handler* on loopback while the block lasts, over TLS with a *context*, and yield its URL."""
    listener = _Listener(("127.0.0.1", 0), handler)
    listener.context = context
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{listener.server_port}"
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()
