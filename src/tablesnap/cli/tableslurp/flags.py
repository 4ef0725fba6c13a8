"""The command line of ``tableslurp``, understood."""

import argparse
import grp
import os
import pwd
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tablesnap.cli.line import flags
from tablesnap.cli.line.moments import moment
from tablesnap.cli.line.places import on_node, on_node_or_table
from tablesnap.cli.line.slips import bucket_of, expect_quoted, expect_words
from tablesnap.cli.line.words import Grammar, sort_out
from tablesnap.errors import UsageError
from tablesnap.restore.request import ALL, NEWER, Request
from tablesnap.rules.keys import Keys
from tablesnap.store.address import Address
from tablesnap.store.opening import StoreOptions

THREADS = 8
_LAST_ID = (1 << 32) - 2  # the one after it means to change nothing

_USAGE = "tableslurp [flags] BUCKET ORIGIN TARGET"
_DESCRIPTION = """\
Restore the directory ORIGIN of a node, as it was backed up to BUCKET, into
TARGET: as of its newest restore point, or with --at as of a moment. With -r
every table and directory below ORIGIN: a keyspace, a data directory, a node.
A table may be called KEYSPACE.TABLE, or by its path without the id.

What is going to be done is printed first, and nothing is done if anything
stands in its way. A file that is there with the right content is not fetched
again, so a restore that was interrupted goes on when it is run again.

BUCKET is a bucket's name (Amazon S3), s3://BUCKET/PREFIX, gs://BUCKET/PREFIX,
az://CONTAINER/PREFIX or file:///DIRECTORY.
"""
_EPILOG = """\
examples:
  tableslurp -n node1 my-bucket shop.users /tmp/users
      one table, as of now
  tableslurp -r --at '2h ago' -n node1 my-bucket /var/lib/cassandra/data /new
      all tables of a node, as they were two hours ago
  tableslurp -r --dry-run -n node1 my-bucket /var/lib/cassandra/data/shop /new
      only say what would be done

exit codes:
  0 all was restored     1 failed, or something stands in the way
  2 wrong usage          3 restored, but something is missing or left out
  130 interrupted
"""


@dataclass(frozen=True)
class Options:
    """The whole command line, understood."""

    address: Address
    store: StoreOptions
    request: Request
    threads: int
    thaw: int | None  # days
    dry_run: bool
    json: bool


def make_parser() -> tuple[flags.Parser, list[argparse.Action]]:
    """Make the parser that converts values and prints the help, and return all its flags beside it."""
    parser = flags.parser_of("tableslurp", usage=_USAGE, description=_DESCRIPTION, epilog=_EPILOG)
    add = parser.add_argument_group("what to restore").add_argument
    actions = [
        add("-n", "--name", metavar="NAME", help="node that was backed up (default: this host's full name)"),
        add("-r", "--recursive", action="store_true", help="every directory at and below ORIGIN"),
        add("--at", metavar="TIME", help="newest complete restore point not later: 2026-11-22T20:25:00Z, '2h ago'"),
        add("-f", "--file", metavar="FILE", help="the restore point recorded when FILE had been stored"),
        add(
            "--allow-missing",
            action="store_true",
            help="take an incomplete restore point without what is missing of it",
        ),
        add(
            "--allow-mixed-schema",
            action="store_true",
            help="restore the tables of system_schema though they are of different moments",
        ),
        add(
            "--allow-other-types",
            action="store_true",
            help="restore sstables though the table has columns of other types now: they may show wrong bytes",
        ),
        add(
            "--from-objects",
            metavar=f"{NEWER}|{ALL}",
            nargs="?",
            help="besides the newest complete restore point take the sstables that were stored later, or all there "
            "are: nothing is lost, and deleted rows may show again (default: %(const)s)",
            const=NEWER,
        ),
        add("--commitlogs", metavar="DIR", help="also the commit log segments archived from this directory"),
        add(
            "--thaw",
            metavar="DAYS",
            type=flags.at_least(1),
            help="have the store thaw the archived files, so that they can be read for DAYS; then run the same again",
        ),
        *flags.key_flags(add, "--prefix"),
    ]
    add = parser.add_argument_group("where to").add_argument
    actions += [
        add("--data-dir", metavar="OLD=NEW", action="append", default=[], help="restore this data directory there"),
        add(
            "--table-dir",
            metavar="OLD=NEW",
            action="append",
            default=[],
            help="a table's directory under another name, as its id differs: users-5a1c...=users-9f3b...",
        ),
        add("--force", action="store_true", help="replace files that are there with other content"),
        add("--exact", action="store_true", help="remove what the restore point does not name"),
        add("-p", "--preserve", action="store_true", help="mode, owner and times as recorded"),
        add("--set-ids", action="store_true", help="with -p: set-user-ID, set-group-ID and sticky bits too"),
        add("-o", "--owner", metavar="USER", type=_user, help="whose the files are to be (default: the caller's)"),
        add("-g", "--group", metavar="GROUP", type=_group, help="and which group's"),
    ]
    actions += flags.access_flags(parser.add_argument_group("the store").add_argument, token="--token")
    add = parser.add_argument_group("other").add_argument
    actions += [
        flags.parallel_flag(add, "-t", "--threads", default=THREADS, what="files"),
        add("--dry-run", action="store_true", help="say what would be done, and stop"),
        add("--json", action="store_true", help="the plan, and how it ended, as a JSON object each"),
        *flags.last_flags(add),
    ]
    return parser, actions


