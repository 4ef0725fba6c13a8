"""The command line of ``tablechop``, understood."""

import argparse
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from tablesnap.cli.line import flags
from tablesnap.cli.line.places import on_node_or_table
from tablesnap.cli.line.slips import bucket_of, expect_words
from tablesnap.cli.line.words import Grammar, sort_out
from tablesnap.errors import UsageError
from tablesnap.rules.keys import Keys
from tablesnap.rules.retention import GRACE_SECONDS
from tablesnap.store.address import Address
from tablesnap.store.opening import StoreOptions

GRACE = timedelta(seconds=GRACE_SECONDS)
READERS = 16  # indexes read at a time

_USAGE = "tablechop [flags] BUCKET PATH AGE"
_DESCRIPTION = """\
Forget what was recorded at or below the directory PATH of the node more than
AGE ago, but for what is needed to restore any moment since; then delete the
objects that nothing needs any more. AGE is a number of days, or 36h, 10d, 2w.

Kept for ever: the newest restore point of every table, and the newest that is
complete. An object that no index names is deleted only if it is older than a
day, and an index that was written a day after it does not name it. A table
with an index that cannot be read is left alone.

BUCKET is a bucket's name (Amazon S3), s3://BUCKET/PREFIX, gs://BUCKET/PREFIX,
az://CONTAINER/PREFIX or file:///DIRECTORY.
"""
_EPILOG = """\
examples:
  tablechop --dry-run -n node1 my-bucket /var/lib/cassandra/data 30
      what would be kept, forgotten and deleted, and why
  tablechop -n node1 --limit 20% my-bucket /var/lib/cassandra/data 30
      do it, unless that is more than a fifth of what there is
  tablechop -n node1 --keep-daily 30 --keep-monthly 12 my-bucket / 2w
      all of two weeks, then one a day for a month and one a month for a year

exit codes:
  0 done   1 failed, or not everything could be deleted   2 wrong usage
  3 a table was left alone, and why is said   130 interrupted
"""

_SPAN = re.compile(r"(?P<number>\d{1,6}(\.\d{1,6})?)(?P<unit>[hdw]?)", re.ASCII | re.IGNORECASE)
_HOURS = {"": 24, "h": 1, "d": 24, "w": 7 * 24}
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%?", re.ASCII)
_PREDECESSORS = ["--debug", "--list-deletes", "--parallel", "--key", "--secret", "--token", "--aws-region", "--name"]


@dataclass(frozen=True)
class Keep:
    """What is kept besides what AGE keeps."""

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0


@dataclass(frozen=True)
class Options:
    """The whole command line, understood."""

    address: Address
    store: StoreOptions
    keys: Keys
    path: str
    age: timedelta | None  # None where it is --forget-all or --freshen
    forget_all: bool
    freshen: bool
    keep: Keep
    grace: timedelta
    unindexed_age: timedelta | None
    limit: float | None  # of 1
    readers: int
    dry_run: bool
    list_deletes: bool
    yes: bool
    json: bool


def make_parser() -> tuple[flags.Parser, list[argparse.Action]]:
    """Make the parser that converts values and prints the help, and return all its flags beside it."""
    parser = flags.parser_of("tablechop", usage=_USAGE, description=_DESCRIPTION, epilog=_EPILOG)
    add = parser.add_argument_group("whose").add_argument
    actions = [
        add("-n", "--name", metavar="NAME", type=flags.not_empty, help="the node (default: this machine's full name)"),
        *flags.key_flags(add, "--prefix", "-p"),
    ]
    actions += _keeping_flags(parser.add_argument_group("what to keep besides").add_argument)
    actions += _caution_flags(parser.add_argument_group("how far to go").add_argument)
    actions += flags.access_flags(parser.add_argument_group("the store").add_argument, short_names=True)
    add = parser.add_argument_group("other").add_argument
    actions += [
        add("-l", "--list-deletes", action="store_true", help="print the key of every object that is deleted"),
        add("--json", action="store_true", help="one JSON object a line"),
        flags.parallel_flag(add, "-j", "--parallel", default=READERS, what="indexes read"),
        *flags.last_flags(add),
    ]
    return parser, actions


def _keeping_flags(add: flags.AddArgument) -> list[argparse.Action]:
    number = flags.at_least(0)
    return [
        add("--keep-last", metavar="N", type=number, default=0, help="the last N complete restore points"),
        add(
            "--keep-hourly",
            metavar="N",
            type=number,
            default=0,
            help="of the last N hours that have a complete one, the last of each",
        ),
        add("--keep-daily", metavar="N", type=number, default=0, help="the same by days, in UTC"),
        add("--keep-weekly", metavar="N", type=number, default=0, help="the same by weeks, which begin on Monday"),
        add("--keep-monthly", metavar="N", type=number, default=0, help="the same by months"),
    ]


