"""The commands of one run, in this process: what they print, and what they exit with."""

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module

from tests.daemon.harness import NODE, Bucket
from tests.environment import environment


@dataclass(frozen=True)
class Said:
    """What became of a command."""

    code: int
    out: str
    err: str


def command(name: str, bucket: Bucket, *words: str, flags: tuple[str, ...] = ()) -> Said:
    """Run `NAME FLAGS BUCKET WORDS` on what the node of these tests has stored in *bucket*."""
    out, err = io.StringIO(), io.StringIO()
    with environment({**bucket.environment, "COLUMNS": "1000"}), redirect_stdout(out), redirect_stderr(err):
        code = import_module(f"tablesnap.cli.{name}.main").main(
            ["-n", NODE, *flags, *bucket.arguments, bucket.url, *words]
        )
    return Said(code, out.getvalue(), err.getvalue())
