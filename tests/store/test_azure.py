import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from tests.azurite import Azurite
from tests.faults.proxy import listening

from tablesnap.errors import KeyRefused, StoreRefused, StoreUnavailable
from tablesnap.store.azure import AzureStore
from tablesnap.store.azure_account import Account, find_account, list_blobs
from tablesnap.store.port import Content
from tablesnap.store.remote import RemoteOptions

CONNECTION = "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=a2V5;EndpointSuffix=core.chinacloudapi.cn"


@pytest.mark.parametrize(
    ("environment", "endpoint_url", "expected"),
    [
        (
            {"AZURE_STORAGE_ACCOUNT_NAME": "acc", "AZURE_STORAGE_ACCESS_KEY": "a2V5"},
            None,
            Account("acc", "https://acc.blob.core.windows.net", key="a2V5"),
        ),
        (
            {"AZURE_STORAGE_ACCOUNT_NAME": "acc", "AZURE_STORAGE_SAS_TOKEN": "?sv=1&sig=x"},
            "http://127.0.0.1:10000/acc/",
            Account("acc", "http://127.0.0.1:10000/acc", signature="sv=1&sig=x"),
        ),
        (
            {"AZURE_STORAGE_CONNECTION_STRING": CONNECTION},
            None,
            Account("acc", "https://acc.blob.core.chinacloudapi.cn", key="a2V5"),
        ),
        (
            {
                "AZURE_STORAGE_CONNECTION_STRING": "BlobEndpoint=https://acc.example.com/;SharedAccessSignature=sv=1&sig=x"
            },
            None,
            Account("acc", "https://acc.example.com", signature="sv=1&sig=x"),
        ),
    ],
)
def test_an_account_is_found_where_azures_own_tools_look(
    environment: dict[str, str], endpoint_url: str | None, expected: Account
) -> None:
    assert find_account(environment, endpoint_url) == expected


def test_an_account_that_nobody_names_is_a_refusal_that_says_where_to_name_it() -> None:
    with pytest.raises(StoreRefused, match="AZURE_STORAGE_ACCOUNT_NAME"):
        find_account({}, None)


def test_the_key_of_an_account_is_not_shown() -> None:
    assert "a2V5" not in repr(Account("acc", "https://acc.example.com", key="a2V5"))


@pytest.mark.parametrize("key", ["a\\b", "a./b", "x.", "a//b", "d/", "a\nb", "x" * 1025])
def test_what_azure_would_store_under_another_name_is_refused_before_anything_is_asked(key: str) -> None:
    store = AzureStore("container", account=Account("acc", "https://acc.invalid", key="a2V5"))

    for ask in (lambda: store.create(key, Content.of(b"")), lambda: store.head(key), lambda: store.delete([key])):
        with pytest.raises(KeyRefused):
            ask()


def new_container(server: Azurite) -> str:
    name = f"c-{uuid.uuid4().hex}"
    server.make_container(name)
    return name


def account_of(server: Azurite) -> Account:
    return Account(server.account, server.endpoint_url, key=server.key)


@pytest.mark.servers
def test_a_listing_goes_on_from_page_to_page(azurite_endpoint: Azurite) -> None:
    container, account = new_container(azurite_endpoint), account_of(azurite_endpoint)
    store = AzureStore(container, account=account)
    for number in range(7):
        store.create(f"n:/{number}", Content.of(b""))

    pages_of_two = list_blobs(account, container, "n:/", page=2)

    assert [listed.key for listed in pages_of_two] == [f"n:/{number}" for number in range(7)]


@pytest.mark.servers
def test_without_a_key_to_sign_with_a_folder_marker_is_not_taken_for_an_object(azurite_endpoint: Azurite) -> None:
    container = new_container(azurite_endpoint)
    store = ByObstoreAlone(container, account=account_of(azurite_endpoint))
    azurite_endpoint.put(container, "n:/d/", b"")
    store.create("n:/empty", Content.of(b""))
    store.create("n:/rows", Content.of(b"rows"))

    assert sorted(listed.key for listed in store.list("n:/")) == ["n:/empty", "n:/rows"]
    assert [listed.key for listed in store.list("n:/r")] == ["n:/rows"]


@pytest.mark.servers
def test_without_a_key_to_sign_with_a_listing_refuses_to_go_on_at_a_name_it_cannot_tell(
    azurite_endpoint: Azurite,
) -> None:
    container = new_container(azurite_endpoint)
    store = ByObstoreAlone(container, account=account_of(azurite_endpoint))
    azurite_endpoint.put(container, "n:/a//b", b"rows")

    with pytest.raises(StoreRefused, match="move it"):
        list(store.list("n:/"))


class ByObstoreAlone(AzureStore):
    """The store as it is with a managed identity, which only Azure's own machines have: nothing here can sign."""

    def __init__(self, container: str, account: Account) -> None:
        super().__init__(container, account=account)
        self._account = replace(account, key=None)


