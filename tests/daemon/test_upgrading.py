"""The commands of docs/guide/upgrading.md, in their order, on a bucket that tablesnap 1.2.1 wrote."""

import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from string import Template

import pytest
from tests.daemon.harness import Bucket, Daemon, clean_environment
from tests.daemon.predecessor import by_directory, restored_by_1x
from tests.golden.stored import DATA, NODE, at_the_end, blob, bucket_of_1x

from tablesnap.rules.index import Index
from tablesnap.rules.keys import is_index
from tablesnap.store.port import Content

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "upgrading.md"
SOURCE = str(Path(__file__).parents[2] / "src")
OURS = r"(?:tablesnap|tablelist|tablecheck|tablechop|tableslurp) "

Load = Callable[[Path], Bucket]


def moved(text: bytes, data: Path) -> bytes:
    """What 1.x would have written of a data directory that is another."""
    return text.replace(DATA.encode(), str(data).encode())


def load(bucket: Bucket, data: Path) -> None:
    """Store all that 1.x had stored, with its metadata, in the order of time."""
    store = bucket.store()
    for one in sorted(bucket_of_1x()["objects"], key=lambda one: str(one["last_modified"])):
        key, body = moved(one["key"].encode(), data).decode(), blob(one["sha256"])
        store.create(key, Content.of(moved(body, data) if is_index(key) else body), metadata=one["metadata"])


@pytest.fixture
def file_loaded(file_bucket: Bucket) -> Load:
    """In a directory, where objects are as old as they were: too old to be relied on unless an index names them."""

    def load_and_date(data: Path) -> Bucket:
        load(file_bucket, data)
        for one in bucket_of_1x()["objects"]:
            when = datetime.fromisoformat(one["last_modified"]).timestamp()
            directory = Path(file_bucket.url.removeprefix("file://"))
            os.utime(directory / moved(one["key"].encode(), data).decode(), (when, when))
        return file_bucket

    return load_and_date


@pytest.fixture
def moto_loaded(moto_bucket: Bucket) -> Load:
    def load_into_s3(data: Path) -> Bucket:
        load(moto_bucket, data)
        return moto_bucket

    return load_into_s3


def steps(**values: str) -> list[list[str]]:
    """Return the words of every command of ours in the guide, in its order, variables expanded as a shell does."""
    blocks = re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines() if re.match(OURS, line)]
    return [shlex.split(Template(line).substitute(values)) for line in lines]


def indexes_of_ours(bucket: Bucket) -> dict[str, Index]:
    """Return those that say when they were taken, which 1.x's do not."""
    return {key: index for key, index in bucket.indexes().items() if index.taken_at}


class Terminal:
    """Runs the commands of the guide on *bucket*, and keeps what they say."""

    def __init__(self, bucket: Bucket, log: Path) -> None:
        self._log = log
        self._environment = clean_environment() | dict(bucket.environment) | {"PYTHONPATH": SOURCE}
        if bucket.arguments:
            _, endpoint, _, region = bucket.arguments
            self._environment |= {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": region}

    def begin(self, words: Sequence[str]) -> Daemon:
        """Start a command."""
        script = f"import sys; from tablesnap.cli.{words[0]}.main import main; sys.exit(main())"
        return Daemon([sys.executable, "-c", script, *words[1:]], self._environment, self._log)

    def run(self, words: Sequence[str]) -> int:
        """Run a command to its end, and return its exit code."""
        return self.begin(words).wait_for_end()


@pytest.mark.parametrize("loaded", ["file_loaded", "moto_loaded"])
def test_a_bucket_of_1x_is_gone_on_with_and_nothing_in_it_is_sent_again(
    request: pytest.FixtureRequest, loaded: str, data: Path, log: Path
) -> None:
    bucket: Bucket = request.getfixturevalue(loaded)(data)
    files = {Path(moved(path.encode(), data).decode()): body for path, body in at_the_end().items()}
    for path, body in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    before, terminal = bucket.objects(), Terminal(bucket, log)
    options = shlex.join(bucket_of_1x()["arguments"]).replace("BUCKET", bucket.url).replace(DATA, str(data))
    look, listing, start, look_again, check, purge = steps(
        DAEMON_OPTS=options, BUCKET=bucket.url, DATA=str(data), NODE=NODE
    )

    assert (terminal.run(look), terminal.run(listing)) == (3, 0), log.read_text()
    daemon = terminal.begin(start)
    try:
        daemon.wait_for_log("backlog: done")
        tables = {str(path.parent) for path in files}
        daemon.wait_until(lambda: tables <= {one.directory for one in indexes_of_ours(bucket).values()}, "indexes")
        daemon.send(signal.SIGINT)
        assert daemon.wait_for_end() == 130
    finally:
        daemon.kill()
    assert (terminal.run(look_again), terminal.run(check), terminal.run(purge)) == (0, 0, 0), log.read_text()

    after = bucket.objects()
    assert {key: one for key, one in after.items() if key in before} == before
    assert after.keys() - before.keys() == indexes_of_ours(bucket).keys()
    assert restored_by_1x(after, f"{NODE}:") == by_directory(files)
