"""BUCKET, the PATHs, ORIGIN: where files come from and where they go."""

import os
from collections.abc import Sequence

from tablesnap.cli.line.slips import bucket_of, names_only_a_path
from tablesnap.errors import UsageError
from tablesnap.rules.place import tidy
from tablesnap.rules.table_name import table_name
from tablesnap.store.address import Address, parse_address

_EXAMPLE = "/var/lib/cassandra/data"


def understand_bucket(words: Sequence[str]) -> Address:
    """Understand the first word."""
    if not words:
        raise UsageError(f"BUCKET and PATH are missing; try: tablesnap -r -a my-bucket {_EXAMPLE}, or --help")
    if not words[0]:
        raise UsageError(f"BUCKET is missing: {words[0]!r} names none; try: tablesnap my-bucket {_EXAMPLE}")
    return bucket_of(words, "PATH")


def understand_paths(words: Sequence[str]) -> tuple[str, ...]:
    """Understand all words but the first: absolute, each once, links as they were given, for keys carry the names."""
    if len(words) < 2:
        raise UsageError(f"PATH is missing after {words[0]!r}; name a directory to watch, such as {_EXAMPLE}")
    for word in words[1:]:
        if not os.path.exists(word):
            swapped = os.path.isdir(words[0]) and len(words) == 2
            hint = f"BUCKET comes first: {word} {words[0]}" if swapped else "create it, or correct it"
            raise UsageError(f"PATH {word!r} does not exist; {hint}")
        if not os.path.isdir(word):
            raise UsageError(f"PATH {word!r} is not a directory; name the directory that holds it")
    return _absolute(words[1:])


def on_node(word: str, name: str) -> str:
    """Understand a directory of the node that was backed up, which need not be one of this machine: tidy."""
    if not word.startswith("/"):
        raise UsageError(f"{name} {word!r} is not absolute; give the directory's path on the node that was backed up")
    if any(part in (".", "..") for part in word.split("/")):
        raise UsageError(f"{name} {word!r} has a . or .. in it, and is a directory of another machine; write it out")
    return tidy(word)


def on_node_or_table(word: str, name: str) -> str:
    """Understand a directory of the node that was backed up, or KEYSPACE.TABLE, which is looked up in the bucket."""
    if word.startswith("/"):
        return on_node(word, name)
    if table_name(word) is None:
        raise UsageError(
            f"{name} {word!r} is not absolute; give KEYSPACE.TABLE, or the path of a directory of the node"
        )
    return word


def understand_what_to_explain(words: Sequence[str]) -> tuple[Address | None, tuple[str, ...]]:
    """Understand BUCKET, which may be left out, and PATHs, which may be files."""
    has_bucket = bool(words) and not names_a_path(words[0])
    paths = words[1:] if has_bucket else words
    bucket = parse_address(words[0]) if has_bucket else None
    if not paths:
        raise UsageError(f"PATH is missing; try: tablesnap --explain my-bucket {_EXAMPLE}, or --help")
    for word in paths:
        if not os.path.lexists(word):
            swapped = not has_bucket and len(paths) > 1 and not names_only_a_path(word)
            hint = f"; if it is BUCKET, it comes first: {word} {paths[0]}" if swapped else ""
            raise UsageError(f"PATH {word!r} does not exist; correct it{hint}")
    return bucket, _absolute(paths)


def names_a_path(word: str) -> bool:
    """Say whether the first word is a PATH, where BUCKET may be left out."""
    return word.startswith(("/", ".", "~")) or os.path.lexists(word)


def _absolute(words: Sequence[str]) -> tuple[str, ...]:
    # POSIX lets abspath keep two leading slashes; here they mean nothing.
    return tuple(dict.fromkeys("/" + os.path.abspath(word).lstrip("/") for word in words))


def of_the_store(bucket: Address | None) -> tuple[str, ...]:
    """Return the directory in which *bucket* is, if that is on this machine: nothing in it may be watched."""
    return (bucket.bucket,) if bucket is not None and bucket.scheme == "file" else ()


def expect_apart(bucket: Address, paths: Sequence[str]) -> None:
    """Refuse a directory for a store that is watched itself: every upload would be the next file to upload."""
    if bucket.scheme != "file":
        return
    store = os.path.realpath(bucket.bucket)
    for path in paths:
        watched = os.path.realpath(path)
        shared = os.path.commonpath((store, watched))
        if shared == watched:
            raise UsageError(f"the store {bucket} is inside the watched PATH {path}; put it elsewhere")
        if shared == store:
            raise UsageError(f"PATH {path} is inside the store {bucket}; put the store elsewhere")
