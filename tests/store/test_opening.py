import subprocess
import sys
from pathlib import Path

import pytest

from tablesnap.errors import StoreRefused
from tablesnap.store.address import Address, parse_address
from tablesnap.store.azure import AzureStore
from tablesnap.store.file import FileStore
from tablesnap.store.gcs import GCSStore
from tablesnap.store.opening import StoreOptions, open_store
from tablesnap.store.s3 import S3Store

LOADED_BY_A_FILE_STORE = """
import sys
from tablesnap.store.address import parse_address
from tablesnap.store.opening import open_store
open_store(parse_address("file:///var/backups"))
print(*sorted({"botocore", "botocore", "obstore"} & set(sys.modules)))
"""


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT_KEY", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "someaccount")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("backups", S3Store),
        ("s3://backups", S3Store),
        ("gs://backups", GCSStore),
        ("az://backups", AzureStore),
        ("file:///var/backups", FileStore),
    ],
)
def test_each_kind_of_address_opens_its_kind_of_store_without_asking_it_anything(text: str, kind: type) -> None:
    assert isinstance(open_store(parse_address(text)), kind)


@pytest.mark.parametrize("scheme", ["gs", "az", "file"])
@pytest.mark.parametrize(
    ("options", "flag"),
    [
        (StoreOptions(encryption="AES256"), "--with-sse"),
        (StoreOptions(access_key="AKIA", secret_key="secret"), "-k"),
        (StoreOptions(session_token="token"), "--aws-token"),
        (StoreOptions(region="eu-west-1"), "--aws-region"),
        (StoreOptions(acl="private"), "--acl"),
        (StoreOptions(request_payer=True), "--request-payer"),
    ],
)
def test_what_only_s3_understands_is_refused_elsewhere_and_names_its_flag(
    scheme: str, options: StoreOptions, flag: str
) -> None:
    with pytest.raises(StoreRefused, match=flag) as raised:
        open_store(Address(scheme, "/var/backups"), options)

    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        (StoreOptions(storage_class="GLACIER"), "--storage-class"),
        (StoreOptions(endpoint_url="http://127.0.0.1:1"), "--endpoint-url"),
        (StoreOptions(ca_bundle="/etc/ca.pem"), "--ca-bundle"),
    ],
)
def test_a_directory_has_no_use_for_what_goes_over_a_network(options: StoreOptions, flag: str) -> None:
    with pytest.raises(StoreRefused, match=flag):
        open_store(parse_address("file:///var/backups"), options)


@pytest.mark.parametrize("address", ["gs://backups", "az://backups"])
def test_a_ca_bundle_that_cannot_be_read_is_a_refusal(address: str, tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="--ca-bundle"):
        open_store(parse_address(address), StoreOptions(ca_bundle=str(tmp_path / "nowhere.pem")))


def test_a_directory_is_opened_without_loading_the_libraries_of_the_other_stores() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED_BY_A_FILE_STORE], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""


def test_secrets_are_not_shown_with_the_options() -> None:
    shown = repr(StoreOptions(access_key="AKIA", secret_key="wJalr", session_token="FwoGZ"))

    assert "wJalr" not in shown
    assert "FwoGZ" not in shown
