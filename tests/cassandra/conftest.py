"""A Cassandra to back up, another to read what was restored, and a real S3 server between them."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cassandra.node import OA, Configuration, Node, running_node
from tests.cassandra.restore import Reader
from tests.daemon.harness import Bucket
from tests.endpoint import S3Server
from tests.s3_servers import versitygw_program


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have two workers at most run these tests, under ``--dist=loadgroup``: each has two Cassandras to feed."""
    for item in items:
        if item.get_closest_marker("cassandra"):
            longest = item.path.name == "test_compaction.py"
            item.add_marker(pytest.mark.xdist_group("cassandra 1" if longest else "cassandra 2"))


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """The second Cassandra, one for all tests; it reads every format."""
    configuration = Configuration(OA, settings={"auto_snapshot": False})
    with running_node(tmp_path_factory.mktemp("reader"), configuration) as node:
        yield Reader(node)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """The Cassandra that is backed up, new for each test."""
    with running_node(tmp_path / "node") as one:
        yield one


@pytest.fixture(scope="session")
def s3_server(request: pytest.FixtureRequest) -> S3Server:
    """A real S3 server where there is one, else moto's."""
    name = "versitygw_endpoint" if versitygw_program() else "moto_endpoint"
    server = request.getfixturevalue(name)
    assert isinstance(server, S3Server)
    return server


@pytest.fixture
def bucket(s3_server: S3Server) -> Bucket:
    """An empty bucket."""
    name = f"backups-{uuid.uuid4().hex[:12]}"
    s3_server.make_bucket(name)
    return Bucket.on(s3_server, name)
