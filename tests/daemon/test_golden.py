"""We go on from a bucket that tablesnap 1.2.1 left, without sending anything again."""

import hashlib
import json
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer
from tests.daemon.harness import NODE, Bucket, running, sstable
from tests.daemon.predecessor import by_directory, restored_by_1x
from tests.endpoint import S3Server
from tests.faults.proxy import Proxy, proxy

from tablesnap.checksum import crc64nvme
from tablesnap.rules.keys import is_index
from tablesnap.store.probe import is_probe

GOLDEN = Path(__file__).parents[1] / "golden" / "tablesnap-1.2.1"
HOME = "/var/lib/cassandra"  # where the bucket's node had its data

# Shows a process the directory "$0" where the node had its data; nobody else sees it there.
IN_ITS_PLACE = (
    'mount -t tmpfs none /var/lib && mkdir /var/lib/cassandra && mount --bind "$0" /var/lib/cassandra && exec "$@"'
)


@dataclass(frozen=True)
class Scene:
    """The golden bucket on a server, and the files it is a backup of on a disk."""

    server: S3Server
    name: str  # the bucket's
    disk: Path  # where we see the data
    data: Path  # where the daemon sees it
    under: tuple[str, ...] = ()

    @property
    def bucket(self) -> Bucket:
        return Bucket.on(self.server, self.name)

    def files(self) -> dict[Path, bytes]:
        """Return what is on disk, by its path as the daemon sees it."""
        return {
            self.data / path.relative_to(self.disk): path.read_bytes()
            for path in self.disk.rglob("*")
            if path.is_file()
        }


@pytest.fixture(params=["where we may write", "to the letter"])
def scene(request: pytest.FixtureRequest, server: S3Server, tmp_path: Path) -> Scene:
    """The bucket as if the node had had its data somewhere else, and once more as it is."""
    home = tmp_path / "cassandra"
    home.mkdir()
    if request.param == "where we may write":
        return set_scene(server, home, str(home))
    under = ("unshare", "--mount", "--map-root-user", "sh", "-c", IN_ITS_PLACE, str(home))
    if shutil.which("unshare") is None or subprocess.run([*under, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets us make no mount namespace; the same is tested with other paths")
    return set_scene(server, home, HOME, under)


@pytest.fixture
def server() -> Iterator[S3Server]:
    """moto within this process, so that its objects can be given the age of a real bucket's."""
    threaded = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    threaded.start()
    host, port = threaded.get_host_and_port()
    yield S3Server(f"http://{host}:{port}", access_key="moto-access", secret_key="moto-secret")
    threaded.stop()


def set_scene(server: S3Server, disk: Path, home: str, under: tuple[str, ...] = ()) -> Scene:
    """Lay out files and objects, with *home* in the place of the node's; the newest object is two days old."""
    golden = json.loads((GOLDEN / "bucket.json").read_text())
    for path, digest in golden["files_on_disk_at_the_end"].items():
        here = disk / Path(path).relative_to(HOME)
        here.parent.mkdir(parents=True, exist_ok=True)
        here.write_bytes(blob(digest))
    name = f"golden-{uuid.uuid4().hex[:12]}"
    server.make_bucket(name)
    newest = max(datetime.fromisoformat(one["last_modified"]) for one in golden["objects"])
    for one in golden["objects"]:
        age = newest - datetime.fromisoformat(one["last_modified"]) + timedelta(days=2)
        put_as_1x(server, name, one, home, age)
    return Scene(server, name, disk / "data", Path(home) / "data", under)


def put_as_1x(server: S3Server, bucket: str, one: dict[str, Any], home: str, age: timedelta) -> None:
    """Put an object of the golden bucket: with the MD5 that 1.x left, and no checksum of later years."""
    key, body = one["key"].replace(HOME, home), blob(one["sha256"])
    if is_index(key):
        body = body.replace(HOME.encode(), home.encode())
    client = server.client()
    client.meta.config.request_checksum_calculation = "when_required"
    client.put_object(Bucket=bucket, Key=key, Body=body, ContentType=one["content_type"], Metadata=one["metadata"])
    stored = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket].keys[key]
    stored.last_modified = datetime.now(UTC).replace(tzinfo=None) - age


def blob(digest: str) -> bytes:
    body = (GOLDEN / "blobs" / digest).read_bytes()
    assert hashlib.sha256(body).hexdigest() == digest
    return body


def test_with_backup_nothing_of_1x_is_sent_again_and_each_index_is_complete(scene: Scene, log: Path) -> None:
    before, directories = scene.bucket.objects(), {path.parent for path in scene.files()}

    with (
        proxy(scene.server) as watched,
        running(Bucket.on(watched, scene.name), "-r", "-B", scene.data, log=log, under=scene.under) as daemon,
    ):
        daemon.wait_until(lambda: our_indexes(scene.bucket) == directories, "the indexes")

    after = scene.bucket.objects()
    assert {key: after[key] for key in before} == before
    assert [key for key in put(watched) if not is_index(key)] == []
    assert len(after) == len(before) + 2
    insist_that_indexes_are_complete(scene.bucket, scene.files())
    assert restored_by_1x(after, NODE + ":") == by_directory(scene.files())


def test_without_backup_only_what_1x_missed_is_sent(scene: Scene, log: Path) -> None:
    before, directories = scene.bucket.objects(), {path.parent for path in scene.files()}
    directory = next(scene.disk.glob("*/nb_simple-*"))
    missed = sstable(directory, 4)
    for path, body in missed.items():
        path.write_bytes(body)

    with (
        proxy(scene.server) as watched,
        running(Bucket.on(watched, scene.name), "-r", scene.data, log=log, under=scene.under) as daemon,
    ):
        daemon.wait_until(lambda: our_indexes(scene.bucket) == directories, "the indexes")

    after = scene.bucket.objects()
    assert {key: after[key] for key in before} == before
    seen = {f"{NODE}:{scene.data / path.relative_to(scene.disk)}" for path in missed}
    assert {key for key in put(watched) if not is_index(key)} == seen
    insist_that_indexes_are_complete(scene.bucket, scene.files())
    assert restored_by_1x(after, NODE + ":") == by_directory(scene.files())


def our_indexes(bucket: Bucket) -> set[Path]:
    """Return the directories that have an index of ours without gaps."""
    return {Path(index.directory) for index in bucket.indexes().values() if index.format > 1 and not index.missing}


def put(watched: Proxy) -> list[str]:
    """Return the keys of all that was sent, whole or in parts, but for the check's probe."""
    return [one.key for one in watched.seen if one.method == "PUT" and not is_probe(one.key)]


def insist_that_indexes_are_complete(bucket: Bucket, files: dict[Path, bytes]) -> None:
    for directory in {path.parent for path in files}:
        index = bucket.newest_index(directory)
        assert index is not None
        assert {name: (file.size, file.checksum) for name, file in index.files.items()} == {
            path.name: (len(body), crc64nvme(body)) for path, body in files.items() if path.parent == directory
        }
        assert {file.key for file in index.files.values()} <= bucket.keys()
