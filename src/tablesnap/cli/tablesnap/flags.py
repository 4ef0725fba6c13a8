"""The flags of ``tablesnap``, and its help."""

import argparse
from collections.abc import Sequence

from tablesnap.cli.line import flags
from tablesnap.cli.line.words import Grammar

FORMATS = ("text", "json")
EVENTS = ("IN_MOVED_TO", "IN_CLOSE_WRITE", "IN_CREATE")

# The long flags of 1.2.1, which could be cut short.
_PREDECESSORS = (
    *flags.PREDECESSORS_ACCESS,
    *flags.PREDECESSORS_UPLOAD,
    "--auto-add",
    "--backup",
    "--delete-on-backup",
    "--exclude",
    "--help",
    "--include",
    "--keyname-separator",
    "--listen-events",
    "--md5-on-start",
    "--name",
    "--prefix",
    "--recursive",
    "--retries",
    "--threads",
    "--without-index",
)

_USAGE = """tablesnap [flags] BUCKET PATH [PATH ...]
       tablesnap --explain [flags] [BUCKET] PATH [PATH ...]"""
_DESCRIPTION = """\
Watch each PATH and copy every finished file to BUCKET within moments of its
birth, with a list of what else was in its directory, so that the directory can
be restored as it was at that moment.

BUCKET is a bucket's name (Amazon S3), s3://BUCKET/PREFIX, gs://BUCKET/PREFIX,
az://CONTAINER/PREFIX or file:///DIRECTORY. PATH is an existing directory.

In the directories of Cassandra's tables its transactions are followed, so that
each restore point holds the rows of its moment.
"""
_EPILOG = """\
examples:
  tablesnap -r -a -B my-bucket /var/lib/cassandra/data
      every table of a Cassandra node of any version, what is there already
      included
  tablesnap --explain my-bucket /var/lib/cassandra/data
      how many files of each table are protected, how many not, and why
  tablesnap -r -a -B -e=-tmp -e /system/ s3://my-bucket/prod /data1 /data2
      two data directories, without one keyspace, under prod/ in the bucket
  tablesnap -r -B --endpoint-url https://minio.example:9000 my-bucket /srv/files
      a store of your own
  tablesnap -r -B file:///mnt/backup /srv/files
      a directory, no server at all

environment:
  AWS_...           what the AWS tools read: keys, profile, region, endpoint
  TABLESNAP_SYSLOG  if not empty, log to syslog (facility daemon)
  TDEBUG            if not empty, log at DEBUG

signals:
  TERM, INT   finish what is in flight, then exit; a second one exits at once
  HUP         look at every directory again

exit codes:
  0 told to stop   1 failed   2 wrong usage   130 interrupted
  3 told to stop, and something waits that the store did not take
  with --explain: 0 nothing is pending or unknown   3 something is
"""


def make_parser() -> tuple[flags.Parser, list[argparse.Action]]:
    """Make the parser that converts values and prints the help, and return all its flags beside it."""
    parser = flags.parser_of("tablesnap", usage=_USAGE, description=_DESCRIPTION, epilog=_EPILOG)
    actions = [
        *_watching(parser.add_argument_group("what to watch").add_argument),
        *_choosing(parser.add_argument_group("what to back up, and how").add_argument),
        *_recording(parser.add_argument_group("the restore points of Cassandra's tables").add_argument),
        *_naming(parser.add_argument_group("names in the store").add_argument),
        *flags.access_flags(parser.add_argument_group("the store").add_argument),
        *flags.upload_flags(parser.add_argument_group("how objects are stored").add_argument),
        *_telling(parser.add_argument_group("other").add_argument),
    ]
    return parser, actions


def grammar_of(actions: Sequence[argparse.Action]) -> Grammar:
    """Make the grammar that sorts this command's words."""
    return Grammar(actions, abbreviable=_PREDECESSORS, shapes={"with_sse": flags.KMS_KEY})


