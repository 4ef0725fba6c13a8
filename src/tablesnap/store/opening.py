"""From an address and what the operator said of it to a store."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tablesnap.errors import StoreRefused
from tablesnap.store.address import Address
from tablesnap.store.archive import NoThawer, Thawer
from tablesnap.store.port import Store
from tablesnap.store.upkeep import NoUpkeep, Upkeep

MIB = 1 << 20

# What in the environment leads to one store or another of the same name.
_LEADING = frozenset(
    (
        "AWS_CONFIG_FILE",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_PROFILE",
        "AZURE_ENDPOINT",
        "AZURE_STORAGE_ACCOUNT_NAME",
        "AZURE_STORAGE_CONNECTION_STRING",
        "AZURE_STORAGE_ENDPOINT",
    )
)


@dataclass(frozen=True)
class StoreOptions:
    """What may be said of a store besides where it is. None leaves it to the store or its environment."""

    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    region: str | None = None
    endpoint_url: str | None = None
    ca_bundle: str | None = None
    storage_class: str | None = None
    request_payer: bool = False  # we pay for requests to a bucket whose owner does not
    acl: str | None = None  # a canned one, for every object
    encryption: str | None = None  # "AES256": with the store's own key (SSE-S3); else the id of a KMS key
    multipart_above: int = 5120 * MIB  # bytes; larger objects are sent in parts
    part_size: int = 256 * MIB


def open_store(address: Address, options: StoreOptions | None = None) -> Store:
    """Make the store at *address*, without asking it anything; raise `StoreRefused` for what it cannot do.

    The address's prefix is not the store's affair: it goes in front of every key, which are then exact everywhere.
    Libraries are imported here, by scheme: botocore and obstore cost more start time than the rest together.
    """
    options = options or StoreOptions()
    return _OPENERS[address.scheme](address, options)


def identity_of(address: Address, options: StoreOptions, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return what tells the store at *address* from others, as far as it is known without asking anything."""
    leading = sorted(f"{name}={value}" for name, value in environment.items() if name in _LEADING)
    return (str(address), options.endpoint_url or "", *leading)


def open_upkeep(address: Address, options: StoreOptions | None = None) -> Upkeep:
    """Return what can be asked of the store at *address* besides its objects; nothing is asked here."""
    if address.scheme != "s3":
        return NoUpkeep()
    from tablesnap.store.s3_connection import S3Options
    from tablesnap.store.s3_upkeep import S3Upkeep

    return S3Upkeep(address.bucket, S3Options(**vars(options or StoreOptions())))


def open_thawer(address: Address, options: StoreOptions | None = None) -> Thawer:
    """Return what thaws the archived objects of the store at *address*; nothing is asked here."""
    if address.scheme != "s3":
        return NoThawer()
    from tablesnap.store.s3_archive import S3Thawer
    from tablesnap.store.s3_connection import S3Options

    return S3Thawer(address.bucket, S3Options(**vars(options or StoreOptions())))


def _open_s3(address: Address, options: StoreOptions) -> Store:
    from tablesnap.store.s3 import S3Options, S3Store

    return S3Store(address.bucket, S3Options(**vars(options)))


def _open_gs(address: Address, options: StoreOptions) -> Store:
    from tablesnap.store.gcs import GCSStore
    from tablesnap.store.remote import RemoteOptions

    _refuse_s3_words("gs", options)
    return GCSStore(
        address.bucket,
        RemoteOptions(
            endpoint_url=options.endpoint_url,
            ca_bundle=options.ca_bundle,
            storage_class=options.storage_class,
            multipart_above=options.multipart_above,
            part_size=options.part_size,
        ),
    )


def _open_az(address: Address, options: StoreOptions) -> Store:
    from tablesnap.store.azure import AzureStore
    from tablesnap.store.remote import RemoteOptions

    _refuse_s3_words("az", options)
    return AzureStore(
        address.bucket,
        RemoteOptions(
            endpoint_url=options.endpoint_url,
            ca_bundle=options.ca_bundle,
            storage_class=options.storage_class,
            multipart_above=options.multipart_above,
            part_size=options.part_size,
        ),
    )


def _open_file(address: Address, options: StoreOptions) -> Store:
    from tablesnap.store.file import FileStore

    _refuse_s3_words("file", options)
    _refuse(options.endpoint_url is not None, "file: has no endpoint; leave out --endpoint-url")
    _refuse(options.ca_bundle is not None, "file: speaks no TLS; leave out --ca-bundle")
    _refuse(options.storage_class is not None, "file: has no storage classes; leave out --storage-class")
    return FileStore(address.bucket)


def _refuse_s3_words(scheme: str, options: StoreOptions) -> None:
    """Refuse what only S3 understands: silence would let the operator believe that it is done."""
    keys = (options.access_key, options.secret_key, options.session_token)
    _refuse(any(key is not None for key in keys), f"{scheme}: takes no AWS keys; leave out -k, -s and --aws-token")
    _refuse(options.encryption is not None, f"{scheme}: cannot encrypt on request; leave out --with-sse")
    _refuse(options.acl is not None, f"{scheme}: has no ACL for each object; leave out --acl")
    _refuse(options.request_payer, f"{scheme}: does not ask who pays; leave out --request-payer")
    _refuse(options.region is not None, f"{scheme}: has no regions to choose from; leave out --aws-region")


def _refuse(wanted: bool, why: str) -> None:
    if wanted:
        raise StoreRefused(why)


_OPENERS = {"s3": _open_s3, "gs": _open_gs, "az": _open_az, "file": _open_file}
