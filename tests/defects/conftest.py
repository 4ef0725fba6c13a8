from pathlib import Path

import pytest
from tests.daemon.harness import Bucket


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The directory of one table, where the database writes."""
    directory = tmp_path / "data" / "ks" / "t-1b255f4def2540a60000000000000001"
    directory.mkdir(parents=True)
    return directory


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    return Bucket.in_directory(tmp_path / "bucket")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"
