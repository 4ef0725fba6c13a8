"""Flags that several commands have, and how their values are understood."""

import argparse
import os
import re
from collections.abc import Callable, Mapping
from typing import NoReturn

from tablesnap import __version__
from tablesnap.cli.line.confidential import USERINFO
from tablesnap.errors import UsageError
from tablesnap.store.archive import thawing_takes
from tablesnap.store.opening import StoreOptions

SECRETS = ("aws_secret", "aws_token")
PREDECESSORS_ACCESS = ("--aws-key", "--aws-secret", "--aws-token", "--aws-region")
PREDECESSORS_UPLOAD = ("--reduced-redundancy", "--with-sse", "--max-upload-size", "--multipart-chunk-size")

# How the id of a KMS key can look. --with-sse took no value in the predecessor: the word after it is BUCKET otherwise.
KMS_KEY = re.compile(
    r"arn:[^:]+:kms:.+|alias/.+|mrk-[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    re.IGNORECASE,
)
SSE_S3 = "AES256"
# Not those that let everybody read: https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#canned-acl
ACLS = ("bucket-owner-full-control", "bucket-owner-read", "private")
RRS = "REDUCED_REDUNDANCY"
SMALLEST_PART = 5  # MiB, S3's own limit, as is the next
LARGEST_PART = 5120
MIB = 1 << 20

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}
_DURATION = re.compile(r"(?P<number>\d{1,12}(\.\d{1,6})?)(?P<unit>[smhdw]?)", re.ASCII | re.IGNORECASE)
_BYTES = {"": 1, "K": 1 << 10, "M": MIB, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"(?P<number>\d{1,18}(\.\d{1,6})?)(?P<unit>[kmgt]?)(i?b)?", re.ASCII | re.IGNORECASE)

# Of these, argparse's own would be `argparse._ArgumentGroup`, which is private.
AddArgument = Callable[..., argparse.Action]


