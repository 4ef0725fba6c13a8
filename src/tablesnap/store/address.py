"""The BUCKET argument of every command, understood."""

import posixpath
import re
from dataclasses import dataclass

from tablesnap.errors import UsageError

SCHEMES = ("s3", "gs", "az", "file")
FORMS = "give a bucket's name, s3://BUCKET, gs://BUCKET, az://CONTAINER or file:///DIRECTORY"


@dataclass(frozen=True)
class Address:
    """Where a store is: a *bucket* (az: a container, file: a directory) and what goes before every key in it."""

    scheme: str  # one of SCHEMES
    bucket: str
    prefix: str = ""  # empty, or ending in a slash

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")


def parse_address(text: str) -> Address:
    """Understand BUCKET, or raise `UsageError`. Nothing in it is percent-decoded: what is written is what is meant."""
    scheme, colon, rest = text.partition(":")
    if not colon:
        return Address("s3", _bucket(text, text))
    if scheme in ("http", "https") or re.match(r"\d+(/|\Z)", rest):
        server = re.sub(r"(?<!/)/(?!/).*", "", text)
        url = server if rest.startswith("//") else f"http://{server}"
        raise UsageError(
            f"BUCKET {text!r} is a server's address; write --endpoint-url {url}, and the bucket's name alone"
        )
    if scheme not in SCHEMES:
        raise UsageError(f"BUCKET {text!r} begins with no kind of store we know; {FORMS}")
    if scheme == "file":
        return Address("file", _directory(text, rest))
    if not rest.startswith("//"):
        raise UsageError(f"BUCKET {text!r} lacks the two slashes; write {scheme}://{rest.lstrip('/')}")
    bucket, _, path = rest[2:].partition("/")
    # Slashes are taken together as in every key of ours, or the prefix would name what no key can be under.
    segments = [segment for segment in path.split("/") if segment]
    if "." in segments or ".." in segments:
        raise UsageError(f"BUCKET {text!r} has a . or .. in its prefix, which a store takes as it stands; leave it out")
    return Address(scheme, _bucket(bucket, text), "".join(f"{segment}/" for segment in segments))


def _bucket(name: str, text: str) -> str:
    if "/" in name:
        raise UsageError(f"BUCKET {text!r} has a slash in a bare name; write s3://{name} or file:///DIRECTORY")
    if not re.fullmatch(r"[A-Za-z0-9$_][A-Za-z0-9._$-]*", name):
        raise UsageError(f"BUCKET {text!r} names no bucket; {FORMS}")
    return name


def _directory(text: str, rest: str) -> str:
    rest = rest.removeprefix("//")  # file:///dir; what is left begins with a slash unless a host is named
    if not rest.startswith("/") or "\0" in rest:
        raise UsageError(f"BUCKET {text!r} names no absolute directory on this machine; write file:///DIRECTORY")
    # normpath keeps two leading slashes, as POSIX lets it; here they mean nothing.
    directory = "/" + posixpath.normpath(rest).lstrip("/")
    if directory == "/":
        raise UsageError(f"BUCKET {text!r} is the root of this machine; name a directory of its own, file:///DIRECTORY")
    return directory
