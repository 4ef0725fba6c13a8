"""The golden bucket, put into a store."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.catalog.stored import Past

HERE = Path(__file__).parent / "tablesnap-1.2.1"
NODE = "node1.example.com"
DATA = "/var/lib/cassandra/data"


def bucket_of_1x() -> Mapping[str, Any]:
    """Return what is recorded of the bucket."""
    found: Mapping[str, Any] = json.loads((HERE / "bucket.json").read_text())
    return found


def put_into(past: Past) -> None:
    """Store every object, dated as it was."""
    for one in bucket_of_1x()["objects"]:
        past.garbage(one["key"], blob(one["sha256"]), datetime.fromisoformat(one["last_modified"]), one["metadata"])


def blob(sha256: str) -> bytes:
    """Return a body, and make sure that it is the one."""
    body = (HERE / "blobs" / sha256).read_bytes()
    assert hashlib.sha256(body).hexdigest() == sha256
    return body


def at_the_end() -> dict[str, bytes]:
    """Return the files that were on disk at the end, by their paths."""
    return {path: blob(sha256) for path, sha256 in bucket_of_1x()["files_on_disk_at_the_end"].items()}


def listings() -> Iterable[tuple[str, str, dict[str, bytes]]]:
    """Yield of each listing the directory, the file it was written for, and the files it names, by name."""
    bodies = {one["key"]: one["sha256"] for one in bucket_of_1x()["objects"]}
    for key, sha256 in bodies.items():
        if not key.endswith("-listdir.json"):
            continue
        [(directory, names)] = json.loads(blob(sha256)).items()
        folder, _, file = key.rpartition("/")
        files = {name: blob(bodies[f"{folder}/{name}"]) for name in names if f"{folder}/{name}" in bodies}
        yield directory, file.removesuffix("-listdir.json"), files
