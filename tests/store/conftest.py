import os
from pathlib import Path

import pytest
from tests.s3_servers import CONTRACTED, MOTO, params
from tests.store.places import Place, azure_place, file_place, memory_place, s3_place


@pytest.fixture(autouse=True)
def no_aws_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(
    params=[
        "memory",
        "file",
        MOTO,
        *params(CONTRACTED),
        pytest.param("azurite", marks=pytest.mark.servers),
    ],
    ids=lambda param: param if isinstance(param, str) else param.name,
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each kind of store in turn."""
    match request.param:
        case "memory":
            return memory_place()
        case "file":
            return file_place(tmp_path / "store")
        case "azurite":
            return azure_place(request.getfixturevalue("azurite_endpoint"))
        case kind:
            return s3_place(request.getfixturevalue("s3_servers").of(kind), kind)
