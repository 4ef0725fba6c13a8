from pathlib import Path

import pytest
from tests.store.places import Place, azure_place, file_place, memory_place, moto_place, versitygw_place


@pytest.fixture(
    params=[
        "memory",
        "file",
        "moto",
        pytest.param("versitygw", marks=pytest.mark.servers),
        pytest.param("azurite", marks=pytest.mark.servers),
    ]
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each kind of store in turn."""
    match request.param:
        case "memory":
            return memory_place()
        case "file":
            return file_place(tmp_path / "store")
        case "moto":
            return moto_place(request.getfixturevalue("moto_endpoint"))
        case "versitygw":
            return versitygw_place(request.getfixturevalue("versitygw_endpoint"))
        case _:
            return azure_place(request.getfixturevalue("azurite_endpoint"))
