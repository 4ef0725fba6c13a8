from pathlib import Path

import pytest


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A directory for a daemon to watch."""
    directory = tmp_path / "data"
    directory.mkdir()
    return directory