def _caution_flags(add: flags.AddArgument) -> list[argparse.Action]:
    return [
        add(
            "-d",
            "--debug",
            "--dry-run",
            dest="dry_run",
            action="store_true",
            help="delete nothing; print the plan, with a reason for every restore point",
        ),
        add(
            "--limit",
            metavar="SHARE",
            type=share,
            help="delete nothing if that were more than this share of the objects or of their bytes, such as 10%%, "
            "unless with --yes",
        ),
        add("--yes", action="store_true", help="do it in spite of --limit; or do it with --forget-all"),
        add(
            "--unindexed-older-than",
            metavar="AGE",
            type=span,
            help="delete also what no index can speak for and is older than AGE: what a daemon without indexes "
            "stored, or one that was lost after its last (default: it is reported and kept)",
        ),
        add(
            "--grace",
            metavar="AGE",
            type=grace,
            default=GRACE,
            help="how long an object may be on its way into an index; 24h at least (default: 24h)",
        ),
        add(
            "--forget-all",
            action="store_true",
            help="without AGE: delete everything at and below PATH, of a node that is out of service or a table that "
            "was dropped. Without --yes it prints the plan. Not with --limit",
        ),
        add(
            "--freshen",
            action="store_true",
            help="without AGE, where a bucket's own lifecycle rules delete by age: delete nothing, but copy onto "
            "itself what the newest restore points name and is past half of its time",
        ),
    ]


def span(text: str) -> timedelta:
    """Understand an AGE. Minutes are refused: ``6m`` is half a year to some."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no age; write a number of days, or 36h, 10d, 2w")
    return timedelta(hours=float(match["number"]) * _HOURS[match["unit"].lower()])


def grace(text: str) -> timedelta:
    """Understand a grace period."""
    found = span(text)
    if found < GRACE:
        raise argparse.ArgumentTypeError(
            f"{text} is too short: daemons rely on 24h, and could record what is deleted; the least is 24h"
        )
    return found


def share(text: str) -> float:
    """Understand a share, as a part of 1."""
    match = _SHARE.fullmatch(text)
    if match is None or float(match[1]) > 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no share; write 10%")
    return float(match[1]) / 100


def grammar_of(actions: Sequence[argparse.Action]) -> Grammar:
    """Make the grammar that sorts this command's words."""
    return Grammar(actions, abbreviable=_PREDECESSORS, shapes={})


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Options:
    """Understand a command line, or raise `UsageError`."""
    parser, actions = make_parser()
    normal, words = sort_out(grammar_of(actions).scan(argv))
    given = parser.parse_args(normal)
    age = _age(given, words)
    bucket = bucket_of(words, "PATH")
    return Options(
        address=replace(bucket, prefix=""),
        store=flags.reading_options(given, environ),
        keys=Keys(bucket.prefix + given.prefix, given.name or socket.getfqdn(), given.keyname_separator),
        path=on_node_or_table(words[1], "PATH"),
        age=age,
        forget_all=given.forget_all,
        freshen=given.freshen,
        keep=Keep(given.keep_last, given.keep_hourly, given.keep_daily, given.keep_weekly, given.keep_monthly),
        grace=given.grace,
        unindexed_age=given.unindexed_older_than,
        limit=given.limit,
        readers=given.parallel,
        dry_run=given.dry_run or (given.forget_all and not given.yes),
        list_deletes=given.list_deletes,
        yes=given.yes,
        json=given.json,
    )


def _age(given: argparse.Namespace, words: Sequence[str]) -> timedelta | None:
    if given.forget_all or given.freshen:
        mode = "--forget-all" if given.forget_all else "--freshen"
        keeping = given.unindexed_older_than is not None or any(vars(given)[f"keep_{name}"] for name in vars(Keep()))
        if given.forget_all and given.freshen:
            raise UsageError("--forget-all and --freshen do not go together; leave out one")
        if len(words) == 3:
            raise UsageError(f"give BUCKET and PATH with {mode}, and no AGE: it goes by none")
        expect_words(words, ("BUCKET", "PATH"))
        if given.forget_all and given.limit is not None:
            # A limit that --yes lifts would be lifted by the very word that confirms --forget-all.
            raise UsageError(
                "--limit and --forget-all do not go together: --yes would confirm both. Leave out --limit; "
                "--forget-all alone prints what would go, and with --yes deletes it"
            )
        if keeping or given.limit is not None:
            raise UsageError(f"with {mode} leave out --keep-..., --unindexed-older-than and --limit")
        return None
    expect_words(words, ("BUCKET", "PATH", "AGE"))
    try:
        return span(words[2])
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"AGE {error}") from None