def _watching(add: flags.AddArgument) -> list[argparse.Action]:
    return [
        add("-r", "--recursive", action="store_true", help="watch what is below each PATH too; links are not followed"),
        add("-a", "--auto-add", action="store_true", help="watch new sub-directories as they appear"),
        add(
            "--listen-events",
            metavar="EVENT",
            action="append",
            choices=EVENTS,
            help="what shows that a file other than an sstable's is finished: IN_MOVED_TO (the default), "
            "IN_CLOSE_WRITE or IN_CREATE; may be repeated, and then takes the place of the default",
        ),
    ]


def _choosing(add: flags.AddArgument) -> list[argparse.Action]:
    return [
        add("-B", "--backup", action="store_true", help="at start, upload what is there already and not yet stored"),
        add(
            "--md5-on-start",
            action="store_true",
            help="at start, compare the content of files with what is stored, not their size and time alone",
        ),
        add(
            "-e",
            "--exclude",
            metavar="RE",
            nargs="+",
            action="extend",
            help="leave out files whose absolute path matches one of these regular expressions; may be repeated "
            "(default: leave out files with -tmp in their name). The backups/ and snapshots/ of a table are left out "
            "unless PATH names them or -i has that word in it",
        ),
        add(
            "-i",
            "--include",
            metavar="RE",
            nargs="+",
            action="extend",
            help="back up only files whose absolute path matches one of these; may be repeated; not with -e",
        ),
        add("--without-index", action="store_true", help="store files alone, without the lists that restore needs"),
        add(
            "--delete-on-backup",
            action="store_true",
            help="delete each file here once a restore point names it, for archives "
            "of commit logs say; never an sstable in the directory of a table",
        ),
        add(
            "-t",
            "--threads",
            metavar="N",
            type=flags.at_least(1),
            default=4,
            help="uploads at once (default: %(default)s)",
        ),
        add(
            "--retries",
            metavar="N",
            type=flags.at_least(0),
            help="try a failed upload N times more, then report the file as missing; an outage of the store does not "
            "count (default: for ever)",
        ),
    ]


def _recording(add: flags.AddArgument) -> list[argparse.Action]:
    return [
        add(
            "--base-interval",
            metavar="DURATION",
            type=flags.duration,
            default="1d",
            help="take a base of a table this often if anything was compacted: seconds, or 30m, 12h, 1d, 2w; 0: after "
            "every compaction (default: %(default)s)",
        ),
        add(
            "--index-interval",
            metavar="DURATION",
            type=flags.duration,
            default="10s",
            help="record a table's changes at most this often; 0: after every commit. A large index is written less "
            "often (default: %(default)s)",
        ),
        add(
            "--pin-limit",
            metavar="SIZE",
            type=flags.size,
            help="keep at most so many bytes of deleted files on the disk until they are stored: 500M, 20G; 0 keeps "
            "none (default: a tenth of the file system)",
        ),
    ]


def _naming(add: flags.AddArgument) -> list[argparse.Action]:
    return [
        add(
            "-n",
            "--name",
            metavar="NAME",
            help="the node's name, with which keys begin (default: this host's fully qualified name)",
        ),
        add("-p", "--prefix", metavar="TEXT", default="", help="put in front of NAME as it is (default: nothing)"),
        add(
            "--keyname-separator",
            metavar="TEXT",
            default=":",
            help="put between NAME and the path (default: %(default)s)",
        ),
    ]


def _telling(add: flags.AddArgument) -> list[argparse.Action]:
    return [
        add(
            "--explain",
            action="store_true",
            help="back up nothing, but say of each table in PATH, or below it, how many of its files are protected, "
            "pending, excluded, not live or unknown, and why; without BUCKET the store is not asked",
        ),
        add("-v", "--verbose", action="store_true", help="with --explain: a line for every file"),
        add("--json", action="store_true", help="with --explain: one JSON object a line, for every file"),
        add("--log-format", choices=FORMATS, default="text", help="how log lines look (default: %(default)s)"),
        *flags.last_flags(add),
    ]
