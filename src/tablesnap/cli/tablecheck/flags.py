"""The command line of ``tablecheck``, understood."""

import argparse
import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tablesnap.cli.line import flags
from tablesnap.cli.line.places import of_the_store, on_node_or_table
from tablesnap.cli.line.slips import bucket_of, expect_words
from tablesnap.cli.line.words import Grammar, sort_out
from tablesnap.errors import UsageError
from tablesnap.rules.selection import Selection
from tablesnap.store.address import Address
from tablesnap.store.opening import StoreOptions
from tablesnap.verify.share import Share

THREADS = 16  # that ask the store, and mostly wait for it

_USAGE = "tablecheck [flags] BUCKET [PATH]"
_DESCRIPTION = """\
Prove what is stored in BUCKET: every index can be read, every object that one
names is there with the right size, and the store's own checksum of it is that
of the file. With PATH only what was at or below that directory of the node,
or of the table that has this name, as in shop.users.
Nothing is downloaded but indexes, unless --read or --sample says so.

BUCKET is a bucket's name (Amazon S3), s3://BUCKET/PREFIX, gs://BUCKET/PREFIX,
az://CONTAINER/PREFIX or file:///DIRECTORY.
"""
_EPILOG = """\
examples:
  tablecheck my-bucket
      every restore point of every node
  tablecheck --sample 1/100 --textfile /var/lib/node_exporter/tablecheck.prom \\
      my-bucket
      each day another share is downloaded too; figures for Prometheus
  tablecheck -n node1 --against /var/lib/cassandra/data --tolerate 15m my-bucket
      also what is live on this machine, and is not protected for a while

exit codes:
  0 all is right   1 failed   2 wrong usage
  3 something is wrong, or could not be checked   130 interrupted
"""
_SHARE = re.compile(r"1/(?P<of>[1-9]\d{0,8})", re.ASCII)


@dataclass(frozen=True)
class Against:
    """What is compared with the newest restore points."""

    paths: tuple[str, ...]  # absolute, links as they were given, for keys carry the names
    selection: Selection
    tolerate: float  # seconds that a file may be unprotected
    avoid: tuple[str, ...] = ()  # where the store is, if that is a directory


@dataclass(frozen=True)
class Options:
    """The whole command line, understood."""

    address: Address
    store: StoreOptions
    prefix: str
    separator: str
    node: str | None  # None: all there are
    path: str | None
    share: Share
    archive: bool
    threads: int
    against: Against | None
    json: bool
    textfile: str | None


def make_parser() -> tuple[flags.Parser, list[argparse.Action]]:
    """Make the parser that converts values and prints the help, and return all its flags beside it."""
    parser = flags.parser_of("tablecheck", usage=_USAGE, description=_DESCRIPTION, epilog=_EPILOG)
    add = parser.add_argument_group("what to check").add_argument
    actions = [
        add("-n", "--name", metavar="NAME", type=flags.not_empty, help="only this node (default: all there are)"),
        *flags.key_flags(add, "--prefix", "-p"),
        add("--read", action="store_true", help="download every object, and compare all its bytes"),
        add("--sample", metavar="1/N", type=_share, help="download one of N shares, each day another"),
        add(
            "--archive", action="store_true", help="files are archived on purpose: what cannot be read now is no fault"
        ),
    ]
    add = parser.add_argument_group("what is on the disk").add_argument
    actions += [
        add(
            "--against",
            metavar="PATH",
            action="append",
            help="what is live at or below PATH on this machine, and in no restore point of NAME (default then: this "
            "host's full name); again for more",
        ),
        add(
            "--tolerate",
            metavar="TIME",
            type=flags.duration,
            help="with --against: a file may be unprotected for so long, such as 15m (default: 0)",
        ),
        add("-e", "--exclude", metavar="REGEX", action="append", type=_pattern, help="as tablesnap; again for more"),
        add("-i", "--include", metavar="REGEX", action="append", type=_pattern, help="as tablesnap; again for more"),
    ]
    actions += flags.access_flags(parser.add_argument_group("the store").add_argument)
    add = parser.add_argument_group("other").add_argument
    actions += [
        flags.parallel_flag(add, "-t", "--threads", default=THREADS, what="objects checked"),
        add("--json", action="store_true", help="one JSON object a line: each fault, each table, and the summary"),
        add("--textfile", metavar="FILE.prom", help="write figures for the textfile collector of node exporter"),
        *flags.last_flags(add),
    ]
    return parser, actions


def grammar_of(actions: Sequence[argparse.Action]) -> Grammar:
    """Make the grammar that sorts this command's words."""
    return Grammar(actions, abbreviable=(), shapes={})


def parse(argv: Sequence[str], environ: Mapping[str, str], now: datetime) -> Options:
    """Understand a command line, or raise `UsageError`."""
    parser, actions = make_parser()
    normal, words = sort_out(grammar_of(actions).scan(argv))
    given = parser.parse_args(normal)
    expect_words(words, ("BUCKET", "PATH"), least=1)
    if given.read and given.sample is not None:
        raise UsageError("--read downloads everything, --sample a share of it; leave out one")
    bucket = bucket_of(words, "PATH")
    against = _against(given, bucket)
    return Options(
        address=replace(bucket, prefix=""),
        store=flags.reading_options(given, environ),
        prefix=bucket.prefix + given.prefix,
        separator=given.keyname_separator,
        node=given.name or (socket.getfqdn() if against is not None else None),
        path=on_node_or_table(words[1], "PATH") if len(words) > 1 else None,
        share=Share(of=1 if given.read else given.sample or 0, day=now.toordinal()),
        archive=given.archive,
        threads=given.threads,
        against=against,
        json=given.json,
        textfile=_textfile(given.textfile) if given.textfile is not None else None,
    )


def _against(given: argparse.Namespace, bucket: Address) -> Against | None:
    if given.against is None:
        for flag, value in (("--tolerate", given.tolerate), ("-e", given.exclude), ("-i", given.include)):
            if value is not None:
                raise UsageError(f"{flag} says what --against is to leave alone; add --against PATH, or leave it out")
        return None
    if given.exclude and given.include:
        raise UsageError("-e and -i do not go together; leave out one, or say it all in one pattern")
    for path in given.against:
        if not os.path.isdir(path):
            raise UsageError(f"--against {path!r} is no directory of this machine; correct it")
    # POSIX lets abspath keep two leading slashes; here they mean nothing.
    paths = dict.fromkeys("/" + os.path.abspath(path).lstrip("/") for path in given.against)
    selection = Selection(include=tuple(given.include or ()), exclude=tuple(given.exclude or ()))
    return Against(tuple(paths), selection, given.tolerate or 0.0, of_the_store(bucket))


def _textfile(text: str) -> str:
    path = os.path.abspath(text)
    # Found out now, and not when the check has taken its hours.
    if os.path.isdir(path) or not os.access(os.path.dirname(path), os.W_OK | os.X_OK):
        raise UsageError(f"--textfile {text!r} cannot be written; name a file in a directory that can be")
    return path


def _share(text: str) -> int:
    match = _SHARE.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no share; write 1/100 for a hundredth")
    return int(match["of"])


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error.msg}") from None
