"""Every kind of store, empty, and what its kind can and cannot do."""

import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from tests.azurite import Azurite
from tests.endpoint import S3Server, free_port
from tests.s3_servers import Kind, Lack

from tablesnap.store.azure import AzureStore
from tablesnap.store.azure_account import Account
from tablesnap.store.file import FileStore
from tablesnap.store.memory import MemoryStore
from tablesnap.store.port import Store
from tablesnap.store.remote import RemoteOptions
from tablesnap.store.s3 import S3Options, S3Store

MIB = 1 << 20
MULTIPART_ABOVE = 5 * MIB


@dataclass(frozen=True)
class Place:
    """An empty store with its surroundings. What its kind cannot do is declared, and the contract says what then."""

    store: Store
    put_by_hand: Callable[[str, bytes], None]  # as other people do, with another client
    foreign: tuple[str, ...] = ()  # keys that other people can have made here
    missing: Store | None = None  # the same server, but no such bucket
    away: Store | None = None  # nobody answers
    unheard_keys: Collection[str] = ()  # the test server has no way to hear of them; the adapter is not to blame
    lacks: Collection[Lack] = ()


def memory_place() -> Place:
    store = MemoryStore()
    return Place(store, put_by_hand=lambda key, data: None)


def file_place(directory: Path) -> Place:
    directory.mkdir()
    gone = directory.with_name("gone")
    gone.mkdir()
    away = FileStore(str(gone))
    away.check()
    gone.rename(directory.with_name("elsewhere"))

    def put_by_hand(key: str, data: bytes) -> None:
        path = directory / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return Place(
        FileStore(str(directory)),
        put_by_hand=put_by_hand,
        foreign=("by hand", "folder/by hand"),
        missing=FileStore(str(directory / "nowhere")),
        away=away,
    )


def s3_place(server: S3Server, kind: Kind) -> Place:
    bucket = f"contract-{uuid.uuid4().hex}"
    server.make_bucket(bucket)
    options = S3Options(
        access_key=server.access_key,
        secret_key=server.secret_key,
        region="us-east-1",
        endpoint_url=server.endpoint_url,
        multipart_above=MULTIPART_ABOVE,
        part_size=MULTIPART_ABOVE,
    )

    def put_by_hand(key: str, data: bytes) -> None:
        server.client().put_object(Bucket=bucket, Key=key, Body=data)

    store = S3Store(bucket, options)
    # On a server that is not Amazon's the check finds out whether it would overwrite; the contract is what holds from
    # then on.
    store.check()
    return Place(
        store,
        put_by_hand=put_by_hand,
        foreign=kind.foreign,
        missing=S3Store("no-such-bucket", options),
        away=S3Store(bucket, replace(options, endpoint_url=f"http://127.0.0.1:{free_port()}")),
        unheard_keys=kind.unheard,
        lacks=kind.lacks,
    )


def azure_place(server: Azurite) -> Place:
    container = f"contract-{uuid.uuid4().hex}"
    server.make_container(container)
    options = RemoteOptions(multipart_above=MULTIPART_ABOVE, part_size=MULTIPART_ABOVE)
    account = Account(server.account, server.endpoint_url, key=server.key)
    nobody = f"http://127.0.0.1:{free_port()}/{server.account}"
    store = AzureStore(container, options, account)
    store.check()
    return Place(
        store,
        put_by_hand=lambda key, data: server.put(container, key, data),
        foreign=("d/", "a//b", "/x"),
        missing=AzureStore("no-such-container", options, account),
        away=AzureStore(container, options, replace(account, endpoint=nobody)),
        lacks={Lack.ODD_KEYS, Lack.VERIFYING, Lack.CHECKSUMS, Lack.CHECKSUMS_OF_PARTS},
    )
