"""Azurite, Microsoft's own emulator of Azure Blob Storage, on loopback as a pytest fixture."""

import base64
import hashlib
import hmac
import os
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from urllib.parse import quote

import pytest
from tests.endpoint import free_port
from tests.s3_servers import running, skip_or_fail

ACCOUNT = "devstoreaccount1"
# Every Azurite has this key: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class Azurite:
    """A server that answers on loopback until its fixture ends."""

    endpoint_url: str
    account: str = ACCOUNT
    key: str = KEY

    def make_container(self, name: str) -> None:
        """Create a container; *name* has three letters or more."""
        self._put(f"/{name}", {"restype": "container"}, {}, b"")

    def put(self, container: str, blob: str, data: bytes) -> None:
        """Store a blob as anybody might, whatever its name."""
        headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": "text/plain"}
        self._put(f"/{container}/{quote(blob, safe='/')}", {}, headers, data)

    def _put(self, path: str, query: dict[str, str], headers: dict[str, str], data: bytes) -> None:
        headers = {**headers, "x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
        own = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()) if name.startswith("x-ms-"))
        standard = ["PUT", "", "", str(len(data) or ""), "", headers.get("Content-Type", "")] + [""] * 6
        resource = f"/{self.account}/{self.account}{path}" + "".join(f"\n{key}:{query[key]}" for key in sorted(query))
        signed = hmac.new(
            base64.b64decode(self.key), ("\n".join(standard) + "\n" + own + resource).encode(), hashlib.sha256
        )
        headers["Authorization"] = f"SharedKey {self.account}:{base64.b64encode(signed.digest()).decode()}"
        search = "?" + "&".join(f"{key}={value}" for key, value in query.items()) if query else ""
        # No type is sent where none was signed: urllib would add one to a body.
        request = urllib.request.Request(f"{self.endpoint_url}{path}{search}", data or None, headers, method="PUT")
        if not data:
            request.add_header("Content-Length", "0")
        with urllib.request.urlopen(request, timeout=60):
            pass


@contextmanager
def azurite_server() -> Iterator[Azurite]:
    """Run Azurite's blob service on a new directory."""
    named = os.environ.get("AZURITE")
    program = shutil.which(named or "azurite-blob")
    if program is None:
        skip_or_fail("azurite-blob was not found: npm install -g azurite, or name the program in AZURITE")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="azurite-") as directory:
        options = ["--location", directory, "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
        with running([program, "--blobPort", str(port), *options], port, dict(os.environ)):
            yield Azurite(f"http://127.0.0.1:{port}/{ACCOUNT}")


@pytest.fixture(scope="session")
def azurite_endpoint() -> Iterator[Azurite]:
    """Azurite, for the whole test session."""
    with azurite_server() as server:
        yield server
