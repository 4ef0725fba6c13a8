"""A real browser without a window: chromium shows a page, measures it, prints it."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.faults.proxy import listening
from tests.s3_servers import skip_or_fail

_UNANSWERED = 120  # seconds, after which the browser hangs
_NAMES = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Chromium:
    """A browser that is started anew for each page."""

    program: str

    def dom(self, url: str) -> str:
        """Return the document of a page, as it is once its scripts have run."""
        return self._run(url, "--window-size=1600,900", "--hide-scrollbars", "--dump-dom")

    def print(self, url: str, pdf: Path) -> int:
        """Print a page to a file, and return how many sheets it takes."""
        self._run(url, f"--print-to-pdf={pdf}", "--no-pdf-header-footer")
        return len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes()))

    def _run(self, url: str, *flags: str) -> str:
        with tempfile.TemporaryDirectory(prefix="chromium-") as profile:
            # Its sandbox wants what a container has not; the pages are our own.
            command = [self.program, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
            command += ["--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run", *flags, url]
            done = subprocess.run(command, capture_output=True, text=True, timeout=_UNANSWERED, check=True)
        return done.stdout


def chromium() -> Chromium:
    """Return the browser: what CHROMIUM names, else one on PATH; or skip."""
    named = os.environ.get("CHROMIUM")
    program = next((found for found in map(shutil.which, [named] if named else _NAMES) if found), None)
    if program is None:
        skip_or_fail("chromium was not found: apt-get install chromium, or name the program in CHROMIUM")
    return Chromium(program)


@dataclass(frozen=True)
class Served:
    """A page that is served on loopback, and everything that was asked for there."""

    url: str
    framed: str  # of a page that shows it in a frame
    asked: list[str]


@contextmanager
def served(page: str, *, width: int = 1200) -> Iterator[Served]:
    """Serve a *page*, and the same in a frame so many pixels wide: no window is narrower than 500."""
    asked: list[str] = []
    pages = {
        "/page.html": page.encode(),
        "/framed.html": f'<iframe src="page.html" style="border: 0; width: {width}px; height: 9in"></iframe>'.encode(),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = pages.get(self.path, b"")
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            pass

    with listening(Handler) as url:
        yield Served(f"{url}/page.html", f"{url}/framed.html", asked)
