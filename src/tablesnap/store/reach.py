"""What each HTTP library is told of proxies and certificates, so that all do as `tablesnap.store.network` decides."""

import base64
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tablesnap.errors import StoreRefused
from tablesnap.store.network import DIRECTLY, NOBODY_NAMED, Trust, Way, trusted, way_to

if TYPE_CHECKING:
    # Known to type checkers alone.
    from obstore.store import ClientConfig

# Where machines in Azure and Google ask who they are: obstore asks there itself, and no proxy knows the answer.
_IDENTITY = ("169.254.169.254", "metadata.google.internal", "metadata", "localhost", "127.0.0.1")


@dataclass(frozen=True)
class Reach:
    """One server: by which way, and whom we trust that it is it."""

    way: Way = DIRECTLY
    trust: Trust = NOBODY_NAMED
    certificates: str | None = field(default=None, repr=False)  # None: those of the system


DIRECT = Reach()


def reach_of(url: str, environment: Mapping[str, str], ca_bundle: str | None) -> Reach:
    """Return how the server of *url* is reached; raise `StoreRefused` for a proxy or a file that is of no use."""
    named = (
        ("--ca-bundle", ca_bundle),
        *((one, environment.get(one)) for one in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")),
    )
    trust = trusted(named) if urlsplit(url).scheme == "https" else NOBODY_NAMED
    return Reach(way_to(url, environment), trust, read_certificates(trust))


def read_certificates(trust: Trust) -> str | None:
    """Read a file of trusted certificates, or raise `StoreRefused`; None for the system's, which obstore finds."""
    if not trust.path or trust.is_systems:
        return None
    try:
        return Path(trust.path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreRefused(f"the certificates in {trust} cannot be read: {error}; name a file of them") from error


def tell_obstore(client: "ClientConfig", url: str, way: Way, certificates: str | None) -> None:
    """Add to obstore's options how the server of *url* is reached."""
    if certificates is not None:
        client["root_certificate"] = certificates
    if not way.proxy:
        return
    client["proxy_url"] = way.proxy
    if certificates is not None:
        client["proxy_ca_certificate"] = certificates
    # obstore does not take * for an address, and would look for proxies itself if it had no URL of one: so it is told
    # the server by its name.
    server = urlsplit(url).hostname or ""
    excepted = {*way.names_excepted, *_IDENTITY} - {server} | ({server} if way.is_direct else set())
    client["proxy_excludes"] = ",".join(sorted(excepted))


def open_url(request: urllib.request.Request, reach: Reach, *, timeout: float) -> Any:
    """Do what `urllib.request.urlopen` does, which has an opinion of its own about proxies."""
    context = ssl.create_default_context(cafile=None if reach.trust.is_systems else reach.trust.path or None)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    if not reach.way.is_direct:
        proxy = urlsplit(reach.way.proxy)
        if proxy.username:
            secret = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
            request.add_header("Proxy-Authorization", f"Basic {base64.b64encode(secret).decode()}")
        request.set_proxy(proxy.netloc.rpartition("@")[2], proxy.scheme)
    return opener.open(request, timeout=timeout)
