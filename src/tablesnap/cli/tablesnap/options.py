"""The command line of ``tablesnap``, understood."""

import argparse
import os
import re
import shlex
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tablesnap.cli.line import flags
from tablesnap.cli.line.places import (
    expect_apart,
    names_a_path,
    of_the_store,
    understand_bucket,
    understand_paths,
    understand_what_to_explain,
)
from tablesnap.cli.line.words import Given, Unknown, expect_sound
from tablesnap.cli.tablesnap.flags import grammar_of, make_parser
from tablesnap.cli.tablesnap.sharing import Patterns, share_out
from tablesnap.daemon.settings import Settings
from tablesnap.errors import UsageError
from tablesnap.rules.selection import Selection
from tablesnap.store.address import Address
from tablesnap.store.opening import StoreOptions

DEFAULT_EVENTS = frozenset({"IN_MOVED_TO"})


@dataclass(frozen=True)
class Options:
    """The whole command line, understood."""

    settings: Settings
    address: Address | None  # None: with --explain, the store is not to be asked
    store: StoreOptions
    log_format: str
    explain: bool = False
    verbose: bool = False
    json: bool = False


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Options:
    """Understand a command line, or raise `UsageError`. Looks at the disk only to see which words are paths."""
    parser, actions = make_parser()
    normal, words = _sort(list(grammar_of(actions).scan(argv)))
    given = parser.parse_args(normal)
    bucket, paths = _understand_places(given, words)
    store = replace(
        flags.reading_options(given, environ),
        storage_class=flags.storage_class(given, bucket.scheme if bucket is not None else ""),
        acl=given.acl,
        encryption=given.with_sse,
        multipart_above=flags.mebibytes(given.max_upload_size),
        part_size=flags.mebibytes(given.multipart_chunk_size),
    )
    settings = Settings(
        paths=paths,
        node=given.name or socket.getfqdn(),
        avoid=of_the_store(bucket),
        prefix=(bucket.prefix if bucket is not None else "") + given.prefix,
        separator=given.keyname_separator,
        recursive=given.recursive,
        auto_add=given.auto_add,
        backup=given.backup,
        verify_on_start=given.md5_on_start,
        with_index=not given.without_index,
        delete_on_backup=given.delete_on_backup,
        threads=given.threads,
        retries=given.retries,
        events=frozenset(given.listen_events or DEFAULT_EVENTS),
        base_interval=given.base_interval,
        index_interval=given.index_interval,
        pin_limit=given.pin_limit,
        selection=_selection(given),
    )
    # The prefix is in the settings, so that an index names the same keys whoever reads it, and however they say BUCKET.
    address = replace(bucket, prefix="") if bucket is not None else None
    return Options(
        settings, address, store, given.log_format, explain=given.explain, verbose=given.verbose, json=given.json
    )


def _understand_places(given: argparse.Namespace, words: Sequence[str]) -> tuple[Address | None, tuple[str, ...]]:
    if given.json and not given.explain:
        raise UsageError("--json goes with --explain; for log lines in JSON write --log-format json")
    if given.verbose and not given.explain:
        raise UsageError("-v goes with --explain; for more log lines set TDEBUG=1 in the environment")
    if given.explain and given.without_index:
        raise UsageError("--explain compares with the indexes; leave out --without-index")
    if given.explain:
        return understand_what_to_explain(words)
    bucket, paths = understand_bucket(words), understand_paths(words)
    expect_apart(bucket, paths)
    return bucket, paths


def _sort(scanned: Sequence[Given | Unknown]) -> tuple[list[str], list[str]]:
    """Split a scanned line into flags, each with its one value attached, and the words for BUCKET and PATHs."""
    for found in scanned:
        if isinstance(found, Given) and found.action is not None and found.action.dest in ("help", "version"):
            return [found.action.option_strings[-1]], []
    normal: list[str] = []
    items: list[str | Patterns] = []
    chosen: str | None = None
    asks = any(isinstance(one, Given) and one.action is not None and one.action.dest == "explain" for one in scanned)
    for found in map(expect_sound, scanned):
        texts = tuple(value.text for value in found.values)
        if found.action is None:
            items += texts
        elif found.action.nargs == "+":
            chosen = chosen or found.action.option_strings[-1]
            if chosen != found.action.option_strings[-1]:
                raise UsageError("-e and -i do not go together; leave out one, or say it all in one pattern")
            items.append(Patterns(texts))
        elif found.action.nargs == "?":
            normal.append(f"{found.action.option_strings[-1]}={''.join(texts) or flags.SSE_S3}")
        else:
            normal.append("=".join((found.action.option_strings[-1], *texts)))
    first = next(iter(items), None)
    if asks and isinstance(first, str) and names_a_path(first):
        # A daemon's line begins with BUCKET; where this one does not, there is none to look for among the patterns.
        patterns = [word for item in items if isinstance(item, Patterns) for word in item.words]
        words = [item for item in items if isinstance(item, str)]
    else:
        patterns, words = share_out(items, exists=os.path.exists)
    return [*normal, *(f"{chosen}={pattern}" for pattern in patterns)], words


def _selection(given: argparse.Namespace) -> Selection:
    # An empty pattern excludes everything. 0.7.3 took it as none given, as a shell's empty variable is meant.
    exclude = tuple(_compile("-e", text) for text in given.exclude or () if text)
    return Selection(include=tuple(_compile("-i", text) for text in given.include or ()), exclude=exclude)


def _compile(flag: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        where = "" if error.pos is None else f" at position {error.pos}"
        literally = f"to match it as it stands, write {flag} {shlex.quote(re.escape(text))}"
        raise UsageError(f"{flag} {text!r} is no regular expression: {error.msg}{where}; {literally}") from None
