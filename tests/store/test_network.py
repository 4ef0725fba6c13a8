"""Which server is reached by which proxy, and whose certificates are trusted: as curl and Go have it."""

from collections.abc import Mapping

import pytest

from tablesnap.errors import StoreRefused
from tablesnap.store.network import SYSTEMS, Trust, trusted, way_to

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("url", "environment", "proxy", "variable"),
    [
        ("https://s3.example", {}, "", ""),
        ("https://s3.example", {"https_proxy": PROXY}, PROXY, "https_proxy"),
        ("https://s3.example", {"HTTPS_PROXY": PROXY}, PROXY, "HTTPS_PROXY"),
        ("https://s3.example", {"http_proxy": PROXY, "HTTP_PROXY": PROXY}, "", ""),
        ("http://s3.example", {"http_proxy": PROXY}, PROXY, "http_proxy"),
        ("http://s3.example", {"HTTP_PROXY": PROXY}, PROXY, "HTTP_PROXY"),
        ("http://s3.example", {"https_proxy": PROXY}, "", ""),
        ("http://s3.example", {"ALL_PROXY": PROXY}, PROXY, "ALL_PROXY"),
        ("https://s3.example", {"all_proxy": PROXY}, PROXY, "all_proxy"),
        ("https://s3.example", {"https_proxy": PROXY, "all_proxy": "http://other"}, PROXY, "https_proxy"),
        ("https://s3.example", {"https_proxy": PROXY, "HTTPS_PROXY": "http://other"}, PROXY, "https_proxy"),
        ("https://s3.example", {"https_proxy": "", "HTTPS_PROXY": PROXY}, PROXY, "HTTPS_PROXY"),
        ("https://s3.example", {"https_proxy": "proxy.example:3128"}, PROXY, "https_proxy"),
        ("https://s3.example", {"https_proxy": "https://proxy.example"}, "https://proxy.example", "https_proxy"),
    ],
)
def test_the_proxy_of_the_scheme_is_taken_and_else_that_of_all(
    url: str, environment: Mapping[str, str], proxy: str, variable: str
) -> None:
    way = way_to(url, environment)

    assert (way.proxy, way.proxy_variable, way.is_direct) == (proxy, variable, not proxy)


@pytest.mark.parametrize(
    ("url", "exceptions", "is_excepted"),
    [
        ("https://s3.example", "", False),
        ("https://s3.example", "*", True),
        ("https://s3.example", "other.example, *", True),
        ("https://10.1.2.3", "*", True),
        # Names, and all below them.
        ("https://s3.example", "s3.example", True),
        ("https://s3.example", "S3.EXAMPLE", True),
        ("https://s3.example.", "s3.example", True),
        ("https://b.s3.example", "s3.example", True),
        ("https://b.s3.example", ".s3.example", True),
        ("https://s3.example", ".s3.example", True),
        ("https://b.s3.example", "*.s3.example", True),
        ("https://mys3.example", "s3.example", False),
        ("https://s3.example", "b.s3.example", False),
        ("https://s3.example", "example", True),
        ("https://s3.example", "one.example,s3.example", True),
        ("https://s3.example", "one.example s3.example", True),
        ("https://s3.example", " one.example , s3.example ", True),
        ("https://s3.example", ",,", False),
        ("https://s3.example", ".", False),
        # Ports.
        ("https://s3.example:9000", "s3.example:9000", True),
        ("https://s3.example:9000", "s3.example:9001", False),
        ("https://s3.example:9000", "s3.example", True),
        ("https://s3.example", "s3.example:443", True),
        ("https://s3.example", "s3.example:80", False),
        ("http://s3.example", "s3.example:80", True),
        ("http://10.1.2.3:9000", "10.1.2.3:9000", True),
        ("http://10.1.2.3:9000", "*:9000", True),
        # Addresses, and networks of them.
        ("http://10.1.2.3:9000", "10.1.2.3", True),
        ("http://10.1.2.3", "10.1.2.4", False),
        ("http://10.1.2.3", "10.0.0.0/8", True),
        ("http://11.1.2.3", "10.0.0.0/8", False),
        ("http://10.1.2.3", "10.9.9.9/8", True),
        ("http://10.1.2.3", "2.3", False),
        ("http://ten.example", "10.0.0.0/8", False),
        ("http://[::1]:9000", "::1", True),
        ("http://[::1]:9000", "[::1]:9000", True),
        ("http://[::1]:9000", "[::1]:9001", False),
        ("http://[fe80::1]", "fe80::/10", True),
        ("http://10.1.2.3", "fe80::/10", False),
        ("http://10.1.2.3", "not/a/network", False),
    ],
)
def test_what_no_proxy_names_is_reached_past_the_proxy(url: str, exceptions: str, is_excepted: bool) -> None:
    way = way_to(url, {"all_proxy": PROXY, "no_proxy": exceptions})

    assert (way.is_direct, way.exception_variable) == (is_excepted, "no_proxy" if is_excepted else "")


def test_an_exception_in_small_letters_wins_over_one_in_capitals() -> None:
    assert not way_to("https://s3.example", {"all_proxy": PROXY, "no_proxy": "x", "NO_PROXY": "*"}).is_direct
    assert way_to("https://s3.example", {"all_proxy": PROXY, "NO_PROXY": "*"}).exception_variable == "NO_PROXY"


def test_a_proxy_that_does_not_speak_http_is_refused_where_it_would_be_asked() -> None:
    environment = {"ALL_PROXY": "socks5://me:hush@proxy.example:1080"}

    with pytest.raises(StoreRefused, match=r"socks5://proxy\.example:1080, which ALL_PROXY names") as refused:
        way_to("https://s3.example", environment)

    assert "hush" not in str(refused.value)
    assert way_to("https://s3.example", {**environment, "NO_PROXY": "s3.example"}).is_direct


def test_a_way_is_spelt_with_who_decided_it_and_without_a_password() -> None:
    environment = {"https_proxy": "http://me:hush@proxy.example:3128"}

    through = way_to("https://s3.example", environment)
    past = way_to("https://s3.example", {**environment, "NO_PROXY": "*"})

    assert str(through) == " by the proxy http://proxy.example:3128 (https_proxy)"
    assert str(past) == " (past the proxy, by NO_PROXY)"
    assert str(way_to("https://s3.example", {})) == ""
    assert "hush" not in repr(through)


def test_the_first_file_of_certificates_that_was_named_is_trusted_and_else_the_systems() -> None:
    system = SYSTEMS[1]

    assert trusted([("--ca-bundle", None), ("AWS_CA_BUNDLE", "/a"), ("SSL_CERT_FILE", "/b")]) == Trust(
        "/a", "AWS_CA_BUNDLE"
    )
    assert trusted([("AWS_CA_BUNDLE", ""), ("SSL_CERT_FILE", "/b")]) == Trust("/b", "SSL_CERT_FILE")
    assert trusted([("--ca-bundle", None)], is_file=lambda path: path == system) == Trust(
        system, "the system's", is_systems=True
    )
    assert trusted([("--ca-bundle", None)], is_file=lambda path: False) == Trust()
