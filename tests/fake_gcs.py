"""The fork of fake-gcs-server that speaks Google's XML dialect, where somebody has built it: CONTRIBUTING.md says how.

No registry has it, so `make test-gcs` runs what needs it, and CI does not.
"""

import json
import os
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.endpoint import free_port
from tests.s3_servers import running, skip_or_fail


@dataclass(frozen=True)
class FakeGcs:
    """A server that answers on loopback until its fixture ends."""

    endpoint_url: str
    account: str  # path of the file that GOOGLE_SERVICE_ACCOUNT names

    def make_bucket(self, name: str) -> None:
        """Create a bucket."""
        body, headers = json.dumps({"name": name}).encode(), {"Content-Type": "application/json"}
        with urllib.request.urlopen(
            urllib.request.Request(f"{self.endpoint_url}/storage/v1/b?project=p", body, headers), timeout=60
        ):
            pass


@pytest.fixture(scope="session")
def fake_gcs_endpoint() -> Iterator[FakeGcs]:
    """The fork, for the whole test session."""
    program = shutil.which(os.environ.get("FAKE_GCS") or "fake-gcs-server")
    if program is None:
        skip_or_fail("fake-gcs-server was not found: CONTRIBUTING.md says which, or name the program in FAKE_GCS")
    port = free_port()
    address = f"127.0.0.1:{port}"
    command = [program, "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
    with tempfile.TemporaryDirectory(prefix="fake-gcs-") as directory:
        account = Path(directory, "account.json")
        nobody = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        account.write_text(json.dumps({"gcs_base_url": f"http://{address}", "disable_oauth": True, **nobody}))
        with running([*command, "-public-host", address], port, dict(os.environ)):
            yield FakeGcs(f"http://{address}", str(account))
