"""No published server speaks the dialect that obstore speaks to Google, so this is what can be known without one."""

from pathlib import Path

import pytest
from tests.endpoint import free_port

from tablesnap.errors import KeyRefused, StoreRefused, StoreUnavailable
from tablesnap.store.gcs import GCSStore
from tablesnap.store.port import Content
from tablesnap.store.remote import RemoteOptions


def test_a_credentials_file_that_is_not_there_is_a_refusal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(tmp_path / "nowhere.json"))

    with pytest.raises(StoreRefused, match="GOOGLE_") as raised:
        GCSStore("backups")

    assert len(str(raised.value).splitlines()) == 1


def test_a_credentials_file_that_is_none_is_a_refusal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    path.write_text("no JSON")
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(path))

    with pytest.raises(StoreRefused, match="GOOGLE_"):
        GCSStore("backups")


def test_a_server_that_does_not_answer_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
    store = GCSStore("backups", RemoteOptions(endpoint_url=f"http://127.0.0.1:{free_port()}"))

    with pytest.raises(StoreUnavailable, match="gs://backups"):
        store.create("k", Content.of(b""))


def test_a_key_that_cannot_be_named_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(KeyRefused):
        GCSStore("backups").create("a//b", Content.of(b""))
