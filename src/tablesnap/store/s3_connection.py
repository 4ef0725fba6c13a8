"""Who we are, where the bucket is, and the two libraries' clients for it, learnt once and kept.

botocore's chain finds the credentials and the endpoint for both libraries, so that they never differ.
"""

import logging
import math
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import botocore.session
from awscrt.exceptions import AwsCrtError
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, PartialCredentialsError, ProfileNotFound
from botocore.loaders import Loader, create_loader
from botocore.utils import parse_timestamp
from obstore.exceptions import BaseError
from obstore.store import S3Store as Mover

from tablesnap.errors import StoreRefused
from tablesnap.store.network import trusted, way_to
from tablesnap.store.reach import read_certificates, tell_obstore
from tablesnap.store.s3_answers import look_at
from tablesnap.store.s3_credentials import explicit_credentials, no_credentials
from tablesnap.store.s3_errors import STALE_CREDENTIALS, NoMoment, Place, answer_of, error_of, one_line
from tablesnap.store.s3_limits import Limits

if TYPE_CHECKING:
    # Known to type checkers alone.
    from obstore.store import ClientConfig, S3Config, S3Credential

DEFAULT_REGION = "us-east-1"
ATTEMPTS = 3  # whoever calls us tries again by himself, so this only bridges a hiccup
CONNECTIONS = 64
LONG_SECONDS = 24 * 3600  # for a whole request that has another limit, as obstore has 30 s where it is told nothing
# Where the line is slow, so little is handed to the kernel before it is on its way: what waits in there counts as sent,
# and the answer is waited for no longer than one operation may take.
SLOW_SEND_BUFFER = 128 << 10
SMALLEST_CLASS = 8 << 20

# botocore renews credentials when they have 10 minutes left at the latest, and obstore asks for them again when
# 5 minutes of this are left: so it never signs with any that have fewer than 7 minutes.
CREDENTIALS_TTL = timedelta(minutes=8)

# obstore reads these by itself, and nothing that can be passed to it says "no": it would encrypt with another key.
OBSTORE_ENVIRONMENT = (
    "AWS_SERVER_SIDE_ENCRYPTION",
    "AWS_SSE_KMS_KEY_ID",
    "AWS_SSE_BUCKET_KEY_ENABLED",
    "AWS_SSE_CUSTOMER_KEY_BASE64",
    "AWS_COPY_IF_NOT_EXISTS",
)

# What goes wrong reaches our caller as an error, which says it in one line; these would say it in forty.
for _noisy in ("botocore", "urllib3"):
    logging.getLogger(_noisy).setLevel(logging.ERROR)


