"""How a store's server is reached, and whose certificates are trusted: decided here once, for every HTTP library.

Left to themselves they differ: botocore does not read ALL_PROXY, no port and no CIDR in NO_PROXY, and trusts a list of
its own; obstore reads other variables first, and trusts the system's. The rules are those of
`curl <https://curl.se/docs/manpage.html#ENVIRONMENT>`_ and
`Go <https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config>`_.
"""

import ipaddress
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from tablesnap.errors import StoreRefused

# What libraries say of a certificate that they do not trust: OpenSSL, and rustls.
UNTRUSTED = re.compile(r"CERTIFICATE_VERIFY_FAILED|invalid peer certificate|InvalidCertificate\(")

_PORTS = {"http": 80, "https": 443}
# An entry of NO_PROXY with a port; an IPv6 address has brackets then.
_WITH_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]+):(?P<port>\d+)")

# Where systems keep what they trust: Debian, Fedora, openSUSE, Fedora (once more), Alpine.
SYSTEMS = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


@dataclass(frozen=True)
class Way:
    """The way to one server: by a proxy, past a proxy, or simply there."""

    proxy: str = field(default="", repr=False)  # its URL, which may hold a password; empty: there is none
    proxy_variable: str = ""  # who names it
    exception_variable: str = ""  # who says that this server is reached past it
    names_excepted: tuple[str, ...] = ()  # by NO_PROXY, whatever the port: other servers, which are asked for us

    @property
    def is_direct(self) -> bool:
        """Say whether no proxy is asked."""
        return not self.proxy or bool(self.exception_variable)

    def __str__(self) -> str:
        """Spell it as a message goes on with it; no word of a password."""
        if not self.proxy:
            return ""
        if self.exception_variable:
            return f" (past the proxy, by {self.exception_variable})"
        return f" by the proxy {_without_password(self.proxy)} ({self.proxy_variable})"


@dataclass(frozen=True)
class Trust:
    """The file of certificates that are trusted."""

    path: str = ""  # empty: whatever the library brings with it
    source: str = ""  # who names it
    is_systems: bool = False

    def __str__(self) -> str:
        """Spell it as the end of a message."""
        return f"{self.path} ({self.source})" if self.path else "what comes with the library"


DIRECTLY = Way()
NOBODY_NAMED = Trust()


def way_to(url: str, environment: Mapping[str, str]) -> Way:
    """Return how the server of *url* is reached; raise `StoreRefused` where that is by a proxy we cannot speak to.

    ``https_proxy`` goes for https, ``http_proxy`` for http, ``all_proxy`` for both where the other is not set; of the
    same name in capitals the small one wins. A proxy without a scheme speaks HTTP.
    """
    server = urlsplit(url)
    names = (f"{server.scheme}_proxy", "all_proxy")
    name, proxy = next(_set(environment, (one for name in names for one in (name, name.upper()))), ("", ""))
    if not proxy:
        return DIRECTLY
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    except_name, exceptions = next(_set(environment, ("no_proxy", "NO_PROXY")), ("", ""))
    named = tuple(one for one in _entries(exceptions) if _WITH_PORT.fullmatch(one) is None)
    way = Way(proxy, name, except_name if is_excepted(server, exceptions) else "", named)
    if not way.is_direct and urlsplit(proxy).scheme.lower() not in _PORTS:
        raise StoreRefused(
            f"{url}: the proxy {_without_password(proxy)}, which {name} names, does not speak HTTP; "
            "name one that does, or except the store from it with NO_PROXY"
        )
    return way


def is_excepted(server: SplitResult, exceptions: str) -> bool:
    """Say whether NO_PROXY, a list with commas or blanks in between, excepts a server.

    ``*`` is every server; ``example.com`` that name and all below it, as are ``.example.com`` and ``*.example.com``;
    ``10.1.2.3`` an address, ``10.0.0.0/8`` the addresses of a network, where the URL has an address. Any of these with
    ``:9000`` is for that port alone.
    """
    host = (server.hostname or "").rstrip(".").lower()
    port = server.port or _PORTS.get(server.scheme)
    for entry in _entries(exceptions):
        match = _WITH_PORT.fullmatch(entry)
        if match is not None and int(match["port"]) != port:
            continue
        if _fits(host, (match["host"] if match is not None else entry).strip("[]")):
            return True
    return False


def _entries(exceptions: str) -> list[str]:
    return [one for one in re.split(r"[,\s]+", exceptions.lower()) if one]


def _fits(host: str, entry: str) -> bool:
    if entry == "*":
        return True
    name = entry.removeprefix("*").lstrip(".").rstrip(".")
    if not name:
        return False
    address = _address(host)
    if address is None:
        return host == name or host.endswith(f".{name}")
    try:
        return address in ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def trusted(named: Iterable[tuple[str, str | None]], *, is_file: Callable[[str], bool] = os.path.isfile) -> Trust:
    """Return the first file of certificates that somebody *named*, as pairs of who and which, or the system's."""
    for source, path in named:
        if path:
            return Trust(path, source)
    system = next((path for path in SYSTEMS if is_file(path)), "")
    return Trust(system, "the system's", is_systems=True) if system else NOBODY_NAMED


def _set(environment: Mapping[str, str], names: Iterable[str]) -> Iterator[tuple[str, str]]:
    return ((name, environment[name].strip()) for name in names if environment.get(name, "").strip())


def _without_password(proxy: str) -> str:
    url = urlsplit(proxy)
    return url._replace(netloc=url.netloc.rpartition("@")[2]).geturl()
