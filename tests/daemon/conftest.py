import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.azurite import Azurite
from tests.daemon.harness import Bucket
from tests.endpoint import S3Server
from tests.fake_gcs import FakeGcs
from tests.s3_servers import LARGE, MET, Kind, Lack, Servers, params


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A directory for the daemon to watch."""
    directory = tmp_path / "data"
    directory.mkdir()
    return directory


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "daemon.log"


@pytest.fixture
def file_bucket(tmp_path: Path) -> Bucket:
    return Bucket.in_directory(tmp_path / "bucket")


@pytest.fixture
def moto_bucket(moto_endpoint: S3Server) -> Bucket:
    return new_bucket_on(moto_endpoint)


@pytest.fixture
def azurite_bucket(azurite_endpoint: Azurite) -> Bucket:
    name = new_name()
    azurite_endpoint.make_container(name)
    return Bucket.in_azure(azurite_endpoint, name)


@pytest.fixture
def gcs_bucket(fake_gcs_endpoint: FakeGcs) -> Bucket:
    name = new_name()
    fake_gcs_endpoint.make_bucket(name)
    return Bucket.in_google(fake_gcs_endpoint, name)


def new_bucket_on(server: S3Server) -> Bucket:
    name = new_name()
    server.make_bucket(name)
    return Bucket.on(server, name)


def new_name() -> str:
    return f"backups-{uuid.uuid4().hex[:12]}"


def buckets_on(kinds: Iterable[Kind]) -> Callable[..., Any]:
    """Return the decorator of a fixture that is an empty bucket on each kind of store in turn."""
    return pytest.fixture(
        params=[
            "file_bucket",
            "moto_bucket",
            *params(kinds),
            pytest.param("azurite_bucket", marks=pytest.mark.servers),
        ],
        ids=lambda param: param if isinstance(param, str) else f"{param.name}_bucket",
    )


@buckets_on([*MET, *LARGE])
def bucket(request: pytest.FixtureRequest, s3_servers: Servers) -> Bucket:
    """An empty bucket on each kind of store."""
    return empty_bucket(request, s3_servers)


@buckets_on(
    kind for kind in (*MET, *LARGE) if kind.lacks.keys().isdisjoint({Lack.METADATA, Lack.TYPES, Lack.ENCODED_KEYS})
)
def faithful_bucket(request: pytest.FixtureRequest, s3_servers: Servers) -> Bucket:
    """An empty bucket on each kind of store that keeps the names and the metadata of all files."""
    return empty_bucket(request, s3_servers)


def empty_bucket(request: pytest.FixtureRequest, s3_servers: Servers) -> Bucket:
    if isinstance(request.param, Kind):
        return new_bucket_on(s3_servers.of(request.param))
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Bucket)
    return found