@dataclass(frozen=True)
class S3Options:
    """What the operator said of the bucket. None leaves it to the environment."""

    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    region: str | None = None
    endpoint_url: str | None = None
    ca_bundle: str | None = None
    storage_class: str | None = None
    request_payer: bool = False
    acl: str | None = None
    encryption: str | None = None  # None, "AES256", or the id of a KMS key
    multipart_above: int = 5 << 30  # bytes
    part_size: int = 256 << 20
    limits: Limits = field(default_factory=Limits)

    def write_arguments(self) -> dict[str, str]:
        """Return what botocore is told whenever an object is begun."""
        arguments = {"StorageClass": self.storage_class} if self.storage_class else {}
        if self.acl:
            arguments["ACL"] = self.acl
        if self.encryption == "AES256":
            return {**arguments, "ServerSideEncryption": "AES256"}
        if self.encryption:
            return {**arguments, "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.encryption}
        return arguments


@dataclass(frozen=True)
class Connection:
    """One bucket, found."""

    options: S3Options
    place: Place
    region: str
    custom: bool  # not Amazon's own, so nothing it promises is taken on trust
    client: Any  # botocore's
    credentials: Any  # botocore's; renews itself
    root_certificates: str | None
    _make_client: Callable[..., Any] = field(repr=False)
    _movers: dict[int | str, Mover] = field(default_factory=dict, repr=False)
    _slow: list[Any] = field(default_factory=list, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def ready(self) -> None:
        """Have credentials that are not about to expire, or raise `StoreUnavailable`."""
        try:
            self.credentials.get_frozen_credentials()
        # RuntimeError is botocore's for credentials that were renewed and are expired still.
        except (BotoCoreError, ClientError, RuntimeError) as error:
            raise no_credentials(self.place.bucket, error) from error

    def head(self, key: str) -> dict[str, Any] | None:
        """Return what the server says of *key*, or None if it says there is nothing. Raises what botocore raises."""
        try:
            answer: dict[str, Any] = self.client.head_object(Bucket=self.place.bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            said = answer_of(error)
            if said is not None and said.status == 404:
                return None
            raise
        return answer

    def can_move(self) -> bool:
        """Tell whether obstore would write exactly what botocore would."""
        plain_name = not self.place.bucket.startswith("arn:") and not self.place.bucket.endswith("--x-s3")
        return plain_name and not any(name in os.environ for name in OBSTORE_ENVIRONMENT)

    def can_put(self) -> bool:
        """Tell whether obstore would create exactly what botocore would: it has no word for an ACL."""
        return self.can_move() and self.options.acl is None

    def mover(self, size: int) -> Mover:
        """Return obstore's client for objects of this size.

        Its time limit is for a whole request, so there is one client for each doubling of the size.
        """
        doublings = max(0, math.ceil(math.log2(max(size, 1) / SMALLEST_CLASS)))
        with self._lock:
            if doublings not in self._movers:
                seconds = self.options.limits.whole(SMALLEST_CLASS << doublings)
                self._movers[doublings] = self._make_mover({"timeout": timedelta(seconds=seconds)})
            return self._movers[doublings]

    def reader(self) -> Mover:
        """Return obstore's client for reading: there it can count the seconds between two bytes."""
        with self._lock:
            if "reader" not in self._movers:
                stall = timedelta(seconds=self.options.limits.operation)
                self._movers["reader"] = self._make_mover(
                    {"timeout": timedelta(seconds=LONG_SECONDS), "read_timeout": stall}
                )
            return self._movers["reader"]

    def slow_client(self) -> Any:
        """Return a client of botocore's for uploads over a slow line: it counts the seconds of one operation."""
        with self._lock:
            if not self._slow:
                seconds = self.options.limits.operation
                # urllib3 has the limit of the connection while it sends.
                client = self._make_client(Config(connect_timeout=seconds, read_timeout=seconds))
                # botocore has no public way to an option of its sockets.
                options = client._endpoint.http_session._socket_options  # noqa: SLF001
                options.append((socket.SOL_SOCKET, socket.SO_SNDBUF, SLOW_SEND_BUFFER))
                self._slow.append(client)
            return self._slow[0]

    def _make_mover(self, limits: "ClientConfig") -> Mover:
        url = urlsplit(self.place.endpoint)
        virtual = not self.custom and "." not in self.place.bucket
        endpoint = address_of(self.place.endpoint, self.place.bucket, custom=self.custom)
        # Whatever can be said is said, because obstore would take what is not from AWS_* in the environment.
        config: S3Config = {
            "endpoint": endpoint,
            "aws_endpoint_url_s3": endpoint,
            "region": self.region,
            "virtual_hosted_style_request": virtual,
            "checksum_algorithm": "CRC64NVME",
            "conditional_put": "etag",
            # TLS and the checksum protect the bytes already; a SHA-256 would cost more than everything else.
            "unsigned_payload": url.scheme == "https",
            "skip_signature": False,
            "s3_express": False,
            "request_payer": self.options.request_payer,
            "disable_tagging": False,
        }
        encryption = self.options.write_arguments()
        if "ServerSideEncryption" in encryption:
            config["server_side_encryption"] = encryption["ServerSideEncryption"]
        if "SSEKMSKeyId" in encryption:
            config["sse_kms_key_id"] = encryption["SSEKMSKeyId"]
        client: ClientConfig = {
            **limits,
            "connect_timeout": timedelta(seconds=self.options.limits.connect),
            "allow_http": url.scheme == "http",
        }
        tell_obstore(client, endpoint, self.place.way, self.root_certificates)
        try:
            return Mover(
                self.place.bucket,
                config=config,
                client_options=client,
                retry_config={"max_retries": ATTEMPTS - 1, "retry_timeout": timedelta(minutes=1)},
                credential_provider=self._credential,
            )
        except BaseError as error:
            said = one_line(str(error).partition("\n\nDebug source:")[0])
            raise StoreRefused(
                f"{self.place.of(None)} cannot be used: {said}; check AWS_* in the environment, and that the system "
                "has certificates to trust (Debian: ca-certificates)"
            ) from error

    def _credential(self) -> "S3Credential":
        frozen = self.credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + CREDENTIALS_TTL,
        }


class Connector:
    """Finds the bucket when it is first needed, and again after its credentials proved to be of no use."""

    def __init__(self, bucket: str, options: S3Options) -> None:
        self._bucket = bucket
        self._options = options
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    @property
    def place(self) -> Place:
        """What is known of the place, for messages."""
        if self._connection is not None:
            return self._connection.place
        return Place(self._bucket, self._options.endpoint_url or "Amazon S3")

    def connected(self) -> Connection:
        """Return the connection, with credentials at hand; raise `StoreUnavailable` while there are none."""
        with self._lock:
            if self._connection is None:
                self._connection = self._connect()
            connection = self._connection
        connection.ready()
        return connection

    def forget(self, connection: Connection) -> None:
        """Look for credentials anew at the next call: whoever renewed them in a file did it for us, too."""
        with self._lock:
            if self._connection is connection:
                self._connection = None

    @contextmanager
    def saying(self, connection: Connection, key: str | None = None) -> Iterator[None]:
        """Say what went wrong in the words of the store port."""
        try:
            yield
        except (BotoCoreError, ClientError, AwsCrtError, BaseError, FileNotFoundError) as error:
            answer = answer_of(error)
            if answer is not None and answer.code in STALE_CREDENTIALS:
                self.forget(connection)
            raise error_of(error, connection.place, key) from error

    def _connect(self) -> Connection:
        try:
            # A new session each time: one that found no credentials remembers the files it looked into.
            core = self._session()
            credentials = core.get_credentials()
            if credentials is None:
                raise no_credentials(self._bucket, "none were found")
            return self._find(core, credentials)
        except (ProfileNotFound, PartialCredentialsError, ValueError) as error:
            hint = "; write it with http:// or https://" if "Invalid endpoint" in str(error) else ""
            raise StoreRefused(f"s3://{self._bucket} cannot be used as configured: {one_line(error)}{hint}") from error
        except (BotoCoreError, ClientError) as error:
            raise no_credentials(self._bucket, error) from error

    def _session(self) -> Any:
        session = botocore.session.Session()
        session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
        session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parse_moment)
        said = self._options
        given = explicit_credentials(said.access_key, said.secret_key, said.session_token, os.environ)
        if given is not None:
            session.set_credentials(*given)
        return session

    def _find(self, core: Any, credentials: Any) -> Connection:
        region = self._options.region or os.environ.get("AWS_REGION") or core.get_config_variable("region")
        unsigned = Config(s3={"addressing_style": "path"}, signature_version=UNSIGNED)
        # Only botocore knows the endpoint: this one is not asked for anything else.
        endpoint = self._client(core, region or DEFAULT_REGION, Place(self._bucket, ""), unsigned).meta.endpoint_url
        if "@" in urlsplit(endpoint).netloc:
            raise StoreRefused(
                "the endpoint in AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile has a user or a password in it, "
                "which no store reads; leave these out, and give keys in the environment or a credentials file"
            )
        custom = not is_amazon(endpoint)
        place = self._place(core, endpoint, custom=custom)
        certificates = read_certificates(place.trust)
        # 0.7.3 had no flag for it, so a line that says nothing of a region must find it out.
        if not region:
            scout = self._client(core, DEFAULT_REGION, place, unsigned)
            region = self._ask_region(scout, place) or DEFAULT_REGION
        s3: dict[str, Any] = {"addressing_style": "path" if custom else "auto"}
        if urlsplit(endpoint).scheme == "https":
            s3["payload_signing_enabled"] = False  # as for obstore

        def make_client(more: Config) -> Any:
            return self._client(core, region, place, Config(s3=s3).merge(more))

        client = make_client(Config())
        return Connection(
            options=self._options,
            place=replace(place, endpoint=client.meta.endpoint_url),
            region=region,
            custom=custom,
            client=client,
            _make_client=make_client,
            credentials=credentials,
            root_certificates=certificates,
        )

    def _place(self, core: Any, endpoint: str, *, custom: bool) -> Place:
        """Decide how the bucket is reached, and who is trusted there: both libraries are told the same."""
        way = way_to(address_of(endpoint, self._bucket, custom=custom), os.environ)
        if urlsplit(endpoint).scheme != "https" and not way.proxy.startswith("https:"):
            return Place(self._bucket, endpoint, way)
        named = (
            ("--ca-bundle", self._options.ca_bundle),
            ("AWS_CA_BUNDLE", os.environ.get("AWS_CA_BUNDLE")),
            ("ca_bundle of the profile", core.get_config_variable("ca_bundle")),
            *((name, os.environ.get(name)) for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")),
        )
        return Place(self._bucket, endpoint, way, trusted(named))

    def _client(self, core: Any, region: str, place: Place, config: Config) -> Any:
        way, bundle = place.way, place.trust.path or None
        base = Config(
            connect_timeout=self._options.limits.connect,
            read_timeout=self._options.limits.operation,
            max_pool_connections=CONNECTIONS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            tcp_keepalive=True,
            # Never None, which would have botocore look for a proxy itself.
            proxies={} if way.is_direct else {"http": way.proxy, "https": way.proxy},
            proxies_config={"proxy_ca_bundle": bundle} if bundle else None,
            # We send our own checksum, and other S3s know none of those that botocore would add.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        client = core.create_client(
            "s3",
            region_name=region,
            endpoint_url=self._options.endpoint_url,
            verify=bundle,
            config=base.merge(config),
        )
        if self._options.request_payer:
            client.meta.events.register("provide-client-params.s3", offer_to_pay)
        look_at(client)
        return client

    def _ask_region(self, scout: Any, place: Place) -> str | None:
        """Ask the bucket where it is: the answer has it even where it says 301 or 403."""
        try:
            headers = scout.head_bucket(Bucket=self._bucket)["ResponseMetadata"]["HTTPHeaders"]
        except ClientError as error:
            headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
            answer = answer_of(error)
            if "x-amz-bucket-region" not in headers and answer is not None and answer.status >= 500:
                raise error_of(error, place, None) from error
        except BotoCoreError as error:
            raise error_of(error, place, None) from error
        region: str | None = headers.get("x-amz-bucket-region")
        return region


@cache
def _loader(data_path: str | None) -> Loader:
    """Return botocore's reader of the files that describe S3, which keeps what it has read.

    A session would read them anew, which takes most of the time of a connection: a tenth of a second.
    """
    return create_loader(data_path)


def is_amazon(endpoint: str) -> bool:
    """Tell whether *endpoint* is Amazon's own."""
    host = urlsplit(endpoint).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))


def address_of(endpoint: str, bucket: str, *, custom: bool) -> str:
    """Return the address that is asked for what is in *bucket*: Amazon has one for each whose name has no dot."""
    if custom or "." in bucket:
        return endpoint.rstrip("/")
    url = urlsplit(endpoint)
    return f"{url.scheme}://{bucket}.{url.netloc}"


def offer_to_pay(params: dict[str, Any], model: Any, **_: Any) -> dict[str, Any]:
    """Say in every request that has a word for it that we pay: the owner of a bucket may refuse all others.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ObjectsinRequesterPaysBuckets.html
    """
    has_word = model.input_shape is not None and "RequestPayer" in model.input_shape.members
    return {**params, "RequestPayer": "requester"} if has_word else params


def parse_moment(text: Any) -> datetime:
    """Read a time of S3's, which is in UTC if it says nothing else; raise `NoMoment`.

    botocore's own parser takes most of the time that a listing costs, and has several errors for what it cannot read.
    """
    try:
        try:
            moment = datetime.fromisoformat(text)
        except (TypeError, ValueError):
            moment = parse_timestamp(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, RuntimeError, OverflowError) as error:
        raise NoMoment(text=str(text)[:50]) from error