class Parser(argparse.ArgumentParser):
    """An argparse that leaves it to the caller to report what is wrong."""

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError`."""
        raise UsageError(message.removeprefix("argument "))


def parser_of(prog: str, *, usage: str, description: str, epilog: str) -> Parser:
    """Make the parser of a command, without any flag: it converts values and prints the help."""
    return Parser(
        prog=prog,
        usage=usage,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
        allow_abbrev=False,
    )


def key_flags(add: AddArgument, *prefix: str) -> list[argparse.Action]:
    """Add the flags that say how the daemon made its keys; *prefix* are the names of the first."""
    return [
        add(*prefix, dest="prefix", metavar="TEXT", default="", help="what tablesnap was given as --prefix"),
        add(
            "--keyname-separator",
            metavar="TEXT",
            default=":",
            help="what tablesnap was given as --keyname-separator (default: %(default)s)",
        ),
    ]


def parallel_flag(add: AddArgument, *names: str, default: int, what: str) -> argparse.Action:
    """Add the flag that says how many of *what* are under way at a time."""
    return add(*names, metavar="N", type=at_least(1), default=default, help=f"{what} at a time (default: %(default)s)")


def last_flags(add: AddArgument) -> list[argparse.Action]:
    """Add the flags that print something and end."""
    return [
        add("--version", action="version", version=f"%(prog)s {__version__}", help="print the version and exit"),
        add("-h", "--help", action="help", help="print this and exit"),
    ]


def access_flags(add: AddArgument, *, token: str = "--aws-token", short_names: bool = False) -> list[argparse.Action]:
    """Add the flags that say which store is meant, and who we are to it; the predecessor's commands call one apart.

    *short_names* are those that its purge had for all three.
    """

    def names(*names: str) -> tuple[str, ...]:
        return (*names, names[-1].replace("--aws-", "--")) if short_names else names

    return [
        add(*names("-k", "--aws-key"), metavar="KEY", help="access key id (default: found as the AWS tools find it)"),
        add(
            *names("-s", "--aws-secret"),
            metavar="SECRET",
            help="secret key; better given in AWS_SECRET_ACCESS_KEY or a credentials file. Without -k and -s: the "
            "environment, shared config and credentials files with AWS_PROFILE, SSO, web identity, container or "
            "instance role",
        ),
        add(
            *names(token),
            dest="aws_token",
            metavar="TOKEN",
            help="session token of -k and -s (default: AWS_SECURITY_TOKEN)",
        ),
        add(
            "--aws-region",
            metavar="REGION",
            help="any region (default: AWS_REGION, then the profile's, then the bucket is asked)",
        ),
        add(
            "--endpoint-url",
            metavar="URL",
            type=endpoint,
            help="an S3-compatible store, addressed path style (default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, "
            "then Amazon)",
        ),
        add(
            "--ca-bundle",
            metavar="FILE",
            type=readable_file,
            help="certificates to trust (default: AWS_CA_BUNDLE on S3, REQUESTS_CA_BUNDLE, SSL_CERT_FILE, then the "
            "system's)",
        ),
        add("--request-payer", action="store_true", help="pay for requests to a bucket whose owner does not"),
    ]


def upload_flags(add: AddArgument) -> list[argparse.Action]:
    """Add the flags that say how objects are stored."""
    return [
        add("-R", "--reduced-redundancy", action="store_true", help=f"the same as --storage-class {RRS}"),
        add(
            "--storage-class",
            metavar="CLASS",
            type=not_empty,
            help="storage class of files; indexes have the store's own (default: the store's)",
        ),
        add(
            "--archive",
            action="store_true",
            help="take a --storage-class whose objects cannot be read for hours: each restore must thaw them first",
        ),
        add(
            "--acl", choices=ACLS, help="who may have the objects: for a bucket of another account (default: none sent)"
        ),
        add(
            "--with-sse",
            metavar="KMS-KEY-ID",
            nargs="?",
            help="encrypt on the server: alone with S3's own keys (SSE-S3), with a key's id by KMS. The next word is "
            "taken as an id only if it looks like one; what follows an = always is (default: the bucket's own setting)",
        ),
        add(
            "--max-upload-size",
            metavar="MIB",
            type=at_least(1),
            default=5120,
            help="send larger files in parts (default: %(default)s)",
        ),
        add(
            "--multipart-chunk-size",
            metavar="MIB",
            type=part_size,
            default=256,
            help="size of a part; memory does not grow with it (default: %(default)s)",
        ),
    ]


def credentials(given: argparse.Namespace, environ: Mapping[str, str]) -> tuple[str | None, str | None, str | None]:
    """Return key, secret and token where any was given; else nothing, which leaves it to botocore's chain.

    What is lacking of the two comes from the environment, as in 1.x; an empty value counts as none.
    """
    if not (given.aws_key or given.aws_secret or given.aws_token):
        return None, None, None
    key = given.aws_key or environ.get("AWS_ACCESS_KEY_ID") or None
    secret = given.aws_secret or environ.get("AWS_SECRET_ACCESS_KEY") or None
    if key is None:
        raise UsageError("the access key is missing: add -k KEY or set AWS_ACCESS_KEY_ID")
    if secret is None:
        raise UsageError("the secret key is missing: set AWS_SECRET_ACCESS_KEY or add -s SECRET")
    token = given.aws_token or environ.get("AWS_SECURITY_TOKEN") or None
    if token is None and not (given.aws_key and given.aws_secret):
        token = environ.get("AWS_SESSION_TOKEN") or None  # it belongs to the half that the environment gave
    return key, secret, token


def reading_options(given: argparse.Namespace, environ: Mapping[str, str]) -> StoreOptions:
    """Return what the flags of `access_flags` say of the store."""
    key, secret, token = credentials(given, environ)
    return StoreOptions(
        access_key=key,
        secret_key=secret,
        session_token=token,
        region=given.aws_region or None,
        endpoint_url=given.endpoint_url,
        ca_bundle=given.ca_bundle,
        request_payer=given.request_payer,
    )


def storage_class(given: argparse.Namespace, scheme: str) -> str | None:
    """Return the one storage class that was asked for; an archive only where that is meant."""
    if given.reduced_redundancy and given.storage_class not in (None, RRS):
        raise UsageError(f"-R means --storage-class {RRS}, not {given.storage_class}; leave out one of the two")
    asked: str | None = RRS if given.reduced_redundancy else given.storage_class
    if not scheme:  # with --explain there need be no store
        return asked
    hours = thawing_takes(scheme, asked or "")
    if hours and not given.archive:
        raise UsageError(
            f"--storage-class {asked} is an archive: a restore must first thaw every file, which takes {hours}; "
            "add --archive if that is meant, or take GLACIER_IR on S3, Cold on Azure, which can be read at once"
        )
    if given.archive and not hours:
        raise UsageError("--archive goes with --storage-class GLACIER or DEEP_ARCHIVE (az: Archive); leave it out")
    return asked


def at_least(smallest: int) -> Callable[[str], int]:
    """Make a type of whole numbers."""

    def whole_number(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number; try {max(smallest, 4)}") from None
        if number < smallest:
            raise argparse.ArgumentTypeError(f"{number} is too small; the least is {smallest}")
        return number

    return whole_number


def part_size(text: str) -> int:
    """Understand the size of a part in MiB."""
    size = at_least(1)(text)
    if size < SMALLEST_PART:
        raise argparse.ArgumentTypeError(f"{size} MiB is below S3's minimum for a part; the least is {SMALLEST_PART}")
    if size > LARGEST_PART:
        raise argparse.ArgumentTypeError(f"{size} MiB is above S3's limit for a part; the most is {LARGEST_PART}")
    return size


def duration(text: str) -> float:
    """Understand a length of time, in seconds unless it says otherwise: ``90``, ``30m``, ``12h``, ``1d``, ``2w``."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time; write seconds, or 30m, 12h, 1d, 2w")
    return float(match["number"]) * _SECONDS[match["unit"].lower()]


def size(text: str) -> int:
    """Understand a number of bytes, with the binary units that ``ls -h`` prints: ``500M``, ``1.5G``."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of bytes; write 0, 500M, 20G or 1T")
    return int(float(match["number"]) * _BYTES[match["unit"].upper()])


def mebibytes(size: int) -> int:
    """Return a size in bytes."""
    return size * MIB


def endpoint(text: str) -> str:
    """Understand the address of a store's server."""
    if USERINFO.search(text):
        raise argparse.ArgumentTypeError(
            "the address has a user or a password in it, which no store of ours reads and others may see; write "
            "https://HOST, and give keys in the environment or a credentials file"
        )
    if not re.match(r"https?://[^/]", text):
        if re.fullmatch(r"[\w.-]+(:\d+)?(/.*)?", text, re.ASCII):
            raise argparse.ArgumentTypeError(f"{text!r} lacks its scheme; write http://{text} or https://{text}")
        raise argparse.ArgumentTypeError(f"{text!r} is no address of a server; write https://HOST or http://HOST:PORT")
    return text


def readable_file(text: str) -> str:
    """Expect a file that can be read."""
    try:
        with open(text, "rb"):
            return os.path.abspath(text)
    except OSError as error:
        reason = error.strerror or str(error)
        raise argparse.ArgumentTypeError(f"{text!r} cannot be read ({reason}); name a file of certificates") from None


def not_empty(text: str) -> str:
    """Expect at least one character."""
    if not text:
        raise argparse.ArgumentTypeError("the value is empty; leave out the flag, or say which")
    return text