@contextmanager
def archiving_account(tier: str = "Archive", status: str = "") -> Iterator[Account]:
    """Run a server that answers as Azure does for a blob in its archive tier, which Azurite does not have."""
    properties = (
        f"<AccessTier>{tier}</AccessTier><ArchiveStatus>{status}</ArchiveStatus><Content-Length>4</Content-Length>"
    )
    date = "<Last-Modified>Sun, 22 Nov 2026 20:25:17 GMT</Last-Modified>"
    blobs = f"<Blob><Name>data</Name><Properties>{properties}{date}</Properties></Blob>"
    listing = f"<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker/></EnumerationResults>".encode()
    refusal = b"<?xml version='1.0'?><Error><Code>BlobArchived</Code><Message>not permitted</Message></Error>"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_listing = "comp=list" in self.path
            body = listing if is_listing else refusal
            self.send_response(200 if is_listing else 409)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.send_response(200)
            for name, value in (
                ("Content-Length", "4"),
                ("ETag", "e"),
                ("Last-Modified", "Sun, 22 Nov 2026 20:25:17 GMT"),
            ):
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with listening(Handler) as url:
        yield Account("account", url, key="d3Jvbmc=")


@pytest.mark.parametrize(
    ("tier", "status", "archived", "frozen", "is_thawing"),
    [
        ("Hot", "", "", "", False),
        ("Cold", "", "", "", False),
        ("Archive", "", "Archive", "Archive", False),
        ("Archive", "rehydrate-pending-to-hot", "Archive", "Archive", True),
    ],
)
def test_a_listing_tells_the_archive_tier_and_a_head_whether_the_blob_can_be_read(
    tier: str, status: str, archived: str, frozen: str, is_thawing: bool
) -> None:
    with archiving_account(tier, status) as account:
        store = AzureStore("container", account=account)

        (listed,) = store.list("")
        (level,) = store.level("")
        head = store.head("data")

    assert (listed.archived, head.frozen, head.is_thawing) == (archived, frozen, is_thawing)
    assert level == listed


def test_an_archived_blob_is_a_refusal_with_what_to_do_and_how_long_it_takes() -> None:
    with archiving_account() as account, pytest.raises(StoreRefused) as refused:
        b"".join(AzureStore("container", account=account).read("data"))

    for words in ("BlobArchived", "archived", "az storage blob set-tier", "15 hours"):
        assert words in str(refused.value)


@pytest.mark.servers
def test_a_wrong_key_is_a_refusal_by_every_method(azurite_endpoint: Azurite) -> None:
    container = new_container(azurite_endpoint)
    store = AzureStore(container, account=replace(account_of(azurite_endpoint), key="d3Jvbmc="))

    for ask in (
        store.check,
        lambda: store.create("k", Content.of(b"")),
        lambda: store.head("k"),
        lambda: list(store.read("k")),
        lambda: list(store.list("")),
        lambda: store.delete(["k"]),
    ):
        with pytest.raises(StoreRefused) as raised:
            ask()
        assert len(str(raised.value).splitlines()) == 1


@pytest.mark.servers
def test_a_storage_class_is_azures_access_tier_and_one_it_does_not_know_is_refused_at_start(
    azurite_endpoint: Azurite,
) -> None:
    container, account = new_container(azurite_endpoint), account_of(azurite_endpoint)

    AzureStore(container, RemoteOptions(storage_class="Cool"), account).check()

    with pytest.raises(StoreRefused, match="InvalidHeaderValue"):
        AzureStore(container, RemoteOptions(storage_class="GLACIER"), account).check()


@pytest.mark.servers
def test_metadata_that_no_header_can_carry_is_refused(azurite_endpoint: Azurite) -> None:
    store = AzureStore(new_container(azurite_endpoint), account=account_of(azurite_endpoint))

    for value in ("é", "a\r\nb"):
        with pytest.raises(StoreRefused, match="ASCII"):
            store.create("k", Content.of(b""), metadata={"stat": value})


@pytest.mark.servers
def test_memory_does_not_grow_with_the_file(azurite_endpoint: Azurite, tmp_path: Path) -> None:
    path = tmp_path / "nb-1-big-Data.db"
    with path.open("wb") as file:
        file.truncate(600 << 20)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = peak_memory()

    with path.open("rb") as file:
        content = Content(size=600 << 20, checksum=0, descriptor=file.fileno())
        AzureStore(new_container(azurite_endpoint), account=account_of(azurite_endpoint)).create("k", content)

    assert peak_memory() - before < 200 << 20


def peak_memory() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))


RESULTS = "<EnumerationResults><Prefix>a/</Prefix>%s<Blobs>%s</Blobs>%s</EnumerationResults>"


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("<html><head><title>Log in</title></head></html>", "no listing"),
        ("", "no listing"),
        ("<EnumerationResults><Prefix>b/</Prefix><Blobs/></EnumerationResults>", "another listing"),
        (RESULTS % ("<Marker>other</Marker>", "", ""), "another listing"),
        (RESULTS % ("", "<Blob><Name>b/1</Name></Blob>", ""), "another listing"),
        (RESULTS % ("", "", "<NextMarker>again</NextMarker>"), "circle"),
    ],
)
def test_a_listing_that_is_none_of_what_was_asked_is_an_outage(page: str, why: str) -> None:
    """A purge deletes what the indexes that are not listed would have named."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            pass

    with listening(Handler) as url:
        account = Account("acc", f"{url}/acc", key="a2V5")
        with pytest.raises(StoreUnavailable, match=why):
            list(list_blobs(account, "container", "a/"))