def grammar_of(actions: Sequence[argparse.Action]) -> Grammar:
    """Make the grammar that sorts this command's words."""
    names = [name for action in actions for name in action.option_strings if name in _PREDECESSORS]
    return Grammar(actions, abbreviable=names, shapes={"from_objects": re.compile(f"{NEWER}|{ALL}")})


_PREDECESSORS = (
    "--aws-key",
    "--aws-secret",
    "--token",
    "--aws-region",
    "--preserve",
    "--owner",
    "--group",
    "--threads",
    "--file",
    "--force",
    "--name",
    "--recursive",
    "--commitlogs",
    "--help",
)


def parse(argv: Sequence[str], environ: Mapping[str, str], now: datetime) -> Options:
    """Understand a command line, or raise `UsageError`."""
    parser, actions = make_parser()
    normal, words = sort_out(grammar_of(actions).scan(argv))
    given = parser.parse_args(normal)
    expect_quoted(given.at, words)
    expect_words(words, ("BUCKET", "ORIGIN", "TARGET"))
    _expect_compatible(given)
    bucket = bucket_of(words, "ORIGIN")
    return Options(
        address=replace(bucket, prefix=""),
        store=flags.reading_options(given, environ),
        request=_request(given, bucket, words[1], words[2], now),
        threads=given.threads,
        thaw=given.thaw,
        dry_run=given.dry_run,
        json=given.json,
    )


def _request(given: argparse.Namespace, bucket: Address, origin: str, target: str, now: datetime) -> Request:
    target = os.path.abspath(target)
    origin = on_node_or_table(origin, "ORIGIN")
    data_dirs = {
        on_node(old, "--data-dir"): os.path.abspath(new) for old, new in map(_pair("--data-dir"), given.data_dir)
    }
    commitlogs = on_node(given.commitlogs, "--commitlogs") if given.commitlogs else ""
    return Request(
        keys=Keys(bucket.prefix + given.prefix, given.name or socket.getfqdn(), given.keyname_separator),
        origin=origin,
        target=target,
        recursive=given.recursive,
        at=moment(given.at, now) if given.at is not None else None,
        file=given.file or "",
        from_objects=given.from_objects or "",
        allow_missing=given.allow_missing,
        allow_mixed_schema=given.allow_mixed_schema,
        allow_other_types=given.allow_other_types,
        force=given.force,
        exact=given.exact,
        preserve=given.preserve,
        set_ids=given.set_ids,
        owner=given.owner,
        group=given.group,
        data_dirs=data_dirs,
        table_dirs=dict(map(_pair("--table-dir"), given.table_dir)),
        commitlogs=commitlogs,
    )


def _expect_compatible(given: argparse.Namespace) -> None:
    if given.from_objects not in (None, NEWER, ALL):
        raise UsageError(f"--from-objects={given.from_objects} is neither {NEWER} nor {ALL}")
    for flag, text in (("-f", given.file), ("--commitlogs", given.commitlogs), ("-n", given.name)):
        if text == "":
            raise UsageError(f"{flag} has an empty value: is a variable not set? Leave the flag out, or say which")
    if given.set_ids and not given.preserve:
        raise UsageError("--set-ids is of use with -p alone; give both")
    for one, flag, others in (
        (given.file, "-f", {"--at": given.at, "-r": given.recursive, "--commitlogs": given.commitlogs}),
        (given.from_objects, "--from-objects", {"--at": given.at, "-f": given.file, "--exact": given.exact}),
        (given.commitlogs, "--commitlogs", {"--exact": given.exact}),
        (given.allow_missing, "--allow-missing", {"--exact": given.exact, "--from-objects": given.from_objects}),
    ):
        for other, is_given in others.items():
            if one and is_given:
                raise UsageError(f"{flag} and {other} do not go together; leave out one")


def _pair(flag: str) -> Callable[[str], tuple[str, str]]:
    def pair(text: str) -> tuple[str, str]:
        old, equals, new = text.partition("=")
        if not (old and equals and new):
            raise UsageError(f"{flag} {text!r} is no pair; write {flag} OLD=NEW")
        return old, new

    return pair


def _user(text: str) -> int:
    try:
        return _id(text) if text.isdecimal() else pwd.getpwnam(text).pw_uid
    except KeyError:
        raise argparse.ArgumentTypeError(f"there is no user {text!r} on this machine; give one, or a number") from None


def _group(text: str) -> int:
    try:
        return _id(text) if text.isdecimal() else grp.getgrnam(text).gr_gid
    except KeyError:
        raise argparse.ArgumentTypeError(f"there is no group {text!r} on this machine; give one, or a number") from None


def _id(text: str) -> int:
    number = int(text)
    if number > _LAST_ID:
        raise argparse.ArgumentTypeError(f"{text} is no id; the largest is {_LAST_ID}")
    return number
