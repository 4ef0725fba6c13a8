"""The command line of ``tablelist``, understood."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tablesnap.cli.line import flags
from tablesnap.cli.line.moments import moment
from tablesnap.cli.line.places import on_node_or_table
from tablesnap.cli.line.slips import bucket_of, expect_quoted, expect_words
from tablesnap.cli.line.words import Grammar, sort_out
from tablesnap.errors import UsageError
from tablesnap.store.address import Address
from tablesnap.store.opening import StoreOptions

_USAGE = "tablelist [flags] BUCKET [PATH]"
_DESCRIPTION = """\
List what can be restored from BUCKET: nodes, and of each the tables and other
directories with their restore points. With PATH only what was at or below
that directory of the node; where PATH is a table's own, or its name, as in
shop.users, its restore points.

BUCKET is a bucket's name (Amazon S3), s3://BUCKET/PREFIX, gs://BUCKET/PREFIX,
az://CONTAINER/PREFIX or file:///DIRECTORY.
"""
_EPILOG = """\
examples:
  tablelist my-bucket
      every node and table: restore points, sizes, whether the newest is whole
  tablelist -n node2 my-bucket shop.users
      the restore points of one table, and the gaps between them
  tablelist --at '2h ago' my-bucket
      what tableslurp --at takes of each table, and where that is older
  tablelist --report report.html my-bucket
      one page to look at, to print or to send

exit codes:
  0 all that was listed can be restored   1 failed   2 wrong usage
  3 something is incomplete, unreadable or without an index   130 interrupted
"""


@dataclass(frozen=True)
class Options:
    """The whole command line, understood."""

    address: Address
    store: StoreOptions
    prefix: str
    separator: str
    node: str | None  # None: all there are
    path: str | None
    at: datetime | None  # None: all moments
    json: bool
    report: str | None

    @property
    def where(self) -> tuple[str, ...]:
        """The flags, without any secret, by which another command finds the same in the same store."""
        given = {
            "--prefix": self.prefix,
            "--keyname-separator": self.separator if self.separator != ":" else "",
            "--endpoint-url": self.store.endpoint_url,
            "--aws-region": self.store.region,
            "--ca-bundle": self.store.ca_bundle,
        }
        pays = ("--request-payer",) if self.store.request_payer else ()
        return (*pays, *(word for flag, value in given.items() if value for word in (flag, value)))


def make_parser() -> tuple[flags.Parser, list[argparse.Action]]:
    """Make the parser that converts values and prints the help, and return all its flags beside it."""
    parser = flags.parser_of("tablelist", usage=_USAGE, description=_DESCRIPTION, epilog=_EPILOG)
    add = parser.add_argument_group("what to list").add_argument
    actions = [
        add("-n", "--name", metavar="NAME", type=flags.not_empty, help="only this node (default: all there are)"),
        add("--at", metavar="TIME", help="what a restore takes as of then: 2026-11-22T20:25:00Z, '2h ago'"),
        *flags.key_flags(add, "--prefix", "-p"),
    ]
    actions += flags.access_flags(parser.add_argument_group("the store").add_argument)
    add = parser.add_argument_group("other").add_argument
    actions += [
        add("--json", action="store_true", help="one JSON object a line"),
        add("--report", metavar="FILE.html", help="write a page with a timeline of each table"),
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
    expect_quoted(given.at, words)
    expect_words(words, ("BUCKET", "PATH"), least=1)
    if given.json and given.report is not None:
        raise UsageError("give --json or --report, not both: each says what to do with the listing")
    if given.at is not None and given.report is not None:
        raise UsageError("give --at or --report, not both: the report is of all moments")
    bucket = bucket_of(words, "PATH")
    return Options(
        address=replace(bucket, prefix=""),
        store=flags.reading_options(given, environ),
        prefix=bucket.prefix + given.prefix,
        separator=given.keyname_separator,
        node=given.name,
        path=on_node_or_table(words[1], "PATH") if len(words) > 1 else None,
        at=moment(given.at, now) if given.at is not None else None,
        json=given.json,
        report=given.report,
    )
